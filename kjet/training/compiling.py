"""Loss and gradient of a step as one compiled program; points and directions go in as arguments, drawn outside."""

from __future__ import annotations

import logging
import time
import types
from collections.abc import Callable
from typing import Any

import torch

from ..errors import ConfigError
from ..typing import Float, Tensor
from .objective import ResidualObjective, flat_gradient

__all__ = ["CompiledGradient"]

_logger = logging.getLogger(__name__)


class CompiledGradient:
    """Evaluates the loss of an objective and its gradient by a compiled program.

    The program is made at the first call, for the shapes of that call, and made again if these or the derivatives that
    are evaluated change. It takes the points, the directions and the parameters of each call. Nothing random happens
    in it: what is drawn does not depend on whether the step is compiled.

    Args:
        backend: What makes the program; ``"aot_eager"`` only traces it, to see whether that is possible.
        tolerance: Relative difference from the plain gradient that is taken for rounding; None for the square root of
            that of the floating type.

    Raises:
        ConfigError: When called, if the step cannot be compiled, or if the program's first gradient is not that of the
            plain step: compilers have bugs. It is never evaluated by other means without a word.

    Cost: some tens of seconds for the first call.
    """

    def __init__(self, backend: str = "inductor", tolerance: float | None = None) -> None:
        # Backward programs may write into what the forward one saved for them. Torch 2.13 asks whether that is seen
        # from outside, but not whether two saved tensors share memory, as slices of one jet do: then gradients are
        # wrong. (torch._functorch.config.donated_buffer would do, but stored programs do not depend on it.)
        options: dict[str, str | int | bool | Callable[..., Any]] | None = (
            {"inplace_buffers": False} if backend == "inductor" else None
        )
        self._total = torch.compile(_fresh(_total), fullgraph=True, dynamic=False, backend=backend, options=options)
        self._known, self._tolerance = False, tolerance

    def __call__(
        self, objective: ResidualObjective, theta: Float[Tensor, " p"]
    ) -> tuple[Float[Tensor, ""], Float[Tensor, " p"]]:
        """Return the loss and its gradient at parameters that the model has loaded."""
        if self._known:
            return self._evaluate(objective)
        begun = time.perf_counter()
        try:
            found = self._evaluate(objective)
        except RuntimeError as error:
            raise ConfigError(
                f"the step cannot be compiled: {_beginning(error)}. Use trainer.compile=false, install the compiler if "
                "it is missing (g++ for CPUs, triton for GPUs), or leave out what torch.compile cannot trace in the "
                "equation or the network"
            ) from error
        _compare(found, flat_gradient(objective.total(), objective.model.trainable()), self._tolerance)
        self._known = True
        _logger.info("compiled the step in %.0f seconds", time.perf_counter() - begun)
        return found

    def _evaluate(self, objective: ResidualObjective) -> tuple[Tensor, Tensor]:
        return flat_gradient(self._total(objective), objective.model.trainable())


def _compare(found: tuple[Tensor, Tensor], expected: tuple[Tensor, Tensor], tolerance: float | None = None) -> None:
    """Refuse a program whose gradient is not the plain one, up to rounding."""
    gradient, plain = found[1], expected[1]
    tolerance = torch.finfo(plain.dtype).eps ** 0.5 if tolerance is None else tolerance
    scale = float(plain.norm())
    error = float((gradient - plain).norm()) / (scale or 1.0)
    if not error <= tolerance and bool(torch.isfinite(plain).all()):
        raise ConfigError(
            f"the compiled step has a gradient that differs from the plain one by {error:.1e} of its size, where "
            f"{tolerance:.1e} would be rounding: the compiler makes a mistake with this equation. Use "
            "trainer.compile=false"
        )


def _total(objective: Any) -> Tensor:
    total: Tensor = objective.total()
    return total


def _fresh(function: Callable[..., Any]) -> Callable[..., Any]:
    """Copy a function, code and all: programs are kept by code object, and one run's are of no use to the next."""
    return types.FunctionType(function.__code__.replace(), function.__globals__, function.__name__)


def _beginning(error: BaseException) -> str:
    """Join the first two lines: compilers explain themselves at length, and often in the second one."""
    lines = [line.strip() for line in str(error).splitlines() if line.strip()]
    return f"{type(error).__name__}: {' '.join(lines[:2]) or 'no message'}".rstrip(".")
