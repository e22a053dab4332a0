"""Functions called with the coordinates that they name."""

import math

import pytest
import torch

from kjet.pde import call_with_names

VALUES = {"x": 2.0, "y": 3.0, "nu": 0.5}


@pytest.mark.parametrize(
    ("function", "expected"),
    [
        (lambda y, x: x - y, -1.0),
        (lambda: 7.0, 7.0),
        (4.0, 4.0),
        (3, 3),
        (lambda x, scale=10.0: x * scale, 20.0),
        (lambda x, nu=10.0: x * nu, 1.0),
        (lambda x, **others: x + others["y"] + others["nu"], 5.5),
        (lambda *, y: y, 3.0),
        (lambda y, /, x: x - y, -1.0),
        (lambda *rest, x: x + len(rest), 2.0),
    ],
)
def test_call(function, expected):
    assert call_with_names(function, VALUES) == expected


def test_tensors_stand_for_themselves():
    tensor = torch.ones(2)
    assert call_with_names(tensor, VALUES) is tensor


def test_unknown_argument():
    def source(x, nuu):
        return x * nuu

    message = r'unknown argument "nuu" of the function source\(\); it has nu, x, y. Did you mean "nu"\?'
    with pytest.raises(ValueError, match=message):
        call_with_names(source, VALUES)


def test_function_without_a_signature():
    assert call_with_names(torch.sin, {"x": torch.tensor(0.0)}) == 0
    with pytest.raises(
        ValueError, match=r"the function sin\(\) does not name its arguments; write it as lambda x, y, nu"
    ):
        call_with_names(torch.sin, VALUES)


def test_objects_can_be_called():
    class Wave:
        def __call__(self, x):
            return math.cos(x)

    assert call_with_names(Wave(), VALUES) == math.cos(2.0)
