"""Causal weights in their limits, their schedule and its end."""

from __future__ import annotations

import json
import math

import pytest
import torch

from kjet.errors import ConfigError, DivergenceError
from kjet.optim.balance import Causal, causal_weights, slice_means, time_slices

LOSSES = torch.tensor([0.5, 2.0, 1.0, 4.0], dtype=torch.float64)


def test_formula():
    found = causal_weights(LOSSES, 0.3)
    assert found.tolist() == pytest.approx([1.0, math.exp(-0.15), math.exp(-0.75), math.exp(-1.05)], rel=1e-14)


def test_without_strictness_all_times_count():
    assert torch.equal(causal_weights(LOSSES, 0.0), torch.ones(4, dtype=torch.float64))
    torch.testing.assert_close(causal_weights(LOSSES, 1e-12), torch.ones(4, dtype=torch.float64), rtol=0, atol=1e-11)


def test_an_early_error_silences_what_follows():
    losses = torch.tensor([1e-9, 1e6, 0.0, 0.0], dtype=torch.float64)
    assert causal_weights(losses, 1.0).tolist() == pytest.approx([1.0, 1.0, 0.0, 0.0], abs=1e-8)


def test_later_losses_have_no_say():
    changed = LOSSES.clone()
    changed[2:] *= 100
    assert torch.equal(causal_weights(LOSSES, 1.0)[:3], causal_weights(changed, 1.0)[:3])
    weights = causal_weights(LOSSES.requires_grad_(), 1.0)
    assert not weights.requires_grad
    assert bool((weights.diff() <= 0).all())


def test_slices():
    times = torch.tensor([0.0, 0.24, 0.25, 0.99, 1.0, -1e-9])
    index = time_slices(times, 0.0, 1.0, 4)
    assert index.tolist() == [0, 0, 1, 3, 3, 0]
    residual = torch.tensor([1.0, 2.0, 3.0, 4.0, 0.0, 1.0], requires_grad=True)
    means = slice_means(residual, index, 4)
    assert means.tolist() == [2.0, 9.0, 0.0, 8.0]
    assert not means.requires_grad


def test_strictness_grows_until_all_is_fitted():
    rule = Causal(eps=(1.0, 10.0, 100.0), threshold=0.9)
    state = rule.init(4)
    seen = []
    for size in (1.0, 1e-2, 1e-2, 1e-3, 1e-4, 1.0):
        weights, state = rule.step(size * torch.ones(4, dtype=torch.float64), state)
        assert not weights.requires_grad
        seen.append((rule.strictness(state), rule.done(state)))
    # exp(-eps 3 size) > 0.9: at the first eps from 1e-2 on, at the second from 1e-3, at the last from 1e-4
    assert seen == [(1.0, False), (10.0, False), (10.0, False), (100.0, False), (100.0, True), (100.0, False)]


def test_resuming_goes_on_bit_for_bit():
    rule = Causal(eps=(1.0, 10.0))
    _, state = rule.step(1e-3 * LOSSES, rule.init(4))
    again = json.loads(json.dumps(state))
    assert again == state
    assert rule.strictness(again) == 10.0
    assert torch.equal(rule.step(LOSSES, state)[0], rule.step(LOSSES, again)[0])


def test_mistakes():
    with pytest.raises(ConfigError, match="at least two slices of time; got 1"):
        Causal().init(1)
    with pytest.raises(ConfigError, match=r"started for 4 slices; got losses \(3,\)"):
        Causal().step(LOSSES[:3], Causal().init(4))
    with pytest.raises(DivergenceError, match="losses of time slices"):
        Causal().step(LOSSES / 0.0, Causal().init(4))
    with pytest.raises(ConfigError, match="eps = -1"):
        causal_weights(LOSSES, -1.0)
    with pytest.raises(ConfigError, match="expected at least one, and start < end"):
        time_slices(LOSSES, 1.0, 0.0, 4)
    for options in ({"eps": ()}, {"eps": (1.0, 0.5)}, {"eps": (0.0, 1.0)}, {"threshold": 1.0}):
        with pytest.raises(ConfigError, match=r"Causal: .* expected"):
            Causal(**options)
