"""Unknown parameters: bounded by construction, differentiable, and reproduced at the start."""

import math

import pytest
import torch

from kjet.pde import Unknown

CASES = [
    Unknown(0.5), Unknown(-3.0), Unknown(0.0), Unknown(0.5, low=0.0), Unknown(1e-9, low=0.0), Unknown(-0.5, high=0.0),
    Unknown(0.5, low=0.0, high=1.0), Unknown(0.999, low=-2.0, high=1.0), Unknown(1e6, low=1.0, high=1e7),
]  # fmt: skip


@pytest.mark.parametrize("unknown", CASES, ids=str)
def test_start_is_the_guess(unknown):
    assert float(unknown.value(unknown.start())) == pytest.approx(unknown.initial, rel=1e-12, abs=1e-15)


@pytest.mark.parametrize("unknown", CASES, ids=str)
def test_bounds_hold_for_every_value_of_the_free_variable(unknown):
    values = unknown.value(torch.linspace(-30, 30, 101, dtype=torch.float64))
    assert bool((values >= (-math.inf if unknown.low is None else unknown.low)).all())
    assert bool((values <= (math.inf if unknown.high is None else unknown.high)).all())


@pytest.mark.parametrize("unknown", CASES, ids=str)
def test_monotone_and_differentiable(unknown):
    s = unknown.start().requires_grad_()
    (slope,) = torch.autograd.grad(unknown.value(s), s)
    assert float(slope) != 0
    torch.autograd.gradcheck(unknown.value, s)
    # With an upper bound alone it falls as the free variable rises; otherwise it rises.
    assert (float(slope) > 0) == (unknown.low is not None or unknown.high is None)


@pytest.mark.parametrize(
    ("initial", "low", "high"),
    [
        (math.nan, None, None),
        (math.inf, None, None),
        (0.0, 0.0, None),
        (1.0, None, 1.0),
        (2.0, 0.0, 1.0),
        (-1.0, 0.0, None),
        (0.5, 1.0, 0.0),
    ],
)
def test_guesses_outside(initial, low, high):
    with pytest.raises(
        ValueError, match=f"initial guess {initial} must be finite and strictly between the bounds {low} and {high}"
    ):
        Unknown(initial, low=low, high=high)
