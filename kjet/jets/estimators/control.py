"""Control variates: what is known about a similar function takes noise out of an estimate."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, replace
from typing import Any, Protocol, runtime_checkable

import torch

from ...errors import ConfigError
from ...typing import Float, Tensor
from ..api import contract
from ..derivative import Trace
from ..operator import Laplacian, LinearOperator
from .base import Estimator, EstimatorError, Family, Function
from .evaluate import check_points
from .targets import check_trace, target_of
from .weighted import Weighted

__all__ = ["ControlVariate", "Known", "Quadratic", "Surrogate"]


@runtime_checkable
class Surrogate(Protocol):
    """A function g of points (n, d) with values (n, m) or (n, 1), to which an operator can be applied exactly."""

    def __call__(self, x: Any) -> Any:
        """``g``, of tensors and of jets."""
        ...

    def value(self, x: Float[Tensor, "n d"], operator: LinearOperator) -> Float[Tensor, "n _"]:
        """``L g`` at the points."""
        ...


@dataclass(frozen=True)
class Known:
    """A surrogate by its function and by what the operator makes of it.

    Args:
        function: ``g``, built from operations that have a rule.
        operated: ``L g``, of points alone; the operator that it belongs to must be the one that is estimated.
    """

    function: Function
    operated: Callable[[Tensor], Tensor]

    def __call__(self, x: Any) -> Any:
        """``g``."""
        return self.function(x)

    def value(self, x: Float[Tensor, "n d"], operator: LinearOperator) -> Float[Tensor, "n _"]:
        """``L g``."""
        return self.operated(x)


@dataclass(frozen=True, eq=False)
class Quadratic:
    """``g(x) = 1/2 sum_i h_i x_i^2`` with a given diagonal h (d,) of the Hessian.

    Takes the variation of the diagonal out of sparse estimates.

    >>> from kjet.jets import Laplacian
    >>> Quadratic(torch.tensor([1.0, 3.0])).value(torch.zeros(2, 2), Laplacian()).tolist()
    [[4.0], [4.0]]
    """

    curvature: Float[Tensor, " d"]

    def __call__(self, x: Any) -> Any:
        """``g``."""
        return 0.5 * (self.curvature.to(x.device, x.dtype) * x**2).sum(-1, keepdim=True)

    def value(self, x: Float[Tensor, "n d"], operator: LinearOperator) -> Float[Tensor, "n 1"]:
        """``L g``: the diagonal times the operator's weight; zero for higher powers of the Laplacian."""
        n, d = x.shape
        h = self.curvature.to(x)
        if isinstance(operator, Laplacian) and operator.weight is not None:
            operator = Weighted(operator.weight)
        if isinstance(operator, Weighted):
            operator.check(d)
            return (operator.matrix().to(x).diagonal(dim1=-2, dim2=-1) @ h).reshape(-1, 1).expand(n, 1)
        target = target_of(operator, d)
        if not isinstance(target, Trace):
            return contract(self, x, operator)
        check_trace(target, d)
        total = h[list(target.axes)].sum() if target.power == 1 else h.new_zeros(())
        return total.expand(n, 1)


@dataclass(frozen=True)
class ControlVariate:
    """Estimate ``L (u - c g) + c L g``: the same mean, and less variance where ``c g`` resembles u.

    Args:
        estimator: Estimates the operator of the difference.
        surrogate: g, see :class:`Known` and :class:`Quadratic`.
        coefficient: c, one for all fields or one for each.

    Cost: that of the estimator, and of g along the same directions.

    Ref: Owen, *Monte Carlo theory, methods and examples*, 2013, section 8.9.

    >>> from kjet.jets import Laplacian
    >>> from kjet.jets.estimators import STDE
    >>> h = torch.arange(10.0)
    >>> u = lambda x: 0.5 * (h * x**2).sum(-1, keepdim=True)
    >>> estimator = ControlVariate(STDE(samples=1), Quadratic(h))
    >>> estimator(u, torch.zeros(1, 10), Laplacian(), torch.Generator().manual_seed(0)).item()
    45.0
    """

    estimator: Estimator
    surrogate: Surrogate
    coefficient: float | tuple[float, ...] = 1.0

    def __call__(
        self, f: Function, x: Float[Tensor, "n d"], operator: LinearOperator, generator: torch.Generator | None = None
    ) -> Float[Tensor, "n m"]:
        """Estimate the operator applied to ``f`` at the points.

        Raises:
            ConfigError: As the estimator does, or if coefficients and fields differ in number.
        """
        check_points(x)
        c = x.new_tensor(self.coefficient)

        def difference(z: Any) -> Any:
            return f(z) - c * self.surrogate(z)

        return self.estimator(difference, x, operator, generator) + c * self.surrogate.value(x, operator)

    def fit(
        self,
        f: Function,
        x: Float[Tensor, "n d"],
        operator: LinearOperator,
        generator: torch.Generator,
        draws: int = 16,
    ) -> ControlVariate:
        """Return one with the coefficient of least variance, ``Cov(Lhat u, Lhat g) / Var(Lhat g)``, from pilot draws.

        Fixed from then on, and independent of later draws, so that estimates stay unbiased.

        Args:
            f: Function u; its present values count, its gradients do not.
            x: Points to average over.
            operator: Operator to be estimated.
            generator: Source of the draws.
            draws: At least two.

        Raises:
            ConfigError: If draws are fewer.

        Cost: as many estimates as draws.
        """
        if draws < 2:
            raise ConfigError(f"a covariance needs at least two draws; got {draws}")
        with torch.no_grad():
            fields = f(x).shape[-1]

            def both(z: Any) -> Any:
                return torch.cat([f(z), self.surrogate(z)], -1)  # one pass: the same directions for both

            found = torch.stack([self.estimator(both, x, operator, generator) for _ in range(draws)])
            centred = found - found.mean(0)
            u, g = centred[..., :fields], centred[..., fields:]
            spread = g.square().sum((0, 1)).expand(fields)
            # Where the estimate of L g has no variance there is nothing to gain.
            c = torch.where(spread > 0, (u * g).sum((0, 1)) / torch.where(spread > 0, spread, 1.0), 0.0)
        return replace(self, coefficient=tuple(c.tolist()))

    def family(self, trace: Trace, d: int) -> Family:
        """Refuse: directions alone do not know the surrogate.

        Raises:
            EstimatorError: Always.
        """
        raise EstimatorError(
            "a plan takes the directions of an estimator, which leave a control variate out; call the estimator "
            "itself, or subtract the surrogate from the network and add what the operator makes of it"
        )
