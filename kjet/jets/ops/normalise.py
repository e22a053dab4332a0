"""Taylor rules of softmax and normalisations, composed from the elementary ones."""

from __future__ import annotations

import math
from typing import Any

import torch
import torch.nn.functional as F  # noqa: N812

from ...errors import JetRuleError
from .._registry import rule
from ..jet import Jet

_torch: Any = torch  # its annotations do not know that its functions take jets


def _axis(x: Jet, dim: int | None) -> int:
    """Axis of a softmax; without one, the axis that torch falls back to."""
    return dim if dim is not None else 0 if x.ndim in (0, 1, 3) else 1


@rule(F.softmax, torch.softmax, torch.special.softmax)
def softmax(x: Jet, dim: int | None = None, _stacklevel: int = 3, dtype: Any = None) -> Jet:
    """``exp(x - max) / sum exp(x - max)``; the shift is constant, so it drops out of every derivative."""
    x, dim = x if dtype is None else x.to(dtype), _axis(x, dim)
    e = _torch.exp(x - x.primal.detach().amax(dim, keepdim=True))
    return e / e.sum(dim, keepdim=True)


@rule(F.softmin)
def softmin(x: Jet, dim: int | None = None, _stacklevel: int = 3, dtype: Any = None) -> Jet:
    """``softmax(-x)``."""
    return softmax(-x, dim, dtype=dtype)


@rule(torch.logsumexp, torch.special.logsumexp)
def logsumexp(x: Jet, dim: Any, keepdim: bool = False) -> Jet:
    """``max + log sum exp(x - max)``."""
    peak = x.primal.detach().amax(dim, keepdim=True)
    total = _torch.log(_torch.exp(x - peak).sum(dim, keepdim=keepdim))
    axes = (dim,) if isinstance(dim, int) else tuple(dim)
    return total + (peak if keepdim else peak.squeeze(axes))


@rule(F.log_softmax, torch.log_softmax, torch.special.log_softmax)
def log_softmax(x: Jet, dim: int | None = None, _stacklevel: int = 3, dtype: Any = None) -> Jet:
    """``x - logsumexp(x)``."""
    x = x if dtype is None else x.to(dtype)
    return x - logsumexp(x, _axis(x, dim), keepdim=True)


@rule(torch.logcumsumexp)
def logcumsumexp(x: Jet, dim: int) -> Jet:
    """``log sum exp`` of the first elements along an axis."""
    terms = x.unbind(dim)
    found = [terms[0]]
    for term in terms[1:]:
        found.append(_torch.logaddexp(found[-1], term))
    return _torch.stack(found, dim)


# --- spread ----------------------------------------------------------------------------------------------------------


@rule(torch.var)
def variance(
    x: Jet, dim: Any = None, unbiased: bool | None = None, keepdim: bool = False, *, correction: float | None = None
) -> Jet:
    """Mean square deviation with Bessel's correction."""
    if isinstance(dim, bool):
        dim, unbiased = None, dim
    axes = tuple(range(x.ndim)) if dim is None or dim == () else (dim,) if isinstance(dim, int) else tuple(dim)
    count = math.prod([x.shape[axis] for axis in axes])
    lost = correction if correction is not None else 1 if unbiased is None else int(unbiased)
    deviation = x - x.mean(axes, keepdim=True)
    return (deviation * deviation).sum(axes, keepdim=keepdim) / (count - lost)


@rule(torch.std)
def deviation(x: Jet, *args: Any, **kwargs: Any) -> Jet:
    """Root of the variance."""
    return _torch.sqrt(variance(x, *args, **kwargs))


def _mean_beside(x: Jet, dim: Any = None, *_: Any, keepdim: bool = False, **__: Any) -> Jet:
    return x.mean() if dim is None or isinstance(dim, bool) else x.mean(dim, keepdim=keepdim)


@rule(torch.var_mean)
def variance_and_mean(x: Jet, *args: Any, **kwargs: Any) -> tuple[Jet, Jet]:
    """Variance and mean along the same axes."""
    return variance(x, *args, **kwargs), _mean_beside(x, *args, **kwargs)


@rule(torch.std_mean)
def deviation_and_mean(x: Jet, *args: Any, **kwargs: Any) -> tuple[Jet, Jet]:
    """Standard deviation and mean along the same axes."""
    return deviation(x, *args, **kwargs), _mean_beside(x, *args, **kwargs)


# --- layers ----------------------------------------------------------------------------------------------------------


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


def _by_channel(x: Jet, parameter: Any) -> Any:
    """View one value for each channel so that it broadcasts over points and places."""
    return None if parameter is None else parameter.reshape(1, -1, *(1,) * (x.ndim - 2))


@rule(F.batch_norm, torch.batch_norm)
def batch_norm(
    x: Jet, running_mean: Any, running_var: Any, weight: Any = None, bias: Any = None, training: bool = False,
    momentum: float | None = 0.1, eps: float = 1e-5, *_: Any,
) -> Jet:  # fmt: skip
    """Shift and scale by the running statistics.

    Raises:
        JetRuleError: In training mode, where the statistics of the batch make the value at one point depend on all
            others, so that there are no derivatives of a function of one point.
    """
    if training or running_mean is None or running_var is None:
        raise JetRuleError(
            "batch_norm in training mode mixes the points of a batch: its output is no function of one point, and has "
            "no derivatives with respect to it; call model.eval(), or use a LayerNorm or GroupNorm"
        )
    scale = torch.rsqrt(running_var + eps)
    scale = scale if weight is None else scale * weight
    shift = -running_mean * scale
    return x * _by_channel(x, scale) + _by_channel(x, shift if bias is None else shift + bias)


@rule(F.instance_norm, torch.instance_norm)
def instance_norm(
    x: Jet, running_mean: Any = None, running_var: Any = None, weight: Any = None, bias: Any = None,
    use_input_stats: bool = True, momentum: float = 0.1, eps: float = 1e-5, *_: Any,
) -> Jet:  # fmt: skip
    """Standardise each channel of each point over its places, or by running statistics."""
    if not use_input_stats:
        return batch_norm(x, running_mean, running_var, weight, bias, False, momentum, eps)
    y = _standardised(x, tuple(range(2, x.ndim)), eps)
    return _scaled(y, _by_channel(x, weight), _by_channel(x, bias))


@rule(F.local_response_norm)
def local_response_norm(x: Jet, size: int, alpha: float = 1e-4, beta: float = 0.75, k: float = 1.0) -> Jet:
    """``x / (k + alpha mean x^2)^beta``, the mean over neighbouring channels."""
    squares = (x * x).unsqueeze(1).flatten(3) if x.ndim > 3 else (x * x).unsqueeze(1)
    padded = F.pad(squares, (0, 0, size // 2, (size - 1) // 2))
    mean = F.avg_pool2d(padded, (size, 1), stride=1)
    return x / (k + alpha * mean.reshape(x.shape)) ** beta


def _register_power_pooling(axes: int, operation: Any, pooling: Any) -> None:
    @rule(operation)
    def power_pooling(x: Jet, norm_type: float, kernel_size: Any, stride: Any = None, ceil_mode: bool = False) -> Jet:
        """``(sum x^p)^(1/p)`` over windows."""
        sides = (kernel_size,) * axes if isinstance(kernel_size, int) else tuple(kernel_size)
        mean = pooling(x**norm_type, sides, stride, 0, ceil_mode)
        return (mean * math.prod(sides)) ** (1 / norm_type)


_register_power_pooling(1, F.lp_pool1d, F.avg_pool1d)
_register_power_pooling(2, F.lp_pool2d, F.avg_pool2d)
_register_power_pooling(3, F.lp_pool3d, F.avg_pool3d)
