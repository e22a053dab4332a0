"""kjet.solve from end to end: what comes back, what is written, and what a user may get wrong."""

from __future__ import annotations

import json
import logging
import math
import shutil

import numpy as np
import pytest
import torch
from torch import nn

import kjet
from kjet.constraints import Dirichlet, Initial, Observations, Periodic
from kjet.data import Interval, Points, Rectangle, Time
from kjet.errors import ConfigError, DivergenceError, RunError
from kjet.operators import MLPConfig, SirenConfig
from kjet.optim import Adam, Auto, GaussNewton
from kjet.pde import Burgers, Equation, Heat, Poisson, Unknown
from kjet.problem import Problem
from kjet.training import ConstraintConfig, SamplerConfig, Solution, TrainerConfig
from kjet.training.checkpoint import load_checkpoint

SMALL = MLPConfig(width=8, depth=2)
FEW = SamplerConfig(points=60, boundary_points=20)
ROD = Interval(0.0, 1.0) * Time(0.0, 1.0)
DECAY = math.pi**2 * 0.3


def wave(x, t):
    return torch.sin(math.pi * x) * torch.exp(-DECAY * t)


def heat(**options) -> Problem:
    conditions = [Initial(u=lambda x: torch.sin(math.pi * x)), Dirichlet("left", u=0.0), Dirichlet("right", u=0.0)]
    return Problem(Heat(diffusivity=0.3), ROD, conditions, reference=wave, name="rod", **options)


def inverse() -> Problem:
    x, t = torch.rand(2, 40, generator=torch.Generator().manual_seed(0), dtype=torch.float64)
    conditions = [*heat().conditions, Observations({"x": x, "t": t}, u=wave(x, t))]
    unknown = Unknown(1.0, low=0.0, high=2.0)
    return Problem(Heat(diffusivity=unknown), ROD, conditions, reference=wave, name="inverse")


def periodic() -> Problem:
    start = Initial(u=lambda x: torch.sin(2 * math.pi * x))
    return Problem(Burgers(nu=0.1), ROD, [start, Periodic("x")], name="ring")


def solve(problem=None, **options) -> Solution:
    settings = {"network": SMALL, "sampler": FEW, "optimizer": "gauss_newton", "max_steps": 5, "progress": False}
    return kjet.solve(problem or heat(), **settings | options)


@pytest.fixture(scope="module")
def solution() -> Solution:
    return solve(max_steps=30)


@pytest.fixture(scope="module")
def found() -> Solution:
    return solve(inverse(), optimizer="auto", max_steps=60)


# the result


def test_a_rod_cools(solution):
    assert solution.status == "completed"
    assert solution.reason == "30 steps"
    assert solution.errors["u"]["rel_l2"] < 0.02
    x = torch.rand(100, 2, dtype=torch.float64)
    error = (solution.predict(x)["u"] - wave(*x.unbind(1))).norm() / wave(*x.unbind(1)).norm()
    assert float(error) < 0.03
    assert solution.history[-1]["error"] == pytest.approx(solution.errors["u"]["rel_l2"])


def test_an_unknown_diffusivity_is_found(found):
    assert found.parameters["diffusivity"] == pytest.approx(0.3, rel=0.05)
    assert found.info["found"] == found.parameters


def test_hard_constraints_hold_exactly():
    hard = solve(constraint="hard")
    ends = {"x": torch.tensor([0.0, 1.0]).repeat(5), "t": torch.linspace(0.1, 1.0, 10)}
    assert float(hard.predict(ends)["u"].abs().max()) < 1e-12
    start = torch.linspace(0.1, 0.9, 9, dtype=torch.float64)
    found = hard.predict({"x": start, "t": 0.0})["u"]
    torch.testing.assert_close(found, torch.sin(math.pi * start))
    assert set(hard.info["terms"]) == {"equation"}


@pytest.mark.parametrize(
    "optimizer", ["auto", "gauss_newton", "levenberg_marquardt", "ssbroyden", "lbfgs", "soap", "adam"]
)
def test_optimizers_by_name(optimizer):
    """Every optimizer lowers the loss it starts from."""
    made = solve(optimizer=optimizer, max_steps=12)
    assert made.info["loss"] < made.history[0]["loss"] or optimizer in ("soap", "adam")
    assert math.isfinite(made.info["loss"])


@pytest.mark.parametrize("network", ["siren", SirenConfig(width=8, depth=2), None])
def test_networks_by_name_and_by_configuration(network):
    made = solve(heat(network={"width": 8, "depth": 2}), network=network, max_steps=1)
    assert made.network.width == 8


def test_a_module_of_your_own():
    core = nn.Sequential(nn.Linear(2, 6), nn.Tanh(), nn.Linear(6, 1))
    made = solve(network=core)
    assert made.network is None
    assert made.info["parameters"] == 25
    assert core[0].weight.dtype == torch.float64


def test_runs_repeat_themselves_and_seeds_differ():
    a, b, c = (solve(optimizer="auto", max_steps=8, seed=seed) for seed in (1, 1, 2))
    assert torch.equal(a.model.flat(), b.model.flat())
    assert a.info["loss"] == b.info["loss"] != c.info["loss"]


def test_the_global_generator_and_settings_are_left_alone():
    torch.manual_seed(7)
    before, dtype = torch.get_rng_state(), torch.get_default_dtype()
    solve(max_steps=2)
    assert torch.equal(before, torch.get_rng_state())
    assert torch.get_default_dtype() == dtype


def test_the_better_one_is_kept_where_a_trial_is_cut_short():
    made = solve(optimizer=Auto(trial_steps=10), max_steps=12)
    assert made.model.flat().shape == (made.info["parameters"],)
    loss = float(made.objective.loss(made.model.flat()))
    assert loss == pytest.approx(made.info["loss"], rel=1e-9)
    assert made.info["loss"] <= min(line["loss"] for line in made.history)


# prediction


def test_prediction_takes_many_forms(solution):
    x = torch.tensor([[0.25, 0.1], [0.5, 0.2]], dtype=torch.float64)
    expected = solution.predict(x)["u"]
    assert expected.shape == (2,)
    assert not expected.requires_grad
    forms = [
        {"x": [0.25, 0.5], "t": [0.1, 0.2]},
        {"t": np.array([0.1, 0.2]), "x": torch.tensor([0.25, 0.5])},
        x.numpy(),
        x.tolist(),
        Points(x, ("x", "t")),
        Points(x.flip(1), ("t", "x")),
    ]
    for form in forms:
        assert torch.allclose(solution.predict(form)["u"], expected, rtol=0, atol=1e-14)
    alone = solution.predict({"x": [0.25, 0.5], "t": 0.1})["u"]
    assert float(alone[0]) == float(expected[0])


@pytest.mark.parametrize(
    ("points", "message"),
    [
        ({"x": [0.1], "tt": [0.2]}, 'unknown coordinate "tt" of the solution; it has t, x. Did you mean "t"'),
        ({"x": [0.1]}, "points need the coordinates x, t; t missing"),
        ({"x": [0.1, 0.2], "t": [0.1, 0.2, 0.3]}, "points have 3 values of t and 2 of another coordinate"),
        (torch.zeros(4, 3), r"points of shape \(4, 3\); expected \(n, 2\)"),
        (torch.zeros(2), r"points of shape \(2,\); expected \(n, 2\)"),
        (torch.tensor([[0.1, math.nan], [0.2, 0.3]]), "1 points are not finite"),
        ({"x": [0.1], "t": [math.inf]}, "1 points are not finite"),
        (Points(torch.zeros(1, 2), ("x", "y")), 'unknown coordinate "y"'),
    ],
)
def test_points_that_do_not_fit(solution, points, message):
    with pytest.raises(ConfigError, match=message):
        solution.predict(points)


def test_residual_at_any_points(solution):
    x = torch.tensor([[0.25, 0.1], [0.5, 0.2]], dtype=torch.float64, requires_grad=True)
    u = solution.model(x)[:, 0]
    (grad,) = torch.autograd.grad(u.sum(), x, create_graph=True)
    second = torch.autograd.grad(grad[:, 0].sum(), x)[0][:, 0]
    expected = (grad[:, 1] - 0.3 * second).detach()
    found = solution.residual(x.detach())
    assert set(found) == {"residual"}
    torch.testing.assert_close(found["residual"], expected, rtol=1e-10, atol=1e-12)


# saving


SAVED = {
    "soft": (heat, {}),
    "hard": (heat, {"constraint": "hard"}),
    "float32": (heat, {"trainer": TrainerConfig(dtype="float32"), "optimizer": "adam"}),
    "unknown": (inverse, {}),
    "periodic": (periodic, {"constraint": ConstraintConfig(harmonics=2)}),
    "periodic_hard": (periodic, {"constraint": "hard"}),
    "siren": (heat, {"network": SirenConfig(width=8, depth=2), "optimizer": "adam"}),
}


@pytest.mark.parametrize("name", SAVED)
def test_saving_and_loading(tmp_path, name):
    make, options = SAVED[name]
    made = solve(make(), max_steps=3, **options)
    path = made.save(tmp_path / "my solution")
    assert path == tmp_path / "my solution"
    x = torch.rand(20, 2, dtype=torch.float64)
    again = kjet.load(path, problem=make())
    assert torch.equal(again.predict(x)["u"], made.predict(x)["u"])
    assert again.parameters == made.parameters
    assert again.summary() == json.loads(json.dumps(made.summary()))
    assert again.history == json.loads(json.dumps(made.history))
    torch.testing.assert_close(again.residual(x)["residual"], made.residual(x)["residual"])
    if options.get("constraint") == "hard":
        with pytest.raises(RunError, match="hard constraints; load it with"):
            kjet.load(path)
        return
    bare = kjet.load(path)
    assert torch.equal(bare.predict(x)["u"], made.predict(x)["u"])
    assert bare.parameters == made.parameters
    with pytest.raises(RunError, match="loaded without its problem"):
        bare.residual(x)
    with pytest.raises(RunError, match="figures need the problem"):
        bare.figures()
    twice = kjet.load(bare.save(tmp_path / "copy"))
    assert torch.equal(twice.predict(x)["u"], made.predict(x)["u"])


def test_a_module_of_your_own_is_loaded_with_it(tmp_path):
    def core():
        return nn.Sequential(nn.Linear(2, 6), nn.Tanh(), nn.Linear(6, 1))

    made = solve(network=core())
    path = made.save(tmp_path / "own")
    with pytest.raises(RunError, match="a network of your own; load it with"):
        kjet.load(path, problem=heat())
    x = torch.rand(5, 2, dtype=torch.float64)
    for problem in (heat(), None):
        assert torch.equal(kjet.load(path, problem, core()).predict(x)["u"], made.predict(x)["u"])


def test_solutions_that_do_not_fit(tmp_path, solution):
    path = solution.save(tmp_path / "rod")
    with pytest.raises(RunError, match=r"has the coords \('x', 't'\); the problem given has \('x', 'y'\)"):
        kjet.load(path, problem=Problem(Poisson(), Rectangle(), [Dirichlet(u=0.0)]))
    with pytest.raises(RunError, match="does not fit the network or the conditions"):
        kjet.load(path, network=MLPConfig(width=9, depth=2))
    with pytest.raises(RunError, match="there is no"):
        kjet.load(tmp_path / "rood")
    (path / "state.safetensors").write_bytes(b"damaged")
    with pytest.raises(RunError, match="checksum"):
        kjet.load(path)


def test_saving_touches_nothing_else(tmp_path, solution):
    others = [tmp_path / ".notes.old", tmp_path / ".draft.tmp", tmp_path / "data"]
    for other in others[:2]:
        other.write_text("mine")
    others[2].mkdir()
    (others[2] / "measured.csv").write_text("mine")
    solution.save(tmp_path / "rod")
    solution.save(tmp_path / "rod")
    assert sorted(entry.name for entry in tmp_path.iterdir()) == [".draft.tmp", ".notes.old", "data", "rod"]
    for path in (others[0], others[2]):
        with pytest.raises(RunError, match="is there already and holds other files"):
            solution.save(path)
    assert (others[2] / "measured.csv").read_text() == "mine"


# runs


KEYS = {
    "problem", "status", "steps", "seconds", "seconds_total", "errors", "loss", "parameters", "device", "dtype",
    "world_size", "iterations_per_second", "peak_memory_mb", "seed", "versions",
}  # fmt: skip


def test_a_run_is_written_down(tmp_path):
    made = solve(run_dir=tmp_path / "run", seed=3)
    summary = json.loads((tmp_path / "run" / "summary.json").read_text())
    assert summary.keys() >= KEYS
    assert summary == json.loads(json.dumps(made.summary()))
    assert (summary["problem"], summary["status"], summary["steps"], summary["seed"]) == ("rod", "completed", 5, 3)
    assert (summary["device"], summary["dtype"], summary["world_size"]) == ("cpu", "float64", 1)
    assert summary["parameters"] == made.model.flat().numel() == 105
    assert set(summary["errors"]["u"]) == {"rel_l2", "rel_linf"}
    assert 0 < summary["seconds"] <= summary["seconds_total"]
    rounding = 0.6e-3
    seconds = 5 / summary["iterations_per_second"]
    assert summary["seconds"] - rounding < seconds < summary["seconds"] + rounding
    assert summary["peak_memory_mb"] > 10
    assert summary["versions"].keys() >= {"python", "torch", "kjet"}
    lines = [json.loads(line) for line in (tmp_path / "run" / "metrics.jsonl").read_text().splitlines()]
    assert [line["step"] for line in lines] == [1, 5]
    assert load_checkpoint(tmp_path / "run").step == 5


def test_a_directory_holds_one_run(tmp_path):
    solve(run_dir=tmp_path / "run", max_steps=1)
    with pytest.raises(RunError, match="holds a run already"):
        solve(run_dir=tmp_path / "run", max_steps=1)


def test_resuming_is_the_same_run(tmp_path):
    whole = solve(inverse(), optimizer="auto", max_steps=14)
    solve(inverse(), optimizer="auto", max_steps=6, run_dir=tmp_path / "run")
    rest = solve(inverse(), optimizer="auto", max_steps=14, run_dir=tmp_path / "run", resume=True)
    assert torch.equal(whole.model.flat(), rest.model.flat())
    for key in ("loss", "errors", "found", "steps", "optimizer"):
        assert whole.info[key] == rest.info[key]
    assert [line["step"] for line in rest.history] == [1, 6, 14]
    with pytest.raises(RunError, match="written by Auto, this run has Adam"):
        solve(inverse(), optimizer="adam", run_dir=tmp_path / "run", resume=True)


def test_resuming_needs_a_run(tmp_path):
    with pytest.raises(RunError, match="resume=True needs the run_dir"):
        solve(resume=True)
    with pytest.raises(RunError, match="there is no run directory"):
        solve(resume=True, run_dir=tmp_path / "nothing")


def test_a_run_directory_holds_its_solution(tmp_path):
    made = solve(run_dir=tmp_path / "run", max_steps=1)
    again = kjet.load(tmp_path / "run")
    points = torch.rand(5, len(made.coords), dtype=torch.float64)
    for name, value in made.predict(points).items():
        assert torch.equal(again.predict(points)[name], value)


def test_an_unfinished_run_is_no_solution(tmp_path):
    solve(run_dir=tmp_path / "run", max_steps=1)
    shutil.rmtree(tmp_path / "run" / "solution")
    with pytest.raises(RunError, match="holds no solution but a run; continue it with"):
        kjet.load(tmp_path / "run")


def test_without_a_reference_there_are_no_errors(tmp_path):
    made = solve(periodic(), run_dir=tmp_path / "run", max_steps=1)
    assert made.errors == {}
    assert made.history[0]["error"] is None
    assert json.loads((tmp_path / "run" / "summary.json").read_text())["errors"] == {}


class Blowing(Equation):
    """Its residual overflows after a while, whatever the points."""

    fields, coords = ("u",), ("x", "t")

    def residual(self, u, p):
        return torch.log(u + 1.0) + 10.0


def test_a_failure_leaves_a_summary(tmp_path):
    problem = Problem(Blowing(), ROD, [], name="blowing")
    with pytest.raises(DivergenceError):
        solve(problem, optimizer=Adam(learning_rate=10.0), run_dir=tmp_path / "run", max_steps=100)
    summary = json.loads((tmp_path / "run" / "summary.json").read_text())
    assert summary["status"] == "failed"
    assert summary.keys() >= KEYS


# what a user may get wrong


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ({"max_secnods": 3}, r'unknown argument "max_secnods" of solve\(\).*Did you mean "max_seconds"'),
        ({"max_steps": 0}, "trainer.max_steps must be a positive whole number"),
        ({"optimizer": "gaus_newton"}, 'unknown optimizer "gaus_newton".*Did you mean "gauss_newton"'),
        ({"network": "mlpp"}, 'unknown operator "mlpp".*Did you mean "mlp"'),
        ({"constraint": "hrad"}, 'unknown constraint "hrad".*Did you mean "hard"'),
        ({"network": nn.Linear(2, 2)}, "build it with out_features=1"),
        ({"network": nn.Linear(3, 1)}, "one column for each of the coordinates x, t"),
    ],
)
def test_arguments_that_do_not_exist(options, message):
    with pytest.raises(ConfigError, match=message):
        solve(**options)


@pytest.mark.parametrize(
    ("reference", "message"),
    [
        (lambda x, t: {"v": x}, 'unknown field "v" of the reference; it has u'),
        (lambda x, t: torch.ones(3), r'the reference of "u" has shape \(3,\)'),
    ],
)
def test_references_that_do_not_fit(reference, message):
    problem = Problem(Heat(), ROD, [Initial(u=0.0)], reference=reference)
    with pytest.raises(ConfigError, match=message):
        solve(problem)


@pytest.mark.parametrize(
    ("make", "message"),
    [
        (lambda: Problem(Heat, ROD), "must be an instance of Equation"),
        (lambda: Problem(Heat(), "rod"), "domain must be a Domain"),
        (lambda: Problem(Heat(), ROD, Initial(u=0.0)), "conditions must be a list"),
        (lambda: Problem(Heat(), ROD, ["initial"]), "conditions must be conditions"),
        (lambda: Problem(Heat(), Interval(0.0, 1.0)), 'unknown coordinate "t"'),
        (lambda: Problem(Heat(), ROD, parameters={"difusivity": 0.3}), 'neither in the equation.*mean "diffusivity"'),
    ],
)
def test_problems_that_do_not_fit(make, message):
    with pytest.raises(ConfigError, match=message):
        make()


def test_single_precision_says_where_it_ends(caplog):
    """Gauss-Newton reaches the rounding of float32 on a problem this easy, and says what would go on."""
    line = Problem(Poisson(), Rectangle(), [Dirichlet(u=lambda x, y: x)])
    with caplog.at_level(logging.WARNING, "kjet"):
        sampler = SamplerConfig(points=60, boundary_points=20, adaptive="none")
        made = solve(line, optimizer=GaussNewton(patience=3), sampler=sampler, dtype="float32", max_steps=400)
    assert made.reason.startswith("no further decrease")
    assert made.predict(torch.zeros(1, 2))["u"].dtype == torch.float32
    assert "float32 resolves no further decrease of the loss; use trainer.dtype=float64" in caplog.text


# figures


def test_figures(found):
    from matplotlib import pyplot
    from matplotlib.figure import Figure

    drawn = found.figures(resolution=20)
    assert set(drawn) == {"solution", "residual", "loss", "points", "parameters"}
    assert all(isinstance(figure, Figure) for figure in drawn.values())
    assert isinstance(found.plot(resolution=20), Figure)
    assert pyplot.get_fignums() == [], "figures belong to the caller"


def test_figures_of_a_loaded_solution(tmp_path, found):
    again = kjet.load(found.save(tmp_path / "found"), problem=inverse())
    assert set(again.figures(resolution=20)) == {"solution", "residual", "loss", "points", "parameters"}


def test_notebooks_show_a_table(solution):
    page = solution._repr_html_()
    assert page.startswith("<table>")
    assert "rel_l2" in page


def test_a_problem_that_is_not_built_is_refused():
    from kjet.problems import Poisson2DProblem

    with pytest.raises(ConfigError, match=r"solve\(\) takes a Problem; got Poisson2DProblem; call its build\(\)"):
        kjet.solve(Poisson2DProblem())
    with pytest.raises(ConfigError, match=r"got str; make one with kjet\.Problem"):
        kjet.solve("poisson2d")
