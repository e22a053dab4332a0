"""Weights of points climb the masked loss, and end at their limit."""

from __future__ import annotations

import json

import pytest
import torch
from safetensors.torch import load, save

from kjet.errors import ConfigError, DivergenceError
from kjet.optim.balance import SelfAdaptive

RESIDUAL = torch.tensor([0.1, -2.0, 1.0, 0.0], dtype=torch.float64)


@pytest.mark.parametrize("power", [1.0, 2.0, 4.0])
def test_a_step_is_gradient_ascent(power):
    rule = SelfAdaptive(rate=0.01, power=power, relative=False)
    levels = torch.tensor([1.0, 1.5, 2.0, 3.0], dtype=torch.float64, requires_grad=True)
    loss = (levels**power * RESIDUAL.square()).sum()
    (slope,) = torch.autograd.grad(loss, levels)
    weights, state = rule.step(RESIDUAL, {"levels": levels.detach()})
    expected = levels.detach() + 0.01 * slope
    torch.testing.assert_close(state["levels"], expected, rtol=1e-13, atol=0)
    torch.testing.assert_close(weights, expected**power, rtol=1e-13, atol=0)
    assert float((weights * RESIDUAL.square()).sum()) > float(loss.detach())


def test_the_unit_of_the_residual_has_no_say():
    rule = SelfAdaptive()
    a, b = (rule.step(factor * RESIDUAL, rule.init(RESIDUAL))[0] for factor in (1.0, 1e-8))
    torch.testing.assert_close(a, b, rtol=1e-13, atol=0)
    assert torch.equal(rule.step(0 * RESIDUAL, rule.init(RESIDUAL))[0], torch.ones_like(RESIDUAL))


def test_weights_start_at_one_rise_and_are_limited():
    rule = SelfAdaptive(rate=0.5, limit=10.0)
    state = rule.init(RESIDUAL)
    before = rule.weights(state)
    assert torch.equal(before, torch.ones_like(RESIDUAL))
    for _ in range(200):
        weights, state = rule.step(RESIDUAL, state)
        assert bool((weights >= before).all())
        before = weights
    assert float(weights.max()) == 100.0
    assert float(weights[3]) == 1.0, "a residual of zero keeps its weight"
    assert not weights.requires_grad


def test_resuming_goes_on_bit_for_bit():
    rule = SelfAdaptive()
    state = rule.step(RESIDUAL, rule.init(RESIDUAL))[1]
    again = load(save(state)) | json.loads(json.dumps({}))
    assert torch.equal(rule.step(RESIDUAL, state)[0], rule.step(RESIDUAL, again)[0])


def test_mistakes():
    rule = SelfAdaptive()
    with pytest.raises(ConfigError, match=r"weights of 4 residuals; got \(3,\)"):
        rule.step(RESIDUAL[:3], rule.init(RESIDUAL))
    with pytest.raises(DivergenceError, match="1 of 4 entries of the residual"):
        rule.step(RESIDUAL / torch.tensor([1.0, 0.0, 1.0, 1.0]), rule.init(RESIDUAL))
    for options in ({"rate": 0.0}, {"power": 0.5}, {"limit": 0.0}):
        with pytest.raises(ConfigError, match=r"SelfAdaptive: .* expected"):
            SelfAdaptive(**options)
