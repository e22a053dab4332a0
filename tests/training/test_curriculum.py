"""Curricula: values of the stages, when stages change, what is refused, and that runs resume."""

from __future__ import annotations

import logging
import math
import os
import signal
from dataclasses import replace

import pytest
import torch

import kjet
from kjet.constraints import Dirichlet, Initial
from kjet.data import Interval, Time
from kjet.errors import ConfigError, RunError
from kjet.operators import MLPConfig
from kjet.optim import Adam, GaussNewton
from kjet.pde import Burgers, Unknown
from kjet.problem import Problem
from kjet.training import GeometricCurriculum, LinearCurriculum, SamplerConfig
from kjet.training.checkpoint import load_checkpoint
from kjet.training.curriculum import NoCurriculum, curriculum_of

SMALL, FEW = MLPConfig(width=5, depth=2), SamplerConfig(points=30, boundary_points=8, every=3)


def problem(nu=0.01) -> Problem:
    conditions = [Initial(u=lambda x: -torch.sin(math.pi * x)), Dirichlet("left", u=0.0)]
    return Problem(Burgers(nu=nu), Interval(-1.0, 1.0) * Time(0.0, 1.0), conditions, name="shock")


def solve(curriculum=None, **options):
    settings = {"network": SMALL, "sampler": FEW, "optimizer": GaussNewton(), "progress": False, "max_steps": 12}
    return kjet.solve(problem(), curriculum=curriculum, **settings | options)


def values(solution):
    return [(line["step"], line["curriculum"]["nu"]) for line in solution.history]


def test_geometric_and_linear_values():
    geometric, linear = GeometricCurriculum({"nu": 1.0}, stages=4), LinearCurriculum({"nu": 1.0}, stages=4)
    found = [geometric.values(problem(), k)["nu"] for k in range(5)]
    torch.testing.assert_close(torch.tensor(found), torch.logspace(0, -2, 5))
    assert found[-1] == 0.01  # exactly that of the problem
    found = [linear.values(problem(), k)["nu"] for k in range(5)]
    torch.testing.assert_close(torch.tensor(found), torch.linspace(1, 0.01, 5))


def test_stages_by_share_and_by_steps():
    shared = GeometricCurriculum({"nu": 1.0}, stages=4, share=0.5)
    assert [shared.stage(0, done) for done in (0.0, 0.12, 0.13, 0.3, 0.49, 0.5, 1.0)] == [0, 0, 1, 2, 3, 4, 4]
    stepped = GeometricCurriculum({"nu": 1.0}, stages=2, steps=10)
    assert [stepped.stage(step, 0.9) for step in (0, 9, 10, 19, 20, 99)] == [0, 0, 1, 1, 2, 2]


def test_training_sees_the_parameters_of_the_stage():
    """The residual after a step of a stage, against a problem that has that value."""
    solution = solve(GeometricCurriculum({"nu": 1.0}, stages=1, steps=11), log_seconds=1e-9)
    assert values(solution)[0] == (1, 1.0)
    assert values(solution)[10:] == [(11, 1.0), (12, 0.01)]
    assert solution.info["curriculum"] == {"stage": 1, "stages": 1, "parameters": {"nu": 0.01}}
    easy = kjet.solve(
        problem(nu=1.0), network=SMALL, sampler=FEW, optimizer=GaussNewton(), progress=False, max_steps=11
    )
    torch.testing.assert_close(torch.tensor(solution.history[10]["loss"]), torch.tensor(easy.info["loss"]))
    plain = solve(max_steps=1)
    plain.model.load_flat(solution.model.flat())
    x = torch.tensor([[0.1, 0.2], [0.5, 0.9]], dtype=torch.float64)
    torch.testing.assert_close(solution.residual(x), plain.residual(x))


def test_sums_are_gathered_by_the_value_of_the_stage():
    solution = solve({"nu": 1.0})
    assert (
        solution.objective.terms[0].recorded.plan.cost() == solve(max_steps=1).objective.terms[0].recorded.plan.cost()
    )


def test_training_goes_on_at_the_last_values_and_says_so(caplog):
    with caplog.at_level(logging.INFO, "kjet"):
        solution = solve({"nu": 0.1}, log_seconds=1e-9)
    assert "step 6: nu = 0.01; training goes on with the values of the problem" in caplog.text
    assert [nu for step, nu in values(solution) if step > 6] == [0.01] * 6
    assert not [r for r in caplog.records if r.levelno >= logging.WARNING and "curriculum" in r.message]


def test_a_run_that_ends_before_says_so(caplog):
    with caplog.at_level(logging.WARNING, "kjet"):
        solution = solve({"nu": 0.1}, loggers=[Stop(1)], log_seconds=1e-9)
    assert "training ended in stage 1 of 5 of the curriculum, at nu = 0.1" in caplog.text
    assert solution.info["curriculum"]["stage"] == 0
    assert solution.model.known["nu"] == 0.01


def test_the_tolerance_ends_stages_before_it_ends_training(caplog):
    with caplog.at_level(logging.INFO, "kjet"):
        solution = solve(GeometricCurriculum({"nu": 1.0}, stages=3), tolerance=1e3, max_steps=100)
    assert solution.reason == "loss below 1000"
    assert solution.info["curriculum"]["stage"] == 3
    assert solution.info["steps"] == 4


class Stop:
    """Stops the run as Ctrl-C does, after a step."""

    def __init__(self, step):
        self.step = step

    def log(self, step, values):
        if step == self.step:
            os.kill(os.getpid(), signal.SIGINT)

    def figure(self, name, path):
        pass

    def close(self):
        pass


@pytest.mark.parametrize("optimizer", [GaussNewton(), Adam()], ids=["gauss_newton", "adam"])
@pytest.mark.parametrize(("step", "stage"), [(3, 0), (5, 1), (9, 2)])
def test_resuming_is_bit_for_bit(tmp_path, optimizer, step, stage):
    options = {"run_dir": tmp_path / "run", "log_seconds": 1e-9, "optimizer": optimizer}
    easy = GeometricCurriculum({"nu": 0.5}, stages=2, steps=4)
    stopped = solve(easy, loggers=[Stop(step)], **options)
    assert stopped.status == "stopped"
    assert load_checkpoint(tmp_path / "run").meta["stage"] == stage
    resumed = solve(easy, resume=True, **options)
    assert torch.equal(resumed.model.flat(), solve(easy, optimizer=optimizer).model.flat())


def test_another_curriculum_is_not_resumed(tmp_path):
    solve({"nu": 0.5}, run_dir=tmp_path / "run")
    with pytest.raises(RunError, match=r"no weighing and GeometricCurriculum.* this run has no weighing and no curr"):
        solve(None, resume=True, max_steps=20, run_dir=tmp_path / "run")


def test_a_refused_curriculum_leaves_no_directory(tmp_path):
    with pytest.raises(ConfigError, match="takes at least 5 steps"):
        solve({"nu": 0.5}, max_steps=5, run_dir=tmp_path / "run")
    assert not (tmp_path / "run").exists()


@pytest.mark.parametrize(
    ("curriculum", "message"),
    [
        ({"mu": 0.1}, 'unknown parameter "mu".*Did you mean "nu"'),
        ({"nu": 0.01}, "starts at 0.01, its value in the problem"),
        ({"nu": -0.1}, "cannot take nu from -0.1 to 0.01; use curriculum=linear"),
        ({}, "needs the easy value of a parameter"),
        (GeometricCurriculum({"nu": 0.1}, steps=3), "takes at least 15 steps before nu has the value .* ends after 12"),
        (GeometricCurriculum({"nu": 0.1}, stages=12), "takes at least 12 steps"),
        ("geometric", "give the easy value of a parameter"),
    ],
)
def test_curricula_that_do_not_fit(curriculum, message):
    with pytest.raises(ConfigError, match=message):
        solve(curriculum)


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ({"share": 1.0}, "between 0 and 1"),
        ({"share": 0.0}, "between 0 and 1"),
        ({"stages": 0}, "stages must be a positive"),
        ({"steps": -1}, "steps must be a positive"),
        ({"start": {"nu": math.nan}}, "nu must be a number"),
    ],
)
def test_bad_settings(options, message):
    with pytest.raises(ConfigError, match=message):
        GeometricCurriculum(**{"start": {"nu": 0.1}} | options)


def test_parameters_to_be_found_do_not_move():
    with pytest.raises(ConfigError, match='"nu" is to be found'):
        kjet.solve(
            replace(problem(), equation=Burgers(nu=Unknown(0.1))), curriculum={"nu": 0.5}, network=SMALL, sampler=FEW,
            progress=False,
        )  # fmt: skip


def test_none_is_no_curriculum():
    assert curriculum_of(NoCurriculum()) is None
    assert curriculum_of({"nu": 1.0}) == GeometricCurriculum({"nu": 1.0})


def test_compiled_steps_are_refused():
    with pytest.raises(ConfigError, match="which a curriculum moves"):
        solve({"nu": 0.1}, compile=True)
