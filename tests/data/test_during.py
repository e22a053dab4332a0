"""Domains during a part of their time."""

from __future__ import annotations

import pytest
import torch

from kjet.data import Disk, Interval, Rectangle, Time
from kjet.data.geometry.windows import during
from kjet.errors import ConfigError


def test_space_stays_and_time_is_cut():
    cut = during(Interval(-1, 1) * Time(0, 4), 1, 2.5)
    assert cut.bounds.tolist() == [[-1.0, 1.0], [1.0, 2.5]]
    assert cut.measure == 3.0
    assert cut.parts == ("left", "right", "initial", "final")
    start = cut.boundary(5, "initial", generator=torch.Generator())
    assert start.column("t").tolist() == [1.0] * 5


def test_time_alone():
    assert during(Time(0, 4, "s"), 1, 2).coords == ("s",)


def test_parts_that_were_added_stay_where_they_hold():
    whole = (Rectangle() * Time(0, 2)).with_part("hot", lambda x: (x[:, 0] == 0) & (x[:, 2] < 0.5))
    assert during(whole, 0, 1).part_measure("hot") == pytest.approx(0.5, rel=0.05)
    assert "hot" not in during(whole, 1, 2).parts
    assert "hot" in whole.parts


@pytest.mark.parametrize("domain", [Rectangle(), Disk((0, 0), 1), Rectangle() * Interval(0, 1, "z")])
def test_domains_that_are_no_products_are_refused(domain):
    with pytest.raises(ConfigError, match="cannot be divided in time"):
        during(domain, 0, 1)
