import numpy as np
import pytest
import torch

from kjet.errors import ConfigError
from kjet.io import points_figure

from .conftest import drawn, texts


def rand(n, d):
    return torch.rand(n, d, generator=torch.Generator().manual_seed(n))


@pytest.mark.parametrize(
    ("coords", "time", "labels"),
    [
        (("x", "t"), None, ("x", "t")),
        (("x", "t"), "t", ("t", "x")),
        (("t", "x"), "t", ("t", "x")),
        (("x", "y", "t"), "t", ("x", "y")),
        (("t", "x", "y"), "t", ("x", "y")),
        (("x", "y", "z"), None, ("x", "y")),
        (("x",), None, ("x", "")),
        (("t",), "t", ("t", "")),
    ],
)
def test_two_coordinates_are_shown(coords, time, labels):
    points = {"equation": rand(30, len(coords)), "wall": rand(5, len(coords))}
    figure = points_figure(points, coords, time)
    (axes,) = figure.axes
    assert (axes.get_xlabel(), axes.get_ylabel()) == labels
    np.testing.assert_allclose(axes.lines[1].get_xdata(), points["wall"][:, coords.index(labels[0])])
    if labels[1]:
        np.testing.assert_allclose(axes.lines[1].get_ydata(), points["wall"][:, coords.index(labels[1])])
    assert drawn(figure).std() > 0


def test_few_points_lie_over_many_and_are_counted():
    figure = points_figure({"wall": rand(5, 2), "equation": rand(90, 2)}, ("x", "y"))
    assert [line.get_label() for line in figure.axes[0].lines] == ["equation (90)", "wall (5)"]


def test_a_great_many_points_are_thinned_but_counted():
    figure = points_figure({"equation": rand(50_001, 2)}, ("x", "y"))
    (line,) = figure.axes[0].lines
    assert 10_000 < len(line.get_xdata()) <= 20_000
    assert "equation (50001)" in texts(figure)


def test_nothing_to_draw_says_so():
    assert "no points were sampled" in texts(points_figure({}, ("x",)))
    assert "no points were sampled" in texts(points_figure({"a": torch.zeros(0, 1)}, ("x",)))


def test_all_points_in_one_place():
    assert drawn(points_figure({"a": torch.ones(3, 2)}, ("x", "y"))).std() > 0


def test_wrong_columns_are_refused():
    with pytest.raises(ConfigError, match=r'points of "wall" have shape \(5, 3\); expected \(n, 2\)'):
        points_figure({"wall": rand(5, 3)}, ("x", "y"))
    with pytest.raises(ConfigError, match="unknown time coordinate"):
        points_figure({}, ("x", "y"), "t")
