"""Taylor rules of attention, composed from the elementary ones."""

from __future__ import annotations

import math
from typing import Any

import torch
import torch.nn.functional as F  # noqa: N812

from ...errors import JetRuleError
from ...typing import Tensor
from .._registry import rule


def _additive(mask: Any, like: Any) -> Any:
    """A mask to be added to scores: minus infinity where a boolean one, true for what is attended to, is false."""
    if mask.dtype != torch.bool:
        return mask
    return torch.zeros(mask.shape, dtype=like.dtype, device=like.device).masked_fill(~mask, -math.inf)


def _causal(queries: int, keys: int, like: Any) -> Tensor:
    return _additive(torch.ones(queries, keys, dtype=torch.bool, device=like.device).tril(), like)


def _weights(query: Any, key: Any, mask: Any, scale: float) -> Any:
    score = torch.matmul(query * scale, key.transpose(-2, -1))
    return F.softmax(score if mask is None else score + mask, dim=-1)


@rule(F.scaled_dot_product_attention)
def attention(
    query: Any, key: Any, value: Any, attn_mask: Any = None, dropout_p: float = 0.0, is_causal: bool = False,
    scale: float | None = None, enable_gqa: bool = False,
) -> Any:  # fmt: skip
    """``softmax(q k^T / sqrt(e) + mask) v``."""
    if dropout_p:
        raise JetRuleError(f"attention with dropout_p={dropout_p} is random; call model.eval(), or set dropout_p=0")
    if is_causal and attn_mask is not None:
        raise JetRuleError("attention takes is_causal=True or attn_mask, not both")
    if enable_gqa:
        key, value = (t.repeat_interleave(query.shape[-3] // t.shape[-3], -3) for t in (key, value))
    if is_causal:
        mask: Any = _causal(query.shape[-2], key.shape[-2], query)
    else:
        mask = None if attn_mask is None else _additive(attn_mask, query)
    return torch.matmul(_weights(query, key, mask, query.shape[-1] ** -0.5 if scale is None else scale), value)


def _projected(
    query: Any, key: Any, value: Any, weight: Tensor | None, parts: tuple[Any, ...], bias: Any
) -> list[Any]:  # fmt: skip
    """Queries, keys and values, by one weight cut in three or by three weights."""
    weights = parts if weight is None else weight.chunk(3)
    biases = (None,) * 3 if bias is None else bias.chunk(3)
    return [F.linear(t, w, b) for t, w, b in zip((query, key, value), weights, biases, strict=True)]


def _heads(x: Any, batch: int, heads: int) -> Any:
    """(length, batch, width) as (batch, heads, length, width / heads)."""
    return x.reshape(x.shape[0], batch, heads, -1).permute(1, 2, 0, 3)


def _masks(attn_mask: Any, padding: Any, batch: int, heads: int, like: Any, extra: int) -> Any:
    """Sum of both masks, broadcastable to (batch, heads, queries, keys), open for keys that are appended."""
    total: Any = None
    if attn_mask is not None:
        mask = _additive(~attn_mask if attn_mask.dtype == torch.bool else attn_mask, like)
        total = mask if mask.ndim == 2 else mask.reshape(batch, heads, *mask.shape[1:])
    if padding is not None:
        mask = _additive(~padding if padding.dtype == torch.bool else padding, like)[:, None, None, :]
        total = mask if total is None else total + mask
    return F.pad(total, (0, extra)) if extra and total is not None else total


def _with_row(x: Any, row: Any) -> Any:
    """Append a key or value to all sequences (length, batch, width)."""
    return x if row is None else torch.cat([x, row.expand(1, x.shape[1], x.shape[2])], 0)


@rule(F.multi_head_attention_forward)
def multi_head_attention(
    query: Any, key: Any, value: Any, embed_dim_to_check: int, num_heads: int, in_proj_weight: Any, in_proj_bias: Any,
    bias_k: Any, bias_v: Any, add_zero_attn: bool, dropout_p: float, out_proj_weight: Any, out_proj_bias: Any,
    training: bool = True, key_padding_mask: Any = None, need_weights: bool = True, attn_mask: Any = None,
    use_separate_proj_weight: bool = False, q_proj_weight: Any = None, k_proj_weight: Any = None,
    v_proj_weight: Any = None, static_k: Any = None, static_v: Any = None, average_attn_weights: bool = True,
    is_causal: bool = False,
) -> tuple[Any, Any]:  # fmt: skip
    """Attention of several heads, between (length, batch, width) sequences; returns the output and the weights.

    Masks are true, or minus infinity, where nothing is attended to.
    """
    if dropout_p and training:
        raise JetRuleError("attention with active dropout is random; call model.eval() first")
    if static_k is not None or static_v is not None:
        raise JetRuleError("attention of jets takes no static keys or values; project them as part of key and value")
    if is_causal and attn_mask is None:
        raise JetRuleError(
            "attention of several heads takes is_causal=True as a hint beside its attn_mask; give the mask"
        )
    batched = query.ndim == 3
    if not batched:
        query, key, value = (t.unsqueeze(1) for t in (query, key, value))
        key_padding_mask = None if key_padding_mask is None else key_padding_mask.unsqueeze(0)
    separate = None if use_separate_proj_weight else in_proj_weight
    q, k, v = _projected(query, key, value, separate, (q_proj_weight, k_proj_weight, v_proj_weight), in_proj_bias)
    k, v = _with_row(k, bias_k), _with_row(v, bias_v)
    batch, extra = q.shape[1], int(bias_k is not None) + int(add_zero_attn)
    q, k, v = (_heads(t, batch, num_heads) for t in (q, k, v))
    if add_zero_attn:
        k, v = F.pad(k, (0, 0, 0, 1)), F.pad(v, (0, 0, 0, 1))
    mask = _masks(attn_mask, key_padding_mask, batch, num_heads, q, extra)
    weights = _weights(q, k, mask, q.shape[-1] ** -0.5)
    mixed = torch.matmul(weights, v).permute(2, 0, 1, 3).flatten(2)
    y = F.linear(mixed, out_proj_weight, out_proj_bias)
    if not need_weights:
        return (y if batched else y.squeeze(1)), None
    weights = weights.mean(1) if average_attn_weights else weights
    return (y, weights) if batched else (y.squeeze(1), weights.squeeze(0))
