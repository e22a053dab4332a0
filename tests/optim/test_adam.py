"""Adam against torch's."""

from __future__ import annotations

import pytest
import torch

from kjet.errors import ConfigError
from kjet.optim import Adam


def test_steps_are_those_of_torch(kit):
    case, optimizer = kit.tanh_regression(), Adam(learning_rate=0.02, betas=(0.8, 0.95), decay_steps=7, decay_rate=0.5)
    parameter = torch.nn.Parameter(case.theta.clone())
    oracle = torch.optim.Adam([parameter], lr=0.02, betas=(0.8, 0.95), eps=1e-8)
    schedule = torch.optim.lr_scheduler.LambdaLR(oracle, lambda k: 0.5 ** (k / 7))
    for step in kit.run(optimizer, case, 30):
        oracle.zero_grad()
        loss = case.objective.function(parameter).square().sum()
        loss.backward()
        oracle.step()
        schedule.step()
        assert step.loss == pytest.approx(float(loss.detach()), rel=1e-12)
        torch.testing.assert_close(step.theta, parameter.detach(), rtol=1e-12, atol=1e-12)


def test_lowers_the_loss(kit):
    history = kit.run(Adam(learning_rate=0.02), kit.tanh_regression(), 500)
    assert history[-1].loss < 1e-2 * history[0].loss


@pytest.mark.parametrize(
    ("name", "value"),
    [("learning_rate", 0.0), ("betas", (0.9, 1.0)), ("eps", 0.0), ("decay_steps", 0), ("decay_rate", 0.0)],
)
def test_hyperparameters_out_of_range(name, value):
    with pytest.raises(ConfigError, match=f"Adam: {name} = .*expected"):
        Adam(**{name: value})
