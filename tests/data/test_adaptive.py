import pytest
import torch
from scipy import stats

from kjet.data import RAD, Points, Rectangle
from kjet.errors import ConfigError


def rng(seed: int = 0) -> torch.Generator:
    return torch.Generator().manual_seed(seed)


def line(n: int) -> Points:
    return Points(torch.linspace(0, 1, n, dtype=torch.float64)[:, None], ("x",), measure=3.0)


def test_probabilities_follow_the_published_formula():
    r = torch.tensor([0.0, 1.0, -2.0, 5.0], dtype=torch.float64)
    weight = r.abs() ** 1.5 / (r.abs() ** 1.5).mean() + 0.5
    torch.testing.assert_close(RAD(power=1.5, offset=0.5).probabilities(r), weight / weight.sum())


@pytest.mark.parametrize("scale", [1e-200, 1.0, 1e200])
def test_probabilities_do_not_depend_on_the_unit_of_the_score(scale):
    r = torch.tensor([1.0, 2.0, 3.0], dtype=torch.float64)
    torch.testing.assert_close(RAD(power=2.0).probabilities(r * scale), RAD(power=2.0).probabilities(r))


def test_first_draw_has_those_probabilities():
    score = torch.tensor([1.0, 2.0, 3.0, 4.0], dtype=torch.float64)
    rad, generator, pool = RAD(), rng(1), line(4)
    draws = [rad.resample(lambda _: score, pool, 1, generator=generator).x.item() for _ in range(2000)]
    counts = torch.bincount((torch.tensor(draws) * 3).round().long(), minlength=4)
    expected = 2000 * rad.probabilities(score)
    assert stats.chisquare(counts.numpy(), expected.numpy()).pvalue > 1e-4


def test_second_draw_is_without_replacement():
    """Pairs drawn in succession: P(leaving out k) from the sequential law, against 4000 draws."""
    score = torch.tensor([1.0, 2.0, 5.0], dtype=torch.float64)
    rad, generator, pool = RAD(offset=0.0), rng(2), line(3)
    p = (score / score.sum()).tolist()
    left_out = torch.zeros(3)
    for _ in range(4000):
        kept = (rad.resample(lambda _: score, pool, 2, generator=generator).x.flatten() * 2).round().long().tolist()
        left_out[3 - sum(kept)] += 1
    pair = [
        sum(p[i] * p[j] / (1 - p[i]) for i in range(3) for j in range(3) if i != j and k not in (i, j))
        for k in range(3)
    ]
    assert stats.chisquare(left_out.numpy(), 4000 * torch.tensor(pair).numpy() / sum(pair)).pvalue > 1e-4


def test_points_gather_where_the_score_is_large():
    domain, rad = Rectangle(), RAD(candidates=10, power=2.0, offset=0.1)
    pool = domain.interior(rad.pool_size(500), generator=rng(), dtype=torch.float64)
    kept = rad.resample(lambda p: torch.exp(-50 * (p.x - 0.5).square().sum(1)), pool, 500, generator=rng(3))
    assert len(kept) == 500
    assert len(torch.unique(kept.x, dim=0)) == 500
    near = (kept.x - 0.5).norm(dim=1) < 0.2
    assert near.double().mean() > 0.5  # uniform points: 0.126
    assert kept.measure == 1.0
    assert kept.coords == ("x", "y")


def test_reproducible_and_different_next_time():
    rad, pool = RAD(), line(200)
    score = pool.x[:, 0]
    generator = rng(7)
    first = rad.resample(lambda _: score, pool, 20, generator=generator)
    assert torch.equal(first.x, rad.resample(lambda _: score, pool, 20, generator=rng(7)).x)
    assert not torch.equal(first.x, rad.resample(lambda _: score, pool, 20, generator=generator).x)


def test_zero_scores_are_uniform():
    probability = RAD().probabilities(torch.zeros(5))
    torch.testing.assert_close(probability, torch.full((5,), 0.2, dtype=torch.float64))


def test_whole_pool_may_be_kept():
    kept = RAD().resample(lambda p: p.x[:, 0], line(9), 9, generator=rng())
    assert torch.equal(kept.x.sort(dim=0).values, line(9).x)


def test_gradients_of_the_score_are_not_followed():
    theta = torch.ones((), requires_grad=True)
    kept = RAD().resample(lambda p: theta * p.x[:, 0], line(9), 3, generator=rng())
    assert not kept.x.requires_grad


@pytest.mark.parametrize(
    ("rad", "score", "n", "message"),
    [
        (RAD(), [1.0, float("nan"), float("inf")], 2, "2 of 3 scores are not finite"),
        (RAD(), [1.0, 1.0, 1.0], 4, "cannot keep 4 points of a pool of 3"),
        (RAD(), [1.0, 1.0], 2, r"score returned shape \(2,\), expected \(3,\)"),
        (RAD(), [1.0, 1.0, 1.0], 0, "at least 1"),
        (RAD(offset=0.0), [0.0, 0.0, 0.0], 1, "set offset > 0"),
        (RAD(offset=0.0), [0.0, 0.0, 1.0], 2, "only 1 pool points have a positive score"),
    ],
)
def test_bad_scores_and_counts_are_refused(rad, score, n, message):
    with pytest.raises(ConfigError, match=message):
        rad.resample(lambda _: torch.tensor(score), line(3), n, generator=rng())


@pytest.mark.parametrize("options", [{"candidates": 0}, {"power": -1.0}, {"offset": float("nan")}])
def test_bad_settings_are_refused(options):
    with pytest.raises(ConfigError, match=next(iter(options))):
        RAD(**options)
