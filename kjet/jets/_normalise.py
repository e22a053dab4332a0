"""Taylor rules of softmax, normalisations and attention, composed from the elementary ones."""

from __future__ import annotations

import math
from typing import Any

import torch
import torch.nn.functional as F  # noqa: N812

from ..typing import Tensor
from .jet import Jet, rule


@rule(F.softmax, torch.softmax)
def softmax(x: Jet, dim: int = -1, _stacklevel: int = 3, dtype: Any = None) -> Jet:
    """``exp(x - max) / sum exp(x - max)``; the shift is constant, so it drops out of every derivative."""
    e = torch.exp(x - x.primal.detach().amax(dim, keepdim=True))  # type: ignore[arg-type]
    return e / e.sum(dim, keepdim=True)  # type: ignore[return-value,union-attr]


@rule(torch.logsumexp)
def logsumexp(x: Jet, dim: Any, keepdim: bool = False) -> Jet:
    """``max + log sum exp(x - max)``."""
    peak = x.primal.detach().amax(dim, keepdim=True)
    total: Any = torch.log(torch.exp(x - peak).sum(dim, keepdim=keepdim))  # type: ignore[arg-type]
    axes = (dim,) if isinstance(dim, int) else tuple(dim)
    return total + (peak if keepdim else peak.squeeze(axes))


@rule(F.log_softmax, torch.log_softmax)
def log_softmax(x: Jet, dim: int = -1, _stacklevel: int = 3, dtype: Any = None) -> Jet:
    """``x - logsumexp(x)``."""
    return x - torch.logsumexp(x, dim, keepdim=True)  # type: ignore[arg-type,return-value]


@rule(torch.var)
def variance(
    x: Jet, dim: Any = None, *, correction: int = 1, unbiased: bool | None = None, keepdim: bool = False
) -> Jet:
    """Mean square deviation with Bessel's correction."""
    axes = tuple(range(x.ndim)) if dim is None else (dim,) if isinstance(dim, int) else tuple(dim)
    count = math.prod(x.shape[axis] for axis in axes)
    lost = correction if unbiased is None else int(unbiased)
    deviation = x - x.mean(axes, keepdim=True)
    return (deviation * deviation).sum(axes, keepdim=keepdim) / (count - lost)


def _standardised(x: Jet, axes: tuple[int, ...], eps: float) -> Jet:
    deviation = x - x.mean(axes, keepdim=True)
    return deviation * torch.rsqrt((deviation * deviation).mean(axes, keepdim=True) + eps)


def _scaled(y: Any, weight: Any, bias: Any) -> Any:
    y = y if weight is None else y * weight
    return y if bias is None else y + bias


@rule(F.layer_norm, torch.layer_norm)
def layer_norm(x: Jet, normalized_shape: Any, weight: Any = None, bias: Any = None, eps: float = 1e-5, *_: Any) -> Jet:
    """Standardise over the last axes."""
    return _scaled(_standardised(x, tuple(range(-len(normalized_shape), 0)), eps), weight, bias)


@rule(F.rms_norm, torch.rms_norm)
def rms_norm(x: Jet, normalized_shape: Any, weight: Any = None, eps: float | None = None) -> Jet:
    """Divide by the root mean square over the last axes."""
    axes = tuple(range(-len(normalized_shape), 0))
    small = torch.finfo(x.dtype).eps if eps is None else eps
    return _scaled(x * torch.rsqrt((x * x).mean(axes, keepdim=True) + small), weight, None)


@rule(F.group_norm, torch.group_norm)
def group_norm(x: Jet, num_groups: int, weight: Any = None, bias: Any = None, eps: float = 1e-5, *_: Any) -> Jet:
    """Standardise each group of channels."""
    grouped = x.reshape(x.shape[0], num_groups, -1)
    y = _standardised(grouped, (-1,), eps).reshape(x.shape)
    column = (-1, *(1,) * (x.ndim - 2))
    return _scaled(
        y, None if weight is None else weight.reshape(column), None if bias is None else bias.reshape(column)
    )


@rule(F.normalize)
def normalize(x: Jet, p: float = 2.0, dim: int = 1, eps: float = 1e-12, out: None = None) -> Jet:
    """Divide by the Euclidean norm along an axis."""
    if p != 2.0:
        raise TypeError(f"normalize() of a jet knows p=2 only; got p={p}")
    return x / torch.sqrt((x * x).sum(dim, keepdim=True)).clamp(min=eps)


@rule(F.scaled_dot_product_attention)
def attention(
    query: Any,
    key: Any,
    value: Any,
    attn_mask: Tensor | None = None,
    dropout_p: float = 0.0,
    is_causal: bool = False,
    scale: float | None = None,
    enable_gqa: bool = False,
) -> Any:
    """``softmax(q k^T / sqrt(e) + mask) v``."""
    if dropout_p or enable_gqa:
        raise TypeError("attention of jets takes no dropout and no grouped queries; set dropout_p=0, enable_gqa=False")
    score = torch.matmul(query, key.transpose(-2, -1)) * (1 / math.sqrt(query.shape[-1]) if scale is None else scale)
    if is_causal:
        attn_mask = torch.ones(query.shape[-2], key.shape[-2], dtype=torch.bool, device=query.device).tril()
    if attn_mask is not None and attn_mask.dtype == torch.bool:
        attn_mask = torch.zeros_like(attn_mask, dtype=query.dtype).masked_fill(~attn_mask, -math.inf)
    score = score if attn_mask is None else score + attn_mask
    return torch.matmul(F.softmax(score, dim=-1), value)
