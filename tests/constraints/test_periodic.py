import itertools
import math

import pytest
import torch
from torch import nn
from torch.func import vmap

from kjet.constraints.periodic import PeriodicEmbedding
from kjet.errors import ConfigError
from kjet.jets import Plan, partials, quantity, reference
from kjet.operators import MLPConfig

COORDS = ("x", "t", "y")
PERIODS = {"y": (0.5, 3.0), "x": (-1.0, 2.0)}
RANGE = torch.tensor([[-1.0, 1.0], [2.0, 6.0], [0.5, 3.5]])
INDICES = [index for index in itertools.product(range(5), repeat=3) if sum(index) <= 4]


def seeded(seed=0):
    return torch.Generator().manual_seed(seed)


def points(n=6):
    low, high = RANGE.double().unbind(-1)
    return low + (high - low) * torch.rand(n, 3, dtype=torch.float64, generator=seeded())


def make(harmonics=1, scaled=True, periods=PERIODS):
    return PeriodicEmbedding(COORDS, periods, harmonics, input_range=RANGE if scaled else None, dtype=torch.float64)


def model(harmonics=2):
    embedding = make(harmonics)
    config = MLPConfig(width=6, depth=2)
    network = config.build(
        embedding.out_features, 1, input_range=embedding.output_range, generator=seeded(), dtype=torch.float64
    )
    return nn.Sequential(embedding, network)


@pytest.mark.parametrize("harmonics", [1, 3])
def test_matches_its_formula(harmonics):
    x = points()
    orders = range(1, harmonics + 1)
    angles = [2 * math.pi * k * (x[:, i] - a) / b for k in orders for i, a, b in ((0, -1.0, 2.0), (2, 0.5, 3.0))]
    expected = [(x[:, 1] - 4) / 2, *(torch.sin(angle) for angle in angles), *(torch.cos(angle) for angle in angles)]
    embedding = make(harmonics)
    torch.testing.assert_close(embedding(x), torch.stack(expected, -1), rtol=1e-13, atol=1e-14)
    assert embedding.out_features == len(expected)


def test_other_coordinates_pass_as_they_are_without_a_range():
    assert torch.equal(make(scaled=False)(points())[:, 0], points()[:, 1])


def test_all_coordinates_may_be_periodic():
    embedding = make(2, periods={**PERIODS, "t": (2.0, 4.0)})
    assert embedding(points()).shape == (6, 12)
    assert embedding.out_features == 12


def test_derivatives_to_order_four():
    f, x = model(), points(4)
    found, expected = partials(f, x, INDICES), reference.partials(f, x, INDICES)
    for index in INDICES:
        assert expected[index].any()
        atol = 1e-10 * float(expected[index].detach().abs().max())
        torch.testing.assert_close(found[index], expected[index], rtol=0, atol=atol)


def test_network_and_its_derivatives_are_periodic():
    """To 1e-12: the phase at the other end is off by the rounding of 2 pi, times the fourth power of the frequency."""
    f, x = model(), points()
    for column, length in ((0, 2.0), (2, 3.0)):
        shift = torch.zeros(3, dtype=torch.float64)
        shift[column] = length
        indices = [(0, 0, 0), (1, 0, 0), (0, 0, 3), (2, 1, 1)]
        here, there = partials(f, x, indices), partials(f, x + shift, indices)
        for index in indices:
            scale = float(here[index].detach().abs().max())
            torch.testing.assert_close(there[index], here[index], rtol=0, atol=1e-12 * scale)


def test_not_periodic_in_the_other_coordinate():
    f, x = model(), points()
    assert not torch.allclose(f(x), f(x + torch.tensor([0.0, 1.0, 0.0])))


def test_output_range_bounds_the_features():
    embedding = make(3)
    features, box = embedding(points(200)), embedding.output_range
    assert box.shape == (embedding.out_features, 2)
    assert (features >= box[:, 0]).all()
    assert (features <= box[:, 1]).all()
    assert make(scaled=False).output_range is None
    assert make(scaled=False, periods={**PERIODS, "t": (2.0, 4.0)}).output_range is not None


def test_maps_and_compiles():
    f, x = model(), points()
    torch.testing.assert_close(vmap(f)(x), f(x))
    wanted = quantity({(2, 0, 0): 1.0})
    plan = Plan.build([wanted], 3)
    compiled = torch.compile(lambda x: (f(x), plan(f, x)[wanted]), fullgraph=True, backend="aot_eager")
    for got, expected in zip(compiled(x), (f(x), plan(f, x)[wanted]), strict=True):
        torch.testing.assert_close(got, expected, rtol=1e-10, atol=1e-10)


def test_type_is_the_default_or_the_one_asked_for():
    assert PeriodicEmbedding(("x",), {"x": (0.0, 1.0)})(torch.rand(3, 1)).dtype == torch.get_default_dtype()
    assert make()(points()).dtype == torch.float64
    assert not list(make().parameters())


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        ((COORDS, {"z": (0.0, 1.0)}), r'unknown coordinate "z"; it has t, x, y'),
        ((COORDS, {}), r"no periodic coordinate is given"),
        ((COORDS, {"x": (0.0, 0.0)}), r'the period of "x" is \(0.0, 0.0\); expected .* a positive length'),
        ((COORDS, {"x": (float("nan"), 1.0)}), r'the period of "x"'),
        ((COORDS, {"x": (0.0, 1.0)}, 0), r"harmonics = 0; expected a positive integer"),
    ],
)
def test_refuses_values_out_of_range(arguments, message):
    with pytest.raises(ConfigError, match=message):
        PeriodicEmbedding(*arguments)


def test_refuses_ranges_and_points_that_do_not_fit():
    with pytest.raises(ConfigError, match=r"input_range has shape \(2, 2\); expected \(3, 2\)"):
        PeriodicEmbedding(COORDS, PERIODS, input_range=RANGE[:2])
    with pytest.raises(ConfigError, match=r"for \['t'\]; expected finite bounds with low < high"):
        PeriodicEmbedding(COORDS, PERIODS, input_range=torch.zeros(3, 2))
    with pytest.raises(ConfigError, match=r"points have 2 columns; expected one for each of"):
        make()(points()[:, :2])
