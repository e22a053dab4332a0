"""The loop: resuming is bit for bit, stopping has a reason, points and what belongs to them stay together."""

from __future__ import annotations

import json
import logging
import math
import os
import signal
import subprocess
import sys
import textwrap
import time
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any

import pytest
import torch
from torch import Tensor

import kjet
from kjet.constraints import Dirichlet, Draw, Initial, Neumann, Observations, Periodic
from kjet.data import Interval, Time
from kjet.errors import DivergenceError, RunError
from kjet.operators import MLPConfig
from kjet.optim import (
    LBFGS,
    NEVER,
    PSGD,
    SOAP,
    Adam,
    Auto,
    GaussNewton,
    GaussNewtonBlock,
    GaussNewtonCG,
    GaussNewtonNystrom,
    LevenbergMarquardt,
    Muon,
    NysNewtonCG,
    SelfScaledBroyden,
    Shampoo,
    State,
    Status,
    Step,
    StochasticGaussNewton,
)
from kjet.pde import Heat, Unknown
from kjet.problem import Problem
from kjet.training import ConstraintConfig, SamplerConfig, Trainer, TrainerConfig
from kjet.training.checkpoint import load_checkpoint
from kjet.training.run_directory import RunDirectory
from kjet.training.setup import build_model, build_objective

ROOT = Path(__file__).resolve().parents[2]
ROD = Interval(0.0, 1.0) * Time(0.0, 1.0)
START = Initial(u=lambda x: torch.sin(math.pi * x))
OPTIMIZERS = {
    "auto": Auto(trial_steps=4),
    "gauss_newton": GaussNewton(),
    "spring": GaussNewton(momentum=0.9),
    "broyden": SelfScaledBroyden(),
    "lbfgs": LBFGS(history=5),
    "adam": Adam(),
    "soap": SOAP(every=2),
    "levenberg_marquardt": LevenbergMarquardt(),
    "gauss_newton_cg": GaussNewtonCG(rank=6, sketch_every=3),
    "gauss_newton_nystrom": GaussNewtonNystrom(rank=6),
    "gauss_newton_block": GaussNewtonBlock(),
    "stochastic_gauss_newton": StochasticGaussNewton(fraction=0.5, momentum=0.5),
    "nncg": NysNewtonCG(rank=6, sketch_every=3),
    "psgd": PSGD(),
    "shampoo": Shampoo(every=2),
    "muon": Muon(),
}


def rod(source: Any = 0.0) -> Problem:
    conditions = [START, Dirichlet("left", u=lambda t: 0.1 * t), Neumann("right", u=-math.pi)]
    return Problem(Heat(source=source), ROD, conditions)


def inverse() -> Problem:
    observed = Observations({"x": [0.2, 0.5, 0.9], "t": [0.1, 0.2, 0.3]}, u=[0.3, 0.4, 0.1])
    return Problem(Heat(diffusivity=Unknown(0.5, low=0.0)), ROD, [START, Periodic("x"), observed])


def trainer(
    problem: Problem,
    optimizer: Any,
    sampler: SamplerConfig | None = None,
    run: RunDirectory | None = None,
    seed: int = 0,
    loggers: tuple[Any, ...] = (),
    width: int = 5,
    **limits: Any,
) -> Trainer:
    generator = torch.Generator().manual_seed(seed)
    sampling = replace(sampler or SamplerConfig(), points=30, boundary_points=8)
    settings = TrainerConfig(**limits)
    model, soft = build_model(
        problem,
        MLPConfig(width=width, depth=2),
        ConstraintConfig("soft"),
        generator=generator,
        dtype=settings.torch_dtype,
        device="cpu",
    )
    draw = Draw(sampling.sampler(problem.domain.dim), generator, settings.torch_dtype)
    objective = build_objective(problem, model, soft, sampling, draw)
    return Trainer(problem, objective, optimizer, sampling, settings, draw, run=run, loggers=loggers)


@dataclass
class Scripted:
    """An optimizer that moves by a fixed vector and reports the statuses that it is told to."""

    statuses: list[Status] = field(default_factory=list)
    every: int = NEVER
    refreshed: int = 0

    def init(self, theta: Tensor) -> State:
        return {"steps": 0}

    def step(self, objective: Any, theta: Tensor, state: State) -> Step:
        k = int(state["steps"])
        status = self.statuses[k] if k < len(self.statuses) else Status.OK
        reason = "" if status is Status.OK else "told to stop"
        return Step(theta + 1e-3, 1.0 / (k + 1), {"steps": k + 1}, status, 1, {}, reason)

    def resample_every(self, state: State) -> int:
        return self.every

    def refresh(self, state: State) -> State:
        self.refreshed += 1
        return state


# resuming


def everything(loop: Trainer) -> dict[str, Any]:
    found: dict[str, Any] = {"theta": loop.theta, "loss": loop.loss, "step": loop.step, "stalls": loop._stalls}
    found |= {"generator": loop.draw.generator.get_state(), "last_draw": loop._last_draw}
    found |= {f"optimizer.{key}": value for key, value in loop.state.items()}
    for term in loop.objective.terms:
        found |= {f"{term.name}.x": term.points.x, f"{term.name}.measure": term.points.measure}
        found |= {f"{term.name}.normals": term.points.normals, f"{term.name}.weights": term.points.weights}
    return found


def assert_same(a: Trainer, b: Trainer) -> None:
    left, right = everything(a), everything(b)
    assert left.keys() == right.keys()
    for key, value in left.items():
        if isinstance(value, Tensor):
            assert torch.equal(value, right[key]), key
        else:
            assert value == right[key], key
            assert type(value) is type(right[key]), key


def interrupted(tmp_path: Path, make: Any, first: int, last: int) -> Trainer:
    """Take `first` steps in one run, then go on from its checkpoint in a fresh trainer."""
    with RunDirectory.create(tmp_path / "run") as run:
        make(run=run, max_steps=first).fit()
    with RunDirectory.open(tmp_path / "run") as run:
        loop = make(run=run, max_steps=last)
        loop.restore(load_checkpoint(run.path))
        assert loop.step == first
        loop.fit()
    return loop


@pytest.mark.parametrize(("problem", "adaptive"), [(rod, "uniform"), (inverse, "rad")], ids=["uniform", "unknown_rad"])
@pytest.mark.parametrize("optimizer", OPTIMIZERS.values(), ids=OPTIMIZERS.keys())
def test_resuming_is_bit_for_bit(tmp_path, optimizer, adaptive, problem):
    sampler = SamplerConfig(adaptive=adaptive, every=3)

    def make(**options):
        return trainer(problem(), optimizer, sampler, **options)

    whole = make(max_steps=10)
    whole.fit()
    resumed = interrupted(tmp_path, make, 5, 10)
    assert whole.step == 10
    assert_same(whole, resumed)
    assert [line["step"] for line in resumed.history] == [1, 5, 10]


def make_auto(**options: Any) -> Trainer:
    # gains of a thousand decades are too little: the methods take turns
    return trainer(rod(), Auto(trial_steps=2, stagnation=1e3), SamplerConfig(every=2), width=6, **options)


@pytest.fixture(scope="module")
def auto_run() -> tuple[Trainer, list[str]]:
    """An uninterrupted run of `Auto`, with the method after each step."""
    loop, used = make_auto(max_steps=1 << 20), []
    while len(used) < 24:
        loop._advance()
        used.append(str(loop.state["method"]))
    return loop, used


@pytest.mark.parametrize("first", [1, 2, 3, 6, 15, 20])
def test_resuming_auto_across_changes_of_its_method(tmp_path, auto_run, first):
    whole, used = auto_run
    assert used[0] == "gauss_newton"
    assert len([i for i in range(1, 24) if used[i] != used[i - 1]]) >= 3
    assert_same(whole, interrupted(tmp_path, make_auto, first, 24))


def test_resuming_in_single_precision(tmp_path):
    def make(**options):
        return trainer(rod(), Adam(), SamplerConfig(every=2), dtype="float32", **options)

    whole = make(max_steps=9)
    whole.fit()
    assert_same(whole, interrupted(tmp_path, make, 5, 9))


def test_interrupting_twice_at_the_same_step_changes_nothing(tmp_path):
    with RunDirectory.create(tmp_path / "run") as run:
        loop = trainer(rod(), GaussNewton(), run=run, max_steps=4)
        loop.fit()
        again = trainer(rod(), GaussNewton(), run=run, max_steps=4)
        again.restore(load_checkpoint(run.path))
        again.fit()
    assert again.status == "completed"
    assert_same(loop, again)
    assert again.history == loop.history


def stored(tmp_path: Path, **options: Any) -> Any:
    with RunDirectory.create(tmp_path / "run") as run:
        trainer(options.pop("problem", rod()), options.pop("optimizer", Adam()), run=run, max_steps=1, **options).fit()
    return load_checkpoint(tmp_path / "run")


@pytest.mark.parametrize(
    ("make", "message"),
    [
        (lambda: trainer(rod(), Adam(), width=6), "the checkpoint has 51 parameters in torch.float64; this run has 67"),
        (lambda: trainer(rod(), Adam(), dtype="float32"), "this run has 51 in torch.float32"),
        (lambda: trainer(rod(), LBFGS()), "written by Adam, this run has LBFGS"),
        (lambda: trainer(Problem(Heat(), ROD, [START]), Adam()), "the checkpoint has terms"),
    ],
)
def test_checkpoints_of_another_run(tmp_path, make, message):
    checkpoint, loop = stored(tmp_path), make()
    before = everything(loop)
    with pytest.raises(RunError, match=message):
        loop.restore(checkpoint)
    assert torch.equal(loop.theta, before["theta"])


def test_checkpoint_without_points(tmp_path):
    checkpoint = stored(tmp_path)
    tensors = {k: v for k, v in checkpoint.tensors.items() if not k.startswith("points.initial")}
    with pytest.raises(RunError, match='no points for "initial"'):
        trainer(rod(), Adam()).restore(replace(checkpoint, tensors=tensors))


# stopping


def test_stops_at_the_step():
    loop = trainer(rod(), Adam(), max_steps=3)
    loop.fit()
    assert (loop.step, loop.status, loop.reason) == (3, "completed", "3 steps")


def test_stops_at_the_time():
    loop = trainer(rod(), Adam(), max_seconds=0.2)
    begun = time.perf_counter()
    loop.fit()
    assert loop.status == "completed"
    assert loop.reason == "0.2 seconds"
    assert 0.2 <= loop.seconds <= time.perf_counter() - begun + 1e-3


def test_stops_at_the_tolerance():
    loop = trainer(rod(), Scripted(), tolerance=0.21)
    loop.fit()
    assert (loop.step, loop.status, loop.reason) == (5, "completed", "loss below 0.21")


def test_limits_and_the_problems_suggestion():
    assert trainer(replace(rod(), seconds=7.0), Adam()).max_seconds == 7.0
    assert trainer(rod(), Adam(), max_steps=5).max_seconds is None
    assert trainer(rod(), Adam(), max_steps=5, max_seconds=3.0).max_seconds == 3.0


def test_stops_at_once_where_nothing_can_be_drawn_anew():
    loop = trainer(rod(), Scripted([Status.OK, Status.STALLED]), SamplerConfig(adaptive="none"), max_steps=50)
    loop.fit()
    assert (loop.step, loop.status) == (2, "completed")
    assert loop.reason == "no further decrease: told to stop"


def test_a_run_that_stalled_still_knows_why_when_it_is_resumed(tmp_path):
    make = lambda **options: trainer(rod(), Scripted([Status.STALLED]), SamplerConfig(adaptive="none"), **options)  # noqa: E731
    with RunDirectory.create(tmp_path / "run") as run:
        make(run=run, max_steps=50).fit()
    with RunDirectory.open(tmp_path / "run") as run:
        loop = make(run=run, max_steps=60)
        loop.restore(load_checkpoint(run.path))
        loop.fit()
    assert (loop.step, loop.reason) == (1, "no further decrease: told to stop")


def test_stalls_draw_new_points_three_times():
    loop = trainer(rod(), optimizer := Scripted([Status.STALLED] * 9), SamplerConfig(adaptive="uniform"), max_steps=50)
    loop.fit()
    assert (loop.step, loop.status, optimizer.refreshed) == (4, "completed", 4)


def test_progress_after_new_points_starts_the_count_again():
    stalled = Status.STALLED
    script = [stalled, stalled, stalled, Status.OK, stalled, stalled, stalled, Status.OK]
    loop = trainer(rod(), Scripted(script), max_steps=10)
    loop.fit()
    assert (loop.step, loop.reason) == (10, "10 steps")


def test_noise_floor_of_single_precision(caplog):
    script = [Status.OK, Status.NOISE_FLOOR]
    with caplog.at_level(logging.WARNING, "kjet"):
        trainer(rod(), Scripted(script), max_steps=3, dtype="float32").fit()
    assert "float32 resolves no further decrease of the loss; use trainer.dtype=float64" in caplog.text


# divergence


def singular(seed: int = 0) -> Problem:
    """A source that exists at the first points, but not everywhere."""
    least = float(trainer(rod(), Adam(), seed=seed).objective.terms[0].points.x[:, 0].min())
    return rod(lambda x: 1e-3 * torch.sqrt(x - 0.999 * least))


@pytest.mark.parametrize("adaptive", ["rad", "uniform"])
@pytest.mark.parametrize("optimizer", [GaussNewton(), Adam(), SelfScaledBroyden()])
def test_residuals_that_are_not_finite_after_new_points(tmp_path, optimizer, adaptive):
    with RunDirectory.create(tmp_path / "run") as run:
        sampler = SamplerConfig(adaptive=adaptive, every=3)
        loop = trainer(singular(), optimizer, sampler, run, max_steps=200, checkpoint_seconds=1e-9)
        with pytest.raises(DivergenceError, match="not finite"):
            loop.fit()
        checkpoint = load_checkpoint(run.path)
    assert loop.status == "failed"
    assert "not finite" in loop.reason
    assert checkpoint.step >= 2
    assert bool(torch.isfinite(checkpoint.tensors["theta"]).all())
    going_on = trainer(rod(), optimizer, sampler)
    going_on.restore(checkpoint)
    assert going_on.step == checkpoint.step


def test_a_failed_run_says_so_in_its_summary(tmp_path):
    problem = rod(lambda x: 1e-3 * torch.sqrt(x - 0.04))
    sampler = SamplerConfig("grid", points=100, boundary_points=8, adaptive="rad", every=2)
    with pytest.raises(DivergenceError):
        kjet.solve(problem, optimizer="adam", sampler=sampler, max_steps=50, run_dir=tmp_path / "run", progress=False)
    summary = json.loads((tmp_path / "run" / "summary.json").read_text())
    assert summary["status"] == "failed"
    assert "not finite" in summary["reason"]


# points


class Spy:
    """A logger that keeps what it is given."""

    def __init__(self) -> None:
        self.lines: list[tuple[int, dict[str, Any]]] = []

    def log(self, step: int, values: Any) -> None:
        self.lines.append((step, dict(values)))

    def figure(self, name: str, path: Path) -> None:
        """Nothing is drawn here."""

    def close(self) -> None:
        """Nothing is open."""


def test_new_points_come_with_their_targets_and_normals():
    loop = trainer(inverse(), Adam(), SamplerConfig(adaptive="uniform"))
    before = {t.name: t.points for t in loop.objective.terms}
    loop.theta = loop.theta + 0.1
    loop.resample()
    after = {t.name: t for t in loop.objective.terms}
    for name, term in after.items():
        assert len(term.points) == len(before[name])
        assert torch.equal(term.points.x, before[name].x) == (name == "observations")
    model = loop.objective.model
    assert torch.equal(model.flat(), loop.theta), "what adaptive sampling and targets see is the present network"
    start = after["initial"]
    assert set(start.points.x[:, 1].tolist()) == {0.0}
    with torch.no_grad():
        expected = model(start.points.x)[:, 0] - torch.sin(math.pi * start.points.x[:, 0])
        torch.testing.assert_close(loop.objective.values(start)[0], expected)
        low, high = after["periodic_x"].points.x.chunk(2)
        assert torch.equal(low[:, 1], high[:, 1])
        assert set(high[:, 0].tolist()) == {1.0}


@pytest.mark.parametrize("adaptive", ["rad", "uniform", "none"])
def test_points_are_drawn_anew_when_due(adaptive):
    loop = trainer(rod(), optimizer := Scripted(every=4), SamplerConfig(adaptive=adaptive), max_steps=9)
    first = loop.objective.terms[0].points.x
    loop.fit()
    assert optimizer.refreshed == (0 if adaptive == "none" else 2)
    assert torch.equal(first, loop.objective.terms[0].points.x) == (adaptive == "none")
    assert bool(ROD.inside(loop.objective.terms[0].points.x).all())


def test_the_setting_replaces_what_the_optimizer_asks():
    loop = trainer(rod(), optimizer := Scripted(every=4), SamplerConfig(every=1), max_steps=9)
    loop.fit()
    assert optimizer.refreshed == 9


def test_adaptive_points_follow_the_residual():
    """A source that lives in x > 0.8: more points go there than their share."""
    problem = rod(lambda x: 50.0 * torch.exp(-(((x - 0.9) / 0.05) ** 2)))
    loop = trainer(problem, Adam(), SamplerConfig(adaptive="rad", offset=0.1))
    shares = []
    for _ in range(10):
        loop.resample()
        shares.append(float((loop.objective.terms[0].points.x[:, 0] > 0.8).double().mean()))
    assert sum(shares) / 10 > 0.4


# reports


def test_each_logged_step_is_written_and_passed_on(tmp_path):
    spy = Spy()
    with RunDirectory.create(tmp_path / "run") as run:
        loop = trainer(inverse(), Adam(), run=run, max_steps=4, log_seconds=1e-9, loggers=(spy,))
        loop.error = lambda: 0.5
        loop.fit()
        lines = run.metrics()
    assert [line["step"] for line in lines] == [1, 2, 3, 4]
    assert lines == json.loads(json.dumps(loop.history))
    assert [step for step, _ in spy.lines] == [1, 2, 3, 4]
    last = lines[-1]
    assert set(last) == {"step", "seconds", "loss", "error", "terms", "phase", "parameters"}
    assert set(last["terms"]) == {"equation", "initial", "periodic_x", "observations"}
    assert last["error"] == 0.5
    assert last["phase"] == "Adam"
    assert 0.4 < last["parameters"]["diffusivity"] < 0.6
    assert sum(last["terms"].values()) == pytest.approx(float(loop.objective.loss(loop.theta)), rel=1e-12)
    assert all(not isinstance(value, str) for _, values in spy.lines for value in values.values())


def test_nothing_is_written_without_a_run(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    loop = trainer(rod(), Adam(), max_steps=2)
    loop.fit()
    loop.save()
    assert list(tmp_path.iterdir()) == []


# signals

_SCRIPT = """
    import sys
    import kjet
    from kjet.problems import Poisson2DProblem
    from kjet.operators import MLPConfig
    from kjet.training import SamplerConfig
    sampler = SamplerConfig(points=50, boundary_points=20)
    kjet.solve(Poisson2DProblem().build(), network=MLPConfig(width=8, depth=2), optimizer="adam", sampler=sampler,
               run_dir=sys.argv[1], max_seconds=120, log_seconds=1e-3, progress=False)
"""


@pytest.mark.skipif(os.name != "posix", reason="needs POSIX signals")
def test_sigterm_saves_and_the_run_goes_on(tmp_path):
    run = tmp_path / "run"
    command = [sys.executable, "-c", textwrap.dedent(_SCRIPT), str(run)]
    with subprocess.Popen(command, cwd=ROOT, stderr=subprocess.PIPE, text=True) as process:
        deadline = time.monotonic() + 60.0
        while not (run / "metrics.jsonl").exists() and time.monotonic() < deadline:
            time.sleep(0.05)
        process.send_signal(signal.SIGTERM)
        _, errors = process.communicate(timeout=60)
    assert process.returncode == 0, errors
    summary = json.loads((run / "summary.json").read_text())
    assert summary["status"] == "stopped"
    assert summary["reason"] == f"SIGTERM after step {summary['steps']}"
    checkpoint = load_checkpoint(run)
    assert checkpoint.step == summary["steps"]
    again = kjet.solve(
        kjet.problems.Poisson2DProblem().build(),
        network=MLPConfig(width=8, depth=2),
        optimizer="adam",
        sampler=SamplerConfig(points=50, boundary_points=20),
        run_dir=run,
        resume=True,
        max_steps=checkpoint.step + 3,
        progress=False,
    )
    assert again.info["steps"] == checkpoint.step + 3
    assert again.status == "completed"
    assert again.info["seconds"] > summary["seconds"]
