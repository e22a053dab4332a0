"""Adam against torch's."""

from __future__ import annotations

import pytest
import torch

from kjet.errors import ConfigError
from kjet.optim import Adam, Scheduled


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
    ("options", "rates"),
    [
        ({}, [1.0, 0.9**0.25, 0.9**0.5, 0.9**1.25]),
        ({"decay_rate": 0.5, "decay_steps": 1}, [1.0, 0.5**500, 0.5**1000, 0.5**2500]),
        ({"schedule": "constant"}, [1.0, 1.0, 1.0, 1.0]),
        ({"schedule": "linear", "total_steps": 2000}, [1.0, 0.75, 0.5, 0.0]),
    ],
)
def test_schedules(options, rates):
    found = [Adam(learning_rate=1.0, **options).rate(k) for k in (0, 500, 1000, 2500)]
    assert found == pytest.approx(rates, rel=1e-12, abs=1e-300)


def test_a_linear_schedule_reaches_zero(kit):
    case = kit.tanh_regression()
    optimizer = Adam(schedule="linear").for_steps(10)
    history = kit.run(optimizer, case, 12)
    assert [step.info["learning_rate"] for step in history] == pytest.approx(
        [1e-3 * max(1 - k / 10, 0.0) for k in range(12)]
    )
    assert torch.equal(history[-1].theta, history[9].theta)


def test_a_schedule_is_for_the_steps_of_the_run():
    linear = Adam(schedule="linear")
    with pytest.raises(ConfigError, match="a linear schedule needs the number of steps; limit the run by"):
        linear.init(torch.zeros(3))
    assert linear.for_steps(None) is linear
    assert linear.for_steps(7) == Adam(schedule="linear", total_steps=7)
    assert linear.for_steps(7).for_steps(9).total_steps == 7
    assert isinstance(linear, Scheduled)


def test_points_stay_longer_where_directions_do_not_change(kit):
    case, optimizer = kit.linear(5, 3), Adam()
    state = optimizer.init(case.theta)
    state = optimizer.step(case.objective, case.theta, state).state
    assert optimizer.resample_every(state) == 100
    case.objective.stochastic = True
    state = optimizer.step(case.objective, case.theta, state).state
    assert optimizer.resample_every(state) == 1


def test_parameters_given_are_left_alone(kit):
    case = kit.tanh_regression()
    before = case.theta.clone()
    Adam().step(case.objective, case.theta, Adam().init(case.theta))
    assert torch.equal(case.theta, before)


@pytest.mark.parametrize(
    ("name", "value"),
    [
        ("total_steps", 0),
        ("learning_rate", 0.0),
        ("betas", (0.9, 1.0)),
        ("eps", 0.0),
        ("decay_steps", 0),
        ("decay_rate", 0.0),
    ],
)
def test_hyperparameters_out_of_range(name, value):
    with pytest.raises(ConfigError, match=f"Adam: {name} = .*expected"):
        Adam(**{name: value})


def test_unknown_schedules():
    with pytest.raises(ConfigError, match=r'unknown schedule "linaer" of Adam; .* Did you mean "linear"'):
        Adam(schedule="linaer")
