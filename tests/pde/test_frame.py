"""Names of coordinates: few, or a million of them."""

import time

import pytest
import torch

from kjet.jets import Trace, quantity
from kjet.jets.estimators import STDE
from kjet.pde import Field, Frame, Values, bilap, lap, record


def many(d):
    names = tuple(f"x{i}" for i in range(d))
    return Frame(coords=(*names, "t"), fields=("u",), space=names, time="t")


@pytest.mark.parametrize(
    ("coords", "name", "axes"),
    [
        (("x", "t"), "xxt", [0, 0, 1]),
        (("x", "x1", "t"), "x1x", [1, 0]),
        (("a", "ab", "b"), "abab", [1, 1]),
        (("ab", "abc", "cd"), "abcd", [0, 2]),
        (("x", "t"), "xz", None),
        (("x", "t"), "", []),
    ],
)
def test_names_are_split(coords, name, axes):
    assert Frame(coords=coords, fields=("u",)).split(name) == axes


@pytest.mark.parametrize(
    ("coords", "space", "axes"),
    [
        (("x", "y", "t"), ("x", "y"), range(2)),
        (("t", "x", "y"), ("x", "y"), range(1, 3)),
        (("x", "t", "y"), ("x", "y"), (0, 2)),
        (("x", "y"), ("y", "x"), (1, 0)),
        (("t",), (), range(0)),
    ],
)
def test_columns_of_space(coords, space, axes):
    assert Frame(coords=coords, fields=("u",), space=space).space_axes == axes


def test_unknown_coordinate():
    with pytest.raises(ValueError, match=r'unknown coordinate "y" of this problem; it has t, x'):
        Frame(coords=("x", "t"), fields=("u",)).axis("y")


def test_sums_over_many_coordinates_are_kept_by_name():
    u = Field.of("u", many(1000))
    assert lap(u)._terms == quantity({Trace(range(1000)): 1.0})
    assert bilap(u)._terms == quantity({Trace(range(1000), 2): 1.0})
    assert bilap(u).t._terms == lap(lap(u.t))._terms
    assert len((lap(u) + u).x7._left._terms) == 1
    assert str(lap(u)) == "lap[0..999] u"
    assert str(lap(u).t) == "lap[0..999] t u"


def test_an_equation_in_many_dimensions():
    """An estimate from every coordinate is the exact value."""
    d, frame = 300, many(300)
    generator = torch.Generator().manual_seed(0)
    a = torch.randn(d + 1, 1, generator=generator, dtype=torch.float64) / d**0.5
    x = torch.randn(4, d + 1, generator=generator, dtype=torch.float64)
    recorded = record(lambda u: u.t - lap(u) + u**3, frame)
    phase = (x @ a)[:, 0]
    wanted = a[-1] * torch.cos(phase) + a[:-1].square().sum() * torch.sin(phase) + torch.sin(phase) ** 3

    def evaluate(recorded):
        draws = recorded.plan.draw(len(x), None, x.dtype)
        y = recorded.plan(lambda x: torch.sin(torch.matmul(x, a)), x, draws)
        return recorded(Values(x, recorded.field_values(y)))[0]

    exact, sampled = recorded.gathered({}), recorded.estimated(STDE(samples=d)).gathered({})
    assert sampled.plan.cost() == 1 + d + 1
    assert sampled.estimated(STDE(samples=16)).plan.cost() == 1 + 16 + 1
    for way in (exact, sampled):
        torch.testing.assert_close(evaluate(way), wanted, rtol=1e-11, atol=1e-12)


@pytest.mark.slow
def test_a_million_dimensions():
    """Nothing grows with the number of coordinates but the table of their names."""
    frame = many(10**6)
    frame.axis("t")
    began = time.process_time()
    recorded = record(lambda u: u.t - lap(u) + u**3, frame).estimated(STDE(samples=16)).gathered({})
    assert recorded.plan.cost() == 18
    assert time.process_time() - began < 10
