"""Functions of very many variables with Laplacians in closed form: local sums, and functions of low rank."""

from __future__ import annotations

import math
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, replace
from typing import Any, Protocol

import torch
import torch.nn.functional as F  # noqa: N812

from ..errors import ConfigError
from ..jets import Jet
from ..typing import Float, Tensor
from ._words import Word, words_of

__all__ = ["Combination", "LocalSum", "LowRank", "Profile"]

Combination = Mapping[Word, Tensor | float]
"""``sum c L^a E^b`` by ``(a, b)``, with the Laplacian L, Euler's operator ``E = x . grad``, and numbers c, one for all
points or one for each."""

_CHUNK = 2**16  # windows that are evaluated at once where no compiler fuses the operations; they stay in the cache


class Profile(Protocol):
    """A function g of d coordinates whose value, Laplacian and ``x . grad g`` cost O(d) for each point."""

    @property
    def dim(self) -> int:
        """Number of coordinates d."""
        ...

    def value(self, x: Float[Tensor, "n d"] | Jet) -> Float[Tensor, " n"] | Jet:
        """Evaluate g at points, or at jets of them."""
        ...

    def apply(self, x: Float[Tensor, "n d"], combinations: Sequence[Combination]) -> list[Float[Tensor, " n"]]:
        """Evaluate combinations of ``L^a E^b g`` at points."""
        ...

    def to(self, dtype: torch.dtype | None = None, device: torch.device | str | None = None) -> Profile:
        """Convert the coefficients, which otherwise happens on each call."""
        ...


@dataclass(frozen=True, eq=False)
class LocalSum:
    """``g(x) = sum_i c_i phi(s x_i, ..., s x_{i+k-1})``: each term sees k neighbouring coordinates.

    Args:
        phi: Function of k arguments, elementwise, built from operations that have a Taylor rule.
        arity: Number of arguments k.
        coefficients: ``c``, one for each of the d - k + 1 windows.
        scale: ``s``.

    Raises:
        ConfigError: If there are no coefficients, or the points do not have d columns.

    Cost: O(n d) time. In memory a chunk of the windows at a time; under ``torch.compile(fullgraph=True)`` nothing, as
    all operations fuse into one pass over the points.

    >>> g = LocalSum(lambda a, b: a * a * b, 2, torch.tensor([1.0, 2.0]))
    >>> x = torch.tensor([[1.0, 2.0, 3.0]])
    >>> g.value(x), g.apply(x, [{(1, 0): 1.0}, {(0, 1): 1.0}])
    (tensor([26.]), [tensor([16.]), tensor([78.])])
    """

    phi: Callable[..., Any]
    arity: int
    coefficients: Float[Tensor, " w"]
    scale: float = 1.0

    def __post_init__(self) -> None:
        if self.coefficients.ndim != 1 or not len(self.coefficients):
            raise ConfigError(
                f"a sum over windows of {self.arity} neighbours needs one coefficient for each of d - {self.arity - 1} "
                f"windows; got shape {tuple(self.coefficients.shape)}. Use more coordinates"
            )

    @property
    def dim(self) -> int:
        """Number of coordinates."""
        return len(self.coefficients) + self.arity - 1

    def value(self, x: Float[Tensor, "n d"] | Jet) -> Float[Tensor, " n"] | Jet:
        """Evaluate at points, or at jets of them."""
        if not isinstance(x, Jet):
            return self.apply(x, [{(0, 0): 1.0}])[0]
        c = self.coefficients.to(x.primal)
        return torch.sum(self.phi(*self._windows(x, slice(0, len(c)))) * c, dim=-1)

    def apply(self, x: Float[Tensor, "n d"], combinations: Sequence[Combination]) -> list[Float[Tensor, " n"]]:
        """Evaluate combinations of ``L^a E^b g``."""
        check_columns(x, self.dim)
        count = len(self.coefficients)
        size = count if torch.compiler.is_compiling() else max(_CHUNK // max(len(x), 1), 1)
        coefficients = self.coefficients.to(x)
        parts = [
            self._part(x, slice(start, min(start + size, count)), coefficients, combinations)
            for start in range(0, count, size)
        ]
        return parts[0] if len(parts) == 1 else [torch.stack(pieces).sum(0) for pieces in zip(*parts, strict=True)]

    def _part(self, x: Tensor, at: slice, coefficients: Tensor, combinations: Sequence[Combination]) -> list[Tensor]:
        words = words_of(self.phi, self._windows(x, at), {word for each in combinations for word in each})
        c = coefficients[at]
        return [(c * _total(words, each, self.scale)).sum(-1) for each in combinations]

    def _windows(self, x: Any, at: slice) -> list[Any]:
        columns = [x[..., at.start + i : at.stop + i] for i in range(self.arity)]
        return columns if self.scale == 1 else [self.scale * column for column in columns]

    def to(self, dtype: torch.dtype | None = None, device: torch.device | str | None = None) -> LocalSum:
        """Convert the coefficients."""
        return replace(self, coefficients=self.coefficients.to(dtype=dtype, device=device))


@dataclass(frozen=True, eq=False)
class LowRank:
    """``g(x) = phi(s Q x)``, with k orthonormal rows Q: it varies along k directions, none of them a coordinate.

    Args:
        phi: Function of k arguments, as in :class:`LocalSum`.
        rows: ``Q`` of shape (k, d).
        scale: ``s``.

    Raises:
        ConfigError: If the rows are not orthonormal.

    Cost: one product (n, d) x (d, k), and O(n k^2).

    >>> g = LowRank(lambda a: a**3, torch.tensor([[0.6, 0.8]]), scale=2.0)
    >>> g.apply(torch.tensor([[1.0, 1.0]]), [{(0, 1): 1.0}, {(1, 0): 1.0}])
    [tensor([65.8560]), tensor([67.2000])]
    """

    phi: Callable[..., Any]
    rows: Float[Tensor, "k d"]
    scale: float = 1.0

    def __post_init__(self) -> None:
        gram = (self.rows @ self.rows.T).double()
        tolerance = 10 * math.sqrt(self.dim) * torch.finfo(self.rows.dtype).eps
        if not torch.allclose(gram, torch.eye(len(gram), dtype=gram.dtype, device=gram.device), rtol=0, atol=tolerance):
            raise ConfigError("the rows of Q must be orthonormal; take the transposed Q of a QR decomposition")

    @property
    def dim(self) -> int:
        """Number of coordinates."""
        return int(self.rows.shape[1])

    def value(self, x: Float[Tensor, "n d"] | Jet) -> Float[Tensor, " n"] | Jet:
        """Evaluate at points, or at jets of them."""
        return self.phi(*self._variables(x))

    def apply(self, x: Float[Tensor, "n d"], combinations: Sequence[Combination]) -> list[Float[Tensor, " n"]]:
        """Evaluate combinations of ``L^a E^b g``."""
        check_columns(x, self.dim)
        words = words_of(self.phi, self._variables(x), {word for each in combinations for word in each})
        return [_total(words, each, self.scale, column=False) for each in combinations]

    def _variables(self, x: Any) -> list[Any]:
        like = x.primal if isinstance(x, Jet) else x
        z = F.linear(x, self.scale * self.rows.to(like))
        return [z[..., i] for i in range(len(self.rows))]

    def to(self, dtype: torch.dtype | None = None, device: torch.device | str | None = None) -> LowRank:
        """Convert the rows."""
        return replace(self, rows=self.rows.to(dtype=dtype, device=device))


def check_columns(x: Any, d: int) -> None:
    """Raise a ConfigError unless points have d columns."""
    if x.ndim != 2 or x.shape[-1] != d:
        raise ConfigError(f"points of shape {tuple(x.shape)} were given to a function of {d} coordinates")


def _total(words: Mapping[Word, Tensor], combination: Combination, scale: float, column: bool = True) -> Any:
    """Sum with coefficients; ``L^a`` in x is ``s^2a L^a`` in the scaled variables, and E is the same in both."""
    total: Any = 0.0
    for (a, b), c in combination.items():
        factor = c * scale ** (2 * a)
        total = total + (factor[:, None] if column and isinstance(factor, Tensor) else factor) * words[a, b]
    return total
