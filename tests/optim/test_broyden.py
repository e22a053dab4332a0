"""The self-scaled Broyden update against the direct formulas for the Hessian, and the whole method."""

from __future__ import annotations

import math

import pytest
import torch

from kjet.errors import ConfigError
from kjet.optim import SelfScaledBroyden
from kjet.optim.broyden import BroydenParameters, bfgs_parameters, broyden_parameters, update_inverse

VARIANTS = {"broyden": broyden_parameters, "bfgs": bfgs_parameters}


def _direct_update(B, s, y, variant):
    """Update the Hessian itself, O(p^3), with every number taken from dense matrices."""
    n, Bs, ys = s.numel(), B @ s, y @ s
    sBs, yHy = s @ Bs, y @ torch.linalg.solve(B, y)
    b, h = float(sBs / ys), float(yHy / ys)
    tau, theta = min(1.0, 1.0 / b), 0.0
    if variant == "broyden":
        a = b * h - 1.0
        rho = min(1.0, h * (1.0 - math.sqrt(a / (1.0 + a))))
        theta = max((rho - 1.0) / a, min(1.0 / rho, (1.0 - b) / b))
        sigma = 1.0 + theta * a
        scale = sigma ** (1.0 / (1.0 - n))
        tau = tau * min(scale, 1.0 / theta) if theta > 0 else min(tau * scale, sigma)
    w = torch.sqrt(sBs) * (y / ys - Bs / sBs)
    return tau * (B - torch.outer(Bs, Bs) / sBs + theta * torch.outer(w, w)) + torch.outer(y, y) / ys


def _random_pair(n, seed, condition=100.0):
    generator = torch.Generator().manual_seed(seed)

    def randn(*shape):
        return torch.randn(*shape, generator=generator, dtype=torch.float64)

    Q = torch.linalg.qr(randn(n, n)).Q
    H = (Q * torch.logspace(0, -math.log10(condition), n, dtype=torch.float64)) @ Q.T
    H = 0.5 * (H + H.T)
    X = randn(n, n)
    hessian = math.exp(2.0 * float(randn(1))) * X @ X.T / n + 0.1 * torch.eye(n, dtype=torch.float64)
    s = H @ randn(n)
    return H, s, hessian @ s


def _update(H, s, y, variant):
    B = torch.linalg.inv(H)
    sy, q = float(s @ y), H @ y
    yHy = float(y @ q)
    member = VARIANTS[variant](float(s @ B @ s) / sy, yHy / sy, s.numel())
    new = H.clone()
    coefficients = update_inverse(new, s, q, sy, yHy, member)
    return new, member, coefficients, q


@pytest.mark.parametrize("seed", range(12))
@pytest.mark.parametrize("variant", VARIANTS)
def test_update_is_the_inverse_of_the_direct_formula(variant, seed):
    H, s, y = _random_pair(11, seed)
    new, *_ = _update(H, s, y, variant)
    expected = torch.linalg.inv(_direct_update(torch.linalg.inv(H), s, y, variant))
    torch.testing.assert_close(new, expected, rtol=1e-8, atol=1e-9 * float(expected.abs().max()))


@pytest.mark.parametrize("seed", range(12))
@pytest.mark.parametrize("variant", VARIANTS)
def test_secant_symmetry_and_definiteness(variant, seed):
    H, s, y = _random_pair(11, seed)
    new, member, (ss, sq, qq), q = _update(H, s, y, variant)
    torch.testing.assert_close(new @ y, s, rtol=1e-9, atol=1e-10)
    assert torch.equal(new, new.T)
    assert float(torch.linalg.eigvalsh(new)[0]) > 0
    assert 0 < member.tau <= 1
    v = torch.linspace(-1.0, 1.0, 11, dtype=torch.float64)
    by_terms = H @ v / member.tau + (ss * (s @ v) + sq * (q @ v)) * s + (sq * (s @ v) + qq * (q @ v)) * q
    torch.testing.assert_close(new @ v, by_terms, rtol=1e-9, atol=1e-10)


def test_random_pairs_cover_the_family():
    # the seeds above must exercise both signs of theta and a scaling that is active
    members = [_update(*_random_pair(11, seed), "broyden")[1] for seed in range(12)]
    assert min(member.theta for member in members) < 0 < max(member.theta for member in members)
    assert min(member.tau for member in members) < 1


def test_symmetry_survives_many_scaled_updates():
    p = 10
    H, generator = torch.eye(p, dtype=torch.float64), torch.Generator().manual_seed(0)
    A = _random_pair(p, 0)[0] + 0.1 * torch.eye(p, dtype=torch.float64)
    product = 1.0
    for step in range(2000):
        s = torch.randn(p, generator=generator, dtype=torch.float64)
        y = A @ s * (1.0 if step // 30 % 2 else 30.0)
        q = H @ y
        sy, yHy = float(s @ y), float(y @ q)
        member = broyden_parameters(float(s @ torch.linalg.solve(H, s)) / sy, yHy / sy, p)
        update_inverse(H, s, q, sy, yHy, member)
        product /= member.tau
    assert product > 1e20  # an asymmetry of one rounding would have grown beyond order one
    assert torch.equal(H, H.T)
    torch.testing.assert_close(H @ y, s, rtol=1e-9, atol=1e-9)


@pytest.mark.parametrize("b", [1e-12, 1.0, 1e12])
@pytest.mark.parametrize("h", [1e-3, 1.0, 1e20])
def test_parameters_of_extreme_pairs_are_valid(b, h):
    member = broyden_parameters(b, max(h, 1.0 / b), 100)
    assert 0 < member.tau <= 1
    assert math.isfinite(member.theta)
    assert math.isfinite(member.phi)


def test_parallel_pair_has_no_family():
    # B s = y: a = 0, w = 0, every theta gives the same matrix
    assert broyden_parameters(0.5, 2.0, 7) == BroydenParameters(1.0, 1.0, 0.0)
    assert broyden_parameters(2.0, 0.5, 7).tau == 0.5


@pytest.mark.parametrize("variant", VARIANTS)
def test_inverse_hessian_of_a_run_is_that_of_the_direct_recursion(kit, variant):
    case, optimizer = kit.tanh_regression(width=3), SelfScaledBroyden(variant=variant)
    theta, state, B = case.theta, optimizer.init(case.theta), None
    for _ in range(12):
        step = optimizer.step(case.objective, theta, state)
        s = step.theta - theta
        y = case.objective.value_and_gradient(step.theta)[1] - case.objective.value_and_gradient(theta)[1]
        if B is None:
            B = torch.eye(s.numel(), dtype=s.dtype) * (y @ y) / (s @ y)
        B = _direct_update(B, s, y, variant)
        theta, state = step.theta, step.state
        H = optimizer.inverse_hessian(state)
        # rounding of s, y and two inversions at a condition number of up to 1e5
        torch.testing.assert_close(H, torch.linalg.inv(B), rtol=1e-6, atol=1e-8 * float(H.abs().max()))
        g = case.objective.value_and_gradient(theta)[1]
        torch.testing.assert_close(state["direction"], -(H @ g), rtol=1e-7, atol=1e-9 * float(g.norm()))


@pytest.mark.parametrize("variant", VARIANTS)
def test_quadratic_in_about_p_steps(kit, variant):
    p = 12
    case = kit.linear(p, p)
    history = kit.run(SelfScaledBroyden(variant=variant, c1=1e-8, c2=1e-7), case, p + 4)
    assert history[-1].loss < 1e-12 * history[0].loss


@pytest.mark.parametrize("problem", ["rosenbrock", "tanh_regression"])
@pytest.mark.parametrize("variant", VARIANTS)
def test_converges_with_hardly_more_than_one_evaluation_a_step(kit, variant, problem):
    history = kit.run(SelfScaledBroyden(variant=variant), getattr(kit, problem)(), 300)
    assert history[-1].loss < 1e-7 * history[0].loss
    if problem == "tanh_regression":
        assert sum(step.evaluations for step in history) < 1.4 * len(history)


def test_evaluations_are_all_counted(kit):
    case = kit.tanh_regression()
    history = kit.run(SelfScaledBroyden(), case, 30)
    assert case.objective.calls == {"loss": 0, "gradient": sum(step.evaluations for step in history), "jacobian": 0}


def test_indefinite_matrix_is_reset(kit):
    case, optimizer = kit.tanh_regression(), SelfScaledBroyden()
    step = kit.run(optimizer, case, 20)[-1]
    optimizer.inverse_hessian(step.state).neg_()
    step.state.pop("direction")
    after = optimizer.step(case.objective, step.theta, step.state)
    assert after.info["resets"] == 1
    assert after.loss < step.loss
    assert float(torch.linalg.eigvalsh(optimizer.inverse_hessian(after.state))[0]) > 0


def test_stall_keeps_the_curvature(kit):
    class Plateau(kit.Residuals):
        """Claims a slope that its values do not have."""

        def value_and_gradient(self, theta):
            return torch.ones((), dtype=theta.dtype), torch.ones_like(theta)

    optimizer = SelfScaledBroyden()
    last = kit.run(optimizer, kit.tanh_regression(), 20)[-1]
    before = optimizer.inverse_hessian(last.state).clone()
    step = optimizer.step(Plateau(lambda x: x), last.theta, optimizer.refresh(last.state))
    assert step.status == "stalled"
    assert "not even along the gradient" in step.reason
    assert torch.equal(step.theta, last.theta)
    assert torch.equal(optimizer.inverse_hessian(step.state), before)
    assert step.state["fresh"] is False


@pytest.mark.parametrize(
    ("name", "value"),
    [("variant", "dfp"), ("c1", 0.6), ("c2", 1e-5), ("max_evaluations", 0), ("tolerance", -1.0), ("patience", 0)],
)
def test_hyperparameters_out_of_range(name, value):
    with pytest.raises(ConfigError, match=f"SelfScaledBroyden: {name} = .*expected"):
        SelfScaledBroyden(**{name: value})


def test_matrices_that_do_not_fit_are_refused():
    with pytest.raises(ConfigError, match=r"a dense matrix, 3\.0 GB for 20001 parameters; .* optimizer=lbfgs"):
        SelfScaledBroyden().init(torch.zeros(20_001, dtype=torch.float64))
