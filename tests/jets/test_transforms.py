"""Jets under autograd, double backward, torch.func transforms, other dtypes, compilation, and real layers."""

import math

import pytest
import torch
from torch import nn

from kjet.errors import ConfigError
from kjet.jets import Jet, Layout, Plan, Trace, biharmonic, jet, laplacian, partials, quantity, reference

LAPLACIAN = quantity({(2, 0): 1.0, (0, 2): 1.0})
BIHARMONIC = quantity({(4, 0): 1.0, (2, 2): 2.0, (0, 4): 1.0})
THIRD = quantity({(3, 0): 1.0, (1, 2): -1.0})
SLOPE = quantity({(1, 0): 1.0})
# torch's forward mode compiles its decompositions by torch.jit.script, which it deprecates itself.
FORWARD_MODE = pytest.mark.filterwarnings("ignore:.*torch.jit.script.*:DeprecationWarning")
VALUE = quantity({(0, 0): 1.0})


def loss_of(values):
    return sum((value**2).sum() for value in values.values())


def gradients(loss, network):
    return torch.autograd.grad(loss, list(network.parameters()), allow_unused=True, materialize_grads=True)


def reference_loss(f, x, names):
    indices = {index for name in names for index in name.dense(2)}
    found = reference.partials(f, x, indices, create_graph=True)
    return loss_of({name: sum(c * found[index] for index, c in name.dense(2).items()) for name in names})


def assert_same(found, expected, rtol, atol):
    for value, other in zip(found, expected, strict=True):
        torch.testing.assert_close(value, other, rtol=rtol, atol=atol)


SETS = {
    "first": [SLOPE], "second": [VALUE, SLOPE, LAPLACIAN], "third": [THIRD, SLOPE], "fourth": [BIHARMONIC, LAPLACIAN],
    "mixed": [quantity({(1, 1): 1.0}), quantity({(2, 1): 1.0})],
}  # fmt: skip


@pytest.mark.parametrize("activation", [nn.Tanh, nn.SiLU, nn.GELU, nn.Softplus], ids=lambda a: a.__name__)
@pytest.mark.parametrize("name", SETS)
def test_gradients_to_parameters_match_nested_autograd(name, activation, network, points):
    f, x = network(2, 2, activation=activation), points(5, 2)
    found = gradients(loss_of(Plan.build(SETS[name], 2)(f, x)), f)
    # Through five nested passes and interpolation weights: ten digits are left of sixteen.
    assert_same(found, gradients(reference_loss(f, x, SETS[name]), f), rtol=1e-9, atol=1e-9)


@pytest.mark.parametrize("name", SETS)
def test_gradients_to_points_match_nested_autograd(name, network, points):
    f, x = network(2, 2), points(5, 2).requires_grad_()
    (found,) = torch.autograd.grad(loss_of(Plan.build(SETS[name], 2)(f, x)), x)
    (expected,) = torch.autograd.grad(reference_loss(f, x, SETS[name]), x)
    torch.testing.assert_close(found, expected, rtol=1e-9, atol=1e-9)


def functional(names, f, x):
    """The loss as a function of the parameters alone."""
    keys, plan = [key for key, _ in f.named_parameters()], Plan.build(names, 2)

    def loss(*values):
        parameters = dict(zip(keys, values, strict=True))
        return loss_of(plan(lambda z: torch.func.functional_call(f, parameters, (z,)), x))

    return loss, tuple(p.detach().clone().requires_grad_() for p in f.parameters())


@pytest.mark.parametrize("activation", [nn.Tanh, nn.Sigmoid], ids=lambda a: a.__name__)
@pytest.mark.parametrize("name", ["second", "third"])
def test_double_backward(name, activation, network, points):
    """Second derivatives in the parameters: order 2 takes the written-out backward pass, order 3 the plain one."""
    loss, values = functional(SETS[name], network(2, 1, width=2, activation=activation), points(2, 2))
    assert torch.autograd.gradcheck(loss, values)
    assert torch.autograd.gradgradcheck(loss, values)


@pytest.mark.parametrize("name", ["second", "third", "fourth"])
def test_func_grad_equals_autograd(name, network, points):
    f, x = network(2, 2), points(4, 2)
    loss, values = functional(SETS[name], f, x)
    found = torch.func.grad(loss, argnums=tuple(range(len(values))))(*values)
    expected = gradients(loss_of(Plan.build(SETS[name], 2)(f, x)), f)
    assert_same(found, expected, rtol=1e-12, atol=1e-12)


@FORWARD_MODE
@pytest.mark.parametrize("name", ["second", "third", "fourth"])
def test_func_jvp_equals_the_gradient(name, network, points):
    loss, values = functional(SETS[name], network(2, 2), points(4, 2))
    tangents = tuple(torch.full_like(v, 0.1) + 0.05 * v.detach() for v in values)
    _, found = torch.func.jvp(loss, values, tangents)
    slopes = torch.autograd.grad(loss(*values), values, allow_unused=True, materialize_grads=True)
    expected = sum((g * t).sum() for g, t in zip(slopes, tangents, strict=True))
    torch.testing.assert_close(found, expected, rtol=1e-11, atol=1e-11)


@FORWARD_MODE
@pytest.mark.parametrize("name", ["second", "third"])
def test_forward_over_reverse(name, network, points):
    """Hessian-vector products by both routes."""
    loss, values = functional(SETS[name], network(2, 1, width=3), points(3, 2))
    arguments = tuple(range(len(values)))
    tangents = tuple(torch.full_like(v, 0.1) for v in values)
    _, found = torch.func.jvp(torch.func.grad(loss, argnums=arguments), values, tangents)
    slopes = torch.autograd.grad(loss(*values), values, create_graph=True, allow_unused=True, materialize_grads=True)
    inner = sum((g * t).sum() for g, t in zip(slopes, tangents, strict=True))
    expected = torch.autograd.grad(inner, values, allow_unused=True, materialize_grads=True)
    assert_same(found, expected, rtol=1e-11, atol=1e-11)


@pytest.mark.parametrize("name", ["second", "third", "fourth"])
def test_vmap_over_points(name, network, points):
    f, x, plan = network(2, 2), points(4, 2), Plan.build(SETS[name], 2)
    batch = plan(f, x)
    found = torch.func.vmap(lambda point: plan(f, point.unsqueeze(0)))(x)
    for key, value in batch.items():
        torch.testing.assert_close(found[key][:, 0], value, rtol=1e-12, atol=1e-12)


@pytest.mark.parametrize("name", ["second", "third"])
def test_gradients_of_each_point(name, network, points):
    """vmap of grad: what Gauss-Newton needs, one row of the Jacobian for each residual."""
    f, x, plan = network(2, 1), points(4, 2), Plan.build(SETS[name], 2)
    parameters = {key: value.detach() for key, value in f.named_parameters()}

    def residual(values, point):
        call = plan(lambda z: torch.func.functional_call(f, values, (z,)), point.unsqueeze(0))
        return sum(value.sum() for value in call.values())

    rows = torch.func.vmap(torch.func.grad(residual), in_dims=(None, 0))(parameters, x)
    for i in range(len(x)):
        total = sum(value.sum() for value in plan(f, x[i : i + 1]).values())
        assert_same([row[i] for row in rows.values()], gradients(total, f), rtol=1e-11, atol=1e-11)


@pytest.mark.parametrize("name", ["second", "third"])
def test_vmap_over_networks(name, points):
    """An ensemble: parameters carry the batch axis, points do not."""
    x, plan = points(4, 2), Plan.build(SETS[name], 2)
    weights = torch.randn(3, 5, 2, generator=torch.Generator().manual_seed(0), dtype=torch.float64)

    def evaluate(w):
        return plan(lambda z: torch.tanh(nn.functional.linear(z, w)).sum(-1, keepdim=True), x)

    found = torch.func.vmap(evaluate)(weights)
    for i in range(3):
        for key, value in evaluate(weights[i]).items():
            torch.testing.assert_close(found[key][i], value, rtol=1e-12, atol=1e-12)


@pytest.mark.parametrize("name", SETS)
def test_float32(name, network, points):
    f, x = network(2, 2, dtype=torch.float32), points(5, 2, dtype=torch.float32)
    values = Plan.build(SETS[name], 2)(f, x)
    exact = Plan.build(SETS[name], 2)(network(2, 2), x.double())
    for key, value in values.items():
        assert value.dtype is torch.float32
        scale = float(exact[key].detach().abs().max())
        # A few dozen roundings of float32, relative to the largest value.
        torch.testing.assert_close(value.double() / scale, exact[key] / scale, rtol=0, atol=2e-5)


def test_float32_keeps_its_digits_at_high_order(network, points):
    """The recurrences lose no digits by cancellation between large terms, even at order 8."""
    x, v = points(8, 2), torch.tensor([[0.6, 0.8]], dtype=torch.float64)
    exact = jet(network(2, 1), x, v, 8)
    found = jet(network(2, 1, dtype=torch.float32), x.float(), v.float(), 8)
    for k in range(9):
        scale = float(exact[k].detach().abs().max())
        torch.testing.assert_close(found[k].double() / scale, exact[k] / scale, rtol=0, atol=1e-4)


def test_no_grad(network, points):
    f, x = network(2, 2), points(5, 2)
    expected = laplacian(f, x)
    with torch.no_grad():
        found = laplacian(f, x)
    assert not found.requires_grad
    torch.testing.assert_close(found, expected.detach(), rtol=1e-13, atol=1e-13)
    with torch.inference_mode():
        torch.testing.assert_close(laplacian(f, x), expected.detach(), rtol=1e-13, atol=1e-13)


class FourierFeatures(nn.Module):
    """Random features in front of a small network."""

    def __init__(self, network):
        super().__init__()
        self.register_buffer("frequencies", torch.tensor([[1.0, 0.3, -0.7], [0.2, 1.5, 0.9]], dtype=torch.float64))
        self.network = network(6, 1)

    def forward(self, x):
        phase = math.pi * x @ self.frequencies
        return self.network(torch.cat([torch.sin(phase), torch.cos(phase)], -1))


class Normalised(nn.Module):
    """Layer normalisation between layers.

    The oracle is its definition: from the third derivative on, torch's nested derivatives of layer_norm itself are not
    those of the function.
    """

    def __init__(self, network):
        super().__init__()
        self.first, self.norm, self.last = nn.Linear(2, 6), nn.LayerNorm(6, eps=0.1), nn.Linear(6, 1)

    def normalise(self, h):
        if isinstance(h, Jet):
            return self.norm(h)
        centred = h - h.mean(-1, keepdim=True)
        scaled = centred / torch.sqrt((centred**2).mean(-1, keepdim=True) + self.norm.eps)
        return scaled * self.norm.weight + self.norm.bias

    def forward(self, x):
        return self.last(torch.tanh(self.normalise(torch.sin(self.first(x)))))


class Attention(nn.Module):
    """Four tokens made of each point, that attend to each other."""

    def __init__(self, network):
        super().__init__()
        self.tokens, self.queries, self.last = nn.Linear(2, 12), nn.Linear(3, 9), nn.Linear(12, 1)

    def forward(self, x):
        tokens = torch.tanh(self.tokens(x)).reshape(*x.shape[:-1], 4, 3)
        q, k, v = self.queries(tokens).chunk(3, -1)
        scores = torch.softmax(q @ k.transpose(-1, -2) / math.sqrt(3), -1)
        return self.last((tokens + scores @ v).flatten(-2))


class Convolution(nn.Module):
    """A one-dimensional convolution over features of each point."""

    def __init__(self, network):
        super().__init__()
        self.first, self.convolution, self.last = nn.Linear(2, 8), nn.Conv1d(1, 2, 3, padding=1), nn.Linear(16, 1)

    def forward(self, x):
        features = torch.tanh(self.first(x)).unsqueeze(1)
        return self.last(torch.sigmoid(self.convolution(features)).flatten(1))


class Spectral(nn.Module):
    """A Fourier layer: rfft, complex weights on a few modes, irfft."""

    def __init__(self, network):
        super().__init__()
        self.first, self.last = nn.Linear(2, 8), nn.Linear(8, 1)
        self.weights = nn.Parameter(torch.randn(5, 2, generator=torch.Generator().manual_seed(2), dtype=torch.float64))

    def forward(self, x):
        features = torch.tanh(self.first(x))
        modes = torch.fft.rfft(features) * torch.view_as_complex(self.weights)
        return self.last(torch.tanh(features + torch.fft.irfft(modes, n=8)))


@pytest.mark.parametrize("layer", [FourierFeatures, Normalised, Attention, Convolution, Spectral])
@pytest.mark.parametrize("name", ["second", "third", "fourth"])
def test_layers(layer, name, network, points):
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(0)
        f = layer(network).double()
    x = points(4, 2)
    plan = Plan.build(SETS[name], 2)
    values = plan(f, x)
    expected = reference.partials(f, x, {index for key in SETS[name] for index in key.dense(2)})
    for key, value in values.items():
        wanted = sum(c * expected[index] for index, c in key.dense(2).items())
        assert float(wanted.abs().max()) > 1e-4
        torch.testing.assert_close(value, wanted, rtol=1e-9, atol=1e-9)
    if name == "fourth":  # nested autograd of the gradient is slow here
        return
    found, wanted = gradients(loss_of(values), f), gradients(reference_loss(f, x, SETS[name]), f)
    assert_same(found, wanted, rtol=1e-8, atol=1e-8)


def compiled_equals_eager(f, x, names, backend):
    plan = Plan.build(names, 2)

    def loss(points):
        return loss_of(plan(f, points))

    torch.compiler.reset()
    compiled = torch.compile(loss, fullgraph=True, backend=backend)
    found, expected = compiled(x), loss(x)
    torch.testing.assert_close(found, expected, rtol=1e-12, atol=1e-12)
    assert_same(gradients(found, f), gradients(expected, f), rtol=1e-10, atol=1e-10)


def test_traces_without_a_break(network, points):
    compiled_equals_eager(network(2, 1, width=3), points(3, 2), [LAPLACIAN], "aot_eager")


# Inductor's own generated code raises such warnings when it is imported; they are not ours.
@pytest.mark.filterwarnings("ignore::DeprecationWarning", "ignore::UserWarning", "ignore::ResourceWarning")
@pytest.mark.slow
@pytest.mark.parametrize("name", ["second", "fourth"])
def test_compiles(name, network, points):
    compiled_equals_eager(network(2, 2, width=16), points(32, 2), SETS[name], "inductor")


@pytest.mark.parametrize("function", [laplacian, biharmonic])
def test_make_fx_captures_plain_operations(function, network, points):
    """The pass is ordinary code: captured on one batch, the graph is right on another."""
    from torch.fx.experimental.proxy_tensor import make_fx

    f = network(2, 1, width=3)
    graph = make_fx(lambda z: function(f, z))(points(4, 2))
    other = points(4, 2, seed=9)
    torch.testing.assert_close(graph(other), function(f, other), rtol=1e-12, atol=1e-12)


def test_partials_of_a_shared_network_are_independent(network, points):
    """A second pass does not disturb the graph of the first."""
    f, x = network(2, 1), points(4, 2)
    first = partials(f, x, [(2, 0)])[2, 0].sum()
    partials(f, x, [(0, 2)])
    assert_same(gradients(first, f), gradients(partials(f, x, [(2, 0)])[2, 0].sum(), f), rtol=0, atol=0)


def test_make_fx_captures_sums_in_passes(points):
    """Weights are traced where they are made, and have no value to look at then."""
    from torch.fx.experimental.proxy_tensor import make_fx

    weights = torch.randn(1, 150, generator=torch.Generator().manual_seed(0), dtype=torch.float64)
    plan = Plan.build([quantity({Trace(range(150)): 1.0})], 150)

    def evaluate(z):
        return plan(lambda y: torch.tanh(y @ weights.T), z)[plan.quantities[0]]

    x, other = points(3, 150), points(3, 150, seed=9)
    graph = make_fx(evaluate)(x)
    torch.testing.assert_close(graph(other), evaluate(other), rtol=1e-12, atol=1e-12)


def test_weights_of_sums_are_constants():
    with pytest.raises(ConfigError, match="weights of sums are constants"):
        Layout((2, 0), (None, torch.ones(1, 2, requires_grad=True)))
