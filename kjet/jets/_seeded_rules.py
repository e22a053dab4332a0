"""Operations that keep the directions of structured jets symbolic."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import torch

from ..typing import Tensor
from ._blocks import Picked, contract, sum_of_squares
from ._project import project, spread
from ._rows import eager
from ._seeded import Frame, Product, Structured, Whole, apply, assemble, keeps, over_coordinates, unit_coefficient
from ._series import Coefficient, plus
from .jet import Jet

# --- functions of single elements ------------------------------------------------------------------------------------

_ELEMENTWISE = (
    "abs", "absolute", "acos", "acosh", "add", "addcdiv", "addcmul", "arccos", "arccosh", "arcsin", "arcsinh", "arctan",
    "arctan2", "arctanh", "asin", "asinh", "atan", "atan2", "atanh", "celu", "clamp", "clamp_max", "clamp_min", "clip",
    "cos", "cosh", "detach", "digamma", "div", "divide", "elu", "erf", "erfc", "erfcx", "exp", "exp2", "expit", "expm1",
    "gelu", "hardsigmoid", "hardswish", "hardtanh", "hypot", "leaky_relu", "lerp", "lgamma", "log", "log10", "log1p",
    "log2", "logaddexp", "logit", "logsigmoid", "maximum", "minimum", "mish", "mul", "multiply", "ndtr", "neg",
    "negative", "pos", "positive", "pow", "radd", "rdiv", "reciprocal", "relu", "relu6", "rmul", "rpow", "rsqrt",
    "rsub", "rtruediv", "selu", "sigmoid", "silu", "sin", "sinc", "sinh", "softplus", "softshrink", "softsign", "sqrt",
    "square", "sub", "subtract", "tan", "tanh", "tanhshrink", "threshold", "true_divide", "truediv", "where", "xlogy",
)  # fmt: skip


@keeps(*_ELEMENTWISE)
def _elementwise(
    name: str, func: Callable[..., Any], args: tuple[Any, ...], kwargs: dict[str, Any]
) -> Structured | None:
    """Apply to the values everywhere and to the jets at the axes; None unless all arguments keep coordinates apart."""
    inplace = bool(kwargs.get("inplace", False))
    kwargs = {key: value for key, value in kwargs.items() if key != "inplace"}
    operands = [a for a in (*args, *kwargs.values()) if isinstance(a, Tensor | Jet)]
    x = next(a for a in operands if isinstance(a, Structured))
    # By position, True can only be the flag of an operation in place; that on a slice is refused by the rule of jets.
    if any(a is True for a in args) or (inplace and x.frame.origin is not None):
        return None
    if not all(_fits(a, x.frame) for a in operands):
        return None
    pair = _factors(name, args)
    if pair is not None:
        whole: Whole = Product(*(a.value if isinstance(a, Structured) else a for a in pair))
    else:
        whole = _mapped(func, args, kwargs, lambda a: a.value, lambda a: a)
    pieces: list[Jet | None] = []
    for place, block in enumerate(x.frame.blocks):
        pieces.append(_at(func, args, kwargs, place, block) if isinstance(block, Picked) else None)
    if not inplace:
        return Structured(whole, tuple(pieces), x.frame)
    x.put(whole, tuple(pieces))
    return x


def _at(func: Callable[..., Any], args: Any, kwargs: dict[str, Any], place: int, block: Picked) -> Jet:
    """Apply to the jets at the columns of one block of axes."""

    def constant(a: Tensor) -> Tensor:
        return block.gather(a) if a.ndim and a.shape[-1] > 1 else a

    return _mapped(func, args, kwargs, lambda a: a.locals[place], constant)


def _mapped(
    func: Callable[..., Any],
    args: tuple[Any, ...],
    kwargs: dict[str, Any],
    of_jet: Callable[[Structured], Any],
    of_tensor: Callable[[Tensor], Any],
) -> Any:
    def chosen(a: Any) -> Any:
        if isinstance(a, Structured):
            return of_jet(a)
        return of_tensor(a) if isinstance(a, Tensor) else a

    return apply(func, [chosen(a) for a in args], {key: chosen(a) for key, a in kwargs.items()})


def _fits(a: Tensor | Jet, frame: Frame) -> bool:
    """Whether an argument is a jet of the same coordinates, or a constant that leaves the shape as it is."""
    if isinstance(a, Jet):
        return isinstance(a, Structured) and a.frame.same(frame)
    n, d = frame.shape
    return a.ndim <= 2 and (not a.ndim or a.shape[-1] in (1, d)) and (a.ndim < 2 or a.shape[0] in (1, n))


def _factors(name: str, args: tuple[Any, ...]) -> tuple[Any, Any] | None:
    """Factors that both run over the coordinates, so that a sum can take them as a matrix product."""
    if name == "square" or (name == "pow" and isinstance(args[1], int | float) and args[1] == 2):
        return args[0], args[0]
    if name in ("mul", "multiply", "rmul") and len(args) == 2:
        d = next(a for a in args if isinstance(a, Structured)).frame.shape[1]
        if all(isinstance(a, Structured) or (isinstance(a, Tensor) and a.ndim and a.shape[-1] == d) for a in args):
            return args[0], args[1]
    return None


# --- reductions over the coordinates ---------------------------------------------------------------------------------


def _series(whole: Whole, k: int) -> list[tuple[float, tuple[Tensor, ...]]]:
    """``G_k`` as a sum of products."""
    if not isinstance(whole, Product):
        g = unit_coefficient(whole, k)
        return [] if g is None else [(1.0, (g,))]
    same = whole.left is whole.right
    terms: list[tuple[float, tuple[Tensor, ...]]] = []
    for j in range(k // 2 + 1 if same else k + 1):
        a, b = unit_coefficient(whole.left, j), unit_coefficient(whole.right, k - j)
        if a is not None and b is not None:
            terms.append((2.0 if same and 2 * j < k else 1.0, (a, b)))
    return terms


def _total(whole: Whole) -> Tensor:
    """Sum of the values over the coordinates."""
    if not isinstance(whole, Product):
        return (whole.primal if isinstance(whole, Jet) else whole).sum(-1)
    left, right = (w.primal if isinstance(w, Jet) else w for w in (whole.left, whole.right))
    if left is right and left.shape[-1] >= 4096 and eager() and not (left.requires_grad and torch.is_grad_enabled()):
        return sum_of_squares(left)
    if left.ndim == 1 or right.ndim == 1:
        return left @ right if right.ndim == 1 else right @ left
    return (left * right).sum(-1)


def _sum(x: Structured, keepdim: bool) -> Jet:
    frame = x.frame

    def at_axes(place: int, k: int, g: Tensor) -> Tensor:
        return frame.blocks[place].sum(k, g)  # type: ignore[union-attr]

    def along(place: int, k: int) -> Coefficient:
        total: Coefficient = None
        terms = _series(x.whole, 1 if place < 0 else k)
        vectors = frame.vectors(place, k) if terms else None
        for factor, factors in terms:
            term = contract(vectors, factors)  # type: ignore[arg-type]
            total = plus(total, term if factor == 1 else factor * term)
        return total

    coefficients = [_total(x.whole), *assemble(x, at_axes, along)]
    return Jet([None if c is None else c.unsqueeze(-1) if keepdim else c for c in coefficients], x.layout)


@keeps("sum", "mean")
def _reduced(name: str, func: Callable[..., Any], args: tuple[Any, ...], kwargs: dict[str, Any]) -> Any:
    """Sum or mean over the coordinates."""
    x, dim, keepdim = _reduction(*args, **kwargs)
    if x is None or not over_coordinates(dim):
        return None
    total = _sum(x, keepdim)
    return total / x.frame.shape[1] if name == "mean" else total


def _reduction(
    x: Any, dim: Any = None, keepdim: bool = False, *, axis: Any = None, dtype: Any = None
) -> tuple[Structured | None, Any, bool]:
    usable = isinstance(x, Structured) and dtype is None
    return x if usable else None, dim if axis is None else axis, keepdim


@keeps("norm", "vector_norm")
def _normed(name: str, func: Callable[..., Any], args: tuple[Any, ...], kwargs: dict[str, Any]) -> Any:
    """Euclidean norm over the coordinates."""
    x, order, dim, keepdim = _norm_arguments(*args, **kwargs)
    if x is None or order not in (None, 2, "fro") or not over_coordinates(dim):
        return None
    squares = _elementwise("square", torch.square, (x,), {})
    return torch.sqrt(_sum(squares, keepdim))  # type: ignore[arg-type]


def _norm_arguments(
    x: Any, ord: Any = 2, dim: Any = None, keepdim: bool = False, *, p: Any = None, dtype: Any = None, out: Any = None
) -> tuple[Structured | None, Any, Any, bool]:
    usable = isinstance(x, Structured) and dtype is None and out is None
    return x if usable else None, ord if p is None else p, dim, keepdim


# --- linear layers over the coordinates ------------------------------------------------------------------------------


def _linear(x: Structured, weight: Tensor, bias: Tensor | None) -> Jet:
    """``x W^T + b``: the rows of axes are columns of W, those of vectors its products with them."""
    frame, value, width = x.frame, x.value, x.frame.shape[1]
    direct: dict[tuple[int, int], tuple[Tensor, Coefficient]] = {}
    found: dict[tuple[int, int], Tensor] = {}
    for key in frame.vector_places():
        g = unit_coefficient(value, 1 if key[0] < 0 else key[1])
        if g is None:
            continue
        vectors = frame.vectors(*key)
        if g.shape[-1] < width or width == 1:
            direct[key] = vectors, g  # the same for all coordinates: multiplied afterwards
        elif g.shape[1] == 1 or vectors.shape[1] > 1:
            direct[key] = vectors * g, None
        else:
            found[key] = spread(g[0], vectors[:, 0], weight)
    axes = [place for place, block in enumerate(frame.blocks) if isinstance(block, Picked)]
    columns = [frame.blocks[place].positions for place in axes]  # type: ignore[union-attr]
    y, picked, projected = project(x.primal, weight, bias, columns, [vectors for vectors, _ in direct.values()])
    images = dict(zip(axes, picked, strict=True))
    for (key, (_, g)), rows in zip(direct.items(), projected, strict=True):
        found[key] = rows if g is None else rows * g

    def at_axes(place: int, k: int, g: Tensor) -> Tensor:
        return frame.blocks[place].linear(k, g, images[place])  # type: ignore[union-attr]

    return Jet([y, *assemble(x, at_axes, lambda place, k: found.get((place, k)))], x.layout)


@keeps("linear")
def _layer(name: str, func: Callable[..., Any], args: tuple[Any, ...], kwargs: dict[str, Any]) -> Any:
    """``torch.nn.functional.linear``."""
    x, weight, bias = _layer_arguments(*args, **kwargs)
    if not _multiplies(x, weight) or isinstance(bias, Jet):
        return None
    if weight.ndim == 1:
        return None if bias is not None else _linear(x, weight.unsqueeze(0), None)[..., 0]
    return _linear(x, weight, bias)


def _layer_arguments(input: Any, weight: Any, bias: Any = None) -> tuple[Any, Any, Any]:
    return input, weight, bias


def _multiplies(x: Any, weight: Any) -> bool:
    """Whether a linear layer applies: a structured jet, and a weight that is no jet."""
    fits = isinstance(x, Structured) and isinstance(weight, Tensor) and weight.ndim in (1, 2)
    return fits and weight.shape[-1] == x.frame.shape[1]


@keeps("matmul", "mm", "mv")
def _matmul(name: str, func: Callable[..., Any], args: tuple[Any, ...], kwargs: dict[str, Any]) -> Any:
    """``x @ W``."""
    x, weight = args[0], (args[1] if len(args) > 1 else next(iter(kwargs.values())))
    if torch.compiler.is_compiling() and func is torch.Tensor.matmul:
        return None  # operands may come exchanged: see the rule of jets
    weight = weight.t() if isinstance(weight, Tensor) and weight.ndim == 2 else weight
    return _layer(name, func, (x, weight), {}) if _multiplies(x, weight) else None
