"""What holds for every optimizer."""

from __future__ import annotations

from dataclasses import replace

import pytest
import torch

from kjet.errors import ConfigError, DivergenceError
from kjet.optim import FirstOrder, GaussNewtonCG, NysNewtonCG, Objective, Optimizer, Status

PROBLEMS = ("rosenbrock", "tanh_regression")


def _equal(a: dict, b: dict) -> bool:
    same = {key: torch.equal(v, b[key]) if isinstance(v, torch.Tensor) else v == b[key] for key, v in a.items()}
    return a.keys() == b.keys() and all(same.values())


def _continue(optimizer, objective, theta, state, steps):
    for _ in range(steps):
        step = optimizer.step(objective, theta, state)
        theta, state = step.theta, step.state
    return theta, state, step.loss


def test_protocols(kit, optimizer):
    assert isinstance(optimizer, Optimizer)
    assert isinstance(kit.rosenbrock().objective, Objective)


@pytest.mark.parametrize("dtype", [torch.float64, torch.float32])
@pytest.mark.parametrize("refreshed", [False, True])
def test_state_through_files_continues_bit_for_bit(kit, optimizer, dtype, refreshed):
    case = kit.tanh_regression(dtype)
    theta, state, _ = _continue(optimizer, case.objective, case.theta, optimizer.init(case.theta), 8)
    if refreshed:
        state = optimizer.refresh(state)
    read = kit.through_files(state)
    assert _equal(state, read)
    theta_read = theta.clone()
    theta, state, loss = _continue(optimizer, case.objective, theta, state, 8)
    theta_read, read, loss_read = _continue(optimizer, case.objective, theta_read, read, 8)
    assert torch.equal(theta, theta_read)
    assert loss == loss_read
    assert _equal(state, read)


def test_state_of_another_optimizer_is_named(kit):
    case, other = kit.rosenbrock(), kit.optimizers["gauss_newton"]
    for name in ("adam", "broyden", "lbfgs"):
        with pytest.raises(ConfigError, match=r"optimizer state has no tensor .*it has damping, "):
            kit.optimizers[name].step(case.objective, case.theta, other.init(case.theta) | {"fresh": False})


def test_initial_state_goes_through_files(kit, optimizer):
    state = optimizer.init(kit.tanh_regression().theta)
    assert _equal(state, kit.through_files(state))


def test_steps_do_not_touch_the_parameters_given(kit, optimizer):
    case = kit.tanh_regression()
    theta = case.theta.clone()
    step = optimizer.step(case.objective, theta, optimizer.init(theta))
    assert torch.equal(theta, case.theta)
    assert step.theta.dtype == theta.dtype
    assert step.theta.shape == theta.shape
    assert not step.theta.requires_grad


@pytest.mark.parametrize("dtype", [torch.float64, torch.float32])
@pytest.mark.parametrize("problem", PROBLEMS)
def test_loss_never_rises(kit, monotone, problem, dtype):
    case = getattr(kit, problem)(dtype)
    theta, state = case.theta, monotone.init(case.theta)
    for _ in range(40):
        before = float(case.objective.loss(theta))
        step = monotone.step(case.objective, theta, state)
        after = float(case.objective.loss(step.theta))
        assert after == step.loss
        assert after <= before
        theta, state = step.theta, step.state


@pytest.mark.parametrize("problem", PROBLEMS)
def test_permuting_the_parameters_changes_nothing(kit, optimizer, problem):
    case = getattr(kit, problem)()
    order = torch.randperm(case.theta.numel(), generator=torch.Generator().manual_seed(0))
    inverse = torch.argsort(order)
    permuted = kit.Case(kit.Residuals(lambda x: case.objective.function(x[inverse])), case.theta[order])
    if isinstance(optimizer, NysNewtonCG):  # fewer random vectors than parameters span another space in another order
        optimizer = replace(optimizer, rank=case.theta.numel())
    losses = [[step.loss for step in kit.run(optimizer, this, 8)] for this in (case, permuted)]
    # 1e-6: sums over parameters round differently, and each step amplifies that; conjugate gradients more than others
    assert losses[1] == pytest.approx(losses[0], rel=1e-4 if isinstance(optimizer, GaussNewtonCG) else 1e-6)


def test_refresh_keeps_curvature_and_drops_values(kit, optimizer):
    case = kit.tanh_regression()
    state = kit.run(optimizer, case, 6)[-1].state
    values = {"loss", "gradient", "direction", "decrease"}
    fresh = optimizer.refresh(state)
    assert fresh.keys() == state.keys() - values
    assert all(fresh[key] is state[key] for key in fresh if isinstance(fresh[key], torch.Tensor))
    assert fresh.get("damping") == state.get("damping")


def test_refresh_uses_the_new_objective(kit, optimizer):
    old, new = kit.tanh_regression(), kit.tanh_regression(points=23)
    last = kit.run(optimizer, old, 6)[-1]
    step = optimizer.step(new.objective, last.theta, optimizer.refresh(last.state))
    before = float(new.objective.loss(last.theta))
    assert step.loss == before if isinstance(optimizer, FirstOrder) else step.loss < before


def test_divergence_is_named(kit, optimizer):
    objective = kit.Residuals(lambda x: torch.stack([x[0], x[1] / (x[0] - x[0])]))
    theta = torch.ones(2, dtype=torch.float64)
    with pytest.raises(DivergenceError, match=r"1 of . entries of the (loss|residual) are not finite"):
        optimizer.step(objective, theta, optimizer.init(theta))


def test_gradient_that_is_not_finite_is_named(kit, optimizer):
    # sqrt is finite at zero, its slope is not
    objective = kit.Residuals(lambda x: torch.stack([torch.sqrt(x[0]) + 1.0, x[1], x[2]]))
    theta = torch.tensor([0.0, 1.0, 1.0], dtype=torch.float64)
    with pytest.raises(DivergenceError, match=r"[13] of . entries of the (gradient|Jacobian) are not finite"):
        optimizer.step(objective, theta, optimizer.init(theta))


def test_trials_that_are_not_finite_are_never_accepted(kit, monotone):
    # undefined for x[0] < 0, where a full step from the start leads
    objective = kit.Residuals(lambda x: torch.stack([torch.log(x[0]) + 4.0, 3.0 * x[1]]))
    history = kit.run(monotone, kit.Case(objective, torch.tensor([4.0, 1.0], dtype=torch.float64)), 60)
    assert all(torch.isfinite(step.theta).all() for step in history)
    assert history[-1].loss < 1e-6


def test_nothing_but_the_start_is_finite(kit, monotone):
    start = torch.ones(2, dtype=torch.float64)
    objective = kit.Residuals(lambda x: x + torch.where((x == start).all(), 0.0, torch.nan))
    step = monotone.step(objective, start, monotone.init(start))
    assert step.status is Status.FAILED
    assert "infinite or not a number" in step.reason
    assert torch.equal(step.theta, start)


def test_stalls_at_a_minimum_and_says_why(kit, monotone):
    history = kit.run(monotone, kit.linear(20, 6), 300)
    last = history[-1]
    assert last.status is Status.STALLED
    assert "Resample" in last.reason
    J = torch.func.jacrev(kit.linear(20, 6).objective.function)(last.theta)
    r = kit.linear(20, 6).objective.residual(last.theta)
    # the loss resolves 1e-15 of itself, the parameters the square root of that
    assert float((J.T @ r).norm()) < 1e-5 * float(J.norm() * r.norm())


def test_stalls_at_zero_loss(kit, monotone):
    case = kit.Case(kit.Residuals(lambda x: x), torch.zeros(3, dtype=torch.float64))
    step = monotone.step(case.objective, case.theta, monotone.init(case.theta))
    assert (step.status, step.loss) == (Status.STALLED, 0.0)


def test_float32_reports_its_noise_floor(kit, monotone):
    history = kit.run(monotone, kit.linear(20, 6, torch.float32), 300)
    assert history[-1].status is Status.NOISE_FLOOR
    assert "float64" in history[-1].reason


@pytest.mark.gpu
@pytest.mark.skipif(not torch.cuda.is_available(), reason="needs a CUDA device")
def test_runs_on_a_gpu(kit, optimizer):
    objective = kit.Residuals(lambda x: torch.cat([x.square() - 2.0, x.sum()[None] - 1.0]))
    case = kit.Case(objective, torch.linspace(0.5, 1.5, 9, dtype=torch.float64, device="cuda"))
    history = kit.run(optimizer, case, 5)
    assert history[-1].theta.device.type == "cuda"
    assert history[-1].loss <= history[0].loss
