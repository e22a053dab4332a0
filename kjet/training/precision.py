"""Cheaper products of matrices for the gradient of a step, and what they cost in accuracy."""

from __future__ import annotations

import logging
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, replace
from typing import Any

import torch

from ..errors import ConfigError
from ..optim import Auto, FirstOrder, Optimizer
from ..typing import Float, Tensor
from .model import Model
from .objective import Gradient, ResidualObjective, flat_gradient

__all__ = ["PRECISIONS", "Accuracy", "LoweredGradient", "check_optimizer", "check_precision", "lowered", "measure"]

_logger = logging.getLogger(__name__)

PRECISIONS = ("full", "tf32", "bf16")

_EPS = {"full": 0.0, "tf32": 2.0**-10, "bf16": 2.0**-7}
_TOO_MUCH = 0.1  # relative difference of gradients beyond which training may well go elsewhere
_TENSOR_CORES = (8, 0)  # first compute capability with products in either type


def check_precision(name: str, dtype: str | None, device: torch.device) -> None:
    """Refuse a precision that the floating type or the device does not have.

    Args:
        name: One of :data:`PRECISIONS`.
        dtype: Floating type of the run; None where it is not known yet.
        device: Where the run computes.

    Raises:
        ConfigError: If float64 is asked for as well, or the device has no such products.

    >>> check_precision("tf32", "float32", torch.device("cpu"))
    Traceback (most recent call last):
    kjet.errors.ConfigError: trainer.precision is "tf32", products of GPUs, but trainer.device is "cpu"; use \
trainer.device=cuda, or trainer.precision=full
    """
    if name == "full":
        return
    if dtype == "float64":
        raise ConfigError(
            f'trainer.precision is "{name}", which rounds the products of a float32 run, but the dtype is float64; use '
            "trainer.dtype=float32, or trainer.precision=full"
        )
    if name == "tf32" and device.type != "cuda":
        raise ConfigError(
            f'trainer.precision is "tf32", products of GPUs, but trainer.device is "{device}"; use '
            "trainer.device=cuda, or trainer.precision=full"
        )
    if device.type == "cuda" and not torch.version.hip:
        found = torch.cuda.get_device_capability(device)
        if found < _TENSOR_CORES:
            raise ConfigError(
                f'trainer.precision is "{name}", which needs compute capability 8.0; {device} has '
                f"{found[0]}.{found[1]}. Use trainer.precision=full"
            )


def check_optimizer(name: str, optimizer: Optimizer, objective: ResidualObjective) -> None:
    """Refuse methods that build on differences of losses and gradients, which such products drown in rounding.

    Raises:
        ConfigError: If the method is, or would choose, one that uses curvature.
    """
    if name == "full":
        return
    if isinstance(optimizer, Auto):
        first_order = objective.stochastic or objective.model.flat().numel() > optimizer.max_curvature
    else:
        first_order = isinstance(optimizer, FirstOrder)
    if not first_order:
        method = "auto would choose a curvature method here, which" if isinstance(optimizer, Auto) else (
            f"{type(optimizer).__name__}, unlike adam and soap,"
        )  # fmt: skip
        raise ConfigError(
            f'trainer.precision is "{name}", but {method} works in full precision only: it compares losses and '
            "gradients that differ by less than such products round. Use optimizer=adam or soap, or "
            "trainer.precision=full"
        )


@contextmanager
def lowered(name: str, model: Model) -> Iterator[None]:
    """Take products in a lower precision within the context; nothing of it is left afterwards.

    ``"tf32"`` is a setting of the process: all products of float32 matrices on GPUs. ``"bf16"`` is one of the model:
    its network is evaluated under autocast, what it returns is of the type of the points again.

    >>> from torch import nn
    >>> model = Model(nn.Linear(1, 1), {}, ("u",), ("x",))
    >>> with lowered("bf16", model):
    ...     model.products
    torch.bfloat16
    """
    if name == "bf16":
        before, model.products = model.products, torch.bfloat16
        try:
            yield
        finally:
            model.products = before
        return
    matmul = torch.backends.cuda.matmul
    known = matmul.fp32_precision
    if name != "tf32" or known == "tf32":
        yield
        return
    # The older setting changes the newer one with it; the other way round, whoever reads the older one gets an error.
    matmul.allow_tf32 = True
    try:
        yield
    finally:
        matmul.allow_tf32 = False
        matmul.fp32_precision = known


@dataclass(frozen=True)
class LoweredGradient:
    """Evaluates loss and gradient with products in a lower precision.

    Parameters, residuals, their sums and the gradient stay in the type of the run, and so does everything that is
    evaluated by other means: errors, the shares of the terms, and scores for adaptive points.

    Attributes:
        name: One of :data:`PRECISIONS`.
        inner: Means of getting the loss and its gradient; None for eager ones.
    """

    name: str
    inner: Gradient | None = None

    def __call__(
        self, objective: ResidualObjective, theta: Float[Tensor, " p"]
    ) -> tuple[Float[Tensor, ""], Float[Tensor, " p"]]:
        """Return the loss and its gradient at parameters that the model has loaded."""
        with lowered(self.name, objective.model):
            if self.inner is not None:
                return self.inner(objective, theta)
            return flat_gradient(objective.total(), objective.model.trainable())


@dataclass(frozen=True)
class Accuracy:
    """What a precision costs at the parameters where it was measured.

    Attributes:
        name: One of :data:`PRECISIONS`.
        residual: Norm of the residual's change, over that of the residual; None where nothing was measured.
        gradient: The same of the gradient.
    """

    name: str = "full"
    residual: float | None = None
    gradient: float | None = None

    @property
    def tolerance(self) -> float:
        """Difference that two ways of getting the gradient may have in this precision."""
        return 4.0 * max(_EPS[self.name], self.gradient or 0.0)

    def plain(self) -> dict[str, Any]:
        """Return what a summary holds.

        >>> Accuracy("bf16", 3e-3, 4e-3).plain()
        {'name': 'bf16', 'residual': 0.003, 'gradient': 0.004}
        """
        if self.residual is None or self.gradient is None:
            return {"name": self.name}
        return {"name": self.name, "residual": self.residual, "gradient": self.gradient}


def measure(name: str, objective: ResidualObjective, gradient: Gradient | None = None) -> Accuracy:
    """Compare residual and gradient with those of full precision, at the parameters that the model has; log both.

    Args:
        name: One of :data:`PRECISIONS`; nothing is evaluated for ``"full"``.
        objective: What is trained.
        gradient: Means of getting the gradient; None for eager ones.

    Raises:
        ConfigError: If they are not finite in the lower precision.

    Cost: two losses and two gradients.
    """
    if name == "full":
        return Accuracy()
    theta = objective.model.flat()
    plain = LoweredGradient("full", gradient)(objective, theta)[1]
    rounded = LoweredGradient(name, gradient)(objective, theta)[1]
    residual = _difference(_residual(name, objective), _residual("full", objective))
    found = Accuracy(name, residual, _difference(rounded, plain))
    _logger.info(
        "precision %s: residual differs by %.1e, gradient by %.1e from float32", name, found.residual, found.gradient
    )
    if not torch.isfinite(torch.tensor([found.residual, found.gradient])).all():
        raise ConfigError(
            f'with trainer.precision="{name}" residual or gradient are not finite at the start; use '
            "trainer.precision=full"
        )
    if (found.gradient or 0.0) > _TOO_MUCH:
        _logger.warning(
            "with trainer.precision=%s the gradient is off by %.0f %% of its size; trainer.precision=full is safer",
            name, 100.0 * (found.gradient or 0.0),
        )  # fmt: skip
    return found


def _residual(name: str, objective: ResidualObjective) -> Float[Tensor, " r"]:
    """Scaled residuals, and those along second draws behind them."""
    others = [replace(term, draws=term.others) for term in objective.terms if term.others is not None]
    with torch.no_grad(), lowered(name, objective.model):
        return torch.cat([row for term in (*objective.terms, *others) for row in objective.rows(term)])


def _difference(found: Tensor, expected: Tensor) -> float:
    return float((found - expected).norm()) / (float(expected.norm()) or 1.0)
