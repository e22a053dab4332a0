"""Functions of single elements: applied to the values everywhere, and to the jets at the columns of each block."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

from ...typing import Tensor
from ..jet import Jet
from .blocks import Picked
from .frame import Frame
from .structured import Product, Structured, Whole, apply, keeps

__all__ = ["elementwise"]

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
def elementwise(
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
