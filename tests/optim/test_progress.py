"""When descent methods say that they have stopped."""

from __future__ import annotations

import pytest
import torch

from kjet.optim import Status
from kjet.optim.progress import rounding_level, stopped, track


@pytest.mark.parametrize(
    ("dtype", "evaluable", "status", "advice"),
    [
        (torch.float64, True, Status.STALLED, "Resample"),
        (torch.float32, True, Status.NOISE_FLOOR, "float32 cannot resolve a further decrease. Switch to float64"),
        (torch.float32, False, Status.FAILED, "not a number"),
    ],
)
def test_cause_and_advice(dtype, evaluable, status, advice):
    found, reason = stopped(dtype, "no lower loss", evaluable=evaluable)
    assert found is status
    assert reason.startswith("no lower loss: ")
    assert advice in reason


def test_slow_steps_must_come_in_a_row():
    state = {"slow": 0}

    def go(after):
        return track(state, 1.0, after, torch.float64, tolerance=1e-3, patience=3)[0]

    assert [go(0.9999), go(0.9999), go(0.9), go(0.9999), go(1.0)] == [Status.OK] * 5
    status, reason = track(state, 1.0, 1.0, torch.float64, tolerance=1e-3, patience=3)
    assert status is Status.STALLED
    assert "3 steps in a row lowered the loss by less than 1.0e-03" in reason


def test_tolerance_is_at_least_rounding():
    state = {"slow": 0}
    decrease = 0.5 * rounding_level(torch.float32)
    assert track(state, 1.0, 1.0 - decrease, torch.float32, tolerance=0.0, patience=1)[0] is Status.NOISE_FLOOR
