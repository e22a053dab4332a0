"""Gauss-Newton and SPRING against dense formulas."""

from __future__ import annotations

import itertools
import math

import pytest
import torch

from kjet.errors import ConfigError
from kjet.optim import GaussNewton


@pytest.mark.parametrize(("r", "p"), [(30, 6), (6, 30), (8, 8)])
def test_linear_problem_takes_one_step(kit, r, p):
    case = kit.linear(r, p)
    optimizer = GaussNewton(damping=1e-14, damping_floor=1e-14)
    first = optimizer.step(case.objective, case.theta, optimizer.init(case.theta))
    J = torch.func.jacrev(case.objective.function)(case.theta)
    expected = case.theta - torch.linalg.pinv(J) @ case.objective.residual(case.theta)
    # the Gram matrix squares the condition number, about 100 here
    torch.testing.assert_close(first.theta, expected, rtol=1e-8, atol=1e-8)
    assert first.info["step_length"] == 1.0


def test_spaces_give_the_same_steps(kit):
    case = kit.tanh_regression()
    runs = [kit.run(GaussNewton(space=space), case, 6) for space in ("residual", "parameter")]
    for a, b in zip(*runs, strict=True):
        torch.testing.assert_close(a.theta, b.theta, rtol=1e-8, atol=1e-8)


def test_units_of_the_residual_do_not_matter(kit):
    case = kit.tanh_regression()
    scaled = kit.Case(kit.Residuals(lambda x: 1024.0 * case.objective.function(x)), case.theta)
    for a, b in zip(kit.run(GaussNewton(), case, 8), kit.run(GaussNewton(), scaled, 8), strict=True):
        torch.testing.assert_close(a.theta, b.theta, rtol=1e-8, atol=1e-8)


@pytest.mark.parametrize("problem", ["rosenbrock", "tanh_regression"])
def test_converges(kit, problem):
    history = kit.run(GaussNewton(), getattr(kit, problem)(), 80)
    assert history[-1].loss < 1e-8 * history[0].loss


def test_damping_follows_the_step_length(kit):
    optimizer = GaussNewton()
    for step, after in itertools.pairwise(kit.run(optimizer, kit.tanh_regression(), 25)):
        factor = {1.0: 1 / 5, 0.5: 1 / 2, 0.25: 1 / 2}.get(step.info["step_length"], 3.0)
        expected = max(step.info["damping"] * factor, optimizer.damping_floor)
        if after.info["attempts"] == 1:
            assert after.info["damping"] == pytest.approx(expected)


def test_failure_raises_the_damping_on_the_same_jacobian(kit):
    # exp makes every lightly damped step from far left overshoot to infinity
    objective = kit.Residuals(lambda x: torch.exp(x) - 1.0)
    theta = torch.full((1,), -10.0, dtype=torch.float64)
    optimizer = GaussNewton(damping=1e-12, halvings=4)
    step = optimizer.step(objective, theta, optimizer.init(theta))
    assert step.info["attempts"] > 1
    assert step.info["damping"] > 1e-12
    assert objective.calls["jacobian"] == 1
    assert step.loss < float(objective.loss(theta))


def test_acceleration_undoes_the_second_derivative_of_the_residual(kit):
    case, damping = kit.tanh_regression(), 1e-2
    f, theta = case.objective.function, case.theta
    step = GaussNewton(damping=damping).step(case.objective, theta, GaussNewton(damping=damping).init(theta))
    r, J = case.objective.residual_and_jacobian(theta)
    lam = damping * J.square().sum() / min(J.shape)
    G = J @ J.T + lam * torch.eye(J.shape[0], dtype=J.dtype)
    d = J.T @ torch.linalg.solve(G, r)
    second = torch.func.jacrev(torch.func.jacrev(lambda h: f(theta + h * d)))(torch.zeros((), dtype=theta.dtype))
    a = -J.T @ torch.linalg.solve(G, 0.5 * second)
    t = step.info["step_length"]
    # a difference over a tenth of the step: right to first order in it
    torch.testing.assert_close(step.theta, theta - t * d + t**2 * a, rtol=0.0, atol=0.2 * float((t**2 * a).norm()))
    assert float((step.theta - theta + t * d).norm()) > 0.5 * float((t**2 * a).norm()) > 0


def test_acceleration_leaves_linear_problems_alone(kit):
    case = kit.linear(30, 6)
    runs = [kit.run(GaussNewton(acceleration=on), case, 1)[0].theta for on in (True, False)]
    torch.testing.assert_close(runs[0], runs[1], rtol=1e-9, atol=1e-9)


def test_acceleration_follows_a_curved_valley(kit):
    def steps(acceleration):
        history = kit.run(GaussNewton(acceleration=acceleration), kit.rosenbrock(), 60)
        return next(i for i, step in enumerate(history) if step.loss < 1e-12)

    assert steps(True) < steps(False)


def test_fixed_damping_stays(kit):
    history = kit.run(GaussNewton(damping=1e-6, adaptive=False), kit.tanh_regression(), 10)
    assert {step.info["damping"] for step in history} == {1e-6}


def test_spring_formula(kit):
    case, mu, damping = kit.tanh_regression(), 0.9, 1e-2
    optimizer = GaussNewton(damping=damping, adaptive=False, momentum=mu, acceleration=False)
    theta, state, phi = case.theta, optimizer.init(case.theta), torch.zeros_like(case.theta)
    k = used = 0
    for _ in range(6):
        r, J = case.objective.residual_and_jacobian(theta)
        lam = damping * J.square().sum() / min(J.shape)
        G = J @ J.T + lam * torch.eye(J.shape[0], dtype=J.dtype)
        phi = J.T @ torch.linalg.solve(G, r - mu * J @ phi) + mu * phi
        k += 1
        step = optimizer.step(case.objective, theta, state)
        t = step.info["step_length"]
        if step.info["attempts"] > 1:
            break
        used = max(used, k)
        expected = theta - t * phi / math.sqrt(1.0 - mu ** (2 * k))
        torch.testing.assert_close(step.theta, expected, rtol=1e-9, atol=1e-9)
        if t < 0.25:
            phi, k = torch.zeros_like(phi), 0
        theta, state = step.theta, step.state
    assert used > 1


def test_vanishing_momentum_is_gauss_newton(kit):
    case = kit.tanh_regression()
    fixed = [GaussNewton(damping=1e-3, adaptive=False, momentum=mu) for mu in (1e-14, 0.0)]
    for a, b in zip(*(kit.run(optimizer, case, 8) for optimizer in fixed), strict=True):
        torch.testing.assert_close(a.theta, b.theta, rtol=1e-7, atol=1e-7)
    zero, plain = kit.run(GaussNewton(momentum=0.0), case, 8), kit.run(GaussNewton(), case, 8)
    assert all(torch.equal(a.theta, b.theta) for a, b in zip(zero, plain, strict=True))


def test_momentum_is_dropped_when_it_misleads(kit):
    case = kit.linear(20, 5)
    optimizer = GaussNewton(momentum=0.9)
    # A momentum that no solve can undo within a damped step points uphill: the plain direction is taken instead.
    r, J = case.objective.residual_and_jacobian(case.theta)
    state = optimizer.init(case.theta) | {"momentum": -1e6 * (J.T @ r), "momentum_steps": 5, "damping": 1e5}
    step = optimizer.step(case.objective, case.theta, state)
    assert step.status == "ok"
    assert step.info["attempts"] == 2
    assert step.loss < float(case.objective.loss(case.theta))


@pytest.mark.parametrize(
    ("name", "value"),
    [
        ("damping", 0.0),
        ("damping_floor", 1.0),
        ("space", "both"),
        ("momentum", 1.0),
        ("halvings", -1),
        ("tolerance", -1.0),
        ("patience", 0),
    ],
)
def test_hyperparameters_out_of_range(name, value):
    with pytest.raises(ConfigError, match=f"GaussNewton: {name} = .*expected"):
        GaussNewton(**{name: value})
