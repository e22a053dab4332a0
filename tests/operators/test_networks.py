"""What every network of points has to do, whatever its architecture."""

import itertools
from dataclasses import FrozenInstanceError, fields

import pytest
import torch
from omegaconf import OmegaConf
from torch import nn
from torch.func import functional_call, jacrev, vmap

from kjet.errors import ConfigError
from kjet.jets import Laplacian, Plan, contract, partials, quantity, reference
from kjet.operators import ACTIVATIONS, NETWORKS
from kjet.training.jacobian import RowLayer

RANGE = torch.tensor([[10.0, 12.0], [-0.7, 0.5]])
SMOOTH = ("cos", "gelu", "mish", "sigmoid", "silu", "sin", "softplus", "swish", "tanh")
SMALL = {
    "fbpinn": {"subdomains": [3, 2], "width": 4, "depth": 2},
    "hypernetwork": {"columns": [1], "width": 6, "depth": 2, "hyper_width": 5, "hyper_depth": 1},
    "mlp": {"hidden": [7, 5]},
    "mlp_hd": {"first_layer": "block", "block_size": 2, "hidden": [7, 5]},
    "modified_mlp": {"width": 6, "depth": 2},
    "pirate_net": {"width": 6, "depth": 2, "alpha": 0.4},
    "spinn": {"rank": 4, "width": 6, "depth": 2},
    "fourier": {"features": 4, "sigmas": [0.5, 0.2], "width": 6, "depth": 1},
    "siren": {"width": 6, "depth": 2, "w0": 5.0, "hidden_w0": 3.0},
}
INDICES = [index for index in itertools.product(range(5), repeat=2) if sum(index) <= 4]


def seeded(seed=0):
    return torch.Generator().manual_seed(seed)


def make(name, m=2, dtype=torch.float64, seed=0, **changes):
    config = NETWORKS[name](**{**SMALL[name], **changes})
    return config.build(2, m, input_range=RANGE, generator=seeded(seed), dtype=dtype)


def points(n=5, dtype=torch.float64):
    low, high = RANGE.to(torch.float64).unbind(-1)
    return (low + (high - low) * torch.rand(n, 2, dtype=torch.float64, generator=seeded(7))).to(dtype)


def assert_derivatives(f, x, indices=INDICES):
    """Each derivative to 1e-10 of its largest entry: round-off of order-4 recurrences, with a wide margin."""
    found, expected = partials(f, x, indices), reference.partials(f, x, indices)
    for index in indices:
        torch.testing.assert_close(
            found[index], expected[index], rtol=0, atol=1e-10 * float(expected[index].abs().max())
        )
        assert expected[index].abs().max() > 0


every = pytest.mark.parametrize("name", sorted(NETWORKS))


def test_every_network_is_covered():
    assert set(SMALL) == set(NETWORKS)


@every
def test_derivatives_to_order_four(name):
    assert_derivatives(make(name), points())


@pytest.mark.parametrize("activation", SMOOTH)
@pytest.mark.parametrize("name", ["mlp", "modified_mlp"])
def test_derivatives_with_every_smooth_activation(name, activation):
    assert_derivatives(make(name, m=1, activation=activation), points(3), [(0, 0), (2, 1), (4, 0)])


def test_smooth_activations_are_all_but_those_with_a_kink():
    assert set(SMOOTH) == set(ACTIVATIONS) - {"relu", "leaky_relu", "elu"}


@every
def test_collapsed_laplacian(name):
    f, x = make(name), points()
    expected = reference.contract(f, x, Laplacian())
    torch.testing.assert_close(
        contract(f, x, Laplacian()), expected, rtol=1e-10, atol=1e-12 * float(expected.abs().max())
    )


@every
def test_parameter_gradients_through_jets(name):
    f, x = make(name), points(3)
    got = torch.autograd.grad(partials(f, x, [(2, 0)])[2, 0].square().sum(), list(f.parameters()), allow_unused=True)
    nested = reference.partials(f, x, [(2, 0)], create_graph=True)[2, 0].square().sum()
    expected = torch.autograd.grad(nested, list(f.parameters()), allow_unused=True)
    assert sum(b is not None for b in expected) >= len(expected) - 1  # all but the last bias
    for a, b in zip(got, expected, strict=True):
        if b is None:
            assert a is None or not a.any()
        else:
            torch.testing.assert_close(a, b, rtol=1e-9, atol=1e-11 * float(b.abs().max()))


@every
def test_single_precision_is_close_to_double(name):
    x = points(20)
    torch.testing.assert_close(make(name, dtype=torch.float32)(x.float()).double(), make(name)(x), rtol=1e-3, atol=1e-4)


@every
def test_type_follows_the_argument_and_the_default(name):
    net = make(name, dtype=torch.float32)
    assert {t.dtype for t in [*net.parameters(), *net.buffers()]} == {torch.float32}
    assert net(points(dtype=torch.float32)).dtype == torch.float32
    assert next(NETWORKS[name]().build(2, 1).parameters()).dtype == torch.get_default_dtype()


@every
def test_all_parameters_are_in_layers_with_fast_jacobians(name):
    net = make(name)
    fast = [m for m in net.modules() if isinstance(m, nn.Linear | RowLayer)]
    inside = {id(p) for layer in fast for p in layer.parameters(recurse=False)}
    assert {id(p) for p in net.parameters()} == inside


@every
def test_weights_come_from_the_generator_alone(name):
    before = torch.get_rng_state()
    first, again, other = (make(name, seed=seed) for seed in (1, 1, 2))
    assert torch.equal(before, torch.get_rng_state())
    x = points()
    assert torch.equal(first(x), again(x))
    assert not torch.allclose(first(x), other(x))


@every
def test_without_a_generator_torch_decides(name):
    config = NETWORKS[name](**SMALL[name])
    x = torch.rand(4, 2, generator=seeded())
    with torch.random.fork_rng():
        torch.manual_seed(0)
        first, other = config.build(2, 1), config.build(2, 1)
        torch.manual_seed(0)
        again = config.build(2, 1)
    assert torch.equal(first(x), again(x))
    assert not torch.equal(first(x), other(x))


@every
def test_scale_of_the_coordinates_does_not_matter(name):
    config = NETWORKS[name](**SMALL[name])
    unit = config.build(2, 1, generator=seeded(), dtype=torch.float64)
    low, high = RANGE.to(torch.float64).unbind(-1)
    z = 2 * torch.rand(6, 2, dtype=torch.float64, generator=seeded(3)) - 1
    x = low + (high - low) * (z + 1) / 2
    torch.testing.assert_close(make(name, m=1)(x), unit(z), rtol=1e-10, atol=1e-12)


@every
def test_functional_call_and_maps(name):
    net, x = make(name), points()
    parameters = dict(net.named_parameters())
    shifted = {key: value.detach() + 0.1 for key, value in parameters.items()}
    moved = functional_call(net, shifted, (x,))
    net2 = make(name)
    with torch.no_grad():
        for value in net2.parameters():
            value += 0.1
    torch.testing.assert_close(moved, net2(x))
    torch.testing.assert_close(vmap(net)(x), net(x))
    rows = vmap(jacrev(lambda p, point: functional_call(net, p, (point,))), in_dims=(None, 0))(shifted, x)
    assert all(rows[key].shape == (5, 2, *value.shape) for key, value in parameters.items())
    both = {key: torch.stack([parameters[key].detach(), shifted[key]]) for key in parameters}
    stacked = vmap(lambda p: functional_call(net, p, (x,)))(both)
    torch.testing.assert_close(stacked, torch.stack([net(x), moved]))


@pytest.mark.parametrize(
    "name", [n if n == "mlp" else pytest.param(n, marks=pytest.mark.slow) for n in sorted(NETWORKS)]
)
def test_compiles_in_one_graph(name):
    net, x = make(name), points()
    torch.testing.assert_close(torch.compile(net, fullgraph=True, backend="aot_eager")(x), net(x))
    wanted = [quantity({(2, 0): 1.0}), quantity({(0, 1): 1.0})]
    plan = Plan.build(wanted, 2)

    def derivatives(p):
        values = plan(net, p)
        return tuple(values[q] for q in wanted)

    compiled = torch.compile(derivatives, fullgraph=True, backend="aot_eager")
    for got, expected in zip(compiled(x), derivatives(x), strict=True):
        torch.testing.assert_close(got, expected, rtol=1e-10, atol=1e-10)


@every
def test_state_restores_the_function(name):
    saved, fresh, x = make(name, seed=1), make(name, seed=2), points()
    fresh.load_state_dict(saved.state_dict())
    assert torch.equal(fresh(x), saved(x))


@every
def test_config_is_frozen_and_omegaconf_reads_it(name):
    config = NETWORKS[name](**SMALL[name])
    with pytest.raises(FrozenInstanceError):
        config.width = 3
    merged = OmegaConf.merge(OmegaConf.structured(NETWORKS[name]), OmegaConf.create(SMALL[name]))
    assert OmegaConf.to_object(merged) == config
    assert {f.name for f in fields(config)} >= {"width", "depth"}


@every
@pytest.mark.parametrize("change", [{"width": 0}, {"depth": 0}, {"width": 2.0}, {"depth": True}])
def test_config_refuses_values_out_of_range(name, change):
    (key,) = change
    with pytest.raises(ConfigError, match=f"{key} = .* expected a positive integer"):
        NETWORKS[name](**change)


@every
def test_build_refuses_what_does_not_fit(name):
    config = NETWORKS[name](**SMALL[name])
    with pytest.raises(ConfigError, match=r"bounds 2 inputs, but the network takes 3"):
        config.build(3, 1, input_range=RANGE)
    with pytest.raises(ConfigError, match=r"out_features = 0"):
        config.build(2, 0)
    with pytest.raises(ConfigError, match=r"in_features = 0"):
        config.build(0, 1)


@pytest.mark.gpu
@pytest.mark.skipif(not torch.cuda.is_available(), reason="needs a CUDA device")
@every
def test_same_network_on_a_gpu(name):
    config = NETWORKS[name](**SMALL[name])
    net = config.build(2, 2, input_range=RANGE, generator=seeded(), dtype=torch.float64, device="cuda")
    assert {t.device.type for t in [*net.parameters(), *net.buffers()]} == {"cuda"}
    torch.testing.assert_close(net(points().cuda()).cpu(), make(name)(points()), rtol=1e-10, atol=1e-12)
