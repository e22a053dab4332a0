import math

import numpy as np
import pytest

from kjet.io import history_figure, parameters_figure

from .conftest import drawn, texts


def records(n=40, **changes):
    return [
        {
            "step": i,
            "seconds": 0.5 * i,
            "loss": 0.5**i,
            "error": 0.7**i if i % 10 == 0 else None,
            "terms": {"equation": 0.4**i, "_wall$": 0.5**i / 3},
            "phase": "adam" if i < 20 else "gauss_newton",
            "parameters": {"nu": 0.01 + 0.5**i},
            **changes,
        }
        for i in range(n)
    ]


def test_loss_terms_and_error_against_steps_and_seconds():
    figure = history_figure(records())
    assert drawn(figure).std() > 0
    loss_by_step, loss_by_second, error_by_step, error_by_second = figure.axes
    assert {axes.get_yscale() for axes in figure.axes} == {"log"}
    curves = {line.get_label(): line for line in loss_by_step.lines}
    assert {"loss", "equation", r" _wall\$"} <= set(curves)
    np.testing.assert_allclose(curves["loss"].get_ydata(), 0.5 ** np.arange(40))
    np.testing.assert_allclose(loss_by_second.lines[0].get_xdata(), 0.5 * np.arange(40))
    np.testing.assert_allclose(error_by_step.lines[0].get_xdata(), [0, 10, 20, 30])
    assert error_by_second.get_xlabel() == "training time in seconds"


def test_phase_changes_are_marked_and_named():
    figure = history_figure(records())
    assert {"adam", "gauss_newton"} <= set(texts(figure))
    marks = [line for line in figure.axes[0].lines if list(line.get_xdata()) == [20, 20]]
    assert len(marks) == 1


def test_many_phases_are_marked_only():
    history = [{"step": i, "seconds": i, "loss": 1.0, "phase": f"stage{i}"} for i in range(9)]
    figure = history_figure(history)
    assert len(figure.axes[0].lines) == 1 + 8
    assert not any("stage" in text for text in texts(figure))


def test_only_what_was_recorded_is_drawn():
    history = [{"step": i, "seconds": i, "loss": 1.0 / (i + 1)} for i in range(5)]
    figure = history_figure(history)
    assert len(figure.axes) == 2
    assert figure.axes[1].get_legend() is None


@pytest.mark.parametrize("loss", [math.nan, math.inf, 0.0, -1.0])
def test_unusual_losses_are_drawn(loss):
    assert drawn(history_figure(records(1, loss=loss))).std() > 0
    assert drawn(history_figure(records(30, loss=loss, terms={}, error=None))).std() > 0


def test_negative_losses_are_not_lost():
    history = [{"step": i, "seconds": i, "loss": 2 * 0.5**i - 1} for i in range(20)]
    assert history_figure(history).axes[0].get_yscale() == "symlog"


def test_terms_that_come_and_go():
    history = [*records(10), {"step": 10, "seconds": 5.0, "loss": 1e-4, "terms": {"late": 1e-5}}]
    figure = history_figure(history)
    late = next(line for line in figure.axes[0].lines if line.get_label() == "late")
    assert list(late.get_xdata()) == [10]
    assert late.get_marker() == "o"


def test_more_terms_than_colours():
    terms = {f"term{i}": 1.0 + i for i in range(20)}
    figure = history_figure(records(5, terms=terms))
    styles = {(line.get_color(), line.get_linestyle(), str(line._dash_pattern)) for line in figure.axes[0].lines[:20]}
    assert len(styles) == 20
    assert drawn(figure).std() > 0


def test_no_history_says_so():
    assert "no steps were recorded" in texts(history_figure([]))
    assert "no parameters were inferred" in texts(parameters_figure([]))
    assert "no parameters were inferred" in texts(parameters_figure([{"step": 0, "loss": 1.0}]))


def test_parameters_have_a_panel_each_with_their_last_value():
    history = [{"step": i, "parameters": {"nu": 0.01, "D": float(i), "k": math.nan}} for i in range(4)]
    history.insert(2, {"step": 9})
    figure = parameters_figure(history)
    assert drawn(figure).std() > 0
    assert [axes.get_title(loc="left") for axes in figure.axes] == ["nu = 0.01", "D = 3", "k"]


def test_four_parameters_take_two_rows():
    figure = parameters_figure([{"step": 0, "parameters": dict.fromkeys("abcd", 1.0)}])
    assert [axes.get_visible() for axes in figure.axes] == [True] * 4 + [False] * 2
    assert drawn(figure).std() > 0


def test_a_run_that_diverged_says_so():
    history = [*records(10), {"step": 10, "seconds": 5.0, "loss": math.nan}]
    assert "the last loss is not finite" in texts(history_figure(history))
    assert "the last loss is not finite" not in texts(history_figure(records(10)))
