"""Random integers, subsets and vectors against the laws they claim."""

import itertools
import math

import pytest
import torch

from kjet.errors import ConfigError
from kjet.jets.estimators._draws import Subsets, distinct, integers, normal, signs, sphere


def chi_square_is_plausible(counts, expected):
    """Five standard deviations of a chi-square law with its degrees of freedom, approximately normal."""
    freedom = len(counts) - 1
    statistic = float(((counts - expected) ** 2 / expected).sum())
    assert abs(statistic - freedom) < 5 * math.sqrt(2 * freedom), statistic


def test_integers_are_uniform(generator):
    drawn = integers(7, (70000,), generator)
    chi_square_is_plausible(torch.bincount(drawn, minlength=7).double(), 10000.0)


def test_integers_near_the_limit_are_redrawn(generator):
    """For 3/4 of the range a plain remainder would give the first third of the values twice as often."""
    high = 3 * 2**60
    drawn = integers(high, (30000,), generator)
    assert int(drawn.max()) < high
    thirds = torch.bincount(drawn // 2**60, minlength=3).double()
    chi_square_is_plausible(thirds, 10000.0)


@pytest.mark.parametrize(("population", "samples"), [(5, 2), (9, 2), (6, 6), (4, 3), (40, 3), (10**6, 50)])
def test_distinct_within_each_column(population, samples, generator):
    drawn = distinct(population, samples, 30, generator)
    assert drawn.shape == (samples, 30)
    assert 0 <= int(drawn.min()) <= int(drawn.max()) < population
    assert all(len(set(column)) == samples for column in drawn.T.tolist())


@pytest.mark.parametrize(("population", "samples"), [(5, 2), (9, 2), (7, 3)])
def test_every_subset_is_equally_likely(population, samples, generator):
    """Both ways of drawing: by sorting for large parts, by redrawing for small ones."""
    drawn = distinct(population, samples, 40000, generator).sort(0).values.T.tolist()
    subsets = list(itertools.combinations(range(population), samples))
    counts = dict.fromkeys(subsets, 0)
    for members in drawn:
        counts[tuple(members)] += 1
    chi_square_is_plausible(torch.tensor(list(counts.values())).double(), 40000 / len(subsets))


def test_columns_are_independent(generator):
    first, second = distinct(6, 1, 60000, generator)[0].reshape(2, -1)
    chi_square_is_plausible(torch.bincount(6 * first + second, minlength=36).double(), 30000 / 36)


def test_a_few_of_a_million_take_no_million_numbers(monkeypatch, generator):
    """Sizes of all that is drawn, counted where it is drawn."""
    drawn = []
    for name in ("randint", "rand", "randperm"):
        original = getattr(torch, name)

        def counted(*args, original=original, **kwargs):
            result = original(*args, **kwargs)
            drawn.append(result.numel())
            return result

        monkeypatch.setattr(torch, name, counted)
    distinct(10**6, 16, 100, generator)
    assert sum(drawn) < 1700


@pytest.mark.parametrize(("d", "size"), [(6, 1), (7, 2), (7, 3), (8, 4), (4, 4)])
def test_subsets_are_numbered_once(d, size):
    subsets = Subsets(d, size)
    members = subsets.members(torch.arange(subsets.count))
    assert sorted(map(tuple, members.tolist())) == list(itertools.combinations(range(d), size))


def test_pairs_of_a_million():
    subsets = Subsets(10**6, 2)
    assert subsets.count == math.comb(10**6, 2)
    last = torch.tensor([subsets.count - 1, subsets.count - 10**6])
    assert subsets.members(last).tolist() == [[999998, 999999], [999997, 999998]]


def test_too_many_subsets():
    with pytest.raises(ConfigError, match="more subsets of 4 than can be numbered; use Hutchinson"):
        Subsets(10**6, 4)


@pytest.mark.parametrize("law", [signs, normal, sphere])
@pytest.mark.parametrize("dtype", [torch.float32, torch.float64])
def test_vectors_have_unit_covariance(law, dtype, generator):
    z = law((40000, 3), generator, dtype)
    assert z.dtype == dtype
    products = (z.unsqueeze(1) * z.unsqueeze(2)).double()
    error = (products.mean(0) - torch.eye(3)).abs()
    assert bool((error <= 5 * products.std(0) / 200 + 1e-9).all())
    assert bool((z.double().mean(0).abs() < 5 / 200).all())


def test_signs_and_sphere(generator):
    assert set(signs((100,), generator, torch.float64).tolist()) == {1.0, -1.0}
    lengths = sphere((50, 7), generator, torch.float64).square().sum(-1)
    torch.testing.assert_close(lengths, torch.full((50,), 7.0, dtype=torch.float64))
