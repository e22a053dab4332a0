"""What a balance of loss terms is given and what it gives back."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import ClassVar, Protocol, runtime_checkable

import torch

from ...errors import ConfigError
from ...typing import Float, Tensor
from ..objective import State, require_finite

__all__ = ["Balance", "Balanced", "Evidence", "gradients_of", "losses_of", "require_several", "traces_of"]


@dataclass(frozen=True)
class Evidence:
    """What is known of the terms of a loss at the present parameters.

    Attributes:
        losses: Each term's own loss, as it enters the sum before it is balanced.
        gradients: Their gradients, a row each.
        terms: Terms that the rows of `gradients` belong to; None for all, in order.
        traces: Traces of their neural tangent kernels, see :func:`kjet.optim.balance.ntk_traces`.
    """

    losses: Float[Tensor, " k"] | None = None
    gradients: Float[Tensor, "j p"] | None = None
    terms: Sequence[int] | None = None
    traces: Float[Tensor, " k"] | None = None


@dataclass(frozen=True)
class Balanced:
    """Outcome of a balance.

    Attributes:
        state: State for the next step.
        weights: Factors of the terms: the loss to descend is ``sum_i w_i L_i``. None where a direction is all there is.
        direction: What takes the place of the gradient, without a graph; None where the weights say it.
    """

    state: State
    weights: Float[Tensor, " k"] | None = None
    direction: Float[Tensor, " p"] | None = None


@runtime_checkable
class Balance(Protocol):
    """A rule for the terms of a loss; it holds hyperparameters only, never the state.

    Attributes:
        needs: Names of the attributes of :class:`Evidence` that it reads.
    """

    needs: ClassVar[tuple[str, ...]]

    def init(self, k: int, theta: Float[Tensor, " p"]) -> State:
        """Return the state before the first step, for `k` terms; it takes type and device from the parameters."""
        ...

    def wanted(self, state: State) -> tuple[int, ...] | None:
        """Terms whose evidence the next step reads; None for all."""
        ...

    def step(self, evidence: Evidence, state: State, generator: torch.Generator | None = None) -> Balanced:
        """Weigh the terms."""
        ...


def require_several(owner: str, k: int) -> None:
    """Refuse a loss of a single term.

    Raises:
        ConfigError: If there are fewer than two terms.

    >>> require_several("ConFIG", 1)
    Traceback (most recent call last):
    kjet.errors.ConfigError: balancing needs at least two terms; ConFIG got 1. Leave the balance out, or impose a \
condition as a residual (constraint=soft)
    """
    if k < 2:
        raise ConfigError(
            f"balancing needs at least two terms; {owner} got {k}. Leave the balance out, or impose a condition as a "
            "residual (constraint=soft)"
        )


def losses_of(evidence: Evidence, owner: str, k: int) -> Float[Tensor, " k"]:
    """Return the losses, checked.

    Raises:
        ConfigError: If they are missing, or not `k` numbers from 0.
        DivergenceError: If one is not finite.
    """
    found = _vector(evidence.losses, owner, "losses", k)
    if bool((found < 0).any()):
        raise ConfigError(
            f"{owner}: the losses {found.tolist()} are not all numbers from 0; the unbiased loss of two draws cannot "
            "be balanced by its size. Use estimator.unbiased=false, or a balance of gradients"
        )
    return found


def traces_of(evidence: Evidence, owner: str, k: int) -> Float[Tensor, " k"]:
    """Return the traces, checked.

    Raises:
        ConfigError: If they are missing, or not `k` numbers from 0.
        DivergenceError: If one is not finite.
    """
    found = _vector(evidence.traces, owner, "traces", k)
    if bool((found < 0).any()):
        raise ConfigError(f"{owner}: the traces {found.tolist()} are not all numbers from 0; see ntk_traces")
    return found


def gradients_of(evidence: Evidence, owner: str, k: int) -> Float[Tensor, "k p"]:
    """Return the gradients of all terms, checked.

    Raises:
        ConfigError: If they are missing, or not `k` rows for all terms in order.
        DivergenceError: If an entry is not finite.
    """
    found = evidence.gradients
    if found is None or found.ndim != 2 or found.shape[0] != k or evidence.terms not in (None, tuple(range(k))):
        shape = None if found is None else tuple(found.shape)
        raise ConfigError(
            f"{owner} needs the gradients of all {k} terms, of shape ({k}, p); got {shape} for terms {evidence.terms}"
        )
    require_finite("gradients", found)
    return found.detach()


def _vector(found: Tensor | None, owner: str, name: str, k: int) -> Float[Tensor, " k"]:
    if found is None or found.shape != (k,):
        shape = None if found is None else tuple(found.shape)
        raise ConfigError(f"{owner} needs the {name} of all {k} terms, of shape ({k},); got {shape}")
    require_finite(name, found)
    return found.detach()
