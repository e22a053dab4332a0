"""Views of known solutions, with a known error."""

import math

import pytest
import torch

from kjet.io import View

ERROR = 1e-3


def make(coords, bounds, time=None, fields=("u",), inside=None, exact=None, missing=(), reference=True):
    """A view whose fields are off by a factor of 1 + ERROR, so that the relative error of each is ERROR."""
    if exact is None:

        def exact(p):
            return {field: torch.cos(p.sum(1) + i) + 2 for i, field in enumerate(fields)}

    def predict(p):
        return {name: value * (1 + ERROR) for name, value in exact(p).items()}

    def known(p):
        return {name: value for name, value in exact(p).items() if name not in missing}

    def residual(p):
        return {"equation": 1e-2 * torch.sin(math.pi * p[:, 0]) ** 2}

    box = torch.tensor(bounds, dtype=torch.float64)
    return View(coords, box, time, fields, inside, predict, known if reference else None, residual)


def outside_the_quadrant(p):
    return (p[:, 0] <= 0) | (p[:, 1] <= 0)


def in_the_ball(p):
    return p.square().sum(1) <= 1


UNIT = [0.0, 1.0]
VIEWS = {
    "curve": lambda **k: make(("x",), [UNIT], **k),
    "evolution": lambda **k: make(("t",), [[0.0, 3.0]], "t", **k),
    "space_time": lambda **k: make(("x", "t"), [[-1.0, 1.0], UNIT], "t", **k),
    "time_first": lambda **k: make(("t", "x"), [UNIT, [-1.0, 1.0]], "t", **k),
    "plane": lambda **k: make(("x", "y"), [UNIT, UNIT], **k),
    "l_shape": lambda **k: make(("x", "y"), [[-1.0, 1.0]] * 2, inside=outside_the_quadrant, **k),
    "channel": lambda **k: make(("x", "y"), [[0.0, 2.2], [0.0, 0.41]], **k),
    "out_of_proportion": lambda **k: make(("x", "nu"), [[0.0, 100.0], [0.0, 1e-3]], **k),
    "plane_time": lambda **k: make(("x", "y", "t"), [UNIT] * 3, "t", **k),
    "cube": lambda **k: make(("x", "y", "z"), [UNIT] * 3, **k),
    "space_and_time": lambda **k: make(("x", "y", "z", "t"), [UNIT] * 4, "t", **k),
    "ball": lambda **k: make(tuple(f"x{i}" for i in range(100)), [[-1.0, 1.0]] * 100, inside=in_the_ball, **k),
    "fixed": lambda **k: make(("x", "nu"), [UNIT, [0.1, 0.1]], **k),
    "point": lambda **k: make(("x",), [[1.0, 1.0]], **k),
}


@pytest.fixture(params=VIEWS)
def any_view(request):
    return VIEWS[request.param]


def texts(figure):
    """All text in a figure."""
    import matplotlib.text

    return [text.get_text() for text in figure.findobj(matplotlib.text.Text) if text.get_text()]


def drawn(figure):
    """Render a figure and return its pixels."""
    import numpy as np

    figure.set_dpi(50)
    figure.canvas.draw()
    return np.asarray(figure.canvas.buffer_rgba())


def images(axes_or_figure):
    """Arrays (up, across) of all maps, colour bars left out."""
    from matplotlib.image import AxesImage

    return [image.get_array() for image in axes_or_figure.findobj(AxesImage)]
