"""Domains in other units: the same points, parts and distances."""

from __future__ import annotations

import math

import pytest
import torch

from kjet.data import Disk, Interval, Parameters, Rectangle, Time
from kjet.data.geometry.scaled import scaled_domain
from kjet.errors import ConfigError

SCALES = {"x": (2.0, 1.0), "y": (2.0, -3.0), "t": (10.0, 5.0), "nu": (0.1, 0.0)}
DOMAINS = {
    "interval": Interval(0.0, 4.0) * Time(0.0, 20.0),
    "rectangle": Rectangle(x=(0.0, 2.0), y=(-1.0, 1.0)) * Time(0.0, 1.0),
    "disk": Disk((1.0, 2.0), 0.5) * Time(0.0, 3.0),
    "hole": Rectangle(x=(0.0, 2.0), y=(-1.0, 1.0)) - Disk((1.0, 0.0), 0.3),
    "parameters": Interval(0.0, 1.0) * Parameters(nu=(0.01, 0.1)),
}


def physical(x, domain):
    pairs = torch.tensor([SCALES[name] for name in domain.coords], dtype=x.dtype)
    return x * pairs[:, 0] + pairs[:, 1]


@pytest.mark.parametrize("name", DOMAINS)
def test_points_lie_where_they_should(name):
    domain, scaled = DOMAINS[name], scaled_domain(DOMAINS[name], SCALES)
    generator = torch.Generator().manual_seed(0)
    x = scaled.interior(200, generator=generator, dtype=torch.float64).x
    assert bool(domain.inside(physical(x, domain)).all())
    assert bool(scaled.inside(x).all())
    size = math.prod(SCALES[coord][0] for coord in domain.coords)
    assert scaled.measure == pytest.approx(domain.measure / size)
    assert scaled.coords == domain.coords
    assert scaled.parts == domain.parts
    assert (scaled.time, scaled.parameters) == (domain.time, domain.parameters)


@pytest.mark.parametrize("name", ["interval", "rectangle", "disk", "hole"])
def test_parts_stay(name):
    domain, scaled = DOMAINS[name], scaled_domain(DOMAINS[name], SCALES)
    for part in scaled.parts:
        points = scaled.boundary(50, part, generator=torch.Generator().manual_seed(0), dtype=torch.float64)
        assert float(domain.distance(physical(points.x, domain), part).abs().max()) < 1e-12
        assert float(scaled.distance(points.x, part).abs().max()) < 1e-12


def test_distances_of_other_shapes_keep_their_slope():
    domain = Disk((1.0, 2.0), 0.5)
    scaled = scaled_domain(domain, {"x": (2.0, 0.0), "y": (2.0, 0.0)})
    x = torch.tensor([[0.5 + 0.25 - 1e-4, 1.0]], dtype=torch.float64)
    assert float(scaled.distance(x)) == pytest.approx(1e-4, rel=1e-2)
    assert scaled.part_measure() == pytest.approx(domain.part_measure() / 2)


def test_shapes_keep_their_shape():
    with pytest.raises(ConfigError, match="need one size"):
        scaled_domain(Disk((0.0, 0.0), 1.0), {"x": (2.0, 0.0)})


def test_scale_one_changes_nothing():
    domain = Interval(0.0, 1.0)
    assert scaled_domain(domain, {}) is domain
