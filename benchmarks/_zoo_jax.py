"""Programs of torch operations as functions of JAX: captured with ``make_fx``, and evaluated operation by operation."""

from __future__ import annotations

import operator
from collections.abc import Callable
from typing import Any

import jax
import jax.numpy as jnp
import torch
from jax.scipy.special import erf, logsumexp
from torch.fx.experimental.proxy_tensor import make_fx

__all__ = ["UntranslatableError", "captured"]


class UntranslatableError(Exception):
    """An operation that has no counterpart here."""


def captured(function: Callable[..., Any], *examples: torch.Tensor) -> Callable[..., Any]:
    """Capture a torch function of tensors of these shapes, and return the function of JAX that computes the same.

    What does not depend on the arguments is a constant of the program.

    Raises:
        UntranslatableError: If an operation has no counterpart.
    """
    with torch.no_grad():
        module = make_fx(function)(*examples)
        constants = _folded(module)
    nodes = [node for node in module.graph.nodes if node not in constants]
    missing = {str(n.target) for n in nodes if n.op == "call_function" and _translation(n.target) is None}
    if missing:
        raise UntranslatableError(f"no counterpart in JAX of {', '.join(sorted(missing))}")
    arrays = {node: _array(value) for node, value in constants.items() if any(user in nodes for user in node.users)}

    def translated(*arguments: Any) -> Any:
        known: dict[Any, Any] = dict(arrays)
        given = iter(arguments)
        for node in nodes:
            if node.op == "placeholder":
                known[node] = next(given)
            elif node.op == "output":
                return torch.fx.map_arg(node.args[0], known.__getitem__)
            else:
                args, kwargs = torch.fx.map_arg((node.args, node.kwargs), known.__getitem__)
                known[node] = _translation(node.target)(*args, **_kept(kwargs))  # type: ignore[misc]
        raise UntranslatableError("the program has no output")

    return translated


def _folded(module: torch.fx.GraphModule) -> dict[torch.fx.Node, Any]:
    """Evaluate what does not depend on the arguments, such as source terms at the points."""
    known: dict[torch.fx.Node, Any] = {}
    for node in module.graph.nodes:
        if node.op == "get_attr":
            known[node] = getattr(module, node.target)
        elif node.op == "call_function" and all(parent in known for parent in node.all_input_nodes):
            args, kwargs = torch.fx.map_arg((node.args, node.kwargs), known.__getitem__)
            known[node] = node.target(*args, **kwargs)
    return known


def _array(value: Any) -> Any:
    """Make tensors arrays, those of a list as well."""
    if isinstance(value, torch.Tensor):
        return jnp.asarray(value.detach().numpy())
    return [_array(part) for part in value] if isinstance(value, list | tuple) else value


def _kept(kwargs: dict[str, Any]) -> dict[str, Any]:
    """Leave out where and how torch would store a result."""
    return {
        name: value for name, value in kwargs.items() if name not in {"device", "layout", "pin_memory", "memory_format"}
    }


def _translation(target: Any) -> Callable[..., Any] | None:
    if target is operator.getitem:
        return operator.getitem
    packet = getattr(target, "_schema", None)
    return _OPERATIONS.get(packet.name.removeprefix("aten::").rstrip("_") if packet is not None else "")


def _dtype(dtype: Any) -> Any:
    return {torch.float64: jnp.float64, torch.float32: jnp.float32, torch.bool: jnp.bool_, torch.int64: jnp.int64}[
        dtype
    ]


def _index(x: Any, indices: Any) -> Any:
    return x[tuple(slice(None) if i is None else i for i in indices)]


def _slice(x: Any, dim: int = 0, start: int | None = None, end: int | None = None, step: int = 1) -> Any:
    return x[(slice(None),) * (dim % x.ndim) + (slice(start, end, step),)]


def _expand(x: Any, size: Any) -> Any:
    new = [x.shape[i - len(size) + x.ndim] if s == -1 else s for i, s in enumerate(size)]
    return jnp.broadcast_to(x, new)


def _reduced(function: Callable[..., Any]) -> Callable[..., Any]:
    def reduced(x: Any, dim: Any = None, keepdim: bool = False, dtype: Any = None) -> Any:
        return function(x, axis=None if dim is None or dim == [] else tuple(jnp.atleast_1d(jnp.array(dim)).tolist()),
                        keepdims=keepdim)  # fmt: skip

    return reduced


def _where(condition: Any, a: Any, b: Any) -> Any:
    return jnp.where(condition, a, b)


def _addmm(bias: Any, a: Any, b: Any) -> Any:
    return bias + a @ b


def _full(size: Any, value: float, dtype: Any = torch.float64) -> Any:
    return jnp.full(tuple(size), value, _dtype(dtype or torch.float64))


_OPERATIONS: dict[str, Callable[..., Any]] = {
    "add": lambda a, b, alpha=1: a + (b if alpha == 1 else alpha * b),
    "sub": lambda a, b, alpha=1: a - (b if alpha == 1 else alpha * b),
    "rsub": lambda a, b, alpha=1: b - (a if alpha == 1 else alpha * a),
    "mul": lambda a, b: a * b, "div": lambda a, b: a / b, "neg": lambda a: -a, "reciprocal": lambda a: 1.0 / a,
    "pow": lambda a, b: a ** (int(b) if isinstance(b, float) and b.is_integer() else b), "square": jnp.square,
    "sqrt": jnp.sqrt, "rsqrt": lambda a: 1.0 / jnp.sqrt(a), "exp": jnp.exp, "expm1": jnp.expm1, "log": jnp.log,
    "log1p": jnp.log1p, "sin": jnp.sin, "cos": jnp.cos, "tan": jnp.tan, "asin": jnp.arcsin, "acos": jnp.arccos,
    "atan": jnp.arctan, "atan2": jnp.arctan2, "sinh": jnp.sinh, "cosh": jnp.cosh, "tanh": jnp.tanh,
    "asinh": jnp.arcsinh, "sigmoid": jax.nn.sigmoid, "erf": erf, "abs": jnp.abs, "sign": jnp.sign,
    "relu": jax.nn.relu,
    "silu": jax.nn.silu,
    "softplus": lambda a, beta=1, threshold=20: jax.nn.softplus(beta * a) / beta,
    "logsumexp": lambda a, dim, keepdim=False: logsumexp(a, axis=tuple(dim), keepdims=keepdim),
    "maximum": jnp.maximum, "minimum": jnp.minimum,
    "clamp": lambda a, min=None, max=None: jnp.clip(a, min, max),
    "clamp_min": lambda a, low: jnp.maximum(a, low), "clamp_max": lambda a, high: jnp.minimum(a, high),
    "gt": lambda a, b: a > b, "ge": lambda a, b: a >= b, "lt": lambda a, b: a < b, "le": lambda a, b: a <= b,
    "eq": lambda a, b: a == b, "ne": lambda a, b: a != b, "where": _where,
    "logical_and": jnp.logical_and, "logical_or": jnp.logical_or, "logical_not": jnp.logical_not,
    "addcmul": lambda a, b, c, value=1: a + value * b * c, "tanh_backward": lambda slope, y: slope * (1 - y * y),
    "mm": lambda a, b: a @ b,
    "mv": lambda a, b: a @ b,
    "dot": lambda a, b: a @ b,
    "addmm": _addmm,
    "t": lambda a: a.T,
    "sum": _reduced(jnp.sum), "mean": _reduced(jnp.mean), "amin": _reduced(jnp.min), "amax": _reduced(jnp.max),
    "prod": _reduced(jnp.prod),
    "cat": lambda parts, dim=0: jnp.concatenate(parts, axis=dim),
    "stack": lambda parts, dim=0: jnp.stack(parts, axis=dim),
    "select": lambda a, dim, index: jnp.take(a, index, axis=dim),
    "index_select": lambda a, dim, i: jnp.take(a, i, axis=dim),
    "index": _index, "slice": _slice, "expand": _expand, "view": lambda a, size: a.reshape(size),
    "_unsafe_view": lambda a, size: a.reshape(size), "reshape": lambda a, size: a.reshape(size),
    "unsqueeze": lambda a, dim: jnp.expand_dims(a, dim), "squeeze": lambda a, dim=None: jnp.squeeze(a, dim),
    "unbind": lambda a, dim=0: tuple(jnp.moveaxis(a, dim, 0)), "transpose": lambda a, i, j: jnp.swapaxes(a, i, j),
    "permute": lambda a, dims: jnp.transpose(a, dims),
    "clone": lambda a: a, "detach": jax.lax.stop_gradient, "alias": lambda a: a, "lift_fresh_copy": lambda a: a,
    "_to_copy": lambda a, dtype=None, non_blocking=False: a if dtype is None else a.astype(_dtype(dtype)),
    "full": _full,
    "zeros_like": lambda a, dtype=None: jnp.zeros_like(a),
    "ones_like": lambda a, dtype=None: jnp.ones_like(a),
    "full_like": lambda a, value, dtype=None: jnp.full_like(a, value),
    "new_full": lambda a, size, value, dtype=None: jnp.full(tuple(size), value, a.dtype),
    "new_ones": lambda a, size, dtype=None: jnp.ones(tuple(size), a.dtype),
    "new_zeros": lambda a, size, dtype=None: jnp.zeros(tuple(size), a.dtype),
    "scalar_tensor": lambda value, dtype=torch.float64: jnp.asarray(value, _dtype(dtype or torch.float64)),
}  # fmt: skip
