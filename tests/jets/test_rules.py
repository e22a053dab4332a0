"""Every rule against nested reverse-mode differentiation, orders 1 to 6, in float64."""

import math

import pytest
import torch
import torch.nn.functional as F  # noqa: N812

from kjet.jets import Jet, Layout, jet, rule, rules

DIRECTIONS = torch.tensor([[1.0, 0.0], [0.3, -0.7], [-0.2, 0.9]], dtype=torch.float64)
POINTS = torch.tensor([[0.31, 0.72], [0.55, -0.43], [-0.64, 0.18]], dtype=torch.float64)


def nested(f, x, v, order):
    """d^k/dt^k f(x + t v) at t = 0 by nested reverse mode, element by element of the output."""
    t = torch.zeros(x.shape[0], 1, dtype=x.dtype, requires_grad=True)
    y = f(x + t * v)
    result = []
    for column in y.unbind(-1):
        entries, value = [], column
        for k in range(order + 1):
            entries.append(value.detach())
            if k == order or not value.requires_grad:
                entries += [torch.zeros_like(value)] * (order - k)
                break
            (gradient,) = torch.autograd.grad(value.sum(), t, create_graph=True, allow_unused=True)
            value = torch.zeros_like(column) if gradient is None else gradient[:, 0]
        result.append(torch.stack(entries))
    return torch.stack(result, -1)


def generator():
    return torch.Generator().manual_seed(3)


def weights(*shape):
    return torch.randn(*shape, generator=generator(), dtype=torch.float64) / math.sqrt(shape[-1])


W, B = weights(4, 2), weights(4)
SQUARE = weights(4, 4)


def mix(x):
    """A nonlinear map of the two coordinates to four numbers in (-1.2, 1.2)."""
    return torch.sin(F.linear(x, 2 * W, B)) + 0.2 * F.linear(x, W)


def positive(x):
    return 1.5 + mix(x)


def grid(x):
    """(n, 4) as a batch of 1-channel images 2 x 2."""
    return mix(x).reshape(-1, 1, 2, 2)


def layer_norm(h, weight=None, bias=None):
    """The definition, as the oracle: torch's nested derivatives of layer_norm differ from it, from the third on."""
    if isinstance(h, Jet):
        return F.layer_norm(h, (4,), weight, bias)
    centred = h - h.mean(-1, keepdim=True)
    y = centred / torch.sqrt((centred**2).mean(-1, keepdim=True) + 1e-5)
    return y if weight is None else y * weight + bias


def attention(x, **kwargs):
    q, k, v = (grid(x) @ weights(3, 2, 2)[i] for i in range(3))
    with torch.nn.attention.sdpa_kernel(torch.nn.attention.SDPBackend.MATH):  # the only one with second derivatives
        return F.scaled_dot_product_attention(q, k, v, **kwargs).flatten(1)


ELEMENTWISE = {
    "tanh": torch.tanh,
    "sigmoid": torch.sigmoid,
    "silu": F.silu,
    "gelu": F.gelu,
    "gelu_tanh": lambda t: F.gelu(t, approximate="tanh"),
    "softplus": F.softplus,
    "softplus_beta": lambda t: F.softplus(t, beta=2.0),
    "softplus_linear": lambda t: F.softplus(30 * t, threshold=3.0),
    "elu": F.elu,
    "elu_alpha": lambda t: F.elu(t, 0.5),
    "relu": F.relu,
    "torch_relu": torch.relu,
    "leaky_relu": F.leaky_relu,
    "sin": torch.sin,
    "cos": torch.cos,
    "tan": lambda t: torch.tan(0.5 * t),
    "sinh": torch.sinh,
    "cosh": torch.cosh,
    "exp": torch.exp,
    "expm1": torch.expm1,
    "log": lambda t: torch.log(1.5 + t),
    "log1p": lambda t: torch.log1p(0.5 * t),
    "erf": torch.erf,
    "atan": torch.atan,
    "asin": lambda t: torch.asin(0.5 * t),
    "acos": lambda t: torch.acos(0.5 * t),
    "asinh": torch.asinh,
    "sqrt": lambda t: torch.sqrt(1.5 + t),
    "rsqrt": lambda t: torch.rsqrt(1.5 + t),
    "reciprocal": lambda t: torch.reciprocal(1.5 + t),
    "square": torch.square,
    "abs": torch.abs,
    "neg": lambda t: -t,
    "mish": F.mish,
    "logsigmoid": F.logsigmoid,
    "clamp": lambda t: t.clamp(-0.4, 0.4),
    "pow_2": lambda t: t**2,
    "pow_5": lambda t: t**5,
    "pow_0": lambda t: t**0 + t,
    "pow_-3": lambda t: (1.5 + t) ** -3,
    "pow_1.7": lambda t: (1.5 + t) ** 1.7,
    "pow_half": lambda t: (1.5 + t) ** 0.5,
    "pow_jet": lambda t: (1.5 + t) ** t,
    "pow_base": lambda t: 2.0**t,
    "pow_tensor": lambda t: (1.5 + t) ** B,
    "tensor_pow": lambda t: torch.pow(B.abs() + 0.5, t),
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
    "mul_self": lambda t: t * t,
    "div": lambda t: t / (1.5 + torch.sin(t)),
    "div_tensor": lambda t: t / (2 + B),
    "rdiv": lambda t: 1 / (1.5 + t),
    "rdiv_tensor": lambda t: B / (1.5 + t),
    "div_scalar": lambda t: t / 3,
    "lerp": lambda t: torch.lerp(t, t * t, 0.3),
    "addcmul": lambda t: torch.addcmul(t, t, t, value=0.5),
    "hypot": lambda t: torch.hypot(t, 1 + t),
    "maximum": lambda t: torch.maximum(t, t * t),
    "minimum": lambda t: torch.minimum(t, B),
    "where": lambda t: torch.where(t > 0.1, t * t, torch.sin(t)),
    "where_scalar": lambda t: torch.where(t > 0.1, t * t, 0.0),
    "where_tensor": lambda t: torch.where(B > 0, t, B),
    "broadcast": lambda t: (t[:, None, :] * t[:, :, None]).sum(1),
    "broadcast_tensor": lambda t: (t * torch.ones(1, 3, 4).double()).sum(0) if t.ndim == 2 and t.shape[0] == 3 else t,
}

STRUCTURE = {
    "linear": lambda x: F.linear(x, W, B),
    "linear_module": torch.nn.Linear(2, 4).double(),
    "linear_jet_weight": lambda x: F.linear(x, mix(x)[:1].reshape(2, 2)) if x.shape[0] == 1 else x,
    "matmul": lambda x: mix(x) @ SQUARE,
    "matmul_left": lambda x: (SQUARE @ mix(x).unsqueeze(-1)).squeeze(-1),
    "matmul_jets": lambda x: (mix(x).reshape(-1, 2, 2) @ torch.sin(mix(x)).reshape(-1, 2, 2)).reshape(-1, 4),
    "bmm": lambda x: torch.bmm(mix(x).reshape(-1, 2, 2), mix(x).reshape(-1, 2, 2)).flatten(1),
    "einsum": lambda x: torch.einsum("ni,ij->nj", mix(x), SQUARE),
    "einsum_jets": lambda x: torch.einsum("ni,nj->nij", mix(x), mix(x)).flatten(1),
    "einsum_three": lambda x: torch.einsum("ni,ij,nj->nj", mix(x), SQUARE, mix(x)),
    "addmm": lambda x: torch.addmm(B, mix(x), SQUARE, beta=2, alpha=0.5),
    "conv1d": lambda x: F.conv1d(mix(x).unsqueeze(1), weights(3, 1, 2), weights(3), padding=1).flatten(1),
    "conv2d": lambda x: F.conv2d(grid(x), weights(2, 1, 2, 2), weights(2), padding=1).flatten(1),
    "sum": lambda x: mix(x).sum(-1, keepdim=True),
    "mean": lambda x: mix(x).mean(1, keepdim=True),
    "prod": lambda x: positive(x).prod(-1, keepdim=True),
    "cumsum": lambda x: mix(x).cumsum(-1),
    "var": lambda x: mix(x).var(-1, keepdim=True),
    "cat": lambda x: (
        torch.cat([x, mix(x), x.detach() * 0 + 1], -1)
        if not isinstance(x, Jet)
        else torch.cat([x, mix(x), torch.ones(*x.shape).double()], -1)
    ),
    "stack": lambda x: torch.stack([mix(x), mix(x) ** 2], 1).flatten(1),
    "split": lambda x: torch.split(mix(x), [1, 3], dim=-1)[1],
    "split_method": lambda x: mix(x).split(2, -1)[0],
    "chunk": lambda x: mix(x).chunk(2, -1)[1],
    "unbind": lambda x: torch.stack(mix(x).unbind(-1)[::-1], -1),
    "reshape": lambda x: mix(x).reshape(-1, 2, 2).sum(-1),
    "view": lambda x: mix(x).view(-1, 2, 2)[..., 0],
    "permute": lambda x: grid(x).permute(0, 3, 1, 2).flatten(1),
    "transpose": lambda x: mix(x).reshape(-1, 2, 2).transpose(-1, -2).flatten(1),
    "mT": lambda x: mix(x).reshape(-1, 2, 2).mT.flatten(1),
    "squeeze": lambda x: mix(x).unsqueeze(1).squeeze(1),
    "expand": lambda x: mix(x).unsqueeze(1).expand(-1, 3, -1).sum(1),
    "repeat": lambda x: mix(x).repeat(1, 2),
    "index": lambda x: mix(x)[:, [3, 0]],
    "index_column": lambda x: mix(x)[:, 1:2] * mix(x)[..., 2:3],
    "index_int": lambda x: mix(x)[..., 1].unsqueeze(-1),
    "index_none": lambda x: mix(x)[:, None].sum(1),
    "index_select": lambda x: mix(x).index_select(1, torch.tensor([2, 1])),
    "gather": lambda x: mix(x).gather(1, torch.zeros(x.shape[0], 2, dtype=torch.long)),
    "pad": lambda x: F.pad(mix(x), (1, 2)),
    "pad_circular": lambda x: F.pad(mix(x).unsqueeze(1), (1, 1), mode="circular").flatten(1),
    "roll": lambda x: mix(x).roll(1, -1),
    "flip": lambda x: mix(x).flip(-1),
    "fft": lambda x: torch.view_as_real(torch.fft.fft(mix(x))).flatten(1),
    "rfft_filter": lambda x: torch.fft.irfft(torch.fft.rfft(torch.tanh(mix(x))) * torch.tensor([1.0, 0.5j, 0.2]), n=4),
    "spectral_conv": lambda x: (
        torch.fft.irfft(
            torch.einsum("nk,k->nk", torch.fft.rfft(mix(x)), torch.tensor([1 + 1j, 2 - 1j, 0.5j]).to(torch.complex128)),
            n=4,
        )
        ** 2
    ),
    "rfft2": lambda x: torch.fft.irfft2(torch.fft.rfft2(grid(x)) * 0.5, s=(2, 2)).flatten(1) ** 2,
    "complex_exp": lambda x: torch.view_as_real(
        torch.fft.rfft(mix(x)) * torch.fft.rfft(torch.sin(mix(x))).conj()
    ).flatten(1),
    "avg_pool": lambda x: F.avg_pool2d(grid(x), 2).flatten(1),
    "iterate": lambda x: torch.stack([column * column for column in mix(x).mT], -1),
}

NORMALISE = {
    "softmax": lambda x: F.softmax(mix(x), dim=-1),
    "torch_softmax": lambda x: torch.softmax(mix(x), -1),
    "method_softmax": lambda x: mix(x).softmax(-1),
    "log_softmax": lambda x: F.log_softmax(mix(x), dim=-1),
    "logsumexp": lambda x: torch.logsumexp(mix(x), -1, keepdim=True),
    "logsumexp_flat": lambda x: mix(x).logsumexp(1).unsqueeze(-1),
    "layer_norm": lambda x: layer_norm(mix(x), B, B),
    "layer_norm_plain": lambda x: layer_norm(mix(x)),
    "rms_norm": lambda x: F.rms_norm(mix(x), (4,), B, 1e-6),
    "group_norm": lambda x: F.group_norm(mix(x), 2, B, B),
    "normalize": lambda x: F.normalize(mix(x), dim=-1),
    "attention": attention,
    "attention_causal": lambda x: attention(x, is_causal=True),
    "attention_masked": lambda x: attention(x, attn_mask=torch.tensor([[True, False], [True, True]])),
    "attention_softmax": lambda x: (torch.softmax(grid(x) @ grid(x).transpose(-1, -2) / 2, -1) @ grid(x)).flatten(1),
}


def after_mix(f):
    return lambda x: f(mix(x))


CASES = {name: after_mix(f) for name, f in (ELEMENTWISE | BINARY).items()} | STRUCTURE | NORMALISE


@pytest.mark.parametrize("name", CASES)
def test_rule_matches_nested_autograd(name):
    f, order = CASES[name], 6
    found = jet(f, POINTS, DIRECTIONS, order)
    for s, v in enumerate(DIRECTIONS):
        expected = nested(f, POINTS, v, order)
        scale = expected.abs().amax(dim=(1, 2), keepdim=True).clamp(min=1.0)
        # 1e-10 relative to the largest entry of each order: float64 rounding through six orders of nesting.
        torch.testing.assert_close(found[:, s] / scale, expected / scale, rtol=0, atol=1e-10)


@pytest.mark.parametrize("name", [n for n in CASES if n not in ("linear_module", "linear_jet_weight")])
def test_summed_rows_equal_the_sum_of_kept_ones(name):
    """A layout that sums directions where they end gives the weighted sum of the uniform layout's rows."""
    f = CASES[name]
    coefficients = jet(f, POINTS, DIRECTIONS, 4)
    weights4 = torch.tensor([[2.0, -1.0]], dtype=torch.float64)
    weights2 = torch.tensor([[0.5]], dtype=torch.float64)
    # Direction 0 and 1 end at order 4 in one sum, direction 2 ends at order 2 in a sum of its own.
    layout = Layout((3, 2, 2, 0), (None, weights2, None, weights4))
    x = Jet([POINTS, DIRECTIONS[:, None, :], None, None, None], layout)
    y = f(x)
    expected2 = torch.cat([coefficients[2, :2], 0.5 * coefficients[2, 2:]]) / 2
    expected4 = (2 * coefficients[4, :1] - coefficients[4, 1:2]) / 24
    for k, expected in ((2, expected2), (4, expected4)):
        found = y.row(k)
        found = torch.zeros_like(expected) if found is None else found
        torch.testing.assert_close(found, expected, rtol=1e-10, atol=1e-10 * float(expected.abs().max() + 1))


def test_relu_has_no_curvature():
    values = jet(F.relu, torch.tensor([[-1.0], [2.0]]), torch.ones(1, 1), 3)
    assert values[:, 0, :, 0].tolist() == [[0.0, 2.0], [0.0, 1.0], [0.0, 0.0], [0.0, 0.0]]


def test_power_is_regular_at_zero():
    x = torch.zeros(1, 1, dtype=torch.float64)
    assert jet(lambda t: t**3, x, torch.ones(1, 1).double(), 4).flatten().tolist() == [0, 0, 0, 6, 0]


def test_missing_rule_names_the_operation_and_the_remedy():
    with pytest.raises(NotImplementedError, match=r"lgamma.*kjet\.jets\.rule"):
        jet(torch.lgamma, torch.ones(1, 1), torch.ones(1, 1), 1)


def test_unknown_attribute():
    x = Jet([torch.ones(2), None], Layout.uniform(1, 1))
    with pytest.raises(AttributeError, match="nosuch"):
        x.nosuch  # noqa: B018


def test_registered_rule_is_used():
    def doubled(x):
        return Jet.__torch_function__(doubled, (), (x,)) if isinstance(x, Jet) else 2 * x

    @rule(doubled)
    def _doubled(x):
        return x + x

    try:
        assert jet(doubled, torch.ones(1, 1), torch.ones(1, 1), 1).flatten().tolist() == [2.0, 2.0]
        assert doubled in rules()
    finally:
        from kjet.jets import jet as _  # noqa: F401
        from kjet.jets.jet import _RULES

        del _RULES[doubled]


def test_rule_refuses_what_is_no_operation():
    with pytest.raises(TypeError, match="torch operations"):
        rule("tanh")
