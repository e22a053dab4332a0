import re

import jaxtyping
import pytest
import torch
from scipy import stats

from kjet.data.samplers import SAMPLERS, Grid, LatinHypercube, Sobol, Uniform, make_sampler
from kjet.errors import ConfigError

RANDOM = ["uniform", "sobol", "latin_hypercube"]


def refused(message: str):
    """Expect our error; where runtime type checks are switched on, theirs may come first."""
    checked = jaxtyping.TypeCheckError
    return pytest.raises((ConfigError, checked), check=lambda e: isinstance(e, checked) or re.search(message, str(e)))


def rng(seed: int = 0) -> torch.Generator:
    return torch.Generator().manual_seed(seed)


@pytest.mark.parametrize("name", SAMPLERS)
@pytest.mark.parametrize("dtype", [torch.float32, torch.float64])
@pytest.mark.parametrize(("n", "d"), [(1, 1), (2, 2), (10, 2), (27, 3), (1000, 5)])
def test_count_range_and_type(name, dtype, n, d):
    points = make_sampler(name).unit(n, d, generator=rng(), dtype=dtype)
    assert points.shape == (n, d)
    assert points.dtype == dtype
    assert bool(((points >= 0) & (points < 1)).all())
    assert len(torch.unique(points, dim=0)) == n


@pytest.mark.parametrize("name", SAMPLERS)
def test_same_generator_state_same_points(name):
    first = make_sampler(name).unit(100, 3, generator=rng(5))
    assert torch.equal(first, make_sampler(name).unit(100, 3, generator=rng(5)))


@pytest.mark.parametrize("name", RANDOM)
def test_consecutive_calls_differ(name):
    generator = rng()
    sampler = make_sampler(name)
    assert not torch.equal(sampler.unit(64, 2, generator=generator), sampler.unit(64, 2, generator=generator))


@pytest.mark.parametrize("name", RANDOM)
def test_uniform_by_chi_square(name):
    """Cells of a 5 x 5 grid; better than random is welcome, hence one-sided."""
    points = make_sampler(name).unit(5000, 2, generator=rng(1), dtype=torch.float64)
    cells = (points * 5).long() @ torch.tensor([5, 1])
    assert stats.chisquare(torch.bincount(cells, minlength=25).numpy()).pvalue > 1e-4


@pytest.mark.parametrize("name", RANDOM)
def test_each_coordinate_pair_is_uncorrelated(name):
    points = make_sampler(name).unit(4096, 4, generator=rng(2), dtype=torch.float64)
    correlation = torch.corrcoef(points.T) - torch.eye(4, dtype=torch.float64)
    assert correlation.abs().max() < 5 / 4096**0.5


@pytest.mark.parametrize("d", [1, 2, 7])
def test_latin_hypercube_has_one_point_per_slice(d):
    points = LatinHypercube().unit(50, d, generator=rng(), dtype=torch.float64)
    slices = (points * 50).long().sort(dim=0).values
    assert torch.equal(slices, torch.arange(50)[:, None].expand(50, d))


def test_sobol_stratifies_every_dyadic_box():
    """A (0, m, 2)-net: 64 points put one into each dyadic box of area 1/64, whatever its shape."""
    points = Sobol().unit(64, 2, generator=rng(3), dtype=torch.float64)
    for k in range(7):
        boxes = torch.stack([(points[:, 0] * 2**k).long(), (points[:, 1] * 2 ** (6 - k)).long()], dim=1)
        assert len(torch.unique(boxes, dim=0)) == 64


@pytest.mark.parametrize("name", RANDOM)
def test_stream_never_repeats(name):
    stream = make_sampler(name).stream(2, generator=rng())
    points = torch.cat([stream.take(100) for _ in range(5)])
    assert len(torch.unique(points, dim=0)) == 500


def test_sobol_stream_is_one_sequence():
    whole = Sobol().stream(2, generator=rng()).take(64)
    stream = Sobol().stream(2, generator=rng())
    assert torch.equal(whole, torch.cat([stream.take(10), stream.take(54)]))


@pytest.mark.parametrize("name", SAMPLERS)
def test_rejection_delivers_the_count_without_repeats(name):
    def corner(u: torch.Tensor) -> torch.Tensor:
        return u[u.sum(1) < 0.5]

    rows = make_sampler(name).stream(2, generator=rng()).take(300, corner)
    assert rows.shape == (300, 2)
    assert bool((rows.sum(1) < 0.5).all())
    assert len(torch.unique(rows, dim=0)) == 300


@pytest.mark.parametrize("name", SAMPLERS)
def test_rejection_of_everything_is_an_error(name):
    with pytest.raises(ConfigError, match="the empty corner"):
        make_sampler(name).stream(2, generator=rng()).take(5, lambda u: u[:0], what="the empty corner")


@pytest.mark.parametrize(("n", "d", "side"), [(16, 2, 4), (125, 3, 5), (7, 1, 7)])
def test_grid_of_a_perfect_power_is_the_tensor_grid(n, d, side):
    points = Grid().unit(n, d, generator=rng(), dtype=torch.float64)
    axis = (torch.arange(side, dtype=torch.float64) + 0.5) / side
    assert torch.equal(points, torch.cartesian_prod(*[axis] * d).reshape(n, d))


def test_grid_takes_the_nearest_product_of_counts():
    points = Grid().unit(12, 2, generator=rng(), dtype=torch.float64)
    assert sorted(len(torch.unique(points[:, i])) for i in range(2)) == [3, 4]


def test_high_dimensions():
    assert Uniform().unit(3, 50_000, generator=rng()).shape == (3, 50_000)
    assert LatinHypercube().unit(3, 1000, generator=rng()).shape == (3, 1000)
    with pytest.raises(ConfigError, match=r'at most 21201 coordinates.*sampler="uniform"'):
        Sobol().unit(3, 21_202, generator=rng())
    with pytest.raises(ConfigError, match="too large"):
        Grid().unit(3, 40, generator=rng())


@pytest.mark.parametrize("n", [0, -1, 2.5, True])
def test_bad_counts_are_refused(n):
    with refused("at least 1"):
        Uniform().unit(n, 2, generator=rng())


def test_unknown_name_is_refused_with_the_nearest():
    with pytest.raises(ConfigError, match=r'unknown sampler "sobl".*Did you mean "sobol"'):
        make_sampler("sobl")


def test_a_sampler_passes_through():
    sampler = Sobol()
    assert make_sampler(sampler) is sampler
