"""What an objective may offer beyond loss, gradient and Jacobian, and the error where a method needs it in vain."""

from __future__ import annotations

from typing import Any, Protocol, runtime_checkable

import torch

from ..errors import ConfigError
from ..typing import Float, Tensor

__all__ = [
    "BlockJacobian",
    "HessianProducts",
    "MatrixFree",
    "Products",
    "Spread",
    "Subsets",
    "TwiceDifferentiable",
    "demand",
]


class Products(Protocol):
    """The residual at one point and products with its Jacobian ``J``, which is never formed.

    Any number of vectors at once, as rows. Products stay those of the point whatever is evaluated in between.
    """

    @property
    def residual(self) -> Float[Tensor, " r"]:
        """The scaled residual."""
        ...

    def jvp(self, v: Float[Tensor, "*b p"]) -> Float[Tensor, "*b r"]:
        """Return ``J v``."""
        ...

    def vjp(self, z: Float[Tensor, "*b r"]) -> Float[Tensor, "*b p"]:
        """Return ``J^T z``."""
        ...


class HessianProducts(Protocol):
    """The gradient of the loss at one point and products with its Hessian."""

    @property
    def gradient(self) -> Float[Tensor, " p"]:
        """Gradient of the loss."""
        ...

    def hvp(self, v: Float[Tensor, "*b p"]) -> Float[Tensor, "*b p"]:
        """Return ``H v``."""
        ...


@runtime_checkable
class MatrixFree(Protocol):
    """An objective that multiplies by its Jacobian without forming it."""

    def products(self, theta: Float[Tensor, " p"]) -> Products:
        """Linearize the residual."""
        ...


@runtime_checkable
class Spread(Protocol):
    """An objective whose residuals are spread over processes, in the order of the ranks.

    Residuals and rows of Jacobians are those of this process; losses and gradients are those of all. Every process
    takes the same steps, on numbers that are the same to the last bit.
    """

    def total(self, value: Float[Tensor, "*n"]) -> Float[Tensor, "*n"]:
        """Return the sum over the processes."""
        ...

    def gather(self, rows: Float[Tensor, "r *rest"]) -> list[Float[Tensor, "*rest"]]:
        """Return the rows of all processes, of which there may be different numbers."""
        ...

    @property
    def rank(self) -> int:
        """Place of this process."""
        ...


@runtime_checkable
class TwiceDifferentiable(Protocol):
    """An objective that multiplies by the Hessian of its loss."""

    def hessian(self, theta: Float[Tensor, " p"]) -> HessianProducts:
        """Expand the loss to second order."""
        ...


@runtime_checkable
class BlockJacobian(Protocol):
    """An objective that differentiates by some of its parameters alone."""

    def residual_and_columns(
        self, theta: Float[Tensor, " p"], first: int, last: int
    ) -> tuple[Float[Tensor, " r"], Float[Tensor, "r q"]]:
        """Return the residual and the columns ``first`` to ``last - 1`` of its Jacobian."""
        ...


@runtime_checkable
class Subsets(Protocol):
    """An objective that can be estimated from a part of its residuals."""

    def subset(self, fraction: float, generator: torch.Generator) -> Any:
        """Return an objective of a random part, whose loss has the mean of the whole one."""
        ...


_NEEDS: dict[type, tuple[str, str, str]] = {
    MatrixFree: ("products", "products with the Jacobian", "gauss_newton, lbfgs or adam"),
    TwiceDifferentiable: ("hessian", "products with the Hessian", "ssbroyden, lbfgs or adam"),
    Subsets: ("subset", "random parts of the residuals", "fraction=1, with points that are drawn anew each step"),
}


def demand(objective: Any, owner: str, capability: type | None = None) -> Any:
    """Return the objective if a method can use it; say which method to use if not.

    Args:
        objective: What is minimized.
        owner: Name of the method.
        capability: Protocol that it needs; None for a residual and its Jacobian.

    Raises:
        ConfigError: If the objective lacks it, with what to use instead.

    >>> demand(object(), "GaussNewtonBlock")
    Traceback (most recent call last):
    kjet.errors.ConfigError: GaussNewtonBlock needs a residual vector and its Jacobian; object has no \
residual_and_jacobian. For a loss that is a mere number use lbfgs, ssbroyden or adam.
    """
    name = type(objective).__name__
    if not hasattr(objective, "residual_and_jacobian"):
        raise ConfigError(
            f"{owner} needs a residual vector and its Jacobian; {name} has no residual_and_jacobian. For a loss that "
            "is a mere number use lbfgs, ssbroyden or adam."
        )
    if capability is not None and not isinstance(objective, capability):
        method, what, advice = _NEEDS[capability]
        raise ConfigError(f"{owner} needs {what}; {name} has no method {method}. Use {advice}.")
    return objective
