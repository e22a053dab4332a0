"""Rules that renew points: what they keep, what they draw, and by which law."""

from __future__ import annotations

import pytest
import torch
from scipy import stats

from kjet.data import R3, RAD, RARD, Importance, Interval, Points, Rectangle, Uniformly
from kjet.errors import ConfigError

SQUARE = Rectangle()
RULES = {
    "rad": RAD(),
    "rar_d": RARD(added=7, maximum=70),
    "r3": R3(),
    "importance": Importance(),
    "uniform": Uniformly(),
}


def rng(seed: int = 0) -> torch.Generator:
    return torch.Generator().manual_seed(seed)


def fresh(generator: torch.Generator, domain=SQUARE):
    return lambda n: domain.interior(n, sampler="uniform", generator=generator, dtype=torch.float64)


def peak(points: Points) -> torch.Tensor:
    return torch.exp(-30 * (points.x - 0.5).square().sum(1))


def line(n: int) -> Points:
    return Points(torch.linspace(0, 1, n, dtype=torch.float64)[:, None], ("x",), measure=3.0)


def grid(n: int):
    """Uniform points of which each stands for a cell: the law of a draw is known exactly."""
    return lambda _: line(n)


@pytest.mark.parametrize("rule", RULES.values(), ids=RULES.keys())
def test_points_stay_in_the_domain_and_repeat_with_the_generator(rule):
    def renewed(seed):
        generator = rng(seed)
        old = fresh(generator)(60)
        return rule.renew(peak, old, fresh(generator), generator=generator)

    first, again, other = renewed(3), renewed(3), renewed(4)
    assert bool(SQUARE.inside(first.x).all())
    assert torch.equal(first.x, again.x)
    assert not torch.equal(first.x, other.x)
    assert (first.coords, first.measure) == (("x", "y"), 1.0)
    assert not first.x.requires_grad


@pytest.mark.parametrize("rule", RULES.values(), ids=RULES.keys())
def test_the_device_and_type_of_points_stay(rule):
    generator = rng()

    def draw(n):
        return SQUARE.interior(n, generator=generator, dtype=torch.float32)

    new = rule.renew(lambda p: p.x[:, 0], draw(40), draw, generator=generator)
    assert new.x.dtype == torch.float32
    assert new.weights is None or new.weights.dtype == torch.float32


@pytest.mark.parametrize("name", ["rad", "rar_d", "r3", "importance"])
@pytest.mark.parametrize(("bad", "message"), [(float("nan"), "not finite"), (None, "score returned shape")])
def test_bad_scores_are_refused(name, bad, message):
    def score(p):
        return torch.zeros(1) if bad is None else torch.full((len(p),), bad)

    with pytest.raises(ConfigError, match=message):
        RULES[name].renew(score, line(40), fresh(rng(), Interval(0, 1)), generator=rng())


# RAR-D


def test_refinement_keeps_old_points_and_stops_at_the_maximum():
    generator, rule = rng(), RARD(added=10, maximum=35)
    old, counts = fresh(generator)(20), []
    for _ in range(4):
        new = rule.renew(peak, old, fresh(generator), generator=generator)
        assert torch.equal(new.x[: len(old)], old.x)
        counts.append(len(new))
        old = new
    assert counts == [30, 35, 35, 35]


def test_refinement_adds_by_the_published_density():
    """One point added at a time, from a pool of four: p ~ |r|^2 / mean |r|^2."""
    score = torch.tensor([1.0, 2.0, 3.0, 4.0], dtype=torch.float64)
    rule, generator, old = RARD(added=1, maximum=2), rng(1), Points(torch.zeros(1, 1).double(), ("x",))
    added = [rule.renew(lambda _: score, old, grid(4), generator=generator).x[1].item() for _ in range(2000)]
    counts = torch.bincount((torch.tensor(added) * 3).round().long(), minlength=4)
    expected = 2000 * score.square() / score.square().sum()
    assert stats.chisquare(counts.numpy(), expected.numpy()).pvalue > 1e-4


def test_refinement_of_weighed_points_is_refused():
    old = Points(torch.zeros(2, 1), ("x",), weights=torch.ones(2))
    with pytest.raises(ConfigError, match="start from points without weights"):
        RARD(1, 5).renew(lambda p: p.x[:, 0], old, grid(5), generator=rng())


@pytest.mark.parametrize("options", [{"added": 0, "maximum": 5}, {"added": 1, "maximum": 0}])
def test_bad_refinements_are_refused(options):
    with pytest.raises(ConfigError, match="must be at least 1"):
        RARD(**options)


# R3


def test_points_above_the_mean_are_retained_and_the_others_released():
    old = fresh(rng())(100)
    new = R3().renew(peak, old, fresh(rng(1)), generator=rng(2))
    above = peak(old) > peak(old).mean()
    kept = int(above.sum())
    assert len(new) == 100
    assert 0 < kept < 100
    assert torch.equal(new.x[:kept], old.x[above])
    assert not bool((new.x[kept:, None] == old.x[None]).all(-1).any())


def test_released_points_come_back_uniformly():
    generator, counts = rng(5), torch.zeros(10)
    old = Points(torch.linspace(0, 1, 40, dtype=torch.float64)[:, None], ("x",))
    for _ in range(60):
        new = R3().renew(lambda p: p.x[:, 0] ** 4, old, fresh(generator, Interval(0, 1)), generator=generator)
        kept = int((old.x[:, 0] ** 4 > (old.x[:, 0] ** 4).mean()).sum())
        counts += torch.histc(new.x[kept:, 0].float(), 10, 0, 1)
    assert stats.chisquare(counts.numpy()).pvalue > 1e-4


@pytest.mark.parametrize("value", [0.0, 0.1, 1e300])
def test_where_all_are_equal_at_least_one_goes(value):
    new = R3().renew(lambda p: torch.full((len(p),), value, dtype=torch.float64), line(7), fresh(rng(), Interval(0, 1)),
                     generator=rng())  # fmt: skip
    assert len(new) == 7
    assert not torch.equal(new.x, line(7).x)


def test_points_gather_and_leave_again():
    generator = rng(8)
    points = fresh(generator)(200)
    for _ in range(20):
        points = R3().renew(peak, points, fresh(generator), generator=generator)
    near = ((points.x - 0.5).norm(dim=1) < 0.2).double().mean()
    assert near > 0.5  # uniform points: 0.126
    for _ in range(20):
        points = R3().renew(lambda p: torch.ones(len(p)), points, fresh(generator), generator=generator)
    assert ((points.x - 0.5).norm(dim=1) < 0.2).double().mean() < 0.3


# importance sampling


def test_draws_follow_the_density_with_replacement():
    score = torch.tensor([1.0, 2.0, 3.0, 4.0], dtype=torch.float64)
    rule = Importance(RAD(offset=0.5))
    new = rule.renew(lambda _: score, Points(torch.zeros(4000, 1).double(), ("x",)), grid(4), generator=rng(1))
    counts = torch.bincount((new.x[:, 0] * 3).round().long(), minlength=4)
    weight = score / score.mean() + 0.5
    assert stats.chisquare(counts.numpy(), (4000 * weight / weight.sum()).numpy()).pvalue > 1e-4


def test_weights_are_the_inverse_of_the_density():
    score = torch.tensor([1.0, 2.0, 5.0], dtype=torch.float64)
    new = Importance(RAD(offset=0.0)).renew(lambda _: score, line(6), grid(3), generator=rng())
    place = (new.x[:, 0] * 2).round().long()
    p = score / score.sum()
    torch.testing.assert_close(new.weights, 3.0 / 6 / (3 * p[place]))  # measure / n / (N p)


def test_the_weighed_mean_is_unbiased():
    """Many draws of few points: their weighed means have the pool's mean, plain means do not."""
    values = torch.linspace(0, 1, 50, dtype=torch.float64).square()
    pool, rule, generator = line(50), Importance(), rng(3)
    few, weighed, plain = line(5), [], []
    for _ in range(3000):
        new = rule.renew(lambda _: values, few, lambda _: pool, generator=generator)
        at = values[(new.x[:, 0] * 49).round().long()]
        weighed.append(float((new.weights * at).sum() / new.measure))
        plain.append(float(at.mean()))
    found, mean = torch.tensor(weighed).double(), float(values.mean())
    assert abs(float(found.mean()) - mean) < 4 * float(found.std()) / 3000**0.5
    assert abs(sum(plain) / 3000 - mean) > 0.1
    uniform = [float(values[torch.randint(50, (5,), generator=generator)].mean()) for _ in range(3000)]
    assert float(found.std()) < 0.8 * float(torch.tensor(uniform).std())  # what it is for


def test_measures_beyond_the_range_of_floats_make_means():
    pool = Points(line(5).x, ("x",), measure=float("inf"))
    new = Importance().renew(lambda p: torch.ones(5), pool, lambda _: pool, generator=rng())
    torch.testing.assert_close(new.weights.sum().item(), 1.0)
    assert new.measure == 1.0
