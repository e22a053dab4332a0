"""Modules of torch.nn run on jets as they are: values, derivatives to order 6 and gradients of their parameters."""

import math

import pytest
import torch
import torch.nn.functional as F  # noqa: N812
from torch import nn

from kjet.errors import JetRuleError, NonSmoothWarning
from kjet.jets import Jet, Layout, jet
from tests.jets.oracles import POINTS, by_fit, curves, rows_of, start

ORDER = 6


class On(nn.Module):
    """A module on features made of each point, in its shape; the result is flattened."""

    def __init__(self, module, *shape, call=None):
        super().__init__()
        self.first, self.module, self.shape, self.call = nn.Linear(2, math.prod(shape)), module, shape, call

    def forward(self, x):
        h = torch.sin(self.first(x)).reshape(x.shape[0], *self.shape)
        y = self.module(h) if self.call is None else self.call(self.module, h)
        return y.reshape(y.shape[0], -1)


class Pirate(nn.Module):
    """Physics-informed residual adaptive block behind random Fourier features."""

    def __init__(self, width=8):
        super().__init__()
        self.frequencies = nn.Parameter(torch.randn(2, width // 2))
        self.gates = nn.ModuleList(nn.Linear(width, width) for _ in range(2))
        self.layers = nn.ModuleList(nn.Linear(width, width) for _ in range(3))
        self.alpha = nn.Parameter(torch.tensor(0.3))
        self.last = nn.Linear(width, 2)

    def forward(self, x):
        phase = x @ self.frequencies
        h = torch.cat([torch.cos(phase), torch.sin(phase)], -1)
        u, v = (torch.tanh(gate(h)) for gate in self.gates)
        f = torch.tanh(self.layers[0](h))
        z = f * u + (1 - f) * v
        g = torch.tanh(self.layers[1](z))
        w = g * u + (1 - g) * v
        h = self.alpha * torch.tanh(self.layers[2](w)) + (1 - self.alpha) * h
        return self.last(h)


class Siren(nn.Module):
    def __init__(self):
        super().__init__()
        self.layers = nn.ModuleList([nn.Linear(2, 8), nn.Linear(8, 8), nn.Linear(8, 2)])

    def forward(self, x):
        for layer in self.layers[:-1]:
            x = torch.sin(2.0 * layer(x))
        return self.layers[-1](x)


class Fourier(nn.Module):
    """A Fourier layer over several axes, its modes cut and mixed by complex weights."""

    def __init__(self, channels, modes, axes):
        super().__init__()
        self.weight = nn.Parameter(torch.randn(channels, channels, *(modes,) * axes, 2))
        self.skip = (nn.Conv1d, nn.Conv2d, nn.Conv3d)[axes - 1](channels, channels, 1)
        self.modes, self.axes = modes, axes

    def forward(self, h):
        dims = tuple(range(-self.axes, 0))
        spectrum = torch.fft.rfftn(h, dim=dims)
        kept = spectrum[(..., *(slice(self.modes),) * self.axes)]
        mixed = torch.einsum("bi...,io...->bo...", kept, torch.view_as_complex(self.weight))
        out = spectrum.new_zeros(spectrum.shape)
        out[(..., *(slice(self.modes),) * self.axes)] = mixed
        return F.gelu(torch.fft.irfftn(out, s=h.shape[-self.axes :], dim=dims) + self.skip(h))


class Messages(nn.Module):
    """One round of message passing on a fixed graph, edge features from distances, sums at the receivers."""

    def __init__(self):
        super().__init__()
        self.edge = nn.Sequential(nn.Linear(7, 5), nn.SiLU(), nn.Linear(5, 4))
        self.node = nn.GRUCell(4, 3)
        self.register_buffer("sender", torch.tensor([0, 1, 2, 3, 0]))
        self.register_buffer("receiver", torch.tensor([1, 2, 3, 0, 2]))

    def forward(self, h):  # (n, 4 nodes, 3)
        one, two = h[:, self.sender], h.index_select(1, self.receiver)
        length = torch.linalg.vector_norm(one - two + 0.1, dim=-1, keepdim=True)
        messages = self.edge(torch.cat([one, two, length], -1))
        gathered = h.new_zeros(h.shape[0], 4, 4).index_add_(1, self.receiver, messages)
        mean = gathered / torch.bincount(self.receiver, minlength=4).clamp(min=1).to(h.dtype).unsqueeze(-1)
        return self.node(mean.flatten(0, 1), h.flatten(0, 1)).reshape(h.shape)


class Weighted(nn.Module):
    """Solves with a matrix made of the features."""

    def forward(self, h):  # (n, 3, 4)
        matrix = torch.matmul(h[..., :3], h[..., :3].mT) + torch.eye(3, dtype=h.dtype)
        return torch.linalg.solve(matrix, h[..., 3:])


def first(module, h):
    return module(h)[0]


def to_itself(module, h, **kwargs):
    return module(h, h, h, **kwargs)[0]


def masked(module, h):
    return module(h, src_mask=nn.Transformer.generate_square_subsequent_mask(h.shape[1], dtype=h.dtype), is_causal=True)


def weights_too(module, h):
    y, weights = module(h, h, h, need_weights=True, average_attn_weights=False)
    return torch.cat([y.flatten(1), weights.flatten(1)], 1)


def padded(module, h):
    padding = torch.zeros(h.shape[0], h.shape[1], dtype=torch.bool)
    padding[:, -1] = True
    return module(h, h, h, key_padding_mask=padding, need_weights=False)[0]


def small(kind, *args, **kwargs):
    return lambda: kind(*args, **kwargs)


ENCODER = {"d_model": 4, "nhead": 2, "dim_feedforward": 6, "batch_first": True}
ACTIVATIONS = {
    "Tanh": nn.Tanh(), "Sigmoid": nn.Sigmoid(), "SiLU": nn.SiLU(), "SiLU_inplace": nn.SiLU(inplace=True),
    "GELU": nn.GELU(), "GELU_tanh": nn.GELU("tanh"), "Softplus": nn.Softplus(), "Softplus_2": nn.Softplus(2.0),
    "Mish": nn.Mish(), "LogSigmoid": nn.LogSigmoid(), "Tanhshrink": nn.Tanhshrink(), "Softmax": nn.Softmax(-1),
    "LogSoftmax": nn.LogSoftmax(-1), "Softmin": nn.Softmin(-1), "GLU": nn.GLU(),
}  # fmt: skip
KINKED = {
    "ELU": nn.ELU(), "CELU": nn.CELU(), "SELU": nn.SELU(), "Softsign": nn.Softsign(), "Hardswish": nn.Hardswish(),
    "ReLU": nn.ReLU(), "ReLU_inplace": nn.ReLU(inplace=True), "LeakyReLU": nn.LeakyReLU(), "PReLU": nn.PReLU(),
    "RReLU": nn.RReLU(), "ReLU6": nn.ReLU6(), "Hardtanh": nn.Hardtanh(), "Hardsigmoid": nn.Hardsigmoid(),
    "Hardshrink": nn.Hardshrink(), "Softshrink": nn.Softshrink(), "Threshold": nn.Threshold(0.1, 0.2),
}  # fmt: skip
MODULES = {
    "mlp": small(nn.Sequential, nn.Linear(2, 6), nn.Tanh(), nn.Linear(6, 6), nn.Tanh(), nn.Linear(6, 2)),
    "pirate": Pirate,
    "siren": Siren,
    "identity": lambda: On(nn.Identity(), 3),
    "dropout": lambda: On(nn.Sequential(nn.Dropout(0.5), nn.AlphaDropout(0.1)), 3),
    "flatten": lambda: On(nn.Sequential(nn.Flatten(), nn.Unflatten(1, (3, 2)), nn.Tanh()), 2, 3),
    "encoder_layer": lambda: On(nn.TransformerEncoderLayer(**ENCODER, activation="gelu"), 3, 4),
    "encoder_layer_first": lambda: On(nn.TransformerEncoderLayer(**ENCODER, norm_first=True, activation=F.silu), 3, 4),
    "encoder_layer_masked": lambda: On(
        nn.TransformerEncoderLayer(**ENCODER, activation="gelu", bias=False), 3, 4, call=masked
    ),
    "encoder": lambda: On(
        nn.TransformerEncoder(nn.TransformerEncoderLayer(**ENCODER, activation=torch.tanh), 2, None, False), 3, 4
    ),
    "decoder_layer": lambda: On(
        nn.TransformerDecoderLayer(**ENCODER, activation="gelu"), 3, 4, call=lambda m, h: m(h, torch.cos(h))
    ),
    "attention": lambda: On(nn.MultiheadAttention(4, 2), 3, 4, call=to_itself),
    "attention_weights": lambda: On(nn.MultiheadAttention(4, 2, batch_first=True), 3, 4, call=weights_too),
    "attention_padded": lambda: On(
        nn.MultiheadAttention(4, 2, batch_first=True, add_bias_kv=True, add_zero_attn=True), 3, 4, call=padded
    ),
    "attention_other_widths": lambda: On(
        nn.MultiheadAttention(4, 2, kdim=2, vdim=3, batch_first=True),
        3,
        4,
        call=lambda m, h: m(h, h[..., :2], h[..., 1:], need_weights=False)[0],
    ),
    "attention_of_one": lambda: On(nn.MultiheadAttention(4, 2), 4, call=to_itself),
    "layer_norm": lambda: On(nn.LayerNorm((2, 3)), 2, 3),
    "rms_norm": lambda: On(nn.RMSNorm(4), 4),
    "group_norm": lambda: On(nn.GroupNorm(2, 4), 4, 3),
    "batch_norm_1d": lambda: On(nn.BatchNorm1d(4), 4),
    "batch_norm_2d": lambda: On(nn.BatchNorm2d(2), 2, 3, 3),
    "instance_norm": lambda: On(nn.InstanceNorm1d(2, affine=True), 2, 4),
    "instance_norm_running": lambda: On(nn.InstanceNorm1d(2, track_running_stats=True), 2, 4),
    "local_response": lambda: On(nn.LocalResponseNorm(2), 4, 3),
    "rnn_cell": lambda: On(nn.RNNCell(3, 4), 3),
    "gru_cell": lambda: On(nn.GRUCell(3, 4), 3),
    "gru_cell_state": lambda: On(nn.GRUCell(3, 3, bias=False), 3, call=lambda m, h: m(h, m(h, h.cos()))),
    "lstm_cell": lambda: On(nn.LSTMCell(3, 4), 3, call=lambda m, h: torch.cat(m(h, m(h)), -1)),
    "rnn": lambda: On(nn.RNN(3, 2, batch_first=True), 4, 3, call=first),
    "gru": lambda: On(nn.GRU(3, 2, num_layers=2, bidirectional=True, batch_first=True), 4, 3, call=first),
    "gru_last": lambda: On(nn.GRU(3, 2, bias=False), 4, 3, call=lambda m, h: m(h.transpose(0, 1))[1].transpose(0, 1)),
    "lstm": lambda: On(nn.LSTM(3, 2, batch_first=True), 4, 3, call=first),
    "lstm_projected": lambda: On(nn.LSTM(3, 4, proj_size=2, batch_first=True), 4, 3, call=first),
    "conv_1d": lambda: On(nn.Sequential(nn.Conv1d(2, 3, 3, padding=1), nn.Tanh(), nn.AvgPool1d(2)), 2, 4),
    "conv_2d": lambda: On(
        nn.Sequential(nn.Conv2d(2, 3, 3, padding="same"), nn.SiLU(), nn.AdaptiveAvgPool2d(2)), 2, 3, 3
    ),
    "conv_2d_circular": lambda: On(nn.Conv2d(2, 2, 3, padding=1, padding_mode="circular"), 2, 3, 3),
    "conv_3d": lambda: On(nn.Sequential(nn.Conv3d(1, 2, 2), nn.Sigmoid(), nn.AvgPool3d(1)), 1, 3, 2, 2),
    "conv_transposed": lambda: On(
        nn.Sequential(nn.ConvTranspose1d(2, 3, 3, stride=2, output_padding=1), nn.Tanh(), nn.ConvTranspose1d(3, 1, 2)),
        2,
        3,
    ),
    "conv_transposed_2d": lambda: On(nn.ConvTranspose2d(2, 2, 2, groups=2), 2, 2, 3),
    "conv_transposed_3d": lambda: On(nn.ConvTranspose3d(1, 2, 2, bias=False), 1, 2, 2, 2),
    "power_pool": lambda: On(nn.Sequential(nn.Softplus(), nn.LPPool1d(2, 2)), 2, 4),
    "fourier_1d": lambda: On(Fourier(2, 2, 1), 2, 6),
    "fourier_2d": lambda: On(Fourier(2, 2, 2), 2, 4, 4),
    "fourier_3d": lambda: On(Fourier(1, 2, 3), 1, 3, 2, 4),
    "messages": lambda: On(Messages(), 4, 3),
    "solve": lambda: On(Weighted(), 3, 4),
    "bilinear": lambda: On(nn.Bilinear(2, 3, 2), 5, call=lambda m, h: m(h[:, :2], h[:, 2:])),
    "cosine": lambda: On(nn.CosineSimilarity(-1), 2, 4, call=lambda m, h: m(2 + h[:, 0], h[:, 1] - 2)),
    "pairwise": lambda: On(nn.PairwiseDistance(), 2, 4, call=lambda m, h: m(2 + h[:, 0], h[:, 1])),
    "embedding": lambda: On(nn.Embedding(4, 3), 3, call=lambda m, h: h * m(torch.tensor([0, 3, 1]))),
    "upsample": lambda: On(nn.Upsample(scale_factor=2, mode="bilinear", align_corners=False), 2, 2, 3),
    "pixels": lambda: On(nn.Sequential(nn.PixelShuffle(2), nn.PixelUnshuffle(2), nn.ChannelShuffle(2)), 4, 2, 2),
    "folds": lambda: On(nn.Sequential(nn.Unfold(2), nn.Fold((3, 3), 2)), 2, 3, 3),
    "pads": lambda: On(nn.Sequential(nn.ReflectionPad1d(1), nn.ReplicationPad1d(1), nn.ConstantPad1d(1, 2.0)), 2, 3),
    "weight_norm": lambda: On(nn.utils.parametrizations.weight_norm(nn.Linear(3, 4)), 3),
    "softmax_2d": lambda: On(nn.Softmax2d(), 3, 2, 2),
    "checkpoint": lambda: On(
        nn.Sequential(nn.Linear(3, 3), nn.Tanh()),
        3,
        call=lambda m, h: torch.utils.checkpoint.checkpoint(m, h, use_reentrant=False),
    ),
}
for _name, _activation in ACTIVATIONS.items():
    MODULES[f"activation_{_name}"] = lambda m=_activation: On(nn.Sequential(nn.Linear(4, 4), m), 4)


def made(name):
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(1)
        module = MODULES[name]().double().eval()
        for buffer_name, buffer in module.named_buffers():
            if "running" in buffer_name:
                buffer.uniform_(0.5, 1.5)
    return module


@pytest.fixture(autouse=True)
def math_attention():
    with torch.nn.attention.sdpa_kernel(torch.nn.attention.SDPBackend.MATH):
        yield


@pytest.mark.parametrize("name", MODULES)
def test_module_matches_a_fit(name):
    f, path, radius = made(name), curves(order=ORDER), 0.3
    y = f(start(path, ORDER))
    torch.testing.assert_close(y.primal, f(POINTS), rtol=1e-13, atol=1e-13)
    found = rows_of(y, ORDER).detach()
    factors = radius ** torch.arange(ORDER + 1.0).double().reshape(-1, *(1,) * (found.ndim - 2))
    for row in range(2):
        expected = by_fit(f, path, row, ORDER, radius)
        scale = float(expected[0].abs().max().clamp(min=1.0))
        torch.testing.assert_close(found[:, row] * factors / scale, expected / scale, rtol=0, atol=2e-9)


LONG = ("encoder", "decoder_layer", "encoder_layer_masked", "gru", "lstm")
WITH_PARAMETERS = [
    pytest.param(name, marks=pytest.mark.slow if name in LONG else ())
    for name in MODULES
    if not name.startswith("activation") or name.endswith(("GELU", "SiLU"))
]


@pytest.mark.parametrize("name", WITH_PARAMETERS)
def test_gradients_of_every_parameter(name):
    """Finite differences along a random change of all parameters, of coefficients to order 3, one of them summed."""
    f, path = made(name), curves(count=3, order=3)
    keys, values = zip(*f.named_parameters(), strict=True)
    layout = Layout((3, 3, 1), (None, None, torch.tensor([[1.0, -0.5]], dtype=torch.float64)))
    x = Jet([path[0, 0], path[1], path[2], layout.reduce(3, path[3])], layout)

    def coefficients(*parameters):
        y = torch.func.functional_call(f, dict(zip(keys, parameters, strict=True)), (x,))
        rows = [y.row(k) for k in range(1, 4)]
        return y.primal, *(row for row in rows if row is not None)

    leaves = tuple(v.detach().clone().requires_grad_() for v in values)
    used = torch.autograd.grad(sum(c.sum() for c in coefficients(*leaves)), leaves, allow_unused=True)
    assert all(g is not None for g in used) or name in ("attention_of_one", "attention_weights", "embedding")
    assert torch.autograd.gradcheck(coefficients, leaves, fast_mode=True, atol=1e-6)


@pytest.mark.parametrize("name", KINKED)
def test_activation_with_a_kink(name):
    module = nn.Sequential(nn.Linear(2, 3), KINKED[name]).double().eval()
    with pytest.warns(NonSmoothWarning) as caught:
        values = jet(module, POINTS, torch.ones(1, 2).double(), 3)
    assert len(caught) == 1
    leaf = torch.zeros((), dtype=torch.float64, requires_grad=True)
    torch.testing.assert_close(values[0, 0], module(POINTS), rtol=1e-13, atol=1e-13)
    slope = torch.autograd.functional.jacobian(lambda t: module(POINTS + t), leaf)
    # torch takes the slope of hardsigmoid in single precision.
    torch.testing.assert_close(values[1, 0], slope, rtol=1e-7 if name == "Hardsigmoid" else 1e-12, atol=1e-12)


def test_transformer_with_relu_warns_once():
    module = On(nn.TransformerEncoderLayer(**ENCODER), 3, 4).double().eval()
    with pytest.warns(NonSmoothWarning) as caught:
        jet(module, POINTS, torch.ones(1, 2).double(), 2)
    assert len(caught) == 1


@pytest.mark.parametrize(
    "module",
    [nn.BatchNorm1d(3), nn.Sequential(nn.Linear(3, 3), nn.RReLU()), nn.MultiheadAttention(3, 1, dropout=0.2),
     nn.LSTM(3, 3, num_layers=2, dropout=0.3)],
    ids=lambda m: type(m).__name__,
)  # fmt: skip
def test_training_mode_that_mixes_or_draws_is_refused(module):
    f = On(module, 3, call=to_itself if isinstance(module, nn.MultiheadAttention) else None).double().train()
    with pytest.raises(JetRuleError, match=r"eval\(\)"):
        jet(f, POINTS, torch.ones(1, 2).double(), 1)


def test_packed_sequences_are_refused():
    def packed(module, h):
        return torch.gru(h, torch.ones(1).long(), h, list(module.parameters()), True, 1, 0.0, False, False)

    with pytest.raises(JetRuleError, match="packed"):
        jet(On(nn.GRU(3, 3), 3, call=packed).double(), POINTS, torch.ones(1, 2).double(), 1)
