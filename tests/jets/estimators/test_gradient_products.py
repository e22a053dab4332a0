"""Products of gradients along the directions of a Laplacian: exact, from all outcomes of a draw, and in the mean."""

import itertools
from dataclasses import dataclass

import pytest
import torch

from kjet.errors import ConfigError
from kjet.jets import Derivative, GradientProducts, Plan, Trace, quantity
from kjet.jets.estimators import STDE, Auto, Hutchinson

AXES = {"all": range(4), "some": (0, 1, 3), "two": range(2, 4)}
BESIDE = {
    "alone": [],
    "laplacian": [lambda axes: {Trace(axes): 1.0}],
    "heat": [lambda axes: {Trace(axes): -0.5, ((2, 1),): 1.0}, lambda axes: {((0, 1),): 1.0}],
    "derivative of a laplacian": [lambda axes: {Derivative(((2, 1),), (Trace(axes),)): 1.0, (): 1.0}],
}


def oracle(f, x, axes):
    slopes = torch.func.vmap(torch.func.jacrev(lambda z: f(z[None])[0]))(x)[..., list(axes)]
    return torch.einsum("nai,nbi->nab", slopes, slopes)


def plan_of(axes, beside, estimator, d=4, **options):
    names = [quantity(make(axes)) for make in BESIDE[beside]]
    return Plan.build([*names, GradientProducts(axes)], d, estimator, **options)


def signs(count, samples):
    return [
        [torch.tensor(z).double().reshape(samples, count)] for z in itertools.product((1, -1), repeat=samples * count)
    ]


def subsets(count, samples, replacement=False):
    kind = (
        itertools.product(range(count), repeat=samples)
        if replacement
        else itertools.combinations(range(count), samples)
    )
    return [[torch.tensor(chosen)] for chosen in kind]


OUTCOMES = {
    "sparse": (STDE(2), lambda p: subsets(p, 2)),
    "one": (STDE(1), lambda p: subsets(p, 1)),
    "replacement": (STDE(2, replacement=True), lambda p: subsets(p, 2, True)),
    "signs": (Hutchinson(1), lambda p: signs(p, 1)),
    "two signs": (Hutchinson(2), lambda p: signs(p, 2)),
}


@pytest.mark.parametrize("axes", AXES.values(), ids=AXES)
@pytest.mark.parametrize("beside", BESIDE)
def test_exact(axes, beside, wavy, x):
    plan = plan_of(axes, beside, None)
    torch.testing.assert_close(plan(wavy, x)[plan.products[0]], oracle(wavy, x, axes), rtol=1e-12, atol=1e-12)


@pytest.mark.parametrize("name", OUTCOMES)
@pytest.mark.parametrize("axes", AXES.values(), ids=AXES)
@pytest.mark.parametrize("beside", BESIDE)
def test_mean_over_all_outcomes(name, axes, beside, wavy, x):
    estimator, outcomes = OUTCOMES[name]
    plan = plan_of(axes, beside, estimator)
    (family,) = plan.sources
    found = [
        plan(wavy, x, (family.build(numbers, x.dtype, x.device),))[plan.products[0]] for numbers in outcomes(len(axes))
    ]
    wanted = oracle(wavy, x, axes)
    torch.testing.assert_close(torch.stack(found).mean(0), wanted, rtol=1e-11, atol=1e-11)
    if not family.exact and family.count < len(axes):
        assert (torch.stack(found) - wanted).abs().max() > 1e-3  # else there would be nothing to average


@pytest.mark.parametrize("per_point", [False, True])
@pytest.mark.parametrize("beside", BESIDE)
def test_all_samples_are_exact(per_point, beside, wavy, x):
    plan = plan_of(range(4), beside, STDE(4, per_point=per_point))
    value = plan(wavy, x, plan.draw(len(x), None, x.dtype))[plan.products[0]]
    torch.testing.assert_close(value, oracle(wavy, x, range(4)), rtol=1e-12, atol=1e-12)


@pytest.mark.parametrize(
    "estimator",
    [
        STDE(2, per_point=True),
        Hutchinson(2, "gaussian"),
        Hutchinson(2, "gaussian", per_point=True),
        Hutchinson(2, "sphere"),
        Auto(2).choice(),
    ],
    ids=str,
)
def test_unbiased(estimator, wavy, x, five_sigma, generator):
    plan = plan_of(range(4), "heat", estimator)
    found = [plan(wavy, x, plan.draw(len(x), generator, x.dtype))[plan.products[0]] for _ in range(64)]
    five_sigma(torch.stack(found), oracle(wavy, x, range(4)))


@pytest.mark.parametrize(("samples", "beside", "cost"), [(3, "alone", 4), (3, "laplacian", 5), (3, "heat", 6)])
def test_the_laplacian_carries_them(samples, beside, cost):
    assert plan_of(range(4), beside, STDE(samples)).cost() == cost


@pytest.mark.parametrize("d", [3, 100, 127, 128, 129, 200, 600])
def test_exact_cost_has_no_jump(d):
    """The first derivatives are those of the Laplacian, within one pass or in several."""
    heat = [quantity({Trace(range(1, d + 1)): 1.0, ((0, 1),): 1.0}), GradientProducts(range(1, d + 1))]
    assert Plan.build(heat, d + 1).cost() <= d + 2 + 2 * (d > 128) * (1 + d // 128)
    first = [quantity({((i, 1),): 1.0}) for i in range(1, d + 1)]
    assert Plan.build([heat[0], *first], d + 1).cost() == d + 2


@pytest.mark.parametrize("d", [130, 300])
@pytest.mark.parametrize("budget", [None, 1e6])
@pytest.mark.parametrize("laplacian", [False, True])
def test_passes_of_their_own(d, budget, laplacian, network, points):
    f, x = network(d, 2), points(3, d)
    lap, products = quantity({Trace(range(d)): 1.0}), GradientProducts(range(d))
    names = [products, lap] if laplacian else [products]
    plan = Plan.build(names, d, budget=budget)
    assert len(plan.outer) == 1

    def both(value):
        loss = sum(v.square().sum() for v in value)
        return [*value, *torch.autograd.grad(loss, list(f.parameters())[:-1])]

    values = plan(f, x)
    wanted = [oracle(f, x, range(d))]
    if laplacian:
        wanted.append(
            Plan.build([lap], d, STDE(d))(f, x, (STDE(d).family(Trace(range(d)), d).draw(3, None, x.dtype),))[lap]
        )
    for a, b in zip(both([values[name] for name in names]), both(wanted), strict=True):
        torch.testing.assert_close(a, b, rtol=1e-11, atol=1e-12)


def test_gradients_to_parameters(network, x):
    net = network(4, 2)
    plan = plan_of(range(4), "heat", STDE(2))

    def gradient(value):
        return torch.cat([g.flatten() for g in torch.autograd.grad(value.sum(), list(net.parameters())[:-1])])

    draws = [plan.sources[0].build(numbers, x.dtype, x.device) for numbers in subsets(4, 2)]
    found = torch.stack([gradient(plan(net, x, (seeds,))[plan.products[0]]) for seeds in draws]).mean(0)
    torch.testing.assert_close(found, gradient(oracle(net, x, range(4))), rtol=1e-11, atol=1e-11)


def test_compiled(wavy, x):
    plan = plan_of(range(4), "heat", STDE(2))
    draws = plan.draw(len(x), torch.Generator().manual_seed(0), x.dtype)
    compiled = torch.compile(lambda x, draws: plan(wavy, x, draws), fullgraph=True, backend="aot_eager")
    torch.testing.assert_close(compiled(x, draws)[plan.products[0]], plan(wavy, x, draws)[plan.products[0]])


def test_a_linear_function_and_a_constant(x):
    products = GradientProducts(range(4))
    plan = Plan.build([products], 4)
    assert plan(lambda z: torch.full_like(z[..., :2], 3.0), x)[products].tolist() == torch.zeros(2, 2, 2).tolist()
    sums = plan(lambda z: z @ torch.tensor([[1.0], [2.0], [0.0], [-1.0]], dtype=z.dtype), x)[products]
    assert sums.flatten().tolist() == [6.0, 6.0]


def test_words():
    plan = plan_of(range(4), "heat", STDE(2))
    assert "grad . grad[0..3] = sum_r w_r (D(v_r) f_a) (D(v_r) f_b)[lap[0..3]]" in plan.explain()
    assert "grad . grad[0..3] = products of 4 first derivatives" in plan_of(range(4), "heat", None).explain()
    assert "grad . grad[0..3]" in plan._repr_html_()


@dataclass(frozen=True)
class Fourth:
    """Estimates the Laplacian by fourth derivatives, which no product of first ones belongs to."""

    def family(self, trace, d):
        return Hutchinson(2, "gaussian").family(Trace(trace.axes, 2), d)


def test_refusals(x):
    with pytest.raises(ConfigError, match=r"take the directions of second derivatives .* derivatives of order 4"):
        Plan.build([GradientProducts(range(4))], 4, Fourth())
    with pytest.raises(ConfigError, match="uses axis 4, but x has axes 0 to 3"):
        Plan.build([GradientProducts(range(5))], 4)
    with pytest.raises(ConfigError, match="must be different columns"):
        GradientProducts((1, 1))
    products = GradientProducts(range(4))
    with pytest.raises(ConfigError, match=r"need a function with values \(n, m\); got \(2,\)"):
        Plan.build([products], 4)(lambda z: z.sum(-1), x)
