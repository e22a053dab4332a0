"""Plans with sums over many coordinates: written out, in passes, estimated; one value whatever the way."""

import math

import pytest
import torch
from torch._dynamo.testing import CompileCounterWithBackend

from kjet.errors import KjetWarning
from kjet.jets import (
    Biharmonic,
    Exact,
    Laplacian,
    Operator,
    Plan,
    Trace,
    _passes,
    biharmonic,
    contract,
    jet,
    laplacian,
    quantity,
)
from kjet.jets.chunk import directional_sum
from kjet.jets.estimators import STDE, Hutchinson
from kjet.jets.seeds import OneHot, PerPoint, Shared

CUDA = [pytest.mark.gpu, pytest.mark.skipif(not torch.cuda.is_available(), reason="needs a CUDA device")]


class Wave:
    """``sin(a . x) + exp(b . x)``, whose derivatives are known in any number of dimensions."""

    def __init__(self, d, seed=0):
        generator = torch.Generator().manual_seed(seed)
        self.a, self.b = (torch.randn(d, generator=generator, dtype=torch.float64) / d**0.5 for _ in range(2))

    def __call__(self, x):
        p, q = torch.matmul(x, self.a.to(x.dtype)[:, None]), torch.matmul(x, self.b.to(x.dtype)[:, None])
        return torch.cat([torch.sin(p) + torch.exp(q), torch.exp(q)], -1)

    def exact(self, x, axes, power, index=()):
        """``d^index lap^power`` over the axes."""
        axes = torch.tensor(list(axes))
        k = 2 * power + sum(order for _, order in index)
        fa, fb = (v[axes].square().sum() ** power for v in (self.a, self.b))
        for axis, order in index:
            fa, fb = fa * self.a[axis] ** order, fb * self.b[axis] ** order
        p, q = x @ self.a, x @ self.b
        second = fb * torch.exp(q)
        return torch.stack([fa * torch.sin(p + k * math.pi / 2) + second, second], -1)


def points(n, d, seed=1):
    return torch.randn(n, d, generator=torch.Generator().manual_seed(seed), dtype=torch.float64)


CASES = [(5, 1), (40, 1), (128, 1), (129, 1), (300, 1), (3, 2), (11, 2), (12, 2), (40, 2), (3, 3), (6, 3), (4, 4)]


@pytest.mark.parametrize(("d", "power"), CASES)
def test_exact_sums(d, power):
    f, x, trace = Wave(d + 2), points(3, d + 2), Trace(range(1, d + 1), power)
    wanted = f.exact(x, trace.axes, power)
    # The weights of powers grow with the number of coordinates, by which digits are lost.
    torch.testing.assert_close(contract(f, x, Operator({trace: 1.0})), wanted, rtol=1e-9, atol=1e-9 * d**power)


@pytest.mark.parametrize("axes", [range(0, 300, 2), tuple(i for i in range(200) if i % 3), (7, 5, 6)])
def test_axes_with_gaps(axes):
    f, x = Wave(300), points(2, 300)
    wanted = f.exact(x, axes, 1)
    torch.testing.assert_close(contract(f, x, Laplacian(axes=axes)), wanted, rtol=1e-10, atol=1e-12)


@pytest.mark.parametrize("d", [20, 140])
def test_one_value_whatever_the_way(d):
    f, x, name = Wave(d), points(4, d), quantity({Trace(range(d)): 1.0})
    written = quantity({((axis, 2),): 1.0 for axis in range(d)})
    everything = STDE(samples=d)
    sampled = Plan.build([name], d, everything)
    ways = {
        "exact": Plan.build([name], d)(f, x)[name],
        "written out": Plan.build([written], d)(f, x)[written],
        "kept singly": sum(
            Plan.build([quantity({((i, 2),): 1.0}) for i in range(d)], d)(f, x).values(),
        ),
        "one-hot": sampled(f, x, sampled.draw(4, None, x.dtype))[name],
        "shared": sampled(f, x, (Shared(torch.eye(d, dtype=x.dtype)),))[name],
        "dense": sampled(f, x, (PerPoint(torch.eye(d, dtype=x.dtype).unsqueeze(1).expand(d, 4, d)),))[name],
        "uncollapsed": jet(f, x, torch.eye(d, dtype=x.dtype), 2)[2].sum(0),
        "chunked": directional_sum(f, x, OneHot(torch.arange(d)), torch.ones(d, dtype=x.dtype), 2, chunk=7),
        "budget": Plan.build([name], d, budget=1e6)(f, x)[name],
        "estimator": everything(f, x, Laplacian()),
    }
    for way, value in ways.items():
        torch.testing.assert_close(value, f.exact(x, range(d), 1), rtol=1e-11, atol=1e-12, msg=way)


ESTIMATORS = {
    "sparse": STDE(samples=3),
    "replacement": STDE(samples=3, replacement=True),
    "per point": STDE(samples=3, per_point=True),
    "signs": Hutchinson(samples=3),
    "gaussian": Hutchinson(samples=3, law="gaussian"),
    "sphere per point": Hutchinson(samples=3, law="sphere", per_point=True),
}
SUMS = {
    "heat": [{Trace(range(8)): -0.5, ((8, 1),): 1.0}, {(): 1.0}],
    "two coefficients": [{Trace(range(8)): -0.5, ((8, 1),): 1.0}, {Trace(range(8)): -2.0, ((8, 1),): 1.0}],
    "multiples": [{Trace(range(8)): -0.5}, {Trace(range(8)): 3.0}],
    "beside second derivatives": [{Trace(range(8)): 1.0, ((8, 2),): 1.0}, {((8, 1),): 1.0}, {((8, 2),): 2.0}],
    "two orders": [{Trace(range(8)): 1.0, Trace(range(8), 2): 0.1, ((8, 1),): 1.0}, {Trace(range(8)): 1.0}],
    "two sets of axes": [{Trace(range(4)): 1.0, Trace(range(4, 8)): 2.0}, {((0, 1),): 1.0}],
    "with mixed derivatives": [{Trace(range(8)): 1.0, ((0, 1), (1, 1)): 1.0}, {((0, 2), (8, 1)): 1.0}],
    "higher ones beside": [{Trace(range(8)): 1.0, ((8, 1),): 1.0}, {((0, 4),): 1.0}],
}


def along(f, x, family, seeds):
    """``sum_r w_r D^K_{v_r} f`` by uncollapsed jets with dense directions."""
    vectors = seeds.dense(*x.shape, x).expand(-1, len(x), -1)
    return torch.tensordot(family.weights.to(x), jet(f, x, vectors, family.order)[family.order], 1)


@pytest.mark.parametrize("estimator", ESTIMATORS)
@pytest.mark.parametrize("name", SUMS)
def test_a_plan_sums_the_drawn_directions_and_the_exact_ones(name, estimator):
    d, estimator = 9, ESTIMATORS[estimator]
    f, x = Wave(d), points(4, d)
    sums = [quantity(part) for part in SUMS[name]]
    plan = Plan.build(sums, d, estimator)
    draws = plan.draw(len(x), torch.Generator().manual_seed(5), x.dtype)
    assert plan.random
    traces = list(dict.fromkeys(a.traces[0] for terms in sums for a, _ in terms if a.traces))
    estimates = {
        trace: along(f, x, family, seeds) for trace, family, seeds in zip(traces, plan.sources, draws, strict=True)
    }
    for terms, value in plan(f, x, draws).items():
        wanted = sum(c * (estimates[a.traces[0]] if a.traces else f.exact(x, [0], 0, a.index)) for a, c in terms)
        torch.testing.assert_close(value, wanted, rtol=1e-10, atol=1e-10)


@pytest.mark.parametrize(
    ("name", "directions", "cost"),
    [("heat", 3, 5), ("two coefficients", 3, 6), ("multiples", 3, 5), ("beside second derivatives", 3, 7)],
)
def test_channels(name, directions, cost):
    plan = Plan.build([quantity(part) for part in SUMS[name]], 9, STDE(samples=directions))
    assert plan.cost() == cost


@pytest.mark.parametrize("index", [((8, 1),), ((0, 1),), ((0, 1), (8, 1)), ((8, 3),)])
@pytest.mark.parametrize("estimator", ["sparse", "per point", "gaussian"])
def test_derivatives_of_an_estimated_sum(index, estimator):
    """``d^index`` of the estimate of a trace, whose directions are the drawn ones: here all derivatives are known."""
    d, f, x = 9, Wave(9), points(4, 9)
    name = quantity({index: 1.0}) * quantity({Trace(range(8)): 1.0})
    plan = Plan.build([name], d, ESTIMATORS[estimator])
    draws = plan.draw(len(x), torch.Generator().manual_seed(5), x.dtype)
    vectors = draws[0].dense(*x.shape, x).expand(-1, len(x), -1)
    weights, k = plan.sources[0].weights, 2 + sum(order for _, order in index)
    factors = []
    for v in (f.a, f.b):
        estimate = torch.tensordot(weights, (vectors @ v).square(), 1)
        factors.append(estimate * math.prod(float(v[axis]) ** order for axis, order in index))
    p, q = x @ f.a, x @ f.b
    second = factors[1] * torch.exp(q)
    wanted = torch.stack([factors[0] * torch.sin(p + k * math.pi / 2) + second, second], -1)
    torch.testing.assert_close(plan(f, x, draws)[name], wanted, rtol=1e-9, atol=1e-9)


def test_derivatives_of_an_exact_sum():
    f, x = Wave(12), points(3, 12)
    name = quantity({((2, 1),): 1.0}) * quantity({Trace(range(10)): 1.0, ((11, 1),): 2.0})
    wanted = f.exact(x, range(10), 1, ((2, 1),)) + 2 * f.exact(x, [0], 0, ((2, 1), (11, 1)))
    torch.testing.assert_close(Plan.build([name], 12)(f, x)[name], wanted, rtol=1e-10, atol=1e-10)


@pytest.mark.parametrize("d", [20, 150])
def test_gradients_of_sums(d, network):
    f, x = network(d, 1), points(3, d)
    name = quantity({Trace(range(d)): 1.0, ((0, 1),): 1.0})
    loss = Plan.build([name], d)(f, x)[name].square().sum()
    leaf = x.clone().requires_grad_()
    (slopes,) = torch.autograd.grad(f(leaf).sum(), leaf, create_graph=True)
    second = [torch.autograd.grad(slopes[:, i].sum(), leaf, create_graph=True)[0][:, i] for i in range(d)]
    wanted = (sum(second) + slopes[:, 0]).square().sum()
    weights = list(f.parameters())[:-1]  # the last bias reaches no derivative
    for value, other in zip(torch.autograd.grad(loss, weights), torch.autograd.grad(wanted, weights), strict=True):
        torch.testing.assert_close(value, other, rtol=1e-10, atol=1e-10)


def test_compiled_once_for_all_draws(network):
    d, f, x = 40, network(40, 1), points(4, 40)
    names = [quantity({Trace(range(39)): -0.5, ((39, 1),): 1.0}), quantity({(): 1.0})]
    plan = Plan.build(names, d, STDE(samples=5))
    generator, counter = torch.Generator().manual_seed(0), CompileCounterWithBackend("aot_eager")

    def residual(x, draws):
        values = plan(lambda x: (1 - (x**2).sum(-1, keepdim=True)) * f(x), x, draws)
        return values[names[0]] + values[names[1]] ** 3

    torch.compiler.reset()
    compiled = torch.compile(residual, fullgraph=True, backend=counter)
    for _ in range(3):
        draws = plan.draw(len(x), generator, x.dtype)
        torch.testing.assert_close(compiled(x, draws), residual(x, draws), rtol=1e-12, atol=1e-12)
    assert counter.frame_count == 1


def test_plans_are_remembered_by_value():
    first = Plan.build([quantity({Trace(range(50)): 1.0})], 50, STDE(samples=5))
    assert Plan.build([quantity({Trace(tuple(range(50))): 1.0})], 50, STDE(samples=5)) is first
    assert Plan.build([quantity({Trace(range(50)): 1.0})], 50, STDE(samples=6)) is not first
    assert Plan.build([quantity({Trace(range(50)): 1.0})], 50) is not first


def test_exact_as_an_estimator():
    name = quantity({Trace(range(5)): 1.0})
    assert not Plan.build([name], 5, Exact()).random
    assert Plan.build([name], 5, Exact()).cost() == 7


def test_short_names_in_many_dimensions():
    f, x = Wave(200), points(2, 200)
    torch.testing.assert_close(laplacian(f, x), f.exact(x, range(200), 1), rtol=1e-10, atol=1e-12)
    f, x = Wave(15), points(2, 15)
    torch.testing.assert_close(biharmonic(f, x), f.exact(x, range(15), 2), rtol=1e-9, atol=1e-10)
    torch.testing.assert_close(contract(f, x, Biharmonic(axes=range(2, 9))), f.exact(x, range(2, 9), 2))


def test_an_exact_sum_that_costs_much_warns(monkeypatch):
    monkeypatch.setattr(_passes, "_COSTLY", 150)
    with pytest.warns(KjetWarning, match=r"lap\[0..150\] propagates 151 directions of order 2.*STDE\(samples=16\)"):
        laplacian(Wave(151), points(1, 151))


def test_too_many_terms_are_refused():
    with pytest.raises(ValueError, match=r"lap\^3\[0..99\] has 171700 terms.*Hutchinson"):
        Plan.build([quantity({Trace(range(100), 3): 1.0})], 100)


def test_products_of_two_sums_have_no_estimator():
    name = quantity({Trace(range(5)): 1.0}) * quantity({Trace(range(5, 10)): 1.0})
    with pytest.raises(ValueError, match="no estimator for the product"):
        Plan.build([name], 10, STDE(samples=2))
    f, x = Wave(10), points(2, 10)
    wanted = torch.zeros_like(f(x))
    for v, part in ((f.a, lambda: torch.sin(x @ f.a)), (f.b, lambda: torch.exp(x @ f.b))):
        value = v[:5].square().sum() * v[5:].square().sum() * part()
        wanted[:, 0] += value
        wanted[:, 1] += value if v is f.b else 0
    torch.testing.assert_close(Plan.build([name], 10)(f, x)[name], wanted, rtol=1e-9, atol=1e-9)


def test_draws_are_asked_for():
    name = quantity({Trace(range(20)): 1.0})
    plan = Plan.build([name], 20, STDE(samples=2))
    with pytest.raises(ValueError, match=r"estimates 1 traces; got draws for 0. Pass draws = plan.draw"):
        plan(Wave(20), points(2, 20))
    with pytest.raises(ValueError, match="needs a generator"):
        plan.draw(2)


def test_axes_beyond_the_points():
    with pytest.raises(ValueError, match=r"uses axis 9, but x has axes 0 to 7"):
        Plan.build([quantity({Trace(range(10)): 1.0})], 8)


@pytest.mark.parametrize("device", ["meta", pytest.param("cuda", marks=CUDA)])
def test_a_plan_moves_to_a_device(device):
    names = [quantity({Trace(range(8)): -0.5, ((8, 1),): 1.0}), quantity({((0, 1), (1, 1)): 1.0})]
    for estimator in (None, STDE(samples=3)):
        plan = Plan.build(names, 9, estimator)
        moved = plan.to(device)
        assert moved.to(device).layout.weights[-1].device.type == device
        assert moved.cost() == plan.cost()
        if device == "cuda":
            f, x = Wave(9), points(4, 9)
            draws = plan.draw(4, torch.Generator().manual_seed(0), x.dtype)
            seeds = moved.draw(4, torch.Generator().manual_seed(0), x.dtype, device)
            g = Wave(9)
            g.a, g.b = g.a.to(device), g.b.to(device)
            values = moved(g, x.to(device), seeds)
            for name, value in plan(f, x, draws).items():
                torch.testing.assert_close(values[name].cpu(), value, rtol=1e-11, atol=1e-12)
    assert plan.to("cpu") is plan
