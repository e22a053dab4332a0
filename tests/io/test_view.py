import re

import jaxtyping
import pytest
import torch

from kjet.errors import ConfigError
from kjet.io import View

SQUARE = torch.tensor([[0.0, 1.0], [0.0, 2.0]])


def view(coords=("x", "t"), bounds=SQUARE, time="t", fields=("u",)):
    return View(coords, bounds, time, fields, None, lambda p: {"u": p[:, 0]}, None, None)


def test_free_coordinates_in_order():
    made = view()
    assert (made.free, made.space, made.moving) == (("x", "t"), ("x",), "t")
    assert made.range("t") == (0.0, 2.0)


def test_a_coordinate_without_extent_is_held_fixed():
    made = view(bounds=torch.tensor([[0.0, 1.0], [3.0, 3.0]]))
    assert (made.free, made.space, made.moving) == (("x",), ("x",), None)


def test_one_coordinate_is_left_if_none_has_extent():
    assert view(bounds=torch.ones(2, 2)).free == ("x",)


@pytest.mark.parametrize(
    ("change", "message"),
    [
        ({"coords": ("x", "x")}, "each given once"),
        ({"fields": ()}, "at least one field"),
        ({"bounds": torch.zeros(3, 2)}, r"shape \(3, 2\); expected \(2, 2\)"),
        ({"bounds": torch.tensor([[1.0, 0.0], [0.0, 1.0]])}, "the lesser one first"),
        ({"bounds": torch.tensor([[0.0, torch.inf], [0.0, 1.0]])}, "finite"),
        ({"time": "tt"}, 'unknown time coordinate "tt".*Did you mean "t"'),
    ],
)
def test_what_does_not_fit_is_refused(change, message):
    refused = (ConfigError, jaxtyping.TypeCheckError)
    with pytest.raises(
        refused, check=lambda e: isinstance(e, jaxtyping.TypeCheckError) or bool(re.search(message, str(e)))
    ):
        view(**change)
