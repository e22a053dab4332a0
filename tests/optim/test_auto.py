"""The automatic choice: the better method goes on, stagnation changes it, and everything can be stored."""

from __future__ import annotations

import itertools
import json
import math

import pytest
import torch
from safetensors.torch import load, save

from kjet.errors import ConfigError, DivergenceError
from kjet.optim import LBFGS, NEVER, Auto, GaussNewton, SelfScaledBroyden, best_so_far

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


def main_phase(history):
    return [step for step in history if step.state["phase"] == "main"]


def test_picks_gauss_newton_on_a_stiff_linear_problem(kit):
    first = main_phase(take(stiff(kit), 60))[0]
    assert first.state["method"] == "gauss_newton"
    assert first.state["why"].startswith("gauss_newton: loss")
    assert "after equal work" in first.state["why"]
    assert first.loss < 1e-10


def test_picks_broyden_where_gauss_newton_lacks_curvature(kit):
    case = valleys(kit)
    history = take(case, 80)
    first = main_phase(history)[0]
    assert first.state["method"] == "ssbroyden"
    assert first.state["why"].startswith("ssbroyden: loss")
    assert history[-1].loss - 12.0 < 1e-3


@pytest.mark.parametrize("make", [stiff, valleys])
def test_the_trial_is_fair(kit, make):
    """Both methods start at the same parameters and get the same work; the one chosen goes on from where it got."""
    case = make(kit)
    history = take(case, 80)
    count = sum(step.state["phase"] == "trial" for step in history)
    trial, decided = history[:count], history[count]
    handed = next(i for i, step in enumerate(trial) if step.state["method"] == "ssbroyden")
    plain = kit.run(GaussNewton(), case, handed + 1)
    assert [step.loss for step in trial[:handed]] == [step.loss for step in plain[:handed]]
    assert torch.equal(trial[handed].theta, case.theta), "the second method starts where the first one did"
    assert trial[handed].loss == pytest.approx(float(case.objective.loss(case.theta)), rel=1e-12)
    assert float(trial[handed].state["kept_loss"]) == plain[handed].loss
    assert all(step.state["method"] == "ssbroyden" for step in trial[handed:])
    assert all(step.status == "ok" for step in trial)
    half = float(trial[handed].state["work"])
    assert float(trial[-1].state["work"]) < 2.0 * half
    if decided.state["method"] == "gauss_newton":
        assert torch.equal(decided.theta, plain[handed].theta)
    else:
        assert decided.loss <= trial[-1].loss
        assert float(decided.state["work"]) >= 2.0 * half
    assert float(case.objective.loss(decided.theta)) == pytest.approx(decided.loss, rel=1e-12)
    assert not any(key.startswith("kept") or key == "start" for key in decided.state)
    losses = [step.loss for step in history[count:]]
    assert all(after <= before for before, after in itertools.pairwise(losses))


def test_the_first_steps_are_those_of_gauss_newton(kit):
    plain = kit.run(GaussNewton(), kit.tanh_regression(), 2)
    history = take(kit.tanh_regression(), 2)
    assert [step.loss for step in history] == [step.loss for step in plain]


@pytest.mark.parametrize("make", [stiff, valleys])
def test_state_survives_files_at_every_step(kit, make):
    """A run whose state is written and read after each step is the same run, in the trial and after it."""
    whole, stored = take(make(kit), 80), take(make(kit), 80, between=through_files)
    assert {step.state["phase"] for step in whole} == {"trial", "main"}
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
    history = main_phase(take(valleys(kit), 200))
    methods = [step.state["method"] for step in history]
    changes = [i for i in range(1, len(history)) if methods[i] != methods[i - 1]]
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
    methods = {step.state["method"] for step in history[:silent] if step.state["phase"] == "main"}
    assert methods == {"gauss_newton", "ssbroyden"}, "both were tried before"


def test_progress_does_not_change_the_method(kit):
    """A fit that gains some decades with every look stays with the method that was chosen."""
    history = main_phase(take(kit.tanh_regression(), 60))
    assert history[-1].loss < 1e-2 * history[0].loss
    assert len({step.state["method"] for step in history}) == 1


@pytest.mark.parametrize(("residuals", "method"), [(6, "gauss_newton"), (30, "lbfgs")])
def test_many_parameters(kit, residuals, method):
    """Without room for p x p there is no trial: Gauss-Newton in residual space, else L-BFGS."""
    case, auto = kit.linear(residuals, 20), Auto(max_dense=10)
    history = take(case, 8, auto)
    assert {step.state["phase"] for step in history} == {"main"}
    assert {step.state["method"] for step in history} == {method}
    assert "20 parameters are too many for a dense inverse Hessian" in history[0].state["why"]
    assert not any(isinstance(v, torch.Tensor) and v.shape == (20, 20) for v in history[-1].state.values())
    plain = kit.run(GaussNewton() if method == "gauss_newton" else LBFGS(history=100), case, 8)
    assert [step.loss for step in history[: len(plain)]] == [step.loss for step in plain]


def test_there_is_no_other_method_for_many_parameters(kit):
    history = take(valleys(kit), 100, Auto(max_dense=10))
    assert {step.state["method"] for step in history} == {"lbfgs"}
    assert any(step.status != "ok" for step in history), "the loop must hear that it stalled"


def test_points_stay_during_the_trial_and_follow_the_method_after_it(kit):
    history = take(kit.tanh_regression(), 60)
    assert AUTO.resample_every(AUTO.init(torch.zeros(3))) == NEVER
    for step in history:
        expected = NEVER
        if step.state["phase"] == "main":
            expected = {"gauss_newton": 10, "ssbroyden": SelfScaledBroyden().resample_every({})}[step.state["method"]]
        assert AUTO.resample_every(step.state) == expected


def test_refresh_keeps_the_curvature_of_the_method_in_use(kit):
    assert AUTO.refresh(start := AUTO.init(torch.zeros(3))) == start
    case = valleys(kit)
    last = take(case, 60)[-1]
    fresh = AUTO.refresh(last.state)
    own = {key for key in last.state if not key.startswith("inner.")}
    assert {key for key in fresh if not key.startswith("inner.")} == own
    assert "inner.loss" in last.state
    assert "inner.loss" not in fresh
    assert fresh["inner.inverse_hessian"] is last.state["inner.inverse_hessian"]
    moved = kit.Residuals(lambda x: 2.0 * case.objective.function(x))
    assert AUTO.step(moved, last.theta, fresh).loss <= 4.0 * last.loss * (1 + 1e-12)


def test_best_parameters_of_an_unfinished_trial(kit):
    case = kit.tanh_regression()
    steps = (AUTO.trial_steps + 1) // 2  # there are more residuals than parameters
    history = take(case, steps)
    before, after = history[steps - 2], history[-1]
    assert after.state["method"] == "ssbroyden"
    assert after.loss > float(after.state["kept_loss"])
    theta, loss = best_so_far(after.theta, after.loss, after.state)
    assert loss < before.loss < after.loss
    assert float(case.objective.loss(theta)) == pytest.approx(loss, rel=1e-12)
    theta, loss = best_so_far(before.theta, before.loss, before.state)
    assert (theta is before.theta, loss) == (True, before.loss)


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
    assert state["phase"] == "main"
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


def test_large_jacobians_are_not_formed(kit, monkeypatch):
    monkeypatch.setattr("kjet.optim.auto._JACOBIAN", 39)
    auto, case = Auto(max_dense=5), kit.linear(4, 10)
    done = auto.step(case.objective, case.theta, auto.init(case.theta))
    assert done.state["method"] == "lbfgs"
    assert case.objective.calls["jacobian"] == 0


@pytest.mark.parametrize(("name", "value"), [("max_curvature", 0), ("steps", 0)])
def test_settings_of_first_order_out_of_range(name, value):
    with pytest.raises(ConfigError, match=f"Auto: {name} = 0; expected a positive integer"):
        Auto(**{name: value})
