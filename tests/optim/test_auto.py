"""The automatic choice: size picks the method, stagnation changes it, and everything can be stored."""

from __future__ import annotations

import itertools
import json
import math

import pytest
import torch
from safetensors.torch import load, save

from kjet.errors import ConfigError, DivergenceError
from kjet.optim import NEVER, SOAP, Auto, GaussNewton, SelfScaledBroyden

AUTO = Auto(trial_steps=5)


def valleys(kit, p: int = 12):
    """Residuals ``1 + a_i x_i^2 + x_i x_(i+1)``: at the minimum they are large and their Jacobian is zero.

    Gauss-Newton leaves out the curvature of the residuals, which is all that there is.
    """
    scale = torch.logspace(0.0, 1.5, p, dtype=torch.float64)
    theta = torch.linspace(0.5, 1.0, p, dtype=torch.float64)
    return kit.Case(kit.Residuals(lambda x: 1.0 + scale * x * x + 0.3 * x * x.roll(1)), theta)


def stiff(kit, p: int = 40):
    """A consistent linear system of condition 1e3: a few steps for Gauss-Newton, more than p for the others."""
    generator = torch.Generator().manual_seed(0)
    left, right = (torch.linalg.qr(torch.randn(p, p, generator=generator, dtype=torch.float64)).Q for _ in range(2))
    A = left @ torch.diag(torch.logspace(0.0, -3.0, p, dtype=torch.float64)) @ right
    x = torch.randn(p, generator=generator, dtype=torch.float64)
    return kit.Case(kit.Residuals(lambda theta: A @ (theta - x)), torch.zeros(p, dtype=torch.float64))


def through_files(state):
    """Write the tensors as safetensors and the rest as JSON, and read them back."""
    tensors = {key: value for key, value in state.items() if isinstance(value, torch.Tensor)}
    rest = {key: value for key, value in state.items() if not isinstance(value, torch.Tensor)}
    assert all(type(value) in (int, float, bool, str) for value in rest.values())
    return load(save(tensors)) | json.loads(json.dumps(rest))


def take(case, steps, auto=AUTO, between=lambda state: state):
    theta, state, history = case.theta.clone(), auto.init(case.theta), []
    for _ in range(steps):
        history.append(auto.step(case.objective, theta, between(state)))
        theta, state = history[-1].theta, history[-1].state
    return history


def methods(history):
    return [step.state["method"] for step in history]


def test_gauss_newton_wherever_a_jacobian_can_be_afforded(kit):
    history = take(stiff(kit), 20)
    assert set(methods(history)) == {"gauss_newton"}
    assert history[0].state["why"] == "gauss_newton: 40 residuals of 40 parameters, a Jacobian of 0 MB"
    assert history[-1].loss < 1e-10


def test_broyden_takes_over_where_gauss_newton_lacks_curvature(kit):
    history = take(valleys(kit), 120)
    assert methods(history)[0] == "gauss_newton"
    assert "ssbroyden" in methods(history)
    assert history[-1].loss - 12.0 < 1e-3


def test_the_first_steps_are_those_of_gauss_newton(kit):
    plain = kit.run(GaussNewton(), kit.tanh_regression(), 2)
    history = take(kit.tanh_regression(), 2)
    assert [step.loss for step in history] == [step.loss for step in plain]


@pytest.mark.parametrize("make", [stiff, valleys])
def test_state_survives_files_at_every_step(kit, make):
    """A run whose state is written and read after each step is the same run, across a change of the method."""
    whole, stored = take(make(kit), 80), take(make(kit), 80, between=through_files)
    assert set(methods(whole)) == {"gauss_newton", "ssbroyden"}
    for a, b in zip(whole, stored, strict=True):
        assert torch.equal(a.theta, b.theta)
        assert a.loss == b.loss
        assert a.state.keys() == b.state.keys()
        for key, value in a.state.items():
            if key.endswith("inverse_hessian") and a is not whole[-1]:
                continue  # updated in place: the run without files holds its last value in all steps
            same = torch.equal(value, b.state[key]) if isinstance(value, torch.Tensor) else value == b.state[key]
            assert same, key


def test_runs_repeat_themselves(kit):
    first, second = take(valleys(kit), 50), take(valleys(kit), 50)
    assert [step.loss for step in first] == [step.loss for step in second]
    assert torch.equal(first[-1].theta, second[-1].theta)
    assert first[-1].state["why"] == second[-1].state["why"]


def test_stagnation_changes_the_method(kit):
    """Near a minimum that is not zero no method gains a tenth of a decade: they take turns, and no loss rises."""
    history = take(valleys(kit), 200)
    used = methods(history)
    changes = [i for i in range(1, len(history)) if used[i] != used[i - 1]]
    assert changes, "the method never changed"
    step = history[changes[0]]
    assert "decades" in step.state["why"]
    assert step.status == "ok"
    losses = [step.loss for step in history]
    assert all(after <= before for before, after in itertools.pairwise(losses))


def test_the_loop_hears_when_no_method_can_go_on(kit):
    history = take(valleys(kit), 400)
    silent = next(i for i, step in enumerate(history) if step.status != "ok")
    assert history[silent].reason
    assert history[silent].loss == pytest.approx(12.0, rel=1e-12)
    assert set(methods(history[:silent])) == {"gauss_newton", "ssbroyden"}, "both were tried before"


def test_progress_does_not_change_the_method(kit):
    """A fit that gains some decades with every look stays with its method."""
    history = take(kit.tanh_regression(), 20)
    assert history[-1].loss < 1e-2 * history[0].loss
    assert set(methods(history)) == {"gauss_newton"}


@pytest.mark.parametrize("told", [True, False])
def test_gains_are_not_measured_across_objectives(kit, told):
    """A harder objective whose loss is larger by far is no stagnation."""
    easy, hard = kit.tanh_regression(), kit.tanh_regression()
    hard.objective.function = lambda theta, f=hard.objective.function: 1e4 * f(theta)
    theta, state = easy.theta.clone(), AUTO.init(easy.theta)
    for _ in range(6):
        done = AUTO.step(easy.objective, theta, state)
        theta, state = done.theta, done.state
    state = AUTO.begin_anew(state) if told else AUTO.refresh(state)
    used, theta = [], easy.theta.clone()
    for _ in range(11):
        done = AUTO.step(hard.objective, theta, AUTO.refresh(state))
        theta, state = done.theta, done.state
        used.append(int(state.get("idle", 0)))
    assert (max(used) == 0) == told


@pytest.mark.parametrize(
    ("residuals", "most", "entries", "method"),
    [
        (6, 10, 10**6, "gauss_newton"),
        (30, 40, 10**6, "gauss_newton"),
        (30, 25, 500, "ssbroyden"),
        (30, 10, 10**6, "warm_up"),
        (6, 10, 100, "warm_up"),
    ],
)
def test_the_size_picks_the_method(kit, monkeypatch, residuals, most, entries, method):
    """Of 20 parameters: an r x r or p x p matrix to factorize, else a p x p one to update, else none."""
    monkeypatch.setattr("kjet.optim.auto._JACOBIAN", entries)
    case = kit.linear(residuals, 20)
    done = take(case, 1, Auto(max_dense=most))[0]
    assert done.state["method"] == method
    assert f"{residuals} residuals of 20 parameters" in done.state["why"]
    assert case.objective.calls["jacobian"] == (method == "gauss_newton")


def test_new_points_tell_what_was_gained(kit):
    """Steps that fit their own points, and nothing else, are no progress; the method is changed."""

    def noise(k):
        generator = torch.Generator().manual_seed(k)
        target = torch.randn(300, generator=generator, dtype=torch.float64)
        return kit.Residuals(lambda theta: theta - target)

    theta, state = torch.zeros(300, dtype=torch.float64), AUTO.init(torch.zeros(300))
    used = []
    for k in range(30):
        done = AUTO.step(noise(k), theta, state)
        used.append(done.state["method"])
        assert done.loss < 1e-6 or used[-1] == "ssbroyden"
        theta, state = done.theta, AUTO.refresh(done.state)
    assert "ssbroyden" in used


def test_large_networks_warm_up_before_lbfgs(kit, monkeypatch):
    monkeypatch.setattr("kjet.optim.auto._WARM_UP", 30)
    case = kit.tanh_regression()
    history = take(case, 400, Auto(max_dense=5))
    used = methods(history)
    plain = kit.run(SOAP(schedule="constant"), case, 20)
    assert [step.loss for step in history[:20]] == [step.loss for step in plain]
    change = used.index("lbfgs")
    assert set(used[:change]) == {"warm_up"}
    assert change >= 30
    assert set(used[change:]) == {"lbfgs"}, "there is no way back"
    losses = [step.loss for step in history[change:]]
    assert all(after <= before for before, after in itertools.pairwise(losses))
    assert history[-1].loss < history[change].loss
    assert any(step.status != "ok" for step in history) or history[-1].loss > 0


def test_points_follow_the_method(kit):
    assert AUTO.resample_every(AUTO.init(torch.zeros(3))) == NEVER
    for step in take(valleys(kit), 120):
        expected = {"gauss_newton": 10, "ssbroyden": SelfScaledBroyden().resample_every({})}[step.state["method"]]
        if step.status == "ok" and step.state["count"] > 1:
            assert AUTO.resample_every(step.state) == expected


def test_refresh_keeps_the_curvature_of_the_method_in_use(kit):
    assert AUTO.refresh(start := AUTO.init(torch.zeros(3))) == start
    case = valleys(kit)
    last = next(step for step in reversed(take(case, 60)) if step.state["method"] == "ssbroyden")
    fresh = AUTO.refresh(last.state)
    own = {key for key in last.state if not key.startswith("inner.")}
    assert {key for key in fresh if not key.startswith("inner.")} == own | {"fresh", "moving"}
    assert "inner.loss" in last.state
    assert "inner.loss" not in fresh
    assert fresh["inner.inverse_hessian"] is last.state["inner.inverse_hessian"]
    moved = kit.Residuals(lambda x: 2.0 * case.objective.function(x))
    assert AUTO.step(moved, last.theta, fresh).loss <= 4.0 * last.loss * (1 + 1e-12)


def test_residuals_that_are_not_finite_at_the_start(kit):
    case = kit.Case(kit.Residuals(lambda x: torch.log(x)), torch.tensor([1.0, -1.0, -2.0], dtype=torch.float64))
    with pytest.raises(DivergenceError, match="2 of 3 residuals are not finite at the start"):
        AUTO.step(case.objective, case.theta, AUTO.init(case.theta))


@pytest.mark.parametrize(
    ("name", "value"),
    [("trial_steps", 0), ("max_dense", 0), ("stagnation", -0.1), ("stagnation", math.nan)],
)
def test_hyperparameters_out_of_range(name, value):
    with pytest.raises(ConfigError, match=f"Auto: {name} = .*expected"):
        Auto(**{name: value})


class Noisy:
    """A sum of squares that says that it is an estimate, and cannot be asked for more than a gradient."""

    stochastic = True

    def value_and_gradient(self, theta):
        return theta.square().sum(), 2 * theta


@pytest.mark.parametrize(("steps", "last"), [(40, 3e-3 / 40), (None, 3e-3 * 0.1 ** (39 / 10_000))])
def test_random_directions_get_soap(steps, last):
    auto, theta = AUTO.for_steps(steps), torch.ones(3)
    state = auto.init(theta)
    for _ in range(40):
        done = auto.step(Noisy(), theta, through_files(state))
        theta, state = done.theta, done.state
    assert state["method"] == "soap"
    assert state["phase"] == "soap"
    assert state["why"].startswith("soap: random directions give no curvature that lasts; rate 0.003, falling ")
    assert auto.resample_every(state) == 1
    assert done.info["learning_rate"] == pytest.approx(last)
    assert float(theta.max()) < 1.0


def test_the_rate_falls_in_the_steps_of_the_run():
    assert AUTO.for_steps(None) is AUTO
    assert AUTO.for_steps(5).steps == 5
    assert AUTO.for_steps(5).for_steps(9).steps == 5


def test_very_large_networks_get_adam(kit):
    auto = Auto(max_curvature=11, max_dense=5)
    case = kit.linear(20, 12)
    done = auto.step(case.objective, case.theta, auto.init(case.theta))
    assert done.state["why"].startswith("adam: 12 parameters are too many for their curvature; rate 0.001, falling")
    assert auto.resample_every(done.state) == 100
    fewer = kit.linear(4, 11)
    assert auto.step(fewer.objective, fewer.theta, auto.init(fewer.theta)).state["method"] == "gauss_newton"


@pytest.mark.parametrize(("name", "value"), [("max_curvature", 0), ("steps", 0)])
def test_settings_of_first_order_out_of_range(name, value):
    with pytest.raises(ConfigError, match=f"Auto: {name} = 0; expected a positive integer"):
        Auto(**{name: value})
