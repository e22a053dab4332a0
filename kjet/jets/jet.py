"""The jet: a truncated Taylor polynomial that passes through ordinary torch code."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Any

import torch

from ..typing import Tensor
from ._registry import find, missing
from .layout import Layout

__all__ = ["Jet"]

_torch: Any = torch  # its annotations do not know that its functions take jets
# What torch's modules ask a tensor about, and a jet answers as its primal does.
_FLAGS = frozenset({"is_cpu", "is_cuda", "is_meta", "is_nested", "is_quantized", "is_sparse", "itemsize", "nbytes"})


class Jet:
    """A tensor with its Taylor coefficients along several directions.

    ``coefficients[0]`` is the primal, of shape ``shape``; ``coefficients[k]`` holds the normalised derivatives
    ``D^k / k!`` with a leading axis of ``layout.rows(k)``, the rest broadcastable to ``shape``; ``None`` is zero.
    A jet is no tensor subclass: it answers torch functions through ``__torch_function__`` with the rules registered by
    :func:`kjet.jets.rule`, all of them ordinary differentiable torch code, so that gradients reach the network's
    parameters.

    Args:
        coefficients: The primal and one entry for each order.
        layout: Meaning of the rows.

    Raises:
        JetRuleError: When an operation without a rule is applied.

    >>> import torch
    >>> x = Jet([torch.tensor([2.0]), torch.ones(1, 1), None], Layout.uniform(1, 2))
    >>> [c.item() for c in (x * x).coefficients]
    [4.0, 4.0, 1.0]
    """

    __slots__ = ("_coefficients", "layout", "stack")
    __array_priority__ = 1000  # as torch.Tensor has it: ``np.float64(2) * x`` is left to ``x``

    def __init__(self, coefficients: Sequence[Tensor | None], layout: Layout) -> None:
        self._coefficients: list[Tensor | None] | None = list(coefficients)
        self.layout = layout
        self.stack: Tensor | None = None

    @classmethod
    def stacked(cls, stack: Tensor, layout: Layout) -> Jet:
        """Make a jet of one tensor (channels, ...) that holds the primal and all rows, order by order.

        Layers that take it as it is need one product for all channels.
        """
        jet = cls((), layout)
        jet._coefficients, jet.stack = None, stack
        return jet

    @property
    def coefficients(self) -> list[Tensor | None]:
        """The primal, and the rows of each order."""
        if self._coefficients is None:
            self._coefficients = [*self.layout.split(self.stack)]  # type: ignore[arg-type]
        return self._coefficients

    @classmethod
    def __torch_function__(
        cls, func: Callable[..., Any], types: Any, args: tuple[Any, ...] = (), kwargs: dict[str, Any] | None = None
    ) -> Any:
        return cls._rule(func)(*args, **(kwargs or {}))

    @classmethod
    def _rule(cls, func: Callable[..., Any]) -> Callable[..., Any]:
        """Rule by which functions, methods and indexing are done on jets of this class."""
        handler = find(func)
        if handler is None:
            raise missing(func)
        return handler

    @property
    def primal(self) -> Tensor:
        """Value of the tensor itself."""
        primal = self.coefficients[0]
        if primal is None:
            raise ValueError("a jet needs a primal; got None as coefficient 0")
        return primal

    @property
    def order(self) -> int:
        """Highest order carried."""
        return self.layout.order

    def row(self, k: int) -> Tensor | None:
        """Coefficient ``k``, expanded to ``(rows, *shape)``; None where it is zero."""
        coefficient = self.coefficients[k]
        if k == 0 or coefficient is None:
            return coefficient
        return coefficient.expand(self.layout.rows(k), *self.primal.shape)

    def lower(self, j: int, k: int) -> Tensor | None:
        """Coefficient ``j < k`` of the directions that reach order ``k``."""
        coefficient = self.coefficients[j]
        if j == 0 or coefficient is None:
            return coefficient
        active = self.layout.active(k)
        return coefficient if coefficient.shape[0] == active else coefficient[:active]

    def __getattr__(self, name: str) -> Any:
        if name in _FLAGS:
            return getattr(self.primal, name)
        method = getattr(torch.Tensor, name, None)
        if method is None or not callable(method):
            raise AttributeError(f"a jet has no attribute {name!r}")
        handler = self._rule(method)

        def bound(*args: Any, **kwargs: Any) -> Any:
            return handler(self, *args, **kwargs)

        return bound

    @property
    def shape(self) -> torch.Size:
        """Shape of the primal."""
        return self.primal.shape if self.stack is None else self.stack.shape[1:]

    @property
    def ndim(self) -> int:
        """Number of axes of the primal."""
        return self.primal.ndim

    @property
    def dtype(self) -> torch.dtype:
        """Type of the primal's elements."""
        return self.primal.dtype

    @property
    def device(self) -> torch.device:
        """Device of the primal."""
        return self.primal.device

    @property
    def requires_grad(self) -> bool:
        """Whether any coefficient is part of a graph."""
        return any(c is not None and c.requires_grad for c in self.coefficients)

    @property
    def T(self) -> Jet:  # noqa: N802
        """All axes reversed."""
        return self.permute(*range(self.ndim - 1, -1, -1))

    @property
    def mT(self) -> Jet:  # noqa: N802
        """The last two axes swapped."""
        return self.transpose(-2, -1)

    @property
    def real(self) -> Jet:
        """Real part."""
        return _torch.real(self)

    @property
    def imag(self) -> Jet:
        """Imaginary part."""
        return _torch.imag(self)

    def size(self, dim: int | None = None) -> Any:
        """Return the shape of the primal, or one extent of it."""
        return self.primal.size() if dim is None else self.primal.size(dim)

    def dim(self) -> int:
        """Return the number of axes of the primal."""
        return self.primal.dim()

    def numel(self) -> int:
        """Return the number of elements of the primal."""
        return self.primal.numel()

    def is_floating_point(self) -> bool:
        """Tell whether the primal is real floating point."""
        return self.primal.is_floating_point()

    def is_complex(self) -> bool:
        """Tell whether the primal is complex."""
        return self.primal.is_complex()

    def __len__(self) -> int:
        return len(self.primal)

    def __iter__(self) -> Any:
        return iter(self.unbind(0))

    def __getitem__(self, index: Any) -> Jet:
        return self._rule(torch.Tensor.__getitem__)(self, index)

    def __setitem__(self, index: Any, value: Any) -> None:
        self._rule(torch.Tensor.__setitem__)(self, index, value)

    def __abs__(self) -> Jet:
        return _torch.abs(self)

    def __mod__(self, other: Any) -> Jet:
        return _torch.remainder(self, other)

    def __floordiv__(self, other: Any) -> Tensor:
        return _torch.floor_divide(self, other)

    def __neg__(self) -> Jet:
        return _torch.neg(self)

    def __pos__(self) -> Jet:
        return self

    def __add__(self, other: Any) -> Jet:
        return _torch.add(self, other)

    __radd__ = __add__

    def __sub__(self, other: Any) -> Jet:
        return _torch.sub(self, other)

    def __rsub__(self, other: Any) -> Jet:
        return _torch.rsub(self, other)

    def __mul__(self, other: Any) -> Jet:
        return _torch.mul(self, other)

    __rmul__ = __mul__

    def __truediv__(self, other: Any) -> Jet:
        return _torch.div(self, other)

    def __rtruediv__(self, other: Any) -> Jet:
        return _torch.mul(_torch.reciprocal(self), other)

    def __pow__(self, other: Any) -> Jet:
        return _torch.pow(self, other)

    def __rpow__(self, other: Any) -> Jet:
        return _torch.pow(other, self)

    def __matmul__(self, other: Any) -> Jet:
        return _torch.matmul(self, other)

    def __rmatmul__(self, other: Any) -> Jet:
        return _torch.matmul(other, self)

    def _compare(self, other: Any, operation: Callable[[Any, Any], Any]) -> Tensor:
        return operation(self.primal, other.primal if isinstance(other, Jet) else other)

    def __gt__(self, other: Any) -> Tensor:
        return self._compare(other, torch.gt)

    def __ge__(self, other: Any) -> Tensor:
        return self._compare(other, torch.ge)

    def __lt__(self, other: Any) -> Tensor:
        return self._compare(other, torch.lt)

    def __le__(self, other: Any) -> Tensor:
        return self._compare(other, torch.le)

    def __eq__(self, other: Any) -> Tensor:  # type: ignore[override]
        return self._compare(other, torch.eq)

    def __ne__(self, other: Any) -> Tensor:  # type: ignore[override]
        return self._compare(other, torch.ne)

    __hash__ = object.__hash__

    def __bool__(self) -> bool:
        return bool(self.primal)

    def __repr__(self) -> str:
        zero = [k for k, c in enumerate(self.coefficients) if c is None]
        return f"Jet(shape={tuple(self.shape)}, order={self.order}, kept={self.layout.kept}, zero orders={zero})"
