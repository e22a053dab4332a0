"""Structured seeds against dense ones, closed forms and nested autograd; and the arrays that they must not make."""

import math

import pytest
import torch
import torch.nn.functional as F  # noqa: N812
from torch.utils._python_dispatch import TorchDispatchMode

from kjet.errors import ConfigError, JetRuleError
from kjet.jets import Jet, Layout, _push
from kjet.jets.seeded import Structured, project, reductions
from kjet.jets.seeded.blocks import sum_of_squares
from kjet.jets.seeds import OneHot, PerPoint, Seeds, Shared, Stacked, start

N, D, S = 5, 7, 4
FORWARD_MODE = pytest.mark.filterwarnings("ignore:.*torch.jit.script.*:DeprecationWarning")


def generator(seed=0):
    return torch.Generator().manual_seed(seed)


def normal(*shape, seed=0, dtype=torch.float64):
    return torch.randn(*shape, generator=generator(seed), dtype=torch.float64).to(dtype)


def integers(high, *shape, seed=0):
    return torch.randint(high, shape, generator=generator(seed))


KINDS = {
    "axes": lambda n, d, dtype: OneHot(torch.tensor([3, 0, 3, d - 1])),
    "axes_per_point": lambda n, d, dtype: OneHot(integers(d, S, n)),
    "shared": lambda n, d, dtype: Shared(normal(S, d, dtype=dtype)),
    "per_point": lambda n, d, dtype: PerPoint(normal(S, n, d, dtype=dtype)),
    "axes_twice": lambda n, d, dtype: Stacked((OneHot(torch.tensor([0, 1])), OneHot(torch.tensor([1, d - 1])))),
    "axes_and_shared": lambda n, d, dtype: Stacked(
        (OneHot(torch.tensor([0])), Shared(normal(2, d, dtype=dtype)), OneHot(torch.tensor([2])))
    ),
    "all": lambda n, d, dtype: Stacked(
        (
            Shared(normal(1, d, dtype=dtype)),
            Stacked((OneHot(torch.tensor([1])), PerPoint(normal(1, n, d, dtype=dtype)))),
            OneHot(integers(d, 1, n)),
        )
    ),
}
LAW = normal(1, S, seed=9)
TWO = normal(2, S, seed=8)


def layouts(order):
    """Kept, the top summed, two sums, and directions that end at different orders with sums at each."""
    found = [Layout.uniform(S, order), Layout((*(S,) * (order - 1), 0), (*(None,) * (order - 1), LAW))]
    if order > 1:
        found.append(Layout((*(S,) * (order - 1), 1), (*(None,) * (order - 1), TWO[:, 1:])))
        found.append(Layout((3, *(2,) * (order - 2), 1), (LAW[:, :1], *(None,) * (order - 2), LAW[:, :1])))
    return found


def seeds_of(kind, n=N, d=D, dtype=torch.float64):
    return KINDS[kind](n, d, dtype)


def points_of(n=N, d=D, dtype=torch.float64):
    return (0.2 + 0.8 * torch.rand(n, d, generator=generator(1), dtype=torch.float64)).to(dtype)


def dense_start(x, seeds, layout, top=None):
    """The same jets with dense coefficients."""
    coefficients = [x, layout.reduce(1, seeds.dense(*x.shape, x)), *(None,) * (layout.order - 1)]
    for k, vectors in (top or {}).items():
        vectors = vectors if vectors.ndim == 3 else vectors.unsqueeze(1)
        coefficients[k] = vectors if coefficients[k] is None else coefficients[k] + vectors
    return Jet(coefficients, layout)


def rows_of(y):
    zero = torch.zeros_like(y.primal)
    rows = [zero.expand(y.layout.rows(k), *y.shape) if y.row(k) is None else y.row(k) for k in range(1, y.order + 1)]
    return torch.cat([y.primal[None], *rows])


def assert_equal_jets(found, expected, tolerance=1e-13):
    found, expected = rows_of(found), rows_of(expected)
    scale = expected.abs().amax().clamp(min=1)
    assert found.shape == expected.shape
    assert (found - expected).abs().amax() <= tolerance * scale


def perceptron(d=D, m=1, width=6, dtype=torch.float64):
    layers = []
    for place, (fan_in, fan_out) in enumerate(((d, width), (width, width), (width, m))):
        layer = torch.nn.Linear(fan_in, fan_out, dtype=torch.float64)
        layer.weight.data = normal(fan_out, fan_in, seed=20 + place) / fan_in**0.5
        layer.bias.data = normal(fan_out, seed=30 + place)
        layers += [layer.to(dtype), torch.nn.Tanh()]
    return torch.nn.Sequential(*layers[:-1])


MLP = perceptron()
C, CN, C1 = normal(D, seed=2), normal(N, D, seed=3), normal(N, 1, seed=4)
W = normal(3, D, seed=5)


def square_norm(x):
    return (x * x).sum(-1, keepdim=True)


FUNCTIONS = {
    "network": MLP,
    "factor": lambda x: (1 - (x**2).sum(-1, keepdim=True)) * MLP(x),
    "prefactor": lambda x: torch.exp(-square_norm(x)) * (torch.sin(C * x) * x).mean(-1, keepdim=True) * MLP(x),
    "features": lambda x: MLP(torch.sin(2 * x) + CN * x.square()),
    "first_layer_features": lambda x: F.linear(torch.cos(x) * C, W) * F.linear(x * C1, W),
    "time": lambda x: x[..., :1] * MLP(x) + (x[:, 1:] ** 3 * x[..., 1:]).sum(1, keepdim=True),
}


@pytest.mark.parametrize("order", range(1, 7))
@pytest.mark.parametrize("kind", KINDS)
def test_equals_dense_seeds(kind, order):
    x, seeds = points_of(), seeds_of(kind)
    for layout in layouts(order):
        for function in FUNCTIONS.values():
            found = function(start(x, seeds, layout))
            assert not isinstance(found, Structured)
            assert_equal_jets(found, function(dense_start(x, seeds, layout)))


STRUCTURED = {
    "identity": lambda x: x,
    "add": lambda x: 2 + x + C + CN,
    "sub": lambda x: 1 - (x - C1),
    "rsub_tensor": lambda x: CN - x,
    "mul": lambda x: C1 * x * C * 3.0 * CN[:1],
    "zero_dim": lambda x: x * torch.tensor(0.5, dtype=torch.float64),
    "div": lambda x: x / 2 / (2 + C.abs()),
    "rdiv": lambda x: 1 / (1 + x),
    "rdiv_tensor": lambda x: CN / (1 + x),
    "square": lambda x: x.square(),
    "cube": lambda x: x**3,
    "real_power": lambda x: x**1.5,
    "base": lambda x: 2.0**x,
    "product": lambda x: (x * C) * torch.exp(x),
    "product_of_products": lambda x: (x * x) * (x * CN),
    "quotient": lambda x: torch.sin(x) / (1 + x**2),
    "where": lambda x: torch.where(C > 0, x * x, torch.cos(x)),
    "clamp": lambda x: x.clamp(0.3, 0.9),
    "where_mask": lambda x: torch.where(x > 0.5, x, 0.0),
    "activation": lambda x: F.softplus(F.silu(x, inplace=True)),
    "neg": lambda x: -(+x),
    "log": lambda x: torch.log(x).sqrt() if not isinstance(x, Jet) else torch.log(x) * torch.sqrt(x),
    "slice": lambda x: x[:, 1:] * x[..., 1:],
    "slice_of_slice": lambda x: torch.exp(x[..., 1:])[:, ::2] * C[1::2],
    "negative_slice": lambda x: x[..., :-1] * C[:-1],
    "narrow": lambda x: x.narrow(-1, 2, 3) ** 2,
    "split": lambda x: x.split([1, 4, 2], dim=-1)[1] * 2,
    "split_function": lambda x: torch.split(x, 3, 1)[0] * 2,
}


@pytest.mark.parametrize("kind", ["axes", "axes_per_point", "shared", "per_point", "all"])
@pytest.mark.parametrize("name", STRUCTURED)
def test_stays_structured(name, kind):
    """Values, sums, means, norms and layers of functions of single coordinates."""
    x, seeds, layout, function = points_of(), seeds_of(kind), layouts(3)[3], STRUCTURED[name]
    y, expected = function(start(x, seeds, layout)), function(dense_start(x, seeds, layout))
    assert isinstance(y, Structured)
    assert y.shape == expected.shape
    weight = W[:, : y.shape[1]]
    assert_equal_jets(y.sum(-1), expected.sum(-1))
    assert_equal_jets(torch.mean(y, dim=1, keepdim=True), expected.mean(-1, keepdim=True))
    assert_equal_jets(torch.linalg.vector_norm(y, dim=-1), torch.sqrt((expected * expected).sum(-1)))
    assert_equal_jets(F.linear(y, weight), F.linear(expected, weight))
    assert_equal_jets(y @ weight[0], expected @ weight[0])
    assert_equal_jets(torch.matmul(y, weight.T), expected @ weight.T)
    assert_equal_jets(y, expected)


DENSE = {
    "cat": lambda x: torch.cat([x[..., :1], torch.sin(x[..., 1:])], -1),
    "shifted_product": lambda x: torch.cos(x[..., :-1]) * x[..., 1:],
    "softmax": lambda x: torch.softmax(x, -1),
    "layer_norm": lambda x: F.layer_norm(x, (D,)),
    "unit_vector": lambda x: x / (x * x).sum(-1, keepdim=True).sqrt(),
    "sum_over_points": lambda x: (x**2).sum(0),
    "sum_of_all": lambda x: (x**2).sum(),
    "some_points": lambda x: x[1:3] ** 2,
    "columns": lambda x: x[:, [4, 0]] ** 2,
    "column": lambda x: torch.sin(x[..., 3]),
    "negative_column": lambda x: x[:, -1] ** 2,
    "unsqueeze": lambda x: (x.unsqueeze(-1) * normal(D, 2)).sum(1),
    "einsum": lambda x: torch.einsum("ni,hi->nh", x, W),
    "outer": lambda x: (x[:, None, :] * x[:, :, None]).sum(-1),
    "larger_constant": lambda x: x * normal(2, N, D),
    "jet_operand": lambda x: x * MLP(x),
    "addmm": lambda x: torch.addmm(normal(3), x, W.T, beta=2, alpha=0.5),
    "transpose": lambda x: x.T * CN.T,
    "unbind": lambda x: x.unbind(-1)[2] ** 2,
    "prod": lambda x: x.prod(-1),
    "weight_on_the_left": lambda x: normal(2, N) @ x,
}


@pytest.mark.parametrize("kind", ["axes", "axes_per_point", "shared", "per_point", "all"])
@pytest.mark.parametrize("name", DENSE)
def test_other_operations_take_dense_coefficients(name, kind):
    x, seeds, layout, function = points_of(), seeds_of(kind), layouts(3)[3], DENSE[name]
    found = function(start(x, seeds, layout))
    assert not isinstance(found, Structured)
    assert_equal_jets(found, function(dense_start(x, seeds, layout)))


@pytest.mark.parametrize("kind", KINDS)
@pytest.mark.parametrize("order", [1, 2, 4])
def test_top_seeds(order, kind):
    """Curves x + t v + t^K a, with a shared by the points and not."""
    x, seeds = points_of(), seeds_of(kind)
    for layout in layouts(order):
        rows = layout.rows(order)
        for top in ({order: normal(rows, D, seed=6)}, {order: normal(rows, N, D, seed=7)}):
            for function in FUNCTIONS.values():
                found = function(start(x, seeds, layout, top))
                assert_equal_jets(found, function(dense_start(x, seeds, layout, top)))
            for name in ("product_of_products", "slice_of_slice"):
                y = STRUCTURED[name](start(x, seeds, layout, top))
                assert_equal_jets(y, STRUCTURED[name](dense_start(x, seeds, layout, top)))


def test_top_seed_of_a_direction_that_ends():
    """Two directions of order 1 and 2: the first-order slot of the one that ends takes a vector."""
    x, layout = points_of(), Layout((2, 1), (None, None))
    top = torch.cat([torch.zeros(1, D), normal(1, D)]).double()
    seeds = OneHot(torch.tensor([1, 2]))
    found, expected = (
        FUNCTIONS["prefactor"](begin(x, seeds, layout, {1: top, 2: normal(1, D)})) for begin in (start, dense_start)
    )
    assert_equal_jets(found, expected)


def test_laplacian_and_drift_against_autograd():
    """An independent oracle: sum_r w_r D_v^2 u + a . grad u, by nested reverse mode."""
    x, seeds = points_of().requires_grad_(), seeds_of("axes_and_shared")
    layout, drift = Layout((S, 0), (None, LAW)), normal(1, D, seed=6)
    function = FUNCTIONS["prefactor"]
    y = function(start(x, seeds, layout, {2: drift}))
    (gradient,) = torch.autograd.grad(function(x).sum(), x, create_graph=True)
    vectors = seeds.dense(N, D, x)[:, 0]
    second = sum(
        w * (torch.autograd.grad((gradient @ v).sum(), x, retain_graph=True)[0] @ v)
        for w, v in zip(LAW[0], vectors, strict=True)
    )
    torch.testing.assert_close(2 * y.coefficients[2][0, :, 0], second + 2 * gradient @ drift[0], rtol=1e-11, atol=1e-11)


@pytest.mark.parametrize("kind", KINDS)
def test_first_layer_keeps_one_row_for_all_points(kind):
    x, seeds, layer = points_of(), seeds_of(kind), torch.nn.Linear(D, 6, dtype=torch.float64)
    y = layer(start(x, seeds, Layout.uniform(S, 2)))
    shared = kind in ("axes", "shared", "axes_twice", "axes_and_shared")
    assert y.coefficients[1].shape == (S, 1 if shared else N, 6)
    assert y.coefficients[2] is None
    torch.testing.assert_close(
        y.coefficients[1].expand(S, N, 6),
        (seeds.dense(N, D, x) @ layer.weight.T).expand(S, N, 6),
        rtol=1e-13,
        atol=1e-13,
    )


def silu_in_place(x):
    F.silu(x, inplace=True)
    return x * C


def elu_in_place(x):
    F.elu(x, 0.5, True)
    return x * C


def sine_in_place(x):
    x.sin_()
    return x * C


@pytest.mark.filterwarnings("ignore::kjet.errors.NonSmoothWarning")
@pytest.mark.parametrize("kind", ["axes", "per_point"])
@pytest.mark.parametrize("function", [silu_in_place, elu_in_place, sine_in_place])
def test_operations_in_place_change_the_jet_and_not_the_points(function, kind):
    x, seeds, layout = points_of(), seeds_of(kind), layouts(3)[3]
    before = x.clone()
    found, expected = function(start(x, seeds, layout)), function(dense_start(x.clone(), seeds, layout))
    assert_equal_jets(found, expected)
    assert_equal_jets(found.sum(-1), expected.sum(-1))
    torch.testing.assert_close(x, before, rtol=0, atol=0)


def test_operation_in_place_on_a_slice_is_refused():
    y = start(points_of(), seeds_of("axes"), Layout.uniform(S, 2))[..., 1:]
    with pytest.raises(JetRuleError, match="view"):
        F.silu(y, inplace=True)


def test_directions_outside_a_slice_do_not_touch_it():
    """A time of zero must not reach the logarithm of the space columns."""
    x = points_of()
    x[:, 0] = 0.0
    y = torch.log(start(x, OneHot(torch.tensor([0, 3])), Layout.uniform(2, 3))[..., 1:]).sum(-1)
    assert all(torch.isfinite(c).all() for c in y.coefficients)
    torch.testing.assert_close(y.row(1), torch.stack([torch.zeros(N).double(), 1 / x[:, 3]]))


# --- gradients -------------------------------------------------------------------------------------------------------


def loss_of(y, order=2):
    return sum((c**2).sum() for c in y.coefficients[: order + 1] if c is not None)


@pytest.mark.parametrize("kind", KINDS)
@pytest.mark.parametrize("name", FUNCTIONS)
def test_gradients_equal_those_of_dense_seeds(name, kind):
    seeds, layout = seeds_of(kind), layouts(2)[3]
    values = []
    for begin in (start, dense_start):
        x = points_of().requires_grad_()
        loss = loss_of(FUNCTIONS[name](begin(x, seeds, layout, {2: normal(layout.rows(2), D, seed=6)})))
        values.append(torch.autograd.grad(loss, [x, *MLP.parameters()], allow_unused=True, materialize_grads=True))
    for found, expected in zip(*values, strict=True):
        torch.testing.assert_close(found, expected, rtol=1e-11, atol=1e-11)


def functional(name, kind, layout, seeds_require_grad=False):
    """Coefficients as a function of points, weight, bias, and vectors where there are any."""
    second = normal(1, 3, seed=11)

    def coefficients(x, weight, bias, vectors=None):
        seeds = seeds_of(kind, 2, 3) if vectors is None else Shared(vectors)
        y = start(x, seeds, layout)
        if name == "factor":
            y = (1 - (y**2).sum(-1, keepdim=True)) * F.linear(torch.tanh(F.linear(y, weight, bias)), second)
        else:
            y = F.linear(torch.sin(y), weight, bias) * torch.exp(y).sum(-1, keepdim=True)
        return tuple(c for c in y.coefficients if c is not None)

    arguments = (points_of(2, 3), normal(3, 3, seed=12), normal(3, seed=13))
    arguments += (normal(S, 3, seed=14),) if seeds_require_grad else ()
    return coefficients, tuple(a.requires_grad_() for a in arguments)


SMALL = {
    "axes": lambda n, d, dtype: OneHot(torch.tensor([0, 2, 1, 0])),
    "axes_per_point": KINDS["axes_per_point"],
    "shared": KINDS["shared"],
    "per_point": KINDS["per_point"],
}


@pytest.mark.parametrize("name", ["factor", "features"])
@pytest.mark.parametrize("kind", SMALL)
def test_gradcheck(kind, name, monkeypatch):
    monkeypatch.setitem(KINDS, kind, SMALL[kind])
    coefficients, arguments = functional(name, kind, Layout((S, S, 0), (None, None, LAW)))
    assert torch.autograd.gradcheck(coefficients, arguments)


@pytest.mark.parametrize("name", ["factor", "features"])
def test_gradients_to_vectors_and_second_derivatives(name):
    coefficients, arguments = functional(name, "shared", Layout((S, 0), (None, LAW)), seeds_require_grad=True)
    assert torch.autograd.gradcheck(coefficients, arguments)
    assert torch.autograd.gradgradcheck(lambda *a: coefficients(*a)[-1], arguments)


@pytest.mark.parametrize("kind", SMALL)
def test_second_derivatives_in_the_weight(kind, monkeypatch):
    monkeypatch.setitem(KINDS, kind, SMALL[kind])
    coefficients, arguments = functional("factor", kind, Layout((S, 0), (None, LAW)))
    assert torch.autograd.gradgradcheck(
        lambda weight: coefficients(arguments[0].detach(), weight, arguments[2])[-1], arguments[1]
    )


@FORWARD_MODE
@pytest.mark.parametrize("name", ["factor", "features"])
@pytest.mark.parametrize("kind", ["axes", "axes_per_point", "shared", "per_point", "all"])
def test_forward_mode(kind, name):
    """Tangents of points, weight and bias through the fused products, against the gradient."""
    layout = Layout((S, 0), (None, LAW))
    seeds = seeds_of(kind, 2, 4)
    weight, bias, x = normal(3, 4, seed=12), normal(3, seed=13), points_of(2, 4)
    tangents = [normal(*a.shape, seed=40 + i) for i, a in enumerate((x, weight, bias))]

    def value(x, weight, bias):
        y = start(x, seeds, layout)
        y = F.linear(torch.sin(y) if name == "features" else y, weight, bias)
        return (torch.sin(y.coefficients[0]).sum() + (y.coefficients[1] ** 3).sum()).reshape(1)

    with torch.autograd.forward_ad.dual_level():
        duals = [torch.autograd.forward_ad.make_dual(a, t) for a, t in zip((x, weight, bias), tangents, strict=True)]
        found = torch.autograd.forward_ad.unpack_dual(value(*duals)).tangent
    leaves = [a.clone().requires_grad_() for a in (x, weight, bias)]
    slopes = torch.autograd.grad(value(*leaves), leaves, allow_unused=True, materialize_grads=True)
    expected = sum((g * t).sum() for g, t in zip(slopes, tangents, strict=True)).reshape(1)
    torch.testing.assert_close(found, expected, rtol=1e-11, atol=1e-11)


@pytest.mark.parametrize("kind", ["axes", "shared"])
def test_transforms(kind):
    """vmap over points, and grad of a functional call, which take the plain products."""
    x, seeds, layout = points_of(), seeds_of(kind), Layout((S, 0), (None, LAW))

    def value(parameters, x):
        network = lambda z: torch.func.functional_call(MLP, parameters, (z,))  # noqa: E731
        return ((1 - (start(x, seeds, layout) ** 2).sum(-1, keepdim=True)) * network(start(x, seeds, layout))).row(2)[0]

    parameters = {name: p.detach() for name, p in MLP.named_parameters()}
    whole = value(parameters, x)
    found = torch.func.vmap(lambda point: value(parameters, point[None])[0])(x)
    torch.testing.assert_close(found, whole, rtol=1e-12, atol=1e-12)
    gradient = torch.func.grad(lambda p: (value(p, x) ** 2).sum())(parameters)
    expected = torch.autograd.grad((value(dict(MLP.named_parameters()), x) ** 2).sum(), list(MLP.parameters()))
    for a, b in zip(gradient.values(), expected, strict=True):
        torch.testing.assert_close(a, b, rtol=1e-11, atol=1e-11)


# --- types and compilation -------------------------------------------------------------------------------------------


@pytest.mark.parametrize("kind", KINDS)
@pytest.mark.parametrize("name", ["factor", "network"])
def test_float32(kind, name):
    layout, network = layouts(4)[3], perceptron(dtype=torch.float32)
    function = network if name == "network" else lambda z: (1 - (z**2).sum(-1, keepdim=True)) * network(z)
    found = function(start(points_of(dtype=torch.float32), seeds_of(kind, dtype=torch.float32), layout))
    assert all(c.dtype == torch.float32 for c in found.coefficients)
    expected = FUNCTIONS[name](start(points_of(), seeds_of(kind), layout))
    # Sums of some ten terms of order one in six sums: a few roundings of 6e-8.
    assert_equal_jets(Jet([c.double() for c in found.coefficients], layout), expected, tolerance=3e-6)


def compiled_function(z):
    return FUNCTIONS["factor"](z) + (torch.sin(z[:, 1:]) * z[..., 1:]).mean(1, keepdim=True) * z[..., 0:1]


def compiled_equals_eager(kind, backend):
    layout = layouts(3)[2]

    def loss(x, seeds, top):
        return loss_of(compiled_function(start(x, seeds, layout, {3: top})), 3)

    torch.compiler.reset()
    compiled = torch.compile(loss, fullgraph=True, backend=backend, dynamic=False)
    for draw in range(2):  # a second draw of the same kind must find the graph of the first
        x, seeds, top = points_of().requires_grad_(), seeds_of(kind), normal(layout.rows(3), D, seed=draw)
        with torch._dynamo.config.patch(error_on_recompile=draw > 0):
            found = compiled(x, seeds, top)
        expected = loss(x, seeds, top)
        torch.testing.assert_close(found, expected, rtol=1e-12, atol=1e-12)
        leaves = [x, *MLP.parameters()]
        for a, b in zip(torch.autograd.grad(found, leaves), torch.autograd.grad(expected, leaves), strict=True):
            torch.testing.assert_close(a, b, rtol=1e-10, atol=1e-10)


def test_traces_without_a_break():
    compiled_equals_eager("axes", "aot_eager")


# Inductor's own generated code raises such warnings when it is imported; they are not ours.
@pytest.mark.filterwarnings("ignore::DeprecationWarning", "ignore::UserWarning", "ignore::ResourceWarning")
@pytest.mark.slow
@pytest.mark.parametrize("kind", KINDS)
def test_compiles(kind):
    compiled_equals_eager(kind, "inductor")


def test_autocast():
    x, network = points_of(dtype=torch.float32), perceptron(dtype=torch.float32)
    with torch.autocast("cpu", dtype=torch.bfloat16):
        y = network(start(x, OneHot(torch.tensor([0, 2])), Layout.uniform(2, 2)))
    torch.autograd.grad(y.coefficients[2].float().sum(), list(network.parameters()), allow_unused=True)
    assert y.coefficients[2].dtype == torch.bfloat16


# --- size ------------------------------------------------------------------------------------------------------------


class Largest(TorchDispatchMode):
    """Notes the largest array that an operation makes."""

    def __init__(self):
        super().__init__()
        self.numel = 0

    def __torch_dispatch__(self, func, types, args=(), kwargs=None):
        result = func(*args, **(kwargs or {}))
        for tensor in result if isinstance(result, tuple | list) else (result,):
            if isinstance(tensor, torch.Tensor):
                # An expanded view takes no memory of its own.
                self.numel = max(self.numel, tensor.untyped_storage().nbytes() // tensor.element_size())
        return result


@pytest.mark.parametrize("fused", [True, False])
@pytest.mark.parametrize("name", ["factor", "prefactor", "features"])
@pytest.mark.parametrize("kind", ["axes", "shared", "axes_and_shared"])
def test_no_array_of_directions_by_points_by_coordinates(kind, name, fused, monkeypatch):
    n, d, h = 24, 5000, 8
    network = perceptron(d, width=h)
    function = {
        "factor": lambda x: (1 - (x**2).sum(-1, keepdim=True)) * network(x),
        "prefactor": lambda x: (
            torch.exp(-(x[..., 1:] ** 2).mean(-1, keepdim=True)) * torch.sin(x).sum(-1, keepdim=True)
        ),
        "features": lambda x: network(torch.sin(x)),
    }[name]
    if fused:  # a dispatch mode makes the core take its plain path, as it should for tracers
        for module in (project, _push, reductions):
            monkeypatch.setattr(module, "eager", lambda: True)
    x, seeds = points_of(n, d), seeds_of(kind, n, d)
    with Largest() as largest:
        y = function(start(x, seeds, Layout((S, 0), (None, LAW))))
        loss = loss_of(y)
        if loss.requires_grad:
            loss.backward()
    whole = n * d
    # The stack of the units of vectors (value, two orders) is the largest, and has nothing of s.
    bound = whole if kind == "axes" or name == "factor" else 3 * whole
    assert largest.numel <= bound
    assert bound < S * n * d


def test_a_million_coordinates():
    """Laplacian of (1 - |x|^2) sum_h a_h sin(w_h . x) from all that sampled axes say, against the closed form."""
    n, d, h, s = 4, 1_000_000, 2, 16
    generator_ = generator(5)
    x = torch.randn(n, d, generator=generator_, dtype=torch.float32) / d**0.5
    weight = (torch.randn(h, d, generator=generator_, dtype=torch.float32) / d**0.5).requires_grad_()
    columns = torch.randint(d, (s,), generator=generator_)
    layout = Layout((s, 0), (None, torch.full((1, s), d / s, dtype=torch.float64)))
    z = start(x, OneHot(columns), layout)
    y = (1 - (z**2).sum(-1, keepdim=True)) * torch.sin(F.linear(z, weight)).sum(-1, keepdim=True)
    found = 2 * y.coefficients[2][0, :, 0]
    w = weight.detach()[:, columns].double()
    phase, radius = x.double() @ weight.detach().double().T, 1 - (x.double() ** 2).sum(-1)
    slope = torch.einsum("nh,hs,ns->n", torch.cos(phase), w, x[:, columns].double())
    bend = -(torch.sin(phase) @ (w**2).sum(-1))
    expected = (d / s) * (radius * bend - 4 * slope) - 2 * d * torch.sin(phase).sum(-1)
    torch.testing.assert_close(found.double(), expected, rtol=1e-4, atol=1e-4 * float(expected.abs().max()))
    found.square().mean().backward()
    assert torch.isfinite(weight.grad).all()


@pytest.mark.parametrize("d", [4096, 5000, 100_003])
def test_sum_of_squares_keeps_float32_digits(d):
    x = normal(3, d, dtype=torch.float32)
    expected = (x.double() ** 2).sum(-1)
    assert ((sum_of_squares(x).double() - expected).abs() / expected).max() < 1e-6


@pytest.mark.parametrize("requires_grad", [True, False])
def test_sum_of_squares_of_many_coordinates(requires_grad):
    d = 5000
    x, seeds = points_of(3, d).requires_grad_(requires_grad), OneHot(torch.tensor([7, 4999]))
    y = (start(x, seeds, Layout.uniform(2, 2)) ** 2).sum(-1)
    torch.testing.assert_close(y.primal, (x**2).sum(-1), rtol=1e-14, atol=0)
    torch.testing.assert_close(y.row(1), 2 * x[:, [7, 4999]].T, rtol=1e-14, atol=0)
    torch.testing.assert_close(y.row(2), torch.ones(2, 3, dtype=torch.float64))
    if requires_grad:
        torch.testing.assert_close(torch.autograd.grad(y.primal.sum(), x)[0], 2 * x)


# --- the seeds themselves --------------------------------------------------------------------------------------------


@pytest.mark.parametrize("kind", KINDS)
def test_seeds_answer_for_themselves(kind):
    seeds, x = seeds_of(kind), points_of()
    dense = seeds.dense(N, D, x)
    assert isinstance(seeds, Seeds)
    assert seeds.count == len(dense) == S
    assert dense.shape[1] in (1, N)
    for first, last in ((0, 2), (1, 4), (2, 3)):
        part = seeds.rows(first, last)
        assert part.count == last - first
        torch.testing.assert_close(part.dense(N, D, x).expand(-1, N, -1), dense[first:last].expand(-1, N, -1))
    index = torch.tensor([4, 0, 0])
    found = seeds.points(index).dense(3, D, x).expand(-1, 3, -1)
    torch.testing.assert_close(found, dense.expand(-1, N, -1)[:, index])
    assert math.prod(part.count for part in seeds.parts()) >= 1
    assert sum(part.count for part in seeds.parts()) == S


def test_neighbouring_axes_become_one_part():
    assert len(seeds_of("axes_twice").parts()) == 1


def test_answers_about_itself():
    y = start(points_of().requires_grad_(), seeds_of("axes"), Layout.uniform(S, 2))
    assert y.shape == (N, D)
    assert (y.ndim, y.size(-1), len(y), y.dtype, y.requires_grad) == (2, D, N, torch.float64, True)
    assert "Structured(shape=(5, 7), order=2" in repr(y)
    assert torch.zeros_like(y).shape == (N, D)


def begun(seeds, top=None, x=None):
    return start(points_of() if x is None else x, seeds, Layout.uniform(2, 2), top)


def axes(*columns):
    return OneHot(torch.tensor(columns))


BAD = {
    "points": (lambda: begun(axes(0, 1), x=normal(D)), r"points must be .* got torch.float64 of \(7,\)"),
    "integer points": (lambda: begun(axes(0, 1), x=torch.ones(2, 3).long()), "points must be floating"),
    "count": (lambda: begun(axes(0)), "uses 2 directions, but there are 1 seeds"),
    "columns type": (lambda: axes(0.0, 1.0), r"torch.float32; expected int64: use columns.long\(\)"),
    "columns shape": (lambda: OneHot(torch.zeros(1, 2, 3).long()), r"expected \(s,\) or \(s, n\)"),
    "no columns": (lambda: OneHot(torch.zeros(0).long()), "s >= 1"),
    "high columns": (lambda: begun(axes(0, D)), "run from 0 to 7; x has columns 0 to 6"),
    "low columns": (lambda: begun(axes(-1, 0)), "run from -1 to 0"),
    "columns of points": (lambda: begun(OneHot(torch.zeros(2, 3).long())), r"expected \(s,\) or \(s, 5\)"),
    "vectors shape": (lambda: Shared(normal(D)), r"\(7,\); expected \(s, d\)"),
    "vectors width": (lambda: begun(Shared(normal(2, 3))), r"\(2, 3\); expected \(2, 7\)"),
    "vectors type": (lambda: begun(Shared(normal(2, D).float())), r"float32, the points torch.float64; .*to\(x\)"),
    "vectors device": (lambda: begun(Shared(normal(2, D).to("meta"))), "on meta, the points on cpu"),
    "per point shape": (lambda: PerPoint(normal(2, D)), r"\(2, 7\); expected \(s, n, d\)"),
    "per point count": (lambda: begun(PerPoint(normal(2, 3, D))), r"\(2, 3, 7\); expected \(2, 5, 7\)"),
    "nothing": (lambda: Stacked(()), "at least one part"),
    "in a stack": (lambda: begun(Stacked((axes(0), Shared(normal(1, 3))))), r"\(1, 3\); expected \(1, 7\)"),
    "top order": (lambda: begun(axes(0, 1), {3: normal(2, D)}), "orders 1 to 2"),
    "top shape": (lambda: begun(axes(0, 1), {2: normal(1, D)}), r"\(1, 7\); expected \(2, 7\)"),
    "top inside": (lambda: begun(axes(0, 1), {1: normal(2, D)}), "go on to order 2"),
}


@pytest.mark.parametrize("name", BAD)
def test_bad_input(name):
    call, message = BAD[name]
    with pytest.raises(ConfigError, match=message):
        call()
