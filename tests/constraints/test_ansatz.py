"""Conditions hold to round-off for any weights; derivatives are those of nested reverse mode."""

import itertools
import math

import pytest
import torch
from torch import nn
from torch.func import functional_call, vmap

from kjet.constraints.ansatz import Ansatz, DirichletAnsatz, InitialAnsatz
from kjet.errors import ConfigError
from kjet.jets import Jet, Laplacian, Plan, contract, partials, quantity, reference

COORDS, FIELDS = ("x", "t"), ("u", "v")
INDICES = [index for index in itertools.product(range(5), repeat=2) if sum(index) <= 4]


def seeded(seed=0):
    return torch.Generator().manual_seed(seed)


def network(m=2, seed=0, size=1.0, dtype=torch.float64):
    """A tanh network with two inputs and weights of the given size."""
    net = nn.Sequential(nn.Linear(2, 8), nn.Tanh(), nn.Linear(8, m)).to(dtype)
    with torch.no_grad():
        for parameter in net.parameters():
            parameter.copy_(size * torch.randn(parameter.shape, generator=seeded(seed), dtype=torch.float64))
    return net


def points(n=7, dtype=torch.float64):
    return (0.05 + 0.9 * torch.rand(n, 2, dtype=torch.float64, generator=seeded(5))).to(dtype)


def left(x):
    return x[..., 0]


def right(x):
    return 1 - x[..., 0]


def walls(x):
    return x[..., 0] * (1 - x[..., 0])


def initial(x):
    return x[..., 1]


def bump(x):
    return torch.sin(math.pi * x)


def wave(x, t):
    return torch.exp(-x) * (1 + t)


def on(x=None, t=None, n=50):
    """Points with one coordinate fixed, their corners among them."""
    free = torch.linspace(0.0, 1.0, n, dtype=torch.float64)
    fixed = torch.full_like(free, x if t is None else t)
    return torch.stack([fixed, free] if t is None else [free, fixed], -1)


CASES = {
    "one number": [(walls, 0.0)],
    "one function": [(left, wave)],
    "two walls of one value": [(left, wave), (right, wave)],
    "two values": [(walls, 0.0), (initial, bump)],
    "three values": [(left, 2), (right, lambda t: torch.cos(t)), (initial, bump)],
    "velocity": [(walls, 0.0), (lambda x: x[..., 1] ** 2, lambda x, t: bump(x) * (1 + 3 * t))],
}
cases = pytest.mark.parametrize("parts", CASES.values(), ids=CASES.keys())


def assert_derivatives(f, x, indices=INDICES):
    found, expected = partials(f, x, indices), reference.partials(f, x, indices)
    for index in indices:
        atol = 1e-10 * float(expected[index].detach().abs().max())
        torch.testing.assert_close(found[index], expected[index], rtol=0, atol=atol)


# --- generic ----------------------------------------------------------------------------------------------------------


def test_generic_transform_sees_points_and_outputs():
    net, x = network(), points()
    model = Ansatz(net, lambda x, y: torch.exp(-x[..., :1]) * y + x[..., 1:])
    torch.testing.assert_close(model(x), torch.exp(-x[:, :1]) * net(x) + x[:, 1:])
    assert_derivatives(model, x)


def test_a_transform_with_parameters_is_trained_and_saved():
    class Amplitude(nn.Module):
        def __init__(self):
            super().__init__()
            self.scale = nn.Parameter(torch.tensor(2.0, dtype=torch.float64))

        def forward(self, x, y):
            return self.scale * y

    model = Ansatz(network(), Amplitude())
    assert "transform.scale" in dict(model.named_parameters())
    torch.testing.assert_close(model(points()), 2 * network()(points()))


# --- boundary values --------------------------------------------------------------------------------------------------


@cases
def test_derivatives_to_order_four(parts):
    assert_derivatives(DirichletAnsatz(network(), COORDS, FIELDS, {"u": parts}), points())


@cases
def test_collapsed_laplacian_and_parameter_gradients(parts):
    model, x = DirichletAnsatz(network(), COORDS, FIELDS, {"u": parts}), points()
    got, expected = contract(model, x, Laplacian()), reference.contract(model, x, Laplacian(), create_graph=True)
    torch.testing.assert_close(got, expected, rtol=1e-10, atol=1e-10)
    weight = model.network[0].weight
    gradients = [torch.autograd.grad(value.square().sum(), weight)[0] for value in (got, expected)]
    torch.testing.assert_close(*gradients, rtol=1e-9, atol=1e-10 * float(gradients[1].abs().max()))


@pytest.mark.parametrize("size", [0.0, 1.0, 1e3])
@pytest.mark.parametrize("seed", [0, 1])
def test_values_hold_whatever_the_weights(seed, size):
    net = network(seed=seed, size=size)
    parts = {"u": [(left, 2.0), (right, lambda t: torch.cos(t)), (initial, bump)], "v": [(walls, wave)]}
    model = DirichletAnsatz(net, COORDS, FIELDS, parts)
    west, east, south = on(x=0.0)[1:], on(x=1.0)[1:], on(t=0.0)[1:-1]  # the corners have a test of their own
    for x, u in ((west, 2.0), (east, torch.cos(east[:, 1])), (south, bump(south[:, 0]))):
        torch.testing.assert_close(model(x)[:, 0], torch.as_tensor(u, dtype=x.dtype).expand(len(x)), rtol=0, atol=1e-14)
    for x in (on(x=0.0), on(x=1.0)):
        torch.testing.assert_close(model(x)[:, 1], wave(x[:, 0], x[:, 1]), rtol=0, atol=1e-14)
    silent = DirichletAnsatz(network(size=0.0), COORDS, FIELDS, parts)
    assert torch.allclose(model(points()), silent(points())) == (size == 0)


def test_interpolation_is_by_inverse_distance():
    net, x = network(m=1), points()
    model = DirichletAnsatz(net, COORDS, ("u",), {"u": [(left, 2.0), (right, bump), (initial, wave)]})
    phi = torch.stack([x[:, 0], 1 - x[:, 0], x[:, 1]])
    weights = (1 / phi) / (1 / phi).sum(0)
    values = torch.stack([torch.full_like(phi[0], 2.0), bump(x[:, 0]), wave(x[:, 0], x[:, 1])])
    expected = (weights * values).sum(0) + phi.prod(0) * net(x)[:, 0]
    torch.testing.assert_close(model(x)[:, 0], expected, rtol=1e-13, atol=1e-14)


@pytest.mark.parametrize("order", list(itertools.permutations(range(3))))
def test_order_of_the_pieces_does_not_matter(order):
    parts, net = CASES["three values"], network()
    models = [DirichletAnsatz(net, COORDS, FIELDS, {"u": given}) for given in (parts, [parts[i] for i in order])]
    torch.testing.assert_close(models[0](points()), models[1](points()), rtol=1e-13, atol=1e-14)


def test_where_parts_meet_values_are_averaged_and_all_stays_finite():
    parts = [(left, 2.0), (right, 5.0), (initial, lambda x: 4 + x)]
    model = DirichletAnsatz(network(m=1), COORDS, ("u",), {"u": parts})
    corners = torch.tensor([[0.0, 0.0], [1.0, 0.0]], dtype=torch.float64)
    assert model(corners).flatten().tolist() == pytest.approx([(2 + 4) / 2, (5 + 5) / 2], abs=1e-14)
    for value in partials(model, corners, INDICES).values():
        assert torch.isfinite(value).all()


def test_parts_of_one_value_are_joined_without_interpolation():
    """Where x = 0 meets t = 0 with one value, u is that value times nothing undefined: derivatives are right, too."""
    model = DirichletAnsatz(network(m=1), COORDS, ("u",), {"u": [(left, wave), (initial, wave)]})
    corner = torch.zeros(1, 2, dtype=torch.float64)
    assert_derivatives(model, corner)
    assert model(corner).item() == 1.0


def test_velocity_at_the_start_by_a_squared_distance():
    model = DirichletAnsatz(network(m=1), COORDS, ("u",), {"u": CASES["velocity"]})
    x = on(t=0.0)[1:-1]
    values = partials(model, x, [(0, 0), (0, 1)])
    torch.testing.assert_close(values[0, 0][:, 0], bump(x[:, 0]), rtol=0, atol=1e-14)
    torch.testing.assert_close(values[0, 1][:, 0], 3 * bump(x[:, 0]), rtol=0, atol=1e-12)


def test_fields_without_conditions_pass_through():
    net, x = network(), points()
    model = DirichletAnsatz(net, COORDS, FIELDS, {"v": [(walls, 1.0)]})
    assert torch.equal(model(x)[:, 0], net(x)[:, 0])
    torch.testing.assert_close(model(x)[:, 1], 1 + walls(x) * net(x)[:, 1])


def test_single_precision():
    parts = {"u": CASES["three values"]}
    single = DirichletAnsatz(network(dtype=torch.float32), COORDS, FIELDS, parts)(points(dtype=torch.float32))
    assert single.dtype == torch.float32
    double = DirichletAnsatz(network(), COORDS, FIELDS, parts)(points())
    torch.testing.assert_close(single.double(), double, rtol=1e-4, atol=1e-5)


def test_each_distance_is_evaluated_once():
    calls = []

    def counted(x):
        calls.append(type(x))
        return walls(x)

    model = DirichletAnsatz(network(), COORDS, FIELDS, {name: [(counted, 0.0), (initial, bump)] for name in FIELDS})
    model(points())
    partials(model, points(), [(2, 0)])
    assert calls == [torch.Tensor, Jet]


@cases
def test_functional_call_maps_and_compilation(parts):
    model, x = DirichletAnsatz(network(), COORDS, FIELDS, {"u": parts}), points()
    expected = model(x)
    torch.testing.assert_close(functional_call(model, dict(model.named_parameters()), (x,)), expected)
    torch.testing.assert_close(vmap(model)(x), expected)


@pytest.mark.parametrize("name", [pytest.param("velocity", marks=pytest.mark.slow), "three values"])
def test_compiles_in_one_graph(name):
    model, x = DirichletAnsatz(network(), COORDS, FIELDS, {"u": CASES[name]}), points()
    wanted = quantity({(2, 0): 1.0})
    plan = Plan.build([wanted], 2)
    compiled = torch.compile(lambda x: (model(x), plan(model, x)[wanted]), fullgraph=True, backend="aot_eager")
    for got, expected in zip(compiled(x), (model(x), plan(model, x)[wanted]), strict=True):
        torch.testing.assert_close(got, expected, rtol=1e-10, atol=1e-10)


# --- start values -----------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("velocities", [None, {"u": lambda x: torch.cos(x)}, {"u": 2.0}])
def test_initial_derivatives_to_order_four(velocities):
    model = InitialAnsatz(network(), COORDS, FIELDS, {"u": bump, "v": 1.0}, velocities, start=0.25)
    assert_derivatives(model, points())


@pytest.mark.parametrize("size", [0.0, 1.0, 1e3])
def test_start_values_and_velocities_hold_whatever_the_weights(size):
    model = InitialAnsatz(
        network(size=size), COORDS, FIELDS, {"u": bump, "v": 3}, {"u": lambda x: torch.cos(x)}, start=0.25
    )
    x = on(t=0.25)
    values = partials(model, x, [(0, 0), (0, 1)])
    torch.testing.assert_close(values[0, 0][:, 0], bump(x[:, 0]), rtol=0, atol=1e-14)
    torch.testing.assert_close(values[0, 0][:, 1], torch.full_like(x[:, 0], 3.0), rtol=0, atol=1e-14)
    torch.testing.assert_close(values[0, 1][:, 0], torch.cos(x[:, 0]), rtol=0, atol=1e-14)


def test_initial_formulas():
    net, x = network(), points()
    u, v = InitialAnsatz(net, COORDS, FIELDS, {"u": bump, "v": bump}, {"v": 2.0}, start=-1.0)(x).unbind(-1)
    n, tau, u0 = net(x), x[:, 1] + 1, bump(x[:, 0])
    torch.testing.assert_close(u, u0 + tau * n[:, 0])
    torch.testing.assert_close(v, u0 + 2 * tau + tau**2 * n[:, 1])


def test_a_value_that_depends_on_time_is_held_at_the_start():
    """Otherwise its own rate would add to the velocity."""
    model = InitialAnsatz(network(m=1), COORDS, ("u",), {"u": wave}, {"u": 0.0})
    x = on(t=0.0)
    rate = partials(model, x, [(0, 1)])[0, 1]
    torch.testing.assert_close(rate, torch.zeros_like(rate), rtol=0, atol=1e-14)


def test_any_name_and_column_of_time():
    model = InitialAnsatz(network(m=1), ("tau", "y"), ("u",), {"u": lambda y: y**2}, time="tau", start=2.0)
    assert model(torch.tensor([[2.0, 3.0]], dtype=torch.float64)).item() == 9.0


# --- mistakes ---------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("parts", "message"),
    [
        ({"w": [(walls, 0.0)]}, r'unknown field "w"; it has u, v'),
        ({"u": []}, r'field "u" has no pieces'),
        ({"u": [(0.0, walls)]}, r'a distance of field "u" is 0.0; expected a function'),
        ({"u": [(walls, "zero")]}, r"value 'zero' is neither a number nor a function of coordinates"),
        ({"u": [(walls, lambda y: y)]}, r'unknown coordinate "y"; it has t, x'),
    ],
)
def test_dirichlet_refuses(parts, message):
    with pytest.raises(ConfigError, match=message):
        DirichletAnsatz(network(), COORDS, FIELDS, parts)


@pytest.mark.parametrize(
    ("fields", "parts", "columns", "message"),
    [
        (FIELDS, [(walls, 0.0)], 3, r"points have 3 columns; expected one for each of \('x', 't'\)"),
        (("u", "v", "p"), [(walls, 0.0)], 2, r"the network has 2 outputs; expected one for each of the fields"),
        (FIELDS, [(lambda x: x[..., :1], 0.0)], 2, r"a distance has shape \(4, 1\) at points \(4, 2\)"),
        (FIELDS, [(walls, lambda x: x[:, None])], 2, r"a value has shape \(4, 1\) at points \(4,\)"),
    ],
)
def test_calls_refuse_shapes_that_do_not_fit(fields, parts, columns, message):
    net = nn.Linear(columns, 2)
    with pytest.raises(ConfigError, match=message):
        DirichletAnsatz(net, COORDS, fields, {"u": parts})(torch.rand(4, columns, generator=seeded()))


def test_initial_refuses():
    with pytest.raises(ConfigError, match=r'unknown time coordinate "time"; it has t, x'):
        InitialAnsatz(network(), COORDS, FIELDS, {"u": 0.0}, time="time")
    with pytest.raises(ConfigError, match=r'field "v" has a start velocity but no start value'):
        InitialAnsatz(network(), COORDS, FIELDS, {"u": 0.0}, {"v": 0.0})
    with pytest.raises(ConfigError, match=r'unknown field "uu".*Did you mean "u"'):
        InitialAnsatz(network(), COORDS, FIELDS, {"uu": 0.0})
