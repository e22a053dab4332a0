"""What an optimizer is given and what it gives back."""

from __future__ import annotations

from dataclasses import dataclass, field
from enum import StrEnum
from typing import Protocol, runtime_checkable

import torch

from ..errors import ConfigError, DivergenceError
from ..typing import Float, Tensor

__all__ = [
    "NEVER",
    "Objective",
    "Optimizer",
    "Scheduled",
    "State",
    "Status",
    "Step",
    "is_stochastic",
    "label",
    "require",
    "require_finite",
    "tensor_of",
]

NEVER = 1 << 40
"""Steps between two draws of points where points must stay."""

State = dict[str, Tensor | int | float | bool | str]
"""Everything that an optimizer needs to continue bit for bit: tensors for safetensors, the rest for JSON."""


@runtime_checkable
class Objective(Protocol):
    """A sum of squares ``loss(theta) = |r(theta)|^2`` over flat parameters.

    The residual is already scaled (weights, one over the square root of the number of points), so that its
    squared norm is the loss. ``theta`` is one-dimensional with `p` entries. The tensors returned carry no graph and
    are the caller's to keep: they are not overwritten by later calls.

    An objective whose residual is an estimate along random directions has an attribute ``stochastic`` that is true; its
    values stay the same until it is drawn anew.
    """

    def loss(self, theta: Float[Tensor, " p"]) -> Float[Tensor, ""]:
        """Return the loss without a graph, as cheaply as possible."""
        ...

    def value_and_gradient(self, theta: Float[Tensor, " p"]) -> tuple[Float[Tensor, ""], Float[Tensor, " p"]]:
        """Return the loss and its gradient, ``2 J^T r``."""
        ...

    def residual(self, theta: Float[Tensor, " p"]) -> Float[Tensor, " r"]:
        """Return the scaled residual."""
        ...

    def residual_and_jacobian(self, theta: Float[Tensor, " p"]) -> tuple[Float[Tensor, " r"], Float[Tensor, "r p"]]:
        """Return the scaled residual and its Jacobian."""
        ...


class Status(StrEnum):
    """How a step ended.

    ``OK``: go on. ``STALLED``: no decrease is possible here. ``NOISE_FLOOR``: no decrease can be resolved in this
    precision; float64 can go on. ``FAILED``: the method cannot go on. `Step.reason` says why.
    """

    OK = "ok"
    STALLED = "stalled"
    NOISE_FLOOR = "noise_floor"
    FAILED = "failed"


@dataclass(frozen=True)
class Step:
    """Outcome of one optimizer step.

    Attributes:
        theta: The new parameters; those given, where no decrease was found.
        loss: Loss at `theta` (`Adam`: at the parameters that the step was given).
        state: State for the next step. Large tensors may be those of the state given, updated in place.
        status: How the step ended.
        evaluations: Calls to the objective, of any kind.
        info: Numbers worth logging, such as the step length and the damping.
        reason: Why it stopped, one sentence; empty while the status is ``OK``.
    """

    theta: Tensor
    loss: float
    state: State
    status: Status
    evaluations: int
    info: dict[str, float] = field(default_factory=dict)
    reason: str = ""


@runtime_checkable
class Optimizer(Protocol):
    """A method that improves parameters step by step; it holds hyperparameters only, never the state."""

    def init(self, theta: Float[Tensor, " p"]) -> State:
        """Return the state before the first step."""
        ...

    def step(self, objective: Objective, theta: Float[Tensor, " p"], state: State) -> Step:
        """Take one step from `theta`."""
        ...

    def resample_every(self, state: State) -> int:
        """Return the number of steps that points should stay before they are drawn anew, or `NEVER`."""
        ...

    def refresh(self, state: State) -> State:
        """Return the state for a changed objective: without cached values, with all curvature."""
        ...


def is_stochastic(objective: Objective) -> bool:
    """Tell whether the residual is an estimate, so that losses of different draws cannot be compared."""
    return bool(getattr(objective, "stochastic", False))


@runtime_checkable
class Scheduled(Protocol):
    """A method whose rate depends on the number of steps to come."""

    def for_steps(self, steps: int | None) -> Optimizer:
        """Return the method for a run of so many steps; None where only time limits it."""
        ...


def label(optimizer: Optimizer) -> str:
    """Name an optimizer: its attribute ``label``, or its class."""
    return str(getattr(optimizer, "label", type(optimizer).__name__))


def tensor_of(state: State, key: str) -> Tensor:
    """Return an entry of a state that must be a tensor.

    Raises:
        ConfigError: If there is none, for the state is that of another optimizer.

    >>> tensor_of({"first": torch.ones(2)}, "first")
    tensor([1., 1.])
    """
    value = state.get(key)
    if not isinstance(value, Tensor):
        raise ConfigError(
            f'the optimizer state has no tensor "{key}"; it has {", ".join(sorted(state)) or "nothing"}. '
            "Pass the state that this optimizer's init or last step returned."
        )
    return value


def require(condition: bool, owner: str, name: str, value: object, expected: str, advice: str) -> None:
    """Raise for a hyperparameter out of range, saying what was given, what was expected and what to do.

    Raises:
        ConfigError: If the condition is false.

    >>> require(-1.0 > 0, "Adam", "learning_rate", -1.0, "a positive number", "Start from 1e-3.")
    Traceback (most recent call last):
    kjet.errors.ConfigError: Adam: learning_rate = -1.0; expected a positive number. Start from 1e-3.
    """
    if not condition:
        raise ConfigError(f"{owner}: {name} = {value!r}; expected {expected}. {advice}")


def require_finite(what: str, *tensors: Tensor) -> None:
    """Raise if an entry is not finite, with the count of such entries.

    Args:
        what: Name of the quantity, such as ``"gradient"``.
        *tensors: Its parts.

    Raises:
        DivergenceError: If an entry of any part is infinite or not a number.

    >>> require_finite("gradient", torch.tensor([1.0, float("nan")]))
    Traceback (most recent call last):
    kjet.errors.DivergenceError: 1 of 2 entries of the gradient are not finite at the start of a step. \
Go back to the last checkpoint with a smaller step or float64, or look for a division by zero in the equation.
    """
    if all(bool(torch.isfinite(tensor).all()) for tensor in tensors):
        return
    bad = sum(int((~torch.isfinite(tensor)).sum()) for tensor in tensors)
    total = sum(tensor.numel() for tensor in tensors)
    raise DivergenceError(
        f"{bad} of {total} entries of the {what} are not finite at the start of a step. "
        "Go back to the last checkpoint with a smaller step or float64, or look for a division by zero in the equation."
    )
