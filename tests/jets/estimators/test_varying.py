"""Sums with coefficients that vary: exact, in the mean over all outcomes, and with directions that stay symbolic."""

import itertools

import pytest
import torch

from kjet.errors import ConfigError
from kjet.jets import Plan, Trace, Varying, quantity
from kjet.jets.estimators import STDE, Auto, Hutchinson
from kjet.jets.seeded import ScaledAxes
from kjet.jets.seeds import OneHot, PerPoint, Stacked

AXES = {"all": range(4), "some": (0, 1, 3), "every second": range(0, 4, 2), "last": range(2, 4)}


def waves(x):
    """Of both signs, and different from point to point and from axis to axis."""
    return torch.sin(3 * x) - 0.3 * x[:, :1]


def partly_zero(x):
    return torch.relu(x)


WEIGHTS = {
    "positive": (torch.square, True),
    "undeclared": (torch.square, False),
    "both signs": (waves, False),
    "zeros": (partly_zero, True),
    "one for all": (lambda x: 1 + x[:, :1] ** 2, True),
    "number": (lambda x: 2.0, True),
    "constant": (lambda x: torch.arange(1.0, x.shape[1] + 1), True),
}


def oracle(f, x, sum_):
    a = torch.as_tensor(sum_.weight(x[:, list(sum_.axes)]), dtype=x.dtype)

    def single(z):
        return f(z[None])[0]

    if sum_.order == 1:
        slopes = torch.func.vmap(torch.func.jacrev(single))(x)
    else:
        slopes = torch.func.vmap(torch.func.jacrev(torch.func.jacrev(single)))(x).diagonal(dim1=-2, dim2=-1)
    a = a.expand(len(x), len(sum_.axes))
    return (slopes[..., list(sum_.axes)] * a[:, None]).sum(-1)


def signs(count, samples):
    return [
        [torch.tensor(z).double().reshape(samples, count)] for z in itertools.product((1, -1), repeat=samples * count)
    ]


def subsets(count, samples):
    return [[torch.tensor(chosen)] for chosen in itertools.combinations(range(count), samples)]


@pytest.mark.parametrize("order", [1, 2])
@pytest.mark.parametrize("weight", WEIGHTS.values(), ids=WEIGHTS)
@pytest.mark.parametrize("axes", AXES.values(), ids=AXES)
def test_exact(axes, weight, order, wavy, x):
    sum_ = Varying(axes, order, *weight)
    others = [quantity({Trace(axes): 0.5, ((1, 1),): 1.0}), quantity({((0, 2),): 1.0})]
    plan = Plan.build([sum_, *others], 4)
    values = plan(wavy, x)
    torch.testing.assert_close(values[sum_], oracle(wavy, x, sum_), rtol=1e-11, atol=1e-11)
    for other in others:
        torch.testing.assert_close(values[other], Plan.build([other], 4)(wavy, x)[other], rtol=1e-11, atol=1e-11)


@pytest.mark.parametrize("weight", WEIGHTS.values(), ids=WEIGHTS)
@pytest.mark.parametrize("axes", AXES.values(), ids=AXES)
@pytest.mark.parametrize(
    ("estimator", "outcomes"),
    [(STDE(1), lambda p: subsets(p, 1)), (STDE(2), lambda p: subsets(p, 2)), (Hutchinson(1), lambda p: signs(p, 1))],
    ids=["one", "sparse", "signs"],
)
def test_mean_over_all_outcomes(axes, weight, estimator, outcomes, wavy, x):
    sum_ = Varying(axes, 2, *weight)
    beside = quantity({Trace(axes): 1.0})
    plan = Plan.build([sum_, beside], 4, estimator)
    (family,) = plan.sources  # one draw for both
    draws = [family.build(numbers, x.dtype, x.device) for numbers in outcomes(len(axes))]
    values = [plan(wavy, x, (seeds,)) for seeds in draws]
    wanted = {sum_: oracle(wavy, x, sum_), beside: oracle(wavy, x, Varying(axes, 2, lambda x: 1.0))}
    for name, value in wanted.items():
        found = torch.stack([each[name] for each in values])
        torch.testing.assert_close(found.mean(0), value, rtol=1e-11, atol=1e-11)
        assert family.exact or (found - value).abs().max() > 1e-4


@pytest.mark.parametrize(
    "estimator",
    [
        STDE(2, per_point=True),
        STDE(3, replacement=True),
        Hutchinson(2, per_point=True),
        Hutchinson(2, "gaussian"),
        Hutchinson(2, "sphere"),
        Auto(2).choice(),
    ],
    ids=str,
)
@pytest.mark.parametrize("weight", ["positive", "both signs"])
def test_unbiased(estimator, weight, wavy, x, five_sigma, generator):
    sum_ = Varying((0, 1, 3), 2, *WEIGHTS[weight])
    plan = Plan.build([sum_, quantity({((2, 1),): 1.0})], 4, estimator)
    found = [plan(wavy, x, plan.draw(len(x), generator, x.dtype))[sum_] for _ in range(64)]
    five_sigma(torch.stack(found), oracle(wavy, x, sum_))


@pytest.mark.parametrize("per_point", [False, True])
@pytest.mark.parametrize("weight", ["positive", "both signs"])
def test_all_samples_are_exact(per_point, weight, wavy, x):
    sum_ = Varying(range(4), 2, *WEIGHTS[weight])
    plan = Plan.build([sum_], 4, STDE(4, per_point=per_point))
    value = plan(wavy, x, plan.draw(len(x), None, x.dtype))[sum_]
    torch.testing.assert_close(value, oracle(wavy, x, sum_), rtol=1e-11, atol=1e-11)


@pytest.mark.parametrize(
    ("order", "positive", "estimator", "cost"),
    [(1, False, None, 2), (1, False, STDE(2), 2), (2, True, None, 6), (2, False, None, 10), (2, True, STDE(2), 4),
     (2, False, STDE(2), 6), (2, True, Hutchinson(3), 5)],
)  # fmt: skip
def test_channels(order, positive, estimator, cost):
    assert Plan.build([Varying(range(4), order, torch.square, positive)], 4, estimator).cost() == cost


@pytest.mark.parametrize("weight", ["positive", "both signs"])
@pytest.mark.parametrize("budget", [None, 1e6])
def test_long_sums_go_in_passes(weight, budget, network, points):
    f, x = network(150, 2), points(3, 150)
    sum_, drift = Varying(range(1, 150), 2, *WEIGHTS[weight]), Varying(range(1, 150), 1, waves)
    plan = Plan.build([sum_, drift], 150, budget=budget)
    assert len(plan.outer) == 1
    values = plan(f, x)
    for name in (sum_, drift):
        torch.testing.assert_close(values[name], oracle(f, x, name), rtol=1e-10, atol=1e-11)


def test_gradients_to_parameters(network, x):
    net, sum_ = network(4, 2), Varying(range(4), 2, waves)
    plan = Plan.build([sum_], 4, STDE(2))

    def gradient(value):
        return torch.cat([g.flatten() for g in torch.autograd.grad(value.sum(), list(net.parameters())[:-1])])

    draws = [plan.sources[0].build(numbers, x.dtype, x.device) for numbers in subsets(4, 2)]
    found = torch.stack([gradient(plan(net, x, (seeds,))[sum_]) for seeds in draws]).mean(0)
    torch.testing.assert_close(found, gradient(oracle(net, x, sum_)), rtol=1e-11, atol=1e-11)


def test_compiled(wavy, x):
    sums = [Varying(range(4), 2, torch.square, True), Varying(range(4), 1, waves)]
    plan = Plan.build(sums, 4, STDE(2))
    draws = plan.draw(len(x), torch.Generator().manual_seed(0), x.dtype)
    compiled = torch.compile(lambda x, draws: plan(wavy, x, draws), fullgraph=True, backend="aot_eager")
    for name, value in plan(wavy, x, draws).items():
        torch.testing.assert_close(compiled(x, draws)[name], value)


@pytest.mark.parametrize("columns", [torch.tensor([2, 0, 3]), torch.tensor([[2, 0], [1, 1], [3, 0]])], ids=["s", "sn"])
def test_scaled_axes(columns, x, network):
    """The same value as dense vectors give, through a factor, a slice and a layer."""
    scales = torch.tensor([[1.0, -2.0], [0.5, 0.0], [3.0, 1.5]], dtype=x.dtype)
    seeds, net = ScaledAxes(columns, scales), network(4, 1)
    sum_ = quantity({Trace(range(4)): 1.0})
    plan = Plan.build([sum_], 4, STDE(3))

    def f(z):
        return net(z) * (1 - (z**2).sum(-1, keepdim=True)) + torch.sin(z[..., 1:3]).sum(-1, keepdim=True)

    dense = PerPoint(seeds.dense(2, 4, x))
    torch.testing.assert_close(plan(f, x, (seeds,))[sum_], plan(f, x, (dense,))[sum_], rtol=1e-12, atol=1e-12)
    both = Stacked((seeds.rows(0, 2), OneHot(torch.tensor([1]))))
    wanted = PerPoint(both.dense(2, 4, x))
    torch.testing.assert_close(plan(f, x, (both,))[sum_], plan(f, x, (wanted,))[sum_], rtol=1e-12, atol=1e-12)
    index = torch.tensor([1, 0])
    assert torch.equal(seeds.points(index).dense(2, 4, x), seeds.dense(2, 4, x)[:, index])


def test_no_array_of_samples_points_and_coordinates():
    """One of 80 million numbers would take 320 MB."""
    d, n = 100_000, 50

    def f(z):
        return (z**4).sum(-1, keepdim=True)

    sum_ = Varying(range(d), 2, torch.square, True)
    plan = Plan.build([sum_], d, STDE(16))
    x = torch.ones(n, d)
    draws = plan.draw(n, torch.Generator().manual_seed(0))
    (part,) = plan.blueprint.atoms[0].seeds(x, draws).parts()
    assert isinstance(part, ScaledAxes)
    assert plan(f, x, draws)[sum_].flatten().tolist() == pytest.approx([12.0 * d] * n, rel=1e-5)


def test_refusals(wavy, x):
    with pytest.raises(ConfigError, match="have order 1 or 2; got 3"):
        Varying(range(4), 3, torch.square)
    with pytest.raises(ConfigError, match=r"weight must be a function of the coordinates \(n, 4\)"):
        Varying(range(4), 2, torch.ones(4))
    with pytest.raises(ConfigError, match="uses axis 4, but x has axes 0 to 3"):
        Plan.build([Varying(range(5), 2, torch.square)], 4)
    with pytest.raises(ConfigError, match=r"negative at some point; leave out positive=True"):
        Plan.build([Varying(range(4), 2, waves, positive=True)], 4)(wavy, x)
    with pytest.raises(ConfigError, match=r"gave shape \(2, 3\); expected \(2, 4\)"):
        Plan.build([Varying(range(4), 1, lambda z: z[:, :3])], 4)(wavy, x)
    with pytest.raises(ConfigError, match="do not fit"):
        ScaledAxes(torch.tensor([0, 1]), torch.ones(3, 2))
    with pytest.raises(ConfigError, match=r"scales of axes are torch.float32 \(1, 3\)"):
        ScaledAxes(torch.tensor([0]), torch.ones(1, 3)).check(x)


def test_equal_ones_are_one():
    assert Varying(range(4), 2, torch.square) == Varying((0, 1, 2, 3), 2, torch.square)
    first, second = (Plan.build([Varying(range(4), 2, torch.square)], 4, STDE(2)) for _ in range(2))
    assert first is second
    assert "sum_i square_i d_i^2 [0..3]" in first.explain()


@pytest.mark.parametrize("positive", [True, False])
def test_weights_that_are_differentiated_are_refused(positive):
    """The root of a coefficient has no derivative where it is zero."""
    x = torch.tensor([[0.0, 0.3]], dtype=torch.float64, requires_grad=True)
    plan = Plan.build([Varying((0, 1), 2, torch.square, positive)], 2)
    with pytest.raises(ConfigError, match=r"depends on points or parameters that require gradients"):
        plan(lambda z: torch.sin(z.sum(-1, keepdim=True)), x)
