"""A first-order method on a loss whose terms are weighed anew as training goes on."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace
from typing import Protocol, Self, runtime_checkable

import torch

from ...errors import ConfigError
from ...typing import Float, Tensor
from ..first_order import FirstOrder
from ..objective import Objective, Optimizer, State, Status, Step, is_stochastic, tensor_of
from .ntk import ntk_traces
from .protocol import Balance, Balanced, Evidence

__all__ = ["BalancedMethod", "LossTerms", "Separable", "Unbalanced", "balanced"]

_OWN, _INNER = "balance.", "method."


@dataclass(frozen=True)
class Unbalanced:
    """The sum of the terms as it is.

    >>> from kjet.optim import Adam
    >>> balanced(Adam(), Unbalanced()) == Adam()
    True
    """


def balanced(method: Optimizer, balance: Balance | Unbalanced) -> Optimizer:
    """Return a method for the balanced loss; the method itself where nothing is balanced.

    Raises:
        ConfigError: If the method takes more than a gradient, or it is no balance.
    """
    if isinstance(balance, Unbalanced):
        return method
    if not isinstance(balance, Balance):
        raise ConfigError(f"balance is {balance!r}; give one of kjet.optim.balance, such as ConFIG()")
    return BalancedMethod(method, balance)  # type: ignore[arg-type]


class LossTerms(Protocol):
    """Terms of a loss at some parameters."""

    @property
    def values(self) -> Float[Tensor, " k"]:
        """Their values, without a graph."""
        ...

    def gradients(self, which: Sequence[int] | None = None) -> Float[Tensor, "j p"]:
        """Return their gradients, a row each; of all terms, in order, by default."""
        ...

    def gradient(self, weights: Float[Tensor, " k"]) -> Float[Tensor, " p"]:
        """Return the gradient of the weighted sum."""
        ...


@runtime_checkable
class Separable(Protocol):
    """An objective that knows the terms of its loss."""

    @property
    def sizes(self) -> tuple[int, ...]:
        """Residuals of each term, in the order of the Jacobian's rows."""
        ...

    def loss_terms(self, theta: Float[Tensor, " p"]) -> LossTerms:
        """Evaluate the terms, whose sum is the loss."""
        ...


@dataclass(frozen=True)
class BalancedMethod:
    """Give a first-order method the gradient that a balance makes of those of the terms.

    `Step.loss` remains the loss without weights, of which alone a history can be read.

    Attributes:
        method: Adam, SOAP or another.
        balance: How terms are weighed; weights stay for as many steps as its attribute ``every`` says, if it has one.
            Of :class:`MomentumConFIG`, which makes whole steps, the method gives the rate only.

    Raises:
        ConfigError: If the method takes more than a gradient.

    Cost: that of the method, and of what the balance needs: nothing for losses, a gradient for each term, or the
    Jacobian of all residuals for traces of the tangent kernel.

    >>> from kjet.optim import Adam
    >>> from kjet.optim.balance import GradNorm
    >>> BalancedMethod(Adam(), GradNorm(every=50)).every
    50
    """

    method: FirstOrder
    balance: Balance

    def __post_init__(self) -> None:
        if not isinstance(self.method, FirstOrder):
            raise ConfigError(
                f"{type(self.method).__name__} cannot be balanced: it builds on the residuals themselves. Use "
                "optimizer=soap or adam, or balance=none"
            )

    @property
    def label(self) -> str:
        """Names of both."""
        return f"{type(self.method).__name__} balanced by {type(self.balance).__name__}"

    @property
    def every(self) -> int:
        """Steps between two looks at the terms."""
        return int(getattr(self.balance, "every", 1))

    def for_steps(self, steps: int | None) -> Self:
        """Return the method for a run of so many steps."""
        return replace(self, method=self.method.for_steps(steps))

    def init(self, theta: Float[Tensor, " p"]) -> State:
        """Return the state before the first step; that of the balance begins when the terms are known."""
        return {_INNER + key: value for key, value in self.method.init(theta).items()} | {"looks": 0}

    def resample_every(self, state: State) -> int:
        """Ask the method."""
        return self.method.resample_every(_part(state, _INNER))

    def refresh(self, state: State) -> State:
        """Tell the method that the objective changed; weights stay."""
        fresh = self.method.refresh(_part(state, _INNER))
        kept = {key: value for key, value in state.items() if not key.startswith(_INNER)}
        return kept | {_INNER + key: value for key, value in fresh.items()}

    def step(self, objective: Objective, theta: Float[Tensor, " p"], state: State) -> Step:
        """Weigh the terms, and take a step of the method.

        Raises:
            ConfigError: If the objective does not know its terms, or has one only.
            DivergenceError: If a loss or a gradient is not finite.
        """
        if not isinstance(objective, Separable):
            raise ConfigError(f"{type(objective).__name__} does not tell the terms of its loss, which a balance weighs")
        terms = objective.loss_terms(theta)
        looks, own = int(state["looks"]), _part(state, _OWN)
        if not own:
            own = self.balance.init(len(terms.values), theta)
        if looks % self.every == 0 or "weights" not in state:
            done = self.balance.step(self._evidence(objective, terms, theta, own), own, _generator(looks))
            own = done.state
        else:
            done = Balanced(own, tensor_of(state, "weights"))
        gradient = terms.gradient(done.weights) if done.direction is None else done.direction  # type: ignore[arg-type]
        given = _Given(terms.values.sum(), gradient, objective)
        taken = self._taken(given, theta, _part(state, _INNER))
        new: State = {"looks": looks + 1}
        new |= {_OWN + key: value for key, value in own.items()}
        new |= {_INNER + key: value for key, value in taken.state.items()}
        info = dict(taken.info)
        if done.weights is not None:
            info |= {f"weight_{i}": float(weight) for i, weight in enumerate(done.weights)}
            if done.direction is None:
                new["weights"] = done.weights.clone()  # the balance may keep the same tensor, files may not
        return replace(taken, state=new, info=info)

    def _taken(self, given: _Given, theta: Tensor, state: State) -> Step:
        if not getattr(self.balance, "whole", False):
            return self.method.step(given, theta, state)  # type: ignore[arg-type]  # first-order: asks for nothing else
        k = int(state["steps"])
        rate, new = self.method.rate(k), state | {"steps": k + 1, "stochastic": given.stochastic}
        info = {"learning_rate": rate, "gradient_norm": float(given.gradient.norm())}
        return Step(theta - rate * given.gradient, float(given.value), new, Status.OK, 1, info)

    def _evidence(self, objective: Objective, terms: LossTerms, theta: Tensor, own: State) -> Evidence:
        needs, wanted = self.balance.needs, self.balance.wanted(own)
        return Evidence(
            losses=terms.values if "losses" in needs else None,
            gradients=terms.gradients(wanted) if "gradients" in needs else None,
            terms=wanted,
            traces=_traces(objective, theta) if "traces" in needs else None,
        )


@dataclass(frozen=True)
class _Given:
    """A loss and a gradient that are known, where a method asks for them."""

    value: Tensor
    gradient: Tensor
    objective: Objective

    @property
    def stochastic(self) -> bool:
        return is_stochastic(self.objective)

    @property
    def shapes(self) -> tuple[torch.Size, ...]:
        return getattr(self.objective, "shapes", (self.gradient.shape,))

    def value_and_gradient(self, theta: Tensor) -> tuple[Tensor, Tensor]:
        return self.value, self.gradient


def _traces(objective: Objective, theta: Tensor) -> Tensor:
    return ntk_traces(objective.residual_and_jacobian(theta)[1], objective.sizes)  # type: ignore[attr-defined]


def _part(state: State, prefix: str) -> State:
    return {key.removeprefix(prefix): value for key, value in state.items() if key.startswith(prefix)}


def _generator(looks: int) -> torch.Generator:
    """Random numbers that depend on nothing but the step: a resumed run has the same."""
    return torch.Generator().manual_seed(looks)
