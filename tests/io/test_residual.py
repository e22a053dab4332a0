import numpy as np
import pytest
import torch

from kjet.errors import ConfigError
from kjet.io import View, residual_figure

from .conftest import VIEWS, drawn, images, make, texts


def with_residual(name, function):
    view = VIEWS[name]()
    return View(
        view.coords, view.bounds, view.time, view.fields, view.inside, view.predict, view.reference,
        lambda p: {"equation": function(p)},
    )  # fmt: skip


@pytest.mark.parametrize(
    "name", ["evolution", "time_first", "l_shape", "plane_time", "space_and_time", "ball", "point"]
)
def test_every_kind_of_view_is_drawn(name):
    figure = residual_figure(VIEWS[name](), 16)
    assert drawn(figure).std() > 0
    assert any(text.startswith("equation: root mean square") for text in texts(figure))


@pytest.mark.parametrize("name", ["curve", "plane", "plane_time", "cube"])
@pytest.mark.parametrize("value", [0.0, -torch.inf])
def test_constant_and_missing_values_are_drawn(name, value):
    figure = residual_figure(with_residual(name, lambda p: torch.full_like(p[:, 0], value)), 12)
    assert drawn(figure).std() > 0


def test_root_mean_square_is_that_of_the_midpoint_rule():
    figure = residual_figure(with_residual("plane", lambda p: -2 * torch.sin(torch.pi * p[:, 0])), 20)
    assert "equation: root mean square 1.4e+00" in texts(figure)  # 2 / sqrt(2)


def test_map_is_of_absolute_values_on_a_logarithmic_scale():
    from matplotlib.colors import LogNorm
    from matplotlib.image import AxesImage

    figure = residual_figure(with_residual("plane", lambda p: -p[:, 0]), 4)
    (values,) = images(figure)
    np.testing.assert_allclose(values[0], [0.125, 0.375, 0.625, 0.875])
    (image,) = figure.findobj(AxesImage)
    assert isinstance(image.norm, LogNorm)


def test_three_times_share_one_scale():
    from matplotlib.image import AxesImage

    shown = residual_figure(with_residual("plane_time", lambda p: p[:, 2] + p[:, 0]), 8).findobj(AxesImage)
    assert len(shown) == 3
    assert len({image.get_clim() for image in shown}) == 1


def test_several_equations_have_a_row_each():
    view = make(("x",), [[0.0, 1.0]])
    both = View(
        view.coords, view.bounds, None, ("u",), None, view.predict, None, lambda p: {"a": p[:, 0], "b": -p[:, 0]}
    )
    assert len(residual_figure(both).axes) == 2


def test_a_view_without_residual_is_refused():
    view = make(("x",), [[0.0, 1.0]])
    bare = View(view.coords, view.bounds, None, ("u",), None, view.predict, None, None)
    with pytest.raises(ConfigError, match="no residual; give View"):
        residual_figure(bare)


@pytest.mark.parametrize("d", [1, 2, 3])
def test_a_domain_that_no_point_meets_says_so(d):
    view = make(tuple("xyz"[:d]), [[0.0, 1.0]] * d, inside=lambda p: p[:, 0] > 5)
    assert "no point of the grid lies in the domain" in texts(residual_figure(view, 8))


@pytest.mark.parametrize("name", ["plane", "plane_time"])
def test_several_equations_have_a_map_each(name):
    view = VIEWS[name]()
    names = ("momentum_x", "momentum_y", "continuity", "energy")
    many = View(
        view.coords, view.bounds, view.time, view.fields, None, view.predict, None,
        lambda p: {equation: (i + 1) * p[:, 0] for i, equation in enumerate(names)},
    )  # fmt: skip
    figure = residual_figure(many, 8)
    found = texts(figure)
    assert all(any(text.startswith(f"{equation}: root mean square") for text in found) for equation in names)
    assert len(images(figure)) == len(names) * (3 if view.time else 1)
    assert drawn(figure).std() > 0
