import functools

import pytest
import torch
from torch import nn

from kjet.constraints.coordinates import CoordinateFunction, call_with_coordinates
from kjet.errors import ConfigError

COLUMNS = {"x": torch.tensor([1.0, 2.0]), "t": torch.tensor([10.0, 20.0])}


class Sum(nn.Module):
    def forward(self, t, x):
        return t + x


class Field:
    def value(self, x):
        return 3 * x

    def __call__(self, t):
        return -t


@pytest.mark.parametrize(
    ("function", "expected"),
    [
        (lambda x: x, [1.0, 2.0]),
        (lambda t, x: t - x, [9.0, 18.0]),
        (lambda x, *, t: t - x, [9.0, 18.0]),
        (lambda x, nu=2.0: nu * x, [2.0, 4.0]),
        (lambda x, t=0.0: t + x, [11.0, 22.0]),
        (lambda **columns: columns["x"] + columns["t"], [11.0, 22.0]),
        (functools.partial(lambda x, t: t - x, t=0.0), [-1.0, -2.0]),
        (functools.partial(lambda x, **rest: x + rest["t"], t=0.0), [1.0, 2.0]),
        (Sum(), [11.0, 22.0]),
        (Field(), [-10.0, -20.0]),
        (Field().value, [3.0, 6.0]),
    ],
)
def test_arguments_are_found_by_name(function, expected):
    assert call_with_coordinates(function, COLUMNS).tolist() == expected


def test_constants_stand_for_themselves():
    assert call_with_coordinates(2, COLUMNS) == 2
    assert call_with_coordinates(lambda: 5.0, COLUMNS) == 5.0
    assert call_with_coordinates(torch.tensor([[3.0]]), COLUMNS).shape == ()


def test_names_are_matched_once():
    assert CoordinateFunction.of(lambda t, x: t, ("x", "y", "t")).names == ("t", "x")
    assert CoordinateFunction.of(1.0, ("x",)).names == ()


@pytest.mark.parametrize(
    ("function", "message"),
    [
        (lambda xx: xx, r'argument that is no coordinate: unknown coordinate "xx"; it has t, x. Did you mean "x"\?'),
        (lambda x, *others: x, r'takes "\*others" by position; name its arguments after coordinates \(x, t\)'),
        (lambda x, /: x, r'takes "x" by position'),
        (torch.sin, r"the arguments of \S*sin cannot be read; wrap it, as in lambda x: \S*sin\(x\)"),
        ("x", r"value 'x' is neither a number nor a function"),
        (torch.zeros(2), r"neither a number nor a function"),
    ],
)
def test_mistakes(function, message):
    with pytest.raises(ConfigError, match=message):
        call_with_coordinates(function, COLUMNS)
