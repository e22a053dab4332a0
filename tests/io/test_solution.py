import matplotlib
import numpy as np
import pytest
import torch

from kjet.errors import ConfigError
from kjet.io import View, solution_figure

from .conftest import ERROR, VIEWS, drawn, images, make, texts


def test_every_kind_of_view_is_drawn_and_reports_its_error(any_view):
    figure = solution_figure(any_view(), resolution=24)
    assert drawn(figure).std() > 0
    assert any(f"relative L² error {ERROR:.1e}" in text for text in texts(figure))


@pytest.mark.parametrize("name", ["evolution", "space_time", "plane_time", "space_and_time"])
def test_a_reference_is_not_needed(name):
    figure = solution_figure(VIEWS[name](reference=False), resolution=24)
    assert drawn(figure).std() > 0
    assert not any("error" in text or "reference" in text for text in texts(figure))


@pytest.mark.parametrize("name", ["curve", "space_time", "channel", "ball"])
def test_each_field_has_its_part_and_may_lack_a_reference(name):
    figure = solution_figure(VIEWS[name](fields=("u", "v"), missing=("v",)), resolution=16)
    assert drawn(figure).std() > 0
    assert sum("relative L² error" in text for text in texts(figure)) == 1


def test_map_shows_the_values_where_they_are():
    """A field that differs in every pixel: horizontal time, vertical space, in the centres of the pixels."""
    view = make(("x", "t"), [[-1.0, 1.0], [0.0, 4.0]], "t", exact=lambda p: {"u": p[:, 0] + 10 * p[:, 1]})
    figure = solution_figure(view, resolution=4)
    solution, reference, error = images(figure)
    x, t = np.array([-0.75, -0.25, 0.25, 0.75]), np.array([0.5, 1.5, 2.5, 3.5])
    expected = x[:, None] + 10 * t
    np.testing.assert_allclose(reference, expected, rtol=1e-12)
    np.testing.assert_allclose(solution, (1 + ERROR) * expected, rtol=1e-12)
    np.testing.assert_allclose(error, ERROR * abs(expected), rtol=1e-9)
    assert figure.subfigs[0].axes[0].get_xlabel() == "t"


def test_order_of_coordinates_does_not_matter():
    def exact_xt(p):
        return {"u": p[:, 0] * (1 + p[:, 1])}

    def exact_tx(p):
        return {"u": p[:, 1] * (1 + p[:, 0])}

    first = solution_figure(make(("x", "t"), [[0.0, 1.0], [0.0, 2.0]], "t", exact=exact_xt), 8)
    second = solution_figure(make(("t", "x"), [[0.0, 2.0], [0.0, 1.0]], "t", exact=exact_tx), 8)
    for one, other in zip(images(first), images(second), strict=True):
        np.testing.assert_array_equal(one, other)


def test_points_outside_the_domain_are_masked_and_never_evaluated():
    def exact(p):
        assert not ((p[:, 0] > 0) & (p[:, 1] > 0)).any()
        return {"u": p[:, 0] + 3}

    shown = images(solution_figure(VIEWS["l_shape"](exact=exact), 10))
    for values in shown:
        mask = np.ma.getmaskarray(values)
        assert mask[5:, 5:].all()
        assert mask.sum() == 25


def test_maps_of_solution_and_reference_share_their_colours():
    from matplotlib.image import AxesImage

    solution, reference, error = solution_figure(VIEWS["plane"](), 8).findobj(AxesImage)
    assert solution.get_clim() == reference.get_clim()
    assert solution.get_cmap().name == "viridis"
    assert error.get_cmap().name == "cividis"
    assert error.get_clim()[0] == 0


@pytest.mark.parametrize(
    ("name", "value"),
    [
        ("curve", -1e-300),
        ("curve", torch.nan),
        ("space_time", 2.0),
        ("plane_time", torch.nan),
        ("cube", -1e-300),
        ("cube", torch.nan),
        ("plane", 0.0),
        ("plane", -torch.inf),
    ],
)
def test_constant_and_missing_values_are_drawn(name, value):
    figure = solution_figure(VIEWS[name](exact=lambda p: {"u": torch.full_like(p[:, 0], value)}), 12)
    assert drawn(figure).std() > 0
    assert not any("nan" in text for text in texts(figure))


def test_error_is_taken_where_both_are_finite():
    view = VIEWS["plane"](exact=lambda p: {"u": torch.where(p[:, 0] > 0.7, torch.nan, 1 + p[:, 1])})
    found = texts(solution_figure(view, 20))
    assert f"u: relative L² error {ERROR:.1e}" in found
    assert any("no value" in text for text in found)


def test_error_beside_a_zero_reference_is_absolute():
    box = torch.tensor([[0.0, 1.0]])
    view = View(("x",), box, None, ("u",), None, lambda p: {"u": p[:, 0]}, lambda p: {"u": 0 * p[:, 0]}, None)
    assert any("greatest error 1.0e+00" in text for text in texts(solution_figure(view, 20)))


def test_a_domain_that_no_pixel_meets_says_so():
    view = make(("x", "y"), [[0.0, 1.0]] * 2, inside=lambda p: p[:, 0] > 5)
    assert any("no point in the domain" in text for text in texts(solution_figure(view, 8)))


def test_faces_of_the_box_are_drawn_though_rounding_puts_them_outside():
    figure = solution_figure(make(("x",), [[0.0, 0.1]], inside=lambda p: (p[:, 0] > 0) & (p[:, 0] < 0.1)), 8)
    assert np.isfinite(figure.axes[0].lines[0].get_ydata()).all()


def test_random_points_fill_a_ball_in_many_dimensions():
    figure = solution_figure(VIEWS["ball"](exact=lambda p: {"u": p.norm(dim=1)}), 24)
    radius = figure.subfigs[0].axes[0].lines[1].get_xdata()
    # Uniform in the distance from the centre: mean 1/2, standard deviation 1/sqrt(12), 1000 points.
    assert abs(radius.mean() - 0.5) < 5 / np.sqrt(12 * 1000)
    assert radius.max() <= 1
    # Lines run from border to border.
    assert figure.subfigs[0].axes[1].get_xlim() == pytest.approx((-1, 1), abs=1e-3)


def test_the_same_figure_twice():
    first, second = (drawn(solution_figure(VIEWS["cube"](reference=False), 12)) for _ in range(2))
    np.testing.assert_array_equal(first, second)


def test_twenty_fields_stay_a_picture():
    names = tuple(f"c{i}" for i in range(20))
    figure = solution_figure(make(("x",), [[0.0, 1.0]], fields=names), 8)
    assert len(figure.axes) == 16
    assert "the first 8 of 20 are shown" in texts(figure)


def test_names_are_shown_as_they_stand():
    names = ("a$b$", "_hidden", "x^2_{")
    figure = solution_figure(make(("$x$", "y"), [[0.0, 1.0]] * 2, fields=names, reference=False), 8)
    assert drawn(figure).std() > 0


def test_float32_and_gradients():
    weight = torch.ones((), requires_grad=True)
    seen = []

    def predict(p):
        seen.append(p.dtype)
        return {"u": weight * p[:, 0]}

    box = torch.tensor([[0.0, 1.0]], dtype=torch.float32)
    drawn(solution_figure(View(("x",), box, None, ("u",), None, predict, None, None), 8))
    assert set(seen) == {torch.float32}


def test_large_maps_are_evaluated_in_batches():
    sizes = []

    def exact(p):
        sizes.append(len(p))
        return {"u": p[:, 0]}

    solution_figure(make(("x", "y"), [[0.0, 1.0]] * 2, exact=exact, reference=False), 200)
    assert sum(sizes) == 40_000
    assert max(sizes) <= 8192


def test_a_missing_field_is_named():
    view = make(("x",), [[0.0, 1.0]], fields=("velocity",), exact=lambda p: {"velocty": p[:, 0]})
    with pytest.raises(ConfigError, match='unknown field "velocity"'):
        solution_figure(view)


def test_a_wrong_shape_is_named():
    view = make(("x",), [[0.0, 1.0]], exact=lambda p: {"u": p[:, 0].repeat(2)})
    with pytest.raises(ConfigError, match=r'"u" at 64 points; expected \(64,\)'):
        solution_figure(view, 16)


def test_settings_of_matplotlib_are_left_alone():
    before = dict(matplotlib.rcParams)
    drawn(solution_figure(VIEWS["plane"](), 8))
    assert dict(matplotlib.rcParams) == before
