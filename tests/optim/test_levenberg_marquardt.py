"""Levenberg-Marquardt: the gain ratio, the damping rule, the reused Gram matrix."""

from __future__ import annotations

import pytest
import torch

from kjet.errors import ConfigError
from kjet.optim import LevenbergMarquardt


def test_linear_model_is_exact_on_linear_problems(kit):
    optimizer = LevenbergMarquardt(damping=1.0)
    case = kit.linear(30, 6)
    step = optimizer.step(case.objective, case.theta, optimizer.init(case.theta))
    assert step.info["gain_ratio"] == pytest.approx(1.0, abs=1e-10)
    assert step.state["damping"] == pytest.approx(1 / 3)


@pytest.mark.parametrize("problem", ["rosenbrock", "tanh_regression"])
def test_converges(kit, problem):
    history = kit.run(LevenbergMarquardt(), getattr(kit, problem)(), 80)
    assert history[-1].loss < 1e-8 * history[0].loss


def test_first_step_solves_the_damped_normal_equations(kit):
    case, damping = kit.tanh_regression(), 0.1
    optimizer = LevenbergMarquardt(damping=damping)
    step = optimizer.step(case.objective, case.theta, optimizer.init(case.theta))
    r, J = case.objective.residual_and_jacobian(case.theta)
    lam = step.info["damping"] * J.square().sum() / min(J.shape)
    d = torch.linalg.solve(J.T @ J + lam * torch.eye(J.shape[1], dtype=J.dtype), J.T @ r)
    torch.testing.assert_close(step.theta, case.theta - d, rtol=1e-10, atol=1e-10)


def test_rejection_reuses_the_gram_matrix(kit):
    objective = kit.Residuals(lambda x: torch.exp(x) - 1.0)
    theta = torch.full((1,), -5.0, dtype=torch.float64)
    optimizer = LevenbergMarquardt(damping=1e-6)
    step = optimizer.step(objective, theta, optimizer.init(theta))
    trials = int(step.info["trials"])
    assert trials > 1
    assert objective.calls == {"loss": trials + 1, "gradient": 0, "jacobian": 1}
    assert step.evaluations == trials + 2
    # nu = 2, doubled with each rejection: the damping grows by 2^(1 + 2 + ... )
    assert step.info["damping"] == pytest.approx(1e-6 * 2.0 ** (trials * (trials - 1) / 2))


@pytest.mark.parametrize(
    ("name", "value"),
    [("damping", -1.0), ("damping_floor", 0.0), ("space", ""), ("max_trials", 0), ("tolerance", -1.0), ("patience", 0)],
)
def test_hyperparameters_out_of_range(name, value):
    with pytest.raises(ConfigError, match=f"LevenbergMarquardt: {name} = .*expected"):
        LevenbergMarquardt(**{name: value})
