"""Parts of a plan, put together by hand: no processes are needed to see whether they make the whole."""

import itertools

import pytest
import torch

from kjet.distributed import Axis, Mesh, ShardedPlan
from kjet.distributed._parts import part_of
from kjet.jets import Biharmonic, GradientProducts, Laplacian, Plan, Trace, Varying, quantity
from kjet.jets.estimators import STDE, Hutchinson

D = 4
MATRIX = torch.tensor([[2.0, 0.5, 0.0, 0.0], [0.5, 1.0, 0.0, 0.3], [0.0, 0.0, -1.0, 0.0], [0.0, 0.3, 0.0, 0.0]])
U, U_X, U_T = quantity({(0, 0, 0, 0): 1.0}), quantity({(1, 0, 0, 0): 1.0}), quantity({(0, 0, 0, 1): 1.0})
GRAD = GradientProducts(range(3))
LAP, SPACE = Laplacian().quantity(D), quantity({Trace(range(3)): 1.0})

PLANS = {
    "laplacian": [LAP],
    "laplacian and what stands alone": [LAP, U, U_X],
    "heat: a first derivative carried along": [quantity({Trace(range(3)): -0.5, ((3, 1),): 1.0})],
    "heat with its parts": [quantity({Trace(range(3)): -0.5, ((3, 1),): 1.0}), U_T, U_X, U],
    "a value in the sum": [quantity({Trace(range(3)): 1.0, (): 3.0})],
    "two orders": [LAP, quantity({(4, 0, 0, 0): 1.0, (0, 4, 0, 0): 1.0, (0, 0, 4, 0): 0.5}), U_X],
    "two sums of one order": [quantity({(2, 0, 0, 0): 1.0, (0, 2, 0, 0): 1.0}), quantity({Trace((0, 2, 3)): 1.0})],
    "weighted": [Laplacian(MATRIX).quantity(D), U_T],
    "biharmonic": [Biharmonic().quantity(D), LAP],
    "mixed orders in one": [quantity({Trace(range(4), 2): 1.0, Trace(range(4)): -2.0, ((1, 3),): 1.0, (): 1.0}), U_X],
    "a mixed derivative of a trace": [quantity({Trace(range(3)): 1.0}) * U_T, SPACE],
    "nothing to share": [U, U_X, quantity({(2, 0, 0, 0): 1.0})],
    "value only": [U],
    "coefficients that vary": [Varying(range(3), 2, torch.square, positive=True), U_X],
    "coefficients of both signs": [Varying(range(3), 2, torch.sin), Varying(range(4), 1, torch.sin), U, SPACE],
    "products of gradients": [GRAD],
    "products and a laplacian": [quantity({Trace(range(3)): -0.5, ((3, 1),): 1.0}), GRAD, U_X],
    "products over two sets of axes": [SPACE, GRAD, GradientProducts((0, 2, 3)), U_T],
}
ESTIMATORS = {
    "exact": None,
    "sparse": STDE(3),
    "one sample": STDE(1),
    "each point": STDE(2, per_point=True),
    "gaussian": Hutchinson(5, law="gaussian"),
}
# Sums of order 4 take other samples; two kinds of them are enough.
CASES = [
    (name, estimator)
    for name, estimator in itertools.product(PLANS, ESTIMATORS)
    if name not in ("biharmonic", "mixed orders in one") or estimator in ("exact", "gaussian")
]


@pytest.fixture
def function():
    generator = torch.Generator().manual_seed(1)
    w = torch.randn(D, 6, dtype=torch.float64, generator=generator)
    v = torch.randn(6, 2, dtype=torch.float64, generator=generator)
    return lambda x: torch.tanh(x @ w) @ v


@pytest.fixture
def x():
    return torch.rand(7, D, dtype=torch.float64, generator=torch.Generator().manual_seed(2))


def drawn(sharded, n):
    return sharded.draw(n, torch.Generator().manual_seed(3), torch.float64)


@pytest.mark.parametrize("size", [2, 3, 7])
@pytest.mark.parametrize(("name", "estimator"), CASES)
def test_parts_add_up(name, estimator, size, function, x):
    plan = Plan.build(PLANS[name], D, ESTIMATORS[estimator])
    expected = plan(function, x, plan.draw(len(x), torch.Generator().manual_seed(3), torch.float64))
    parts = [ShardedPlan(plan, Mesh(direction=Axis(rank, size))) for rank in range(size)]
    values = [part.part.plan(function, x, drawn(part, len(x))) for part in parts]
    for wanted in (*plan.quantities, *plan.products):
        found = [value[wanted] for value in values]
        scale = expected[wanted].abs().max()
        if wanted in parts[0].part.summed:
            assert (sum(found) - expected[wanted]).abs().max() <= 1e-13 * scale
        else:
            for one in found:
                torch.testing.assert_close(one, expected[wanted], rtol=1e-13, atol=1e-13)


@pytest.mark.parametrize("size", [2, 3, 7])
@pytest.mark.parametrize("estimator", [STDE(3), Hutchinson(5, law="gaussian")], ids=["sparse", "gaussian"])
def test_parts_under_a_budget(estimator, size, function, x):
    names = [quantity({Trace(range(3)): 1.0}) * U_T, SPACE, GRAD, Varying(range(3), 2, torch.sin), U_X]
    plan = Plan.build(names, D, estimator, budget=1e7)
    assert plan.outer
    expected = plan(function, x, plan.draw(len(x), torch.Generator().manual_seed(3), torch.float64))
    parts = [ShardedPlan(plan, Mesh(direction=Axis(rank, size))) for rank in range(size)]
    values = [part.part.plan(function, x, drawn(part, len(x))) for part in parts]
    for name in parts[0].part.summed:
        torch.testing.assert_close(sum(value[name] for value in values), expected[name], rtol=1e-12, atol=1e-13)


@pytest.mark.parametrize("size", [2, 3])
def test_points_are_shared_with_their_directions(size, function, x):
    plan = Plan.build([SPACE, U_T], D, STDE(2, per_point=True))
    expected = plan(function, x, plan.draw(len(x), torch.Generator().manual_seed(3), torch.float64))
    for rank in range(size):
        sharded = ShardedPlan(plan, Mesh(data=Axis(rank, size)))
        index = sharded.mesh.points(len(x)).index
        values = sharded(function, x[index], drawn(sharded, len(x)))
        for name in plan.quantities:
            torch.testing.assert_close(values[name], expected[name][index], rtol=1e-13, atol=1e-13)


def test_long_sums_go_in_passes_of_each_rank():
    d = 150
    products = GradientProducts(range(d))
    plan = Plan.build([quantity({Trace(range(d)): 2.0, ((0, 1),): 1.0}), products], d)
    assert plan.outer
    x = torch.rand(2, d, dtype=torch.float64, generator=torch.Generator().manual_seed(0))

    def function(x):
        return torch.sin(x).sum(-1, keepdim=True) ** 2

    expected = plan(function, x)
    parts = [part_of(plan, Axis(rank, 4)) for rank in range(4)]
    assert [part.plan.outer[0][0].count for part in parts] == [38, 38, 37, 37]
    for name in (plan.quantities[0], products):
        torch.testing.assert_close(sum(part.plan(function, x)[name] for part in parts), expected[name])


def test_ranks_push_their_own_directions_only():
    plan = Plan.build([LAP, quantity({(1, 0, 0, 0): 1.0})], D)
    parts = [part_of(plan, Axis(rank, 2)).plan for rank in range(2)]
    assert plan.cost() == 1 + D + 1
    # The first derivative is wanted by all; the axis ends in the sum on one of them.
    assert sorted(part.cost() for part in parts) == [1 + 2 + 1, 1 + 2 + 1 + 1]
    heat = Plan.build([quantity({Trace(range(3)): -0.5, ((3, 1),): 1.0, (): 2.0})], D)
    assert [part_of(heat, Axis(rank, 3)).plan.cost() for rank in range(3)] == [3, 3, 3]


def test_one_rank_has_the_plan_itself():
    plan = Plan.build([LAP], D)
    assert part_of(plan, Axis()).plan is plan


@pytest.mark.parametrize(("count", "size"), [*itertools.product([0, 1, 5, 12], [1, 2, 5])])
def test_runs_and_points_cover_everything_once(count, size):
    runs = [Axis(rank, size).run(count) for rank in range(size)]
    assert [i for first, last in runs for i in range(first, last)] == list(range(count))
    lengths = [last - first for first, last in runs]
    assert lengths == sorted(lengths, reverse=True)
    assert max(lengths) - min(lengths) <= 1
    shares = [Mesh(data=Axis(rank, size)).points(count).index.tolist() for rank in range(size)]
    assert sorted(itertools.chain(*shares)) == list(range(count))
