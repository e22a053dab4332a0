"""Time marching: what is handed over, the joined solution, budgets, runs that resume, and what is refused."""

from __future__ import annotations

import json
import math
import os
import shutil
import signal

import pytest
import torch
from torch import nn

import kjet
from kjet.constraints import Dirichlet, Initial, Integral, Observations, Periodic
from kjet.data import Interval, Rectangle, Time
from kjet.decomposition import coupled
from kjet.errors import ConfigError, RunError
from kjet.jets import jet
from kjet.operators import MLPConfig
from kjet.optim import Adam, GaussNewton
from kjet.pde import Burgers, Equation, Heat, Poisson, Unknown, Wave
from kjet.problem import Problem
from kjet.training import Model, SamplerConfig, marching
from kjet.training.windows import Windowed, window_edges, window_problem

SMALL, FEW = MLPConfig(width=6, depth=2), SamplerConfig(points=40, boundary_points=10)
ROD = Interval(0.0, 1.0) * Time(0.0, 2.0)
HALF = Interval(0.0, 0.5) * Time(0.0, 2.0)
RATE = 0.1 * math.pi**2


def exact(x, t):
    return torch.sin(math.pi * x) * torch.exp(-RATE * t)


def rod(*more) -> Problem:
    conditions = [Initial(u=lambda x: torch.sin(math.pi * x)), Dirichlet("left", u=0.0), Dirichlet("right", u=0.0)]
    return Problem(Heat(diffusivity=0.1), ROD, [*conditions, *more], reference=exact, name="rod", seconds=9.0)


def ring() -> Problem:
    return Problem(Burgers(nu=0.1), ROD, [Initial(u=lambda x: torch.sin(2 * math.pi * x)), Periodic("x")])


def string() -> Problem:
    still = Initial(u=lambda x: torch.sin(math.pi * x), u_t=0.0)
    reference = lambda x, t: torch.sin(math.pi * x) * torch.cos(math.pi * t)  # noqa: E731
    walls = [Dirichlet("left", u=0.0), Dirichlet("right", u=0.0)]
    return Problem(Wave(speed=1.0), Interval(0.0, 1.0) * Time(0.0, 1.0), [still, *walls], reference=reference)


class Decay(Equation):
    """``u' = -u``."""

    fields, coords = ("u",), ("t",)

    def residual(self, u):
        return u.t + u


def solve(problem=None, windows=3, **options):
    settings = {"network": SMALL, "sampler": FEW, "optimizer": GaussNewton(), "progress": False, "max_steps": 12}
    return kjet.solve(problem or rod(), windows=windows, **settings | options)


def somewhere(problem: Problem, n: int = 60) -> torch.Tensor:
    return problem.domain.interior(n, generator=torch.Generator().manual_seed(1), dtype=torch.float64).x


@pytest.fixture(scope="module")
def marched():
    return solve(max_steps=60)


# the joined solution


def test_one_solution_for_all_times(marched):
    assert marched.status == "completed"
    assert marched.errors["u"]["rel_l2"] < 0.02
    assert marched.info["steps"] == 60
    assert [(w["start"], w["end"], w["steps"]) for w in marched.info["windows"]] == [
        (0.0, pytest.approx(2 / 3), 20),
        (pytest.approx(2 / 3), pytest.approx(4 / 3), 20),
        (pytest.approx(4 / 3), 2.0, 20),
    ]
    assert [line["step"] for line in marched.history] == sorted(line["step"] for line in marched.history)
    assert {line["window"] for line in marched.history} == {1, 2, 3}
    x = somewhere(marched.problem)
    torch.testing.assert_close(marched.predict(x)["u"], exact(x[:, 0], x[:, 1]), atol=0.03, rtol=0)
    assert float(marched.residual(x)["residual"].abs().mean()) < 0.1
    assert marched.figures(resolution=20).keys() >= {"solution", "residual", "loss", "points"}


def test_windows_meet(marched):
    x = torch.linspace(0, 1, 21, dtype=torch.float64)
    for edge in marched.model.network.edges[1:-1]:
        before, after = (marched.predict({"x": x, "t": edge + step})["u"] for step in (-1e-9, 1e-9))
        torch.testing.assert_close(before, after, atol=0.01, rtol=0)  # a residual as others are


def test_each_part_is_used_in_its_window():
    parts = [nn.Linear(2, 1).double() for _ in range(3)]
    joint = Windowed(parts, [0.0, 1.0, 2.0, 3.0], 1)
    x = torch.tensor([[0.3, t] for t in (-1.0, 0.5, 1.0, 1.5, 2.5, 9.0)], dtype=torch.float64)
    owner = [0, 0, 0, 1, 2, 2]  # an edge belongs to the window before
    expected = torch.stack([parts[k](row) for k, row in zip(owner, x, strict=True)])
    torch.testing.assert_close(joint(x), expected)
    along = torch.eye(2, dtype=torch.float64)
    slopes = jet(joint, x, along, 1)[1, :, :, 0]
    torch.testing.assert_close(slopes, torch.stack([parts[k].weight[0] for k in owner], -1))


# what is handed over


def grown(problem: Problem, seed: int = 0) -> Model:
    generator = torch.Generator().manual_seed(seed)
    network = SMALL.build(problem.domain.dim, len(problem.fields), input_range=problem.domain.bounds,
                          generator=generator, dtype=torch.float64, device="cpu")  # fmt: skip
    return Model(network, problem.all_parameters, problem.fields, problem.domain.coords).requires_grad_(False)


def values_of(condition, names, x, t):
    columns = {"x": x, "t": torch.full_like(x, t)}
    return {name: condition.values[name](**columns) for name in names}


def test_values_and_velocities_are_handed_over():
    problem = string()
    model = grown(problem)
    part = window_problem(problem, 0.25, 0.5, model)
    handed = part.conditions[0]
    assert set(handed.values) == {"u", "u_t"}
    assert [c.name for c in part.conditions] == ["handed_over", "left", "right"]
    assert part.domain.bounds.tolist() == [[0.0, 1.0], [0.25, 0.5]]
    x = torch.linspace(0, 1, 7, dtype=torch.float64)
    points = torch.stack([x, torch.full_like(x, 0.25)], -1)
    expected = jet(model, points, torch.tensor([[0.0, 1.0]], dtype=torch.float64), 1)[:, 0, :, 0]
    found = values_of(handed, ("u", "u_t"), x, 0.4)  # the time of the points does not count
    torch.testing.assert_close(found["u"], expected[0])
    torch.testing.assert_close(found["u_t"], expected[1])


def test_first_order_equations_hand_over_values_only():
    assert set(window_problem(rod(), 1.0, 2.0, grown(rod())).conditions[0].values) == {"u"}


def test_conditions_go_to_the_windows_where_they_hold():
    observed = Observations({"x": [0.1, 0.2, 0.3], "t": [0.1, 1.0, 1.9]}, u=[1.0, 2.0, 3.0])
    problem = rod(observed, Dirichlet("final", u=0.1))
    model, names, seen = grown(problem), [], []
    for start, end in ((0.0, 1.0), (1.0, 2.0)):
        part = window_problem(problem, start, end, model if start else None)
        names.append([c.name for c in part.conditions])
        seen.append(next(c for c in part.conditions if c.name == "observations").values["u"].tolist())
    assert names == [["initial", "left", "right", "observations"],
                     ["handed_over", "left", "right", "observations", "final"]]  # fmt: skip
    assert seen == [[1.0], [2.0, 3.0]]


def test_edges_end_where_the_time_ends():
    assert window_edges(rod(), 3)[-1] == 2.0
    assert window_edges(rod(), 4) == [0.0, 0.5, 1.0, 1.5, 2.0]


@pytest.mark.parametrize("optimizer", [GaussNewton(), Adam()], ids=["gauss_newton", "adam"])
@pytest.mark.parametrize(
    ("make", "constraint"), [(rod, "hard"), (ring, "auto"), (ring, "hard"), (ring, "soft"), (string, "auto")]
)
def test_all_ways_to_impose_conditions(tmp_path, make, constraint, optimizer):
    problem = make()
    solution = solve(problem, windows=2, constraint=constraint, optimizer=optimizer, max_steps=6)
    x = somewhere(problem)
    assert bool(torch.isfinite(solution.predict(x)["u"]).all())
    again = kjet.load(solution.save(tmp_path / "saved"), problem=problem)
    assert torch.equal(again.predict(x)["u"], solution.predict(x)["u"])
    assert torch.equal(again.residual(x)["residual"], solution.residual(x)["residual"])
    if constraint == "hard":
        at = solution.model.network.edges[1]
        left, right = (solution.predict({"x": x[:, 0], "t": at + step})["u"] for step in (0.0, 1e-12))
        torch.testing.assert_close(left, right, atol=1e-9, rtol=0)
        with pytest.raises(RunError, match="hard constraints"):
            kjet.load(tmp_path / "saved")
    else:
        bare = kjet.load(tmp_path / "saved")
        assert torch.equal(bare.predict(x)["u"], solution.predict(x)["u"])


def test_ordinary_differential_equations():
    problem = Problem(Decay(), Time(0.0, 2.0), [Initial(u=1.0)], reference=lambda t: torch.exp(-t))
    solution = solve(problem, windows=2, max_steps=40)
    assert solution.errors["u"]["rel_l2"] < 1e-3


def test_modules_of_ones_own_are_copied(tmp_path):
    network = nn.Sequential(nn.Linear(2, 6), nn.Tanh(), nn.Linear(6, 1)).double()
    before = [p.detach().clone() for p in network.parameters()]
    solution = solve(network=network, windows=2, max_steps=4)
    assert all(torch.equal(a, b) for a, b in zip(before, network.parameters(), strict=True))
    x = somewhere(rod())
    again = kjet.load(solution.save(tmp_path / "saved"), problem=rod(), network=network)
    assert torch.equal(again.predict(x)["u"], solution.predict(x)["u"])


def test_the_next_network_starts_from_the_weights_before(marched):
    """A single step from there is nearer to them than random weights are."""
    short = solve(windows=2, max_steps=2, optimizer=Adam(learning_rate=1e-9))
    first, second = (list(part.parameters()) for part in short.model.network.parts)
    for a, b in zip(first, second, strict=True):
        torch.testing.assert_close(a, b, atol=1e-8, rtol=0)


@pytest.mark.parametrize("balance", ["causal", "self_adaptive", "grad_norm"])
def test_with_weights(balance):
    assert solve(balance=balance, optimizer="adam", windows=2, max_steps=4).info["steps"] == 4


# budgets


def test_steps_and_shares():
    assert [w["steps"] for w in solve(max_steps=10).info["windows"]] == [3, 4, 3]
    shares = solve(windows=2, max_steps=8, window_shares=(3, 1))
    assert [w["steps"] for w in shares.info["windows"]] == [6, 2]


def test_the_reason_tells_of_all_windows(marched):
    assert marched.reason == "3 windows of time, the last one after 20 steps"


def test_parameters_of_the_first_state_alone():
    first = Initial(u=lambda x, height: height * torch.sin(math.pi * x))
    problem = Problem(Heat(diffusivity=0.1), ROD, [first, Dirichlet("left", u=0.0)], parameters={"height": 1.0})
    found = solve(problem)
    assert found.status == "completed"
    assert found.model.known["height"] == 1.0


def test_seconds_are_divided():
    reasons = [w["reason"] for w in solve(windows=2, max_steps=None, max_seconds=0.2).info["windows"]]
    assert reasons == ["0.1 seconds"] * 2


# runs


class Stop:
    """Stops the run as a scheduler does, after a step."""

    def __init__(self, step):
        self.step = step

    def log(self, step, values):
        if step == self.step:
            os.kill(os.getpid(), signal.SIGTERM)  # SIGINT is ignored in background jobs

    def figure(self, name, path):
        pass

    def close(self):
        pass


@pytest.mark.parametrize("step", [2, 6, 11])
def test_resuming_is_bit_for_bit(tmp_path, step):
    """Within the first, the second and the last window, of four steps each."""
    options = {"run_dir": tmp_path / "run", "log_seconds": 1e-9}
    stopped = solve(loggers=[Stop(step)], **options)
    assert stopped.status == "stopped"
    assert stopped.info["steps"] == step
    assert bool(torch.isfinite(stopped.predict(somewhere(rod()))["u"]).all())
    resumed, whole = solve(resume=True, **options), solve()
    x = somewhere(rod())
    assert torch.equal(resumed.predict(x)["u"], whole.predict(x)["u"])
    assert resumed.status == "completed"
    lines = [json.loads(line) for line in (tmp_path / "run" / "metrics.jsonl").read_text().splitlines()]
    assert [line["step"] for line in lines] == list(range(1, 13))
    assert [line["window"] for line in lines] == [1] * 4 + [2] * 4 + [3] * 4
    assert sorted(path.name for path in (tmp_path / "run").glob("window_*")) == ["window_01", "window_02", "window_03"]
    assert json.loads((tmp_path / "run" / "summary.json").read_text())["status"] == "completed"
    assert torch.equal(kjet.load(tmp_path / "run").predict(x)["u"], whole.predict(x)["u"])


def test_a_window_that_was_killed_before_its_first_checkpoint(tmp_path):
    options = {"run_dir": tmp_path / "run", "log_seconds": 1e-9}
    solve(loggers=[Stop(6)], **options)
    shutil.rmtree(tmp_path / "run" / "window_02" / "checkpoints")
    (tmp_path / "run" / "window_02" / "checkpoints").mkdir()
    resumed = solve(resume=True, **options)
    assert torch.equal(resumed.predict(somewhere(rod()))["u"], solve().predict(somewhere(rod()))["u"])


def test_a_raised_limit_continues_the_last_window(tmp_path):
    solve(run_dir=tmp_path / "run")
    again = solve(run_dir=tmp_path / "run", resume=True, max_steps=30)
    assert [w["steps"] for w in again.info["windows"]] == [4, 4, 10]


def test_other_windows_are_refused(tmp_path):
    solve(run_dir=tmp_path / "run")
    with pytest.raises(RunError, match="a run of other windows of time"):
        solve(windows=2, run_dir=tmp_path / "run", resume=True)


def test_without_windows_is_refused(tmp_path):
    solve(run_dir=tmp_path / "run")
    with pytest.raises(RunError, match="in windows of time"):
        solve(windows=1, run_dir=tmp_path / "run", resume=True)


def test_a_folder_of_anyones_own_stays(tmp_path):
    own = tmp_path / "run" / "window_02" / "notes.txt"
    own.parent.mkdir(parents=True)
    own.write_text("mine")
    assert solve(run_dir=tmp_path / "run").status == "completed"
    assert own.read_text() == "mine"


def test_windows_that_are_read_go_to_the_device(tmp_path, monkeypatch):
    """They are read into the CPU's memory, and evaluated at points of the device."""
    moved = []

    def read(*args, **options):
        found = kjet.load(*args, **options)
        monkeypatch.setattr(found.model, "to", lambda **where: moved.append(where))
        return found

    solve(run_dir=tmp_path / "run")
    monkeypatch.setattr(marching, "load", read)
    solve(run_dir=tmp_path / "run", resume=True)
    assert moved == [{"device": "cpu"}] * 2


# what is refused


@pytest.mark.parametrize(
    ("problem", "message"),
    [
        (Problem(Poisson(coords=("x", "y"), source=1.0), Rectangle(), [Dirichlet(u=0.0)]), "divides the time"),
        (Problem(Heat(diffusivity=Unknown(1.0)), ROD, [Dirichlet("left", u=0.0)]), "another value of diffusivity"),
        (rod(Integral("u", 0.3)), '"integral" joins all times'),
        (Problem(Heat(), ROD, [Periodic("t")]), "joins all times"),
        (coupled(ROD, {"a": (HALF, Heat()), "b": (None, Heat())}, [Initial(u=0.0)]), "interfaces between regions"),
    ],
    ids=["no_time", "unknown", "integral", "periodic_in_time", "regions"],
)
def test_problems_that_cannot_be_divided(problem, message):
    with pytest.raises(ConfigError, match=message):
        solve(problem)


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ({"max_steps": 2}, "window 1 of 3 has no step|window 2 of 3 has no step"),
        ({"curriculum": {"diffusivity": 1.0}}, "use trainer.windows=1, or leave out the curriculum"),
        ({"window_shares": (1, 2)}, "2 shares for 3 windows"),
        ({"window_shares": (1, 0, 2)}, "window_shares must be a positive number"),
        ({"windows": 0}, "windows must be a positive whole number"),
    ],
)
def test_settings_that_do_not_fit(options, message):
    with pytest.raises(ConfigError, match=message):
        solve(**options)


def test_marching_an_equation_without_a_time_derivative():
    problem = Problem(Poisson(coords=("x", "t"), source=1.0), ROD, [Dirichlet("left", u=0.0)])
    with pytest.raises(ConfigError, match="no derivative with respect to t"):
        solve(problem)
