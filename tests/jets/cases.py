"""Functions of two coordinates, each through one rule: what the tests of the rules run over."""

import math

import torch
import torch.nn.functional as F  # noqa: N812

from kjet.jets import Jet

WEIGHTS = {}


def weights(*shape):
    """Constants of a shape, drawn once: a compiler makes no generators."""
    if shape not in WEIGHTS:
        drawn = torch.randn(*shape, generator=torch.Generator().manual_seed(3), dtype=torch.float64)
        WEIGHTS[shape] = drawn / math.sqrt(shape[-1])
    return WEIGHTS[shape]


W, B = weights(4, 2), weights(4)
SQUARE = weights(4, 4)
PHASE = torch.tensor([1 + 1j, 2 - 1j, 0.5j], dtype=torch.complex128)
EDGES = torch.tensor([0, 2, 2, 1])


def mix(x):
    """A nonlinear map of the two coordinates to four numbers in (-1.2, 1.2)."""
    return torch.sin(F.linear(x, 2 * W, B)) + 0.2 * F.linear(x, W)


def positive(x):
    return 1.7 + mix(x)


def spread(x):
    """Numbers that are never all the same."""
    return mix(x) + torch.arange(4.0).double()


def grid(x):
    """(n, 4) as a batch of 1-channel images 2 x 2."""
    return mix(x).reshape(-1, 1, 2, 2)


def features(x, *shape):
    """More numbers of each point, in a shape: nonlinear, of different frequencies."""
    count = math.prod(shape)
    return torch.sin(F.linear(x, 1.5 * weights(count, 2), weights(count))).reshape(-1, *shape)


def image(x):
    return features(x, 3, 4, 4)


def volume(x):
    return features(x, 2, 2, 4, 4)


def matrices(x):
    """Regular matrices (n, 3, 3)."""
    return 0.3 * features(x, 3, 3) + torch.eye(3, dtype=torch.float64)


def definite(x):
    h = matrices(x)
    return h @ h.transpose(-1, -2) + 0.5 * torch.eye(3, dtype=torch.float64)


def flat(y):
    return y.flatten(1)


def real(y):
    return torch.view_as_real(y).flatten(1)


def spectrum(x):
    return torch.fft.rfft(mix(x))


def layer_norm(h, weight=None, bias=None):
    """The definition, as the oracle: torch's nested derivatives of layer_norm differ from it, from the third on."""
    if isinstance(h, Jet):
        return F.layer_norm(h, (4,), weight, bias)
    centred = h - h.mean(-1, keepdim=True)
    y = centred / torch.sqrt((centred**2).mean(-1, keepdim=True) + 1e-5)
    return y if weight is None else y * weight + bias


def attention(x, **kwargs):
    q, k, v = (features(x, 2, 3, 4) * s for s in (1.0, 0.7, -0.4))
    if kwargs.get("enable_gqa"):
        k, v = k[:, :1], v[:, :1]
    with torch.nn.attention.sdpa_kernel(torch.nn.attention.SDPBackend.MATH):  # the only one with second derivatives
        return F.scaled_dot_product_attention(q, k, v, **kwargs).flatten(1)


def filled(x, shape, write):
    """Write into zeros made in the likeness of x."""
    out = x.new_zeros(x.shape[0], *shape)
    write(out, mix(x))
    return out


ELEMENTWISE = {
    "tanh": torch.tanh,
    "sigmoid": torch.sigmoid,
    "expit": torch.special.expit,
    "silu": F.silu,
    "gelu": F.gelu,
    "gelu_tanh": lambda t: F.gelu(t, approximate="tanh"),
    "softplus": F.softplus,
    "softplus_beta": lambda t: F.softplus(t, beta=2.0),
    "mish": F.mish,
    "logsigmoid": F.logsigmoid,
    "tanhshrink": F.tanhshrink,
    "glu": lambda t: F.glu(t, 1),
    "sin": torch.sin,
    "cos": torch.cos,
    "tan": lambda t: torch.tan(0.5 * t),
    "sinh": torch.sinh,
    "cosh": torch.cosh,
    "exp": torch.exp,
    "exp2": torch.exp2,
    "expm1": torch.expm1,
    "log": lambda t: torch.log(1.7 + t),
    "log2": lambda t: torch.log2(1.7 + t),
    "log10": lambda t: torch.log10(1.7 + t),
    "log1p": lambda t: torch.log1p(0.5 * t),
    "erf": torch.erf,
    "erfc": torch.erfc,
    "erfinv": lambda t: torch.erfinv(0.4 * t),
    "ndtr": torch.special.ndtr,
    "atan": torch.atan,
    "asin": lambda t: torch.asin(0.4 * t),
    "acos": lambda t: torch.acos(0.4 * t),
    "asinh": torch.asinh,
    "acosh": lambda t: torch.acosh(3 + t),
    "atanh": lambda t: torch.atanh(0.4 * t),
    "lgamma": lambda t: torch.lgamma(2 + t),
    "digamma": lambda t: torch.digamma(2.5 + t),
    "polygamma": lambda t: torch.polygamma(1, 2.5 + t),
    "polygamma_method": lambda t: (2.5 + t).polygamma(2),
    "sinc": torch.sinc,
    "sinc_far": lambda t: torch.sinc(2 * t + 4),
    "logit": lambda t: torch.logit(0.5 + 0.2 * t),
    "logit_eps": lambda t: torch.logit(0.5 + 0.2 * t, eps=1e-3),
    "xlogy": lambda t: torch.xlogy(t, 1.7 + t),
    "xlogy_zero": lambda t: torch.xlogy(torch.tensor([0.0, 1.0, 2.0, 0.0]).double(), 1.7 + t),
    "xlogy_constant": lambda t: torch.xlogy(t, B.abs()),
    "sqrt": lambda t: torch.sqrt(1.7 + t),
    "rsqrt": lambda t: torch.rsqrt(1.7 + t),
    "reciprocal": lambda t: torch.reciprocal(1.7 + t),
    "square": torch.square,
    "neg": lambda t: -t,
    "deg2rad": torch.deg2rad,
    "pow_2": lambda t: t**2,
    "pow_5": lambda t: t**5,
    "pow_0": lambda t: t**0 + t,
    "pow_-3": lambda t: (1.7 + t) ** -3,
    "pow_1.7": lambda t: (1.7 + t) ** 1.7,
    "pow_-0.3": lambda t: (1.7 + t) ** -0.3,
    "pow_half": lambda t: (1.7 + t) ** 0.5,
    "pow_jet": lambda t: (1.7 + t) ** t,
    "pow_base": lambda t: 2.0**t,
    "pow_tensor": lambda t: (1.7 + t) ** B,
    "pow_whole_tensor": lambda t: t.unsqueeze(-1) ** torch.arange(5),
    "pow_zero_dim": lambda t: t ** torch.tensor(3.0),
    "tensor_pow": lambda t: torch.pow(B.abs() + 0.5, t),
    "float_power": lambda t: torch.float_power(t, 3),
    "softmax": lambda t: F.softmax(t, dim=-1),
}

PIECEWISE = {
    "abs": torch.abs,
    "builtin_clamp": lambda t: t.clamp(-0.4, 0.4),
    "clamp_min": lambda t: torch.clamp_min(t, 0.1),
    "clamp_jet": lambda t: torch.clamp(t, max=t * t),
    "relu": F.relu,
    "torch_relu": torch.relu,
    "relu_method": lambda t: t.relu(),
    "leaky_relu": F.leaky_relu,
    "prelu": lambda t: F.prelu(t, B),
    "prelu_one": lambda t: F.prelu(t, B[:1]),
    "rrelu": F.rrelu,
    "relu6": lambda t: F.relu6(8 * t),
    "hardtanh": lambda t: F.hardtanh(t, -0.3, 0.6),
    "hardsigmoid": lambda t: F.hardsigmoid(5 * t),
    "hardswish": lambda t: F.hardswish(4 * t),
    "hardshrink": F.hardshrink,
    "softshrink": F.softshrink,
    "threshold": lambda t: F.threshold(t, 0.1, -2.0),
    "elu": F.elu,
    "elu_alpha": lambda t: F.elu(t, 0.5),
    "celu": lambda t: F.celu(t, 0.5),
    "selu": F.selu,
    "softsign": F.softsign,
    "softplus_linear": lambda t: F.softplus(30 * t, threshold=3.0),
    "maximum": lambda t: torch.maximum(t, t * t),
    "minimum": lambda t: torch.minimum(t, B),
    "where": lambda t: torch.where(t > 0.1, t * t, torch.sin(t)),
    "where_scalar": lambda t: torch.where(t > 0.1, t * t, 0.0),
    "where_tensor": lambda t: torch.where(B > 0, t, B),
    "where_method": lambda t: t.where(t > 0.1, t * t),
    "masked_fill": lambda t: t.masked_fill(t > 0.2, -1.0),
    "remainder": lambda t: torch.remainder(t, 0.37),
    "fmod": lambda t: torch.fmod(t, 0.37),
    "remainder_jet": lambda t: torch.remainder(t, 1.5 + t),
    "frac": lambda t: torch.frac(3 * t),
    "nan_to_num": lambda t: torch.nan_to_num(t),
    "max": lambda t: t.max(-1, keepdim=True).values,
    "max_all": lambda t: torch.max(t).reshape(1),
    "max_pair": lambda t: torch.max(t, t * t),
    "min": lambda t: torch.min(t, 1)[0],
    "amax": lambda t: torch.amax(t, -1),
    "amax_all": lambda t: torch.amax(t).reshape(1),
    "amin": lambda t: torch.amin(t, (0, 1), keepdim=True),
    "aminmax": lambda t: torch.stack(list(torch.aminmax(t, dim=1))),
    "sort": lambda t: torch.sort(t, -1, descending=True).values,
    "msort": torch.msort,
    "topk": lambda t: torch.topk(t, 2, dim=1).values,
    "kthvalue": lambda t: torch.kthvalue(t, 2, dim=1).values,
    "median": lambda t: torch.median(t, 1).values,
    "cummax": lambda t: torch.cummax(t, 1).values,
    "cummin": lambda t: torch.cummin(t, 1)[0],
    "norm_1": lambda t: torch.linalg.vector_norm(t, 1, dim=-1),
    "norm_inf": lambda t: torch.linalg.vector_norm(t, math.inf, dim=-1),
    "norm_3": lambda t: torch.linalg.vector_norm(t, 3, dim=-1, keepdim=True),
    "matrix_norm_1": lambda t: torch.linalg.matrix_norm(t.reshape(-1, 2, 2), 1),
    "matrix_norm_inf": lambda t: torch.linalg.norm(t.reshape(-1, 2, 2), math.inf, dim=(-2, -1)),
    "max_pool1d": lambda t: F.max_pool1d(t.unsqueeze(1), 2, stride=1),
    "max_pool2d": lambda t: F.max_pool2d(t.reshape(-1, 1, 2, 2), 2, padding=1),
    "max_pool_indices": lambda t: F.max_pool2d(t.reshape(-1, 1, 2, 2), 2, return_indices=True)[0],
    "max_pool3d": lambda t: F.max_pool3d(t.reshape(-1, 1, 1, 2, 2), (1, 2, 1)),
    "adaptive_max_pool": lambda t: F.adaptive_max_pool1d(t.unsqueeze(1), 2),
    "scatter_amax": lambda t: torch.scatter_reduce(t[:, :2], 1, EDGES.expand(3, 4) % 2, t, "amax"),
    "scatter_amin_others": lambda t: torch.scatter_reduce(
        t[:, :2], 1, EDGES.expand(3, 4) % 2, t, "amin", include_self=False
    ),
}

BINARY = {
    "add": lambda t: t + torch.sin(t),
    "add_scalar": lambda t: 2 + t + 1,
    "add_alpha": lambda t: torch.add(t, t * t, alpha=3),
    "add_tensor": lambda t: B + t,
    "sub": lambda t: t - t * t,
    "rsub": lambda t: 1 - t,
    "rsub_tensor": lambda t: B - t,
    "torch_sub": lambda t: torch.sub(B, t, alpha=2),
    "mul": lambda t: t * torch.cos(t),
    "mul_tensor": lambda t: B * t,
    "mul_growing": lambda t: t * torch.ones(2, 3, 4).double(),
    "mul_self": lambda t: t * t,
    "div": lambda t: t / (1.7 + torch.sin(t)),
    "div_tensor": lambda t: t / (2 + B),
    "rdiv": lambda t: 1 / (1.7 + t),
    "rdiv_two": lambda t: 2.5 / (1.7 + t),
    "rdiv_tensor": lambda t: B / (1.7 + t),
    "div_scalar": lambda t: t / 3,
    "div_growing": lambda t: t[:, 0] / (1.7 + t.unsqueeze(-1)),
    "lerp": lambda t: torch.lerp(t, t * t, 0.3),
    "addcmul": lambda t: torch.addcmul(t, t, t, value=0.5),
    "addcdiv": lambda t: torch.addcdiv(t, t, 2 + t, value=0.5),
    "hypot": lambda t: torch.hypot(t, 1 + t),
    "atan2": lambda t: torch.atan2(t, 1.5 + t * t),
    "atan2_tensor": lambda t: torch.atan2(1.5 + B, t),
    "atan2_growing": lambda t: torch.atan2(t[:, 0], 1.7 + t.unsqueeze(-1)),
    "logaddexp": lambda t: torch.logaddexp(t, t * t),
    "logaddexp2": lambda t: torch.logaddexp2(t, B),
    "broadcast": lambda t: (t[:, None, :] * t[:, :, None]).sum(1),
    "broadcast_tensor": lambda t: (t * torch.ones(2, 3, 4).double()).sum(0),
    "dist": lambda t: torch.dist(t, t * t).reshape(1),
    "pairwise_distance": lambda t: F.pairwise_distance(t, 1 + t * t),
    "cosine_similarity": lambda t: F.cosine_similarity(1.7 + t, 1 + t * t),
    "cosine_constant": lambda t: F.cosine_similarity(1.7 + t, B, dim=-1),
    "mse_loss": lambda t: F.mse_loss(t, B.expand(t.shape)).reshape(1),
    "cdist": lambda t: torch.cdist(t.unsqueeze(-1), 2 + t.unsqueeze(-1) ** 2),
}

STRUCTURE = {
    "linear": lambda x: F.linear(x, W, B),
    "linear_module": torch.nn.Linear(2, 4).double(),
    "linear_of_linear": lambda x: F.linear(torch.tanh(F.linear(x, W)), SQUARE, B),
    "linear_jet_weight": lambda x: F.linear(B, SQUARE + mix(x)[:1]).reshape(1, -1),
    "linear_jet_bias": lambda x: F.linear(torch.ones(3, 2).double(), W, mix(x)[0]),
    "matmul": lambda x: mix(x) @ SQUARE,
    "matmul_stack": lambda x: torch.tanh(mix(x)) @ SQUARE,
    "matmul_left": lambda x: (SQUARE @ mix(x).unsqueeze(-1)).squeeze(-1),
    "matmul_jets": lambda x: (mix(x).reshape(-1, 2, 2) @ torch.sin(mix(x)).reshape(-1, 2, 2)).reshape(-1, 4),
    "mv": lambda x: torch.mv(SQUARE, mix(x)[0]).reshape(1, 4),
    "dot": lambda x: torch.dot(mix(x)[0], mix(x)[1]).reshape(1),
    "vdot": lambda x: torch.view_as_real(torch.vdot(spectrum(x)[0], spectrum(x)[1])),
    "inner": lambda x: torch.inner(mix(x), SQUARE),
    "outer": lambda x: torch.outer(mix(x)[0], mix(x)[1]),
    "vecdot": lambda x: torch.linalg.vecdot(mix(x), mix(x) ** 2),
    "kron": lambda x: torch.kron(mix(x)[:2], mix(x)),
    "kron_constant": lambda x: torch.kron(mix(x), W),
    "cross": lambda x: torch.cross(features(x, 3), features(x, 3) ** 2, dim=-1),
    "cross_constant": lambda x: torch.linalg.cross(features(x, 3), B[:3].expand(3, 3)),
    "tensordot": lambda x: torch.tensordot(mix(x), SQUARE, dims=([1], [0])),
    "multi_dot": lambda x: torch.linalg.multi_dot([mix(x), SQUARE, mix(x).mT]),
    "bmm": lambda x: torch.bmm(mix(x).reshape(-1, 2, 2), mix(x).reshape(-1, 2, 2)).flatten(1),
    "baddbmm": lambda x: torch.baddbmm(SQUARE[:2, :2], grid(x)[:, 0], grid(x)[:, 0], beta=0.5).flatten(1),
    "einsum": lambda x: torch.einsum("ni,ij->nj", mix(x), SQUARE),
    "einsum_jets": lambda x: torch.einsum("ni,nj->nij", mix(x), mix(x)).flatten(1),
    "einsum_three": lambda x: torch.einsum("ni,ij,nj->nj", mix(x), SQUARE, mix(x)),
    "einsum_three_jets": lambda x: torch.einsum("ni,nj,nj->ni", mix(x), torch.sin(mix(x)), mix(x)),
    "einsum_list": lambda x: torch.einsum("ni,ij->nj", [mix(x), SQUARE]),
    "bilinear": lambda x: F.bilinear(mix(x), torch.sin(mix(x)), weights(2, 4, 4), weights(2)),
    "addmm": lambda x: torch.addmm(B, mix(x), SQUARE, beta=2, alpha=0.5),
    "addmv": lambda x: torch.addmv(mix(x)[0], SQUARE, mix(x)[1]).reshape(1, 4),
    "addr": lambda x: torch.addr(SQUARE, mix(x)[0], mix(x)[1]),
    "addbmm": lambda x: torch.addbmm(SQUARE[:2, :2], grid(x)[:, 0], grid(x)[:, 0]),
    "matrix_power": lambda x: flat(torch.linalg.matrix_power(matrices(x), 3)),
    "matrix_power_negative": lambda x: flat(torch.linalg.matrix_power(matrices(x), -2)),
    "conv1d": lambda x: F.conv1d(mix(x).unsqueeze(1), weights(3, 1, 2), weights(3), padding=1).flatten(1),
    "conv1d_single": lambda x: F.conv1d(mix(x), weights(2, 3, 2), weights(2)),
    "conv1d_same": lambda x: F.conv1d(mix(x).unsqueeze(1), weights(3, 1, 3), padding="same").flatten(1),
    "conv2d": lambda x: F.conv2d(image(x), weights(4, 3, 2, 2), weights(4), padding=1, dilation=2).flatten(1),
    "conv2d_groups": lambda x: F.conv2d(image(x), weights(3, 1, 3, 3), groups=3, stride=2).flatten(1),
    "conv2d_jet_weight": lambda x: F.conv2d(image(x), features(x, 3, 2, 2)).flatten(1),
    "conv3d": lambda x: F.conv3d(volume(x), weights(1, 2, 2, 2, 2)).flatten(1),
    "conv_transpose1d": lambda x: F.conv_transpose1d(
        mix(x).unsqueeze(1), weights(1, 2, 3), weights(2), stride=2
    ).flatten(1),
    "conv_transpose2d": lambda x: F.conv_transpose2d(image(x), weights(3, 2, 2, 2), stride=2).flatten(1),
    "conv_transpose3d": lambda x: F.conv_transpose3d(volume(x), weights(2, 1, 2, 2, 2)).flatten(1),
    "sum": lambda x: mix(x).sum(-1, keepdim=True),
    "sum_all": lambda x: mix(x).sum().reshape(1),
    "sum_axis": lambda x: torch.sum(mix(x), axis=1, keepdims=True),
    "mean": lambda x: mix(x).mean(1, keepdim=True),
    "mean_axes": lambda x: image(x).mean((1, -1)),
    "prod": lambda x: positive(x).prod(-1, keepdim=True),
    "prod_all": lambda x: positive(x).prod().reshape(1),
    "cumsum": lambda x: mix(x).cumsum(-1),
    "cumprod": lambda x: positive(x).cumprod(-1),
    "diff": lambda x: torch.diff(mix(x), dim=-1),
    "trapezoid": lambda x: torch.trapezoid(mix(x), dx=0.5, dim=-1),
    "var": lambda x: mix(x).var(-1, keepdim=True),
    "var_biased": lambda x: torch.var(mix(x), 1, unbiased=False),
    "var_mean": lambda x: torch.stack(list(torch.var_mean(mix(x), dim=1, correction=0))),
    "std": lambda x: torch.std(spread(x), dim=-1),
    "std_mean": lambda x: torch.stack(list(torch.std_mean(spread(x), 1))),
    "cat": lambda x: torch.cat([x, mix(x), torch.ones(x.shape).double()], -1),
    "cat_stacks": lambda x: torch.cat([torch.tanh(mix(x)), torch.sin(mix(x))], -1),
    "stack": lambda x: torch.stack([mix(x), mix(x) ** 2], 1).flatten(1),
    "hstack": lambda x: torch.hstack([mix(x), x]),
    "vstack": lambda x: torch.vstack([mix(x), SQUARE]),
    "block_diag": lambda x: torch.block_diag(mix(x), x),
    "split": lambda x: torch.split(mix(x), [1, 3], dim=-1)[1],
    "split_method": lambda x: mix(x).split(2, -1)[0],
    "tensor_split": lambda x: torch.tensor_split(mix(x), (1, 2), dim=1)[1],
    "chunk": lambda x: mix(x).chunk(2, -1)[1],
    "chunk_stack": lambda x: torch.tanh(mix(x)).chunk(2, -1)[1],
    "unbind": lambda x: torch.stack(mix(x).unbind(-1)[::-1], -1),
    "reshape": lambda x: mix(x).reshape(-1, 2, 2).sum(-1),
    "reshape_stack": lambda x: torch.tanh(mix(x)).reshape(-1, 2, 2).sum(-1),
    "view": lambda x: mix(x).view(-1, 2, 2)[..., 0],
    "view_as": lambda x: mix(x).view_as(grid(x)).flatten(1),
    "expand_as": lambda x: EDGES.expand_as(mix(x)) * mix(x),
    "permute": lambda x: grid(x).permute(0, 3, 1, 2).flatten(1),
    "transpose": lambda x: mix(x).reshape(-1, 2, 2).transpose(-1, -2).flatten(1),
    "mT": lambda x: mix(x).reshape(-1, 2, 2).mT.flatten(1),
    "squeeze": lambda x: mix(x).unsqueeze(1).squeeze(1),
    "squeeze_all": lambda x: mix(x).reshape(-1, 1, 4, 1).squeeze(),
    "unsqueeze": lambda x: torch.unsqueeze(mix(x), -1) * torch.unsqueeze(mix(x), 1),
    "index_many": lambda x: mix(x)[..., torch.tensor([[0, 1], [3, 3]])],
    "index_int_and_list": lambda x: image(x)[:, 0, [1, 2]],
    "movedim": lambda x: torch.movedim(image(x), 1, -1).flatten(1),
    "swapaxes": lambda x: torch.swapaxes(image(x), 1, 2).flatten(1),
    "select": lambda x: image(x).select(1, 2).narrow(-1, 1, 2).flatten(1),
    "expand": lambda x: mix(x).unsqueeze(1).expand(-1, 3, -1).sum(1),
    "repeat": lambda x: mix(x).repeat(1, 2),
    "repeat_interleave": lambda x: mix(x).repeat_interleave(2, 1),
    "meshgrid": lambda x: torch.stack(torch.meshgrid(mix(x)[0], mix(x)[1], indexing="xy")),
    "meshgrid_constant": lambda x: torch.stack(torch.meshgrid(mix(x)[0], B, indexing="ij")),
    "broadcast_tensors": lambda x: torch.stack(torch.broadcast_tensors(mix(x), B)),
    "index": lambda x: mix(x)[:, [3, 0]],
    "index_mask": lambda x: mix(x)[:, torch.tensor([True, False, True, False])],
    "index_pairs": lambda x: mix(x)[torch.tensor([0, 2]), torch.tensor([1, 3])],
    "index_column": lambda x: mix(x)[:, 1:2] * mix(x)[..., 2:3],
    "index_int": lambda x: mix(x)[..., 1].unsqueeze(-1),
    "index_none": lambda x: mix(x)[:, None].sum(1),
    "index_stack": lambda x: torch.tanh(mix(x))[..., 1:3],
    "index_select": lambda x: mix(x).index_select(1, torch.tensor([2, 1])),
    "gather": lambda x: mix(x).gather(1, torch.zeros(x.shape[0], 2, dtype=torch.long)),
    "take_along_dim": lambda x: torch.take_along_dim(mix(x), torch.tensor([[1], [0], [3]]), 1),
    "take": lambda x: torch.take(mix(x), torch.tensor([1, 7])),
    "diagonal": lambda x: torch.diagonal(matrices(x), dim1=-2, dim2=-1),
    "diag_embed": lambda x: torch.diag_embed(mix(x)).flatten(1),
    "tril": lambda x: torch.tril(matrices(x)).flatten(1),
    "rot90": lambda x: torch.rot90(mix(x)),
    "pad": lambda x: F.pad(mix(x), (1, 2)),
    "pad_value": lambda x: F.pad(mix(x), (1, 2), value=3.0),
    "pad_circular": lambda x: F.pad(mix(x).unsqueeze(1), (1, 1), mode="circular").flatten(1),
    "pad_reflect": lambda x: F.pad(mix(x).unsqueeze(1), (2, 1), mode="reflect").flatten(1),
    "roll": lambda x: mix(x).roll(1, -1),
    "flip": lambda x: mix(x).flip(-1),
    "unfold": lambda x: F.unfold(image(x), 2).flatten(1),
    "fold": lambda x: F.fold(features(x, 4, 9), (4, 4), 2).flatten(1),
    "tensor_unfold": lambda x: mix(x).unfold(1, 2, 1).flatten(1),
    "double": lambda x: mix(x).float().double() * 0 + mix(x).to(torch.float64),
    "fft": lambda x: real(torch.fft.fft(mix(x))),
    "rfft_filter": lambda x: torch.fft.irfft(torch.fft.rfft(torch.tanh(mix(x))) * PHASE, n=4),
    "spectral_conv": lambda x: torch.fft.irfft(torch.einsum("nk,k->nk", spectrum(x), PHASE), n=4) ** 2,
    "spectral_mixing": lambda x: torch.fft.irfft2(
        torch.einsum(
            "nixy,ioxy->noxy", torch.fft.rfft2(image(x)), torch.complex(weights(3, 2, 4, 3), weights(3, 2, 4, 3))
        )
    ).flatten(1),
    "rfft2": lambda x: torch.fft.irfft2(torch.fft.rfft2(grid(x)) * 0.5, s=(2, 2)).flatten(1) ** 2,
    "rfftn": lambda x: torch.fft.irfftn(torch.fft.rfftn(volume(x), dim=(-3, -2, -1)) * 0.3j, dim=(-3, -2, -1)).flatten(
        1
    ),
    "hfft": lambda x: torch.fft.hfft(spectrum(x)),
    "complex_product": lambda x: real(spectrum(x) * torch.fft.rfft(torch.sin(mix(x))).conj()),
    "complex_quotient": lambda x: real(spectrum(x) / (3 + spectrum(x))),
    "view_as_complex": lambda x: real(torch.view_as_complex(mix(x).reshape(-1, 2, 2)) ** 3),
    "complex": lambda x: real(torch.complex(mix(x), torch.sin(mix(x))) ** 2),
    "complex_constant": lambda x: real(torch.complex(mix(x), B.expand(3, 4)) * 1j),
    "polar": lambda x: real(torch.polar(positive(x), mix(x))),
    "complex_abs": lambda x: torch.abs(2 + spectrum(x)),
    "angle": lambda x: torch.angle(4 + spectrum(x)),
    "complex_exp": lambda x: real(torch.exp(1j * mix(x))),
    "complex_sin": lambda x: real(torch.sin(spectrum(x))),
    "complex_tanh": lambda x: real(torch.tanh(0.2 * spectrum(x))),
    "complex_sigmoid": lambda x: real(torch.sigmoid(0.2 * spectrum(x))),
    "complex_norm": lambda x: torch.linalg.vector_norm(spectrum(x), dim=-1),
    "avg_pool1d": lambda x: F.avg_pool1d(mix(x).unsqueeze(1), 2).flatten(1),
    "avg_pool": lambda x: F.avg_pool2d(image(x), 2, stride=1, padding=1).flatten(1),
    "avg_pool3d": lambda x: F.avg_pool3d(volume(x), 2).flatten(1),
    "adaptive_avg_pool1d": lambda x: F.adaptive_avg_pool1d(mix(x).unsqueeze(1), 3).flatten(1),
    "adaptive_avg_pool2d": lambda x: F.adaptive_avg_pool2d(image(x), 3).flatten(1),
    "adaptive_avg_pool3d": lambda x: F.adaptive_avg_pool3d(volume(x), (1, 2, 3)).flatten(1),
    "interpolate": lambda x: F.interpolate(mix(x).unsqueeze(1), scale_factor=2.0, mode="linear").flatten(1),
    "interpolate_bilinear": lambda x: F.interpolate(image(x), (6, 5), mode="bilinear", align_corners=True).flatten(1),
    "interpolate_nearest": lambda x: F.interpolate(image(x), scale_factor=2).flatten(1),
    "pixel_shuffle": lambda x: F.pixel_shuffle(features(x, 4, 2, 2), 2).flatten(1),
    "channel_shuffle": lambda x: F.channel_shuffle(features(x, 4, 2, 2), 2).flatten(1),
    "grid_sample": lambda x: F.grid_sample(image(x), (weights(3, 2, 2, 2)).clamp(-1, 1), align_corners=True).flatten(1),
    "embedding": lambda x: F.embedding(EDGES, mix(x)),
    "iterate": lambda x: torch.stack([column * column for column in mix(x).mT], -1),
}

WRITING = {
    "index_add": lambda x: torch.index_add(torch.zeros(3, 3).double(), 1, EDGES, mix(x)),
    "index_add_jet": lambda x: torch.index_add(features(x, 3), 1, EDGES, mix(x), alpha=2),
    "index_add_": lambda x: filled(x, (3,), lambda out, h: out.index_add_(1, EDGES, h)),
    "scatter_add": lambda x: torch.scatter_add(features(x, 3), 1, EDGES.expand(3, 4), mix(x)),
    "scatter_add_": lambda x: x.new_zeros(3, 3).scatter_add_(1, EDGES.expand(3, 4), mix(x)),
    "scatter": lambda x: torch.scatter(mix(x), 1, EDGES[:2].expand(3, 2), x),
    "scatter_value": lambda x: mix(x).scatter(1, EDGES[:2].expand(3, 2), 1.5),
    "scatter_reduce_add": lambda x: torch.scatter(mix(x), 1, EDGES[:1].expand(3, 1), 1.5, reduce="add"),
    "scatter_mean": lambda x: torch.scatter_reduce(features(x, 3), 1, EDGES.expand(3, 4), mix(x), "mean"),
    "index_copy": lambda x: torch.index_copy(mix(x), 1, torch.tensor([3, 1]), x),
    "index_fill": lambda x: mix(x).index_fill(1, torch.tensor([3, 1]), 2.0),
    "index_put": lambda x: mix(x).index_put((torch.tensor([0, 2]), torch.tensor([1, 1])), x[0]),
    "index_put_add": lambda x: mix(x).index_put((torch.tensor([0, 0]), torch.tensor([1, 1])), x[0], accumulate=True),
    "select_scatter": lambda x: torch.select_scatter(mix(x), x[:, 0], 1, 2),
    "slice_scatter": lambda x: torch.slice_scatter(mix(x), x, 1, 1, 3),
    "diagonal_scatter": lambda x: torch.diagonal_scatter(SQUARE[:3], mix(x)[:, 0]),
    "messages": lambda x: x.new_zeros(3, 4).index_add_(0, EDGES[1:], torch.tanh(mix(x)[EDGES[1:]] - mix(x)[EDGES[:3]])),
    "copy_": lambda x: torch.zeros_like(mix(x)).copy_(mix(x)),
    "zero_": lambda x: (mix(x) * 1).zero_() + mix(x),
    "fill_": lambda x: (mix(x) * 1).fill_(2.0) + mix(x),
    "setitem": lambda x: filled(x, (4,), lambda out, h: out.__setitem__((slice(None), [1, 0]), h[:, :2])),
    "setitem_mask": lambda x: filled(x, (4,), lambda out, h: out.__setitem__((slice(None), B > 0), 2 * h[:, B > 0])),
    "setitem_number": lambda x: filled(x, (4,), lambda out, h: [out.__setitem__(..., h), out.__setitem__((0, 1), 1.5)]),
}

LINALG = {
    "solve": lambda x: flat(torch.linalg.solve(matrices(x), features(x, 3, 2))),
    "solve_vectors": lambda x: torch.linalg.solve(matrices(x), features(x, 3)),
    "solve_constant": lambda x: torch.linalg.solve(SQUARE, mix(x).mT).mT,
    "solve_shared": lambda x: flat(torch.linalg.solve(matrices(x), weights(3, 2))),
    "solve_one": lambda x: flat(torch.linalg.solve(matrices(x)[0], features(x, 3, 2))),
    "solve_right": lambda x: flat(torch.linalg.solve(matrices(x), features(x, 2, 3), left=False)),
    "solve_triangular": lambda x: flat(torch.linalg.solve_triangular(matrices(x), features(x, 3, 2), upper=True)),
    "solve_unit": lambda x: flat(
        torch.linalg.solve_triangular(matrices(x), features(x, 2, 3), upper=False, left=False, unitriangular=True)
    ),
    "inv": lambda x: flat(torch.linalg.inv(matrices(x))),
    "inverse": lambda x: flat(torch.inverse(matrices(x))),
    "det": lambda x: torch.linalg.det(matrices(x)),
    "slogdet": lambda x: torch.linalg.slogdet(matrices(x)).logabsdet,
    "logdet": lambda x: torch.logdet(definite(x)),
    "cholesky": lambda x: flat(torch.linalg.cholesky(definite(x))),
    "cholesky_upper": lambda x: flat(torch.linalg.cholesky(definite(x), upper=True)),
    "cholesky_solve": lambda x: flat(torch.cholesky_solve(features(x, 3, 2), torch.linalg.cholesky(definite(x)))),
    "vector_norm": lambda x: torch.linalg.vector_norm(positive(x), dim=-1),
    "norm": lambda x: torch.norm(positive(x), dim=1, keepdim=True),
    "norm_method": lambda x: positive(x).norm(dim=-1),
    "norm_p": lambda x: torch.norm(positive(x), p=2, dim=-1),
    "linalg_norm": lambda x: torch.linalg.norm(positive(x)).reshape(1),
    "matrix_norm": lambda x: torch.linalg.matrix_norm(matrices(x)),
}

NORMALISE = {
    "softmax_default": lambda x: F.softmax(mix(x), 1),
    "torch_softmax": lambda x: torch.softmax(mix(x), -1),
    "method_softmax": lambda x: mix(x).softmax(-1),
    "special_softmax": lambda x: torch.special.softmax(mix(x), -1),
    "softmin": lambda x: F.softmin(mix(x), dim=-1),
    "log_softmax": lambda x: F.log_softmax(mix(x), dim=-1),
    "logsumexp": lambda x: torch.logsumexp(mix(x), -1, keepdim=True),
    "logsumexp_flat": lambda x: mix(x).logsumexp(1).unsqueeze(-1),
    "logcumsumexp": lambda x: torch.logcumsumexp(mix(x), 1),
    "layer_norm": lambda x: layer_norm(spread(x), B, B),
    "layer_norm_plain": lambda x: layer_norm(spread(x)),
    "rms_norm": lambda x: F.rms_norm(positive(x), (4,), B, 1e-6),
    "group_norm": lambda x: F.group_norm(features(x, 4, 3), 2, B, B),
    "batch_norm": lambda x: F.batch_norm(features(x, 4, 3), B, B.abs(), B, B),
    "batch_norm_plain": lambda x: F.batch_norm(mix(x), B, B.abs()),
    "instance_norm": lambda x: F.instance_norm(features(x, 4, 5), weight=B, bias=B).flatten(1),
    "instance_norm_running": lambda x: F.instance_norm(features(x, 4, 5), B, B.abs(), use_input_stats=False).flatten(1),
    "local_response_norm": lambda x: F.local_response_norm(image(x), 2).flatten(1),
    "local_response_norm_1d": lambda x: F.local_response_norm(features(x, 4, 3), 3, alpha=0.5).flatten(1),
    "lp_pool": lambda x: F.lp_pool2d(2 + image(x), 3, 2).flatten(1),
    "lp_pool1d": lambda x: F.lp_pool1d(2 + features(x, 4, 3), 2, 2, stride=1).flatten(1),
    "normalize": lambda x: F.normalize(positive(x), dim=-1),
    "normalize_3": lambda x: F.normalize(positive(x), p=3.0, dim=-1),
    "attention": attention,
    "attention_causal": lambda x: attention(x, is_causal=True),
    "attention_grouped": lambda x: attention(x, enable_gqa=True),
    "attention_masked": lambda x: attention(x, attn_mask=torch.ones(3, 3, dtype=torch.bool).tril()),
    "attention_biased": lambda x: attention(x, attn_mask=weights(3, 3), scale=0.4),
    "attention_softmax": lambda x: (torch.softmax(grid(x) @ grid(x).transpose(-1, -2) / 2, -1) @ grid(x)).flatten(1),
}


def after_mix(f):
    return lambda x: f(mix(x))


SMOOTH = {name: after_mix(f) for name, f in (ELEMENTWISE | BINARY).items()}
SMOOTH |= STRUCTURE | WRITING | LINALG | NORMALISE
CASES = SMOOTH | {name: after_mix(f) for name, f in PIECEWISE.items()}
assert len(CASES) == sum(len(g) for g in (ELEMENTWISE, BINARY, STRUCTURE, WRITING, LINALG, NORMALISE, PIECEWISE))
