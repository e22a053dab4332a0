"""The comparison over the zoo: every side starts from the same loss, and the table says what is stored."""

import importlib.util
import json
import math
import subprocess
import sys
from pathlib import Path

import pytest
import torch

import kjet.training.job
import kjet.training.solve
from benchmarks import _zoo_table, zoo
from benchmarks._zoo_task import Reading, Task, build, measured, residuals, statement, title
from kjet.jets import Derivative, reference
from kjet.registry import names

ROOT = Path(__file__).resolve().parents[2]
needs_deepxde = pytest.mark.skipif(not importlib.util.find_spec("deepxde"), reason="needs deepxde")
needs_jinns = pytest.mark.skipif(not importlib.util.find_spec("jinns"), reason="needs jinns")
FEW = ("burgers", "kdv", "cavity", "heat_inverse", "biharmonic", "black_scholes_barenblatt", "hjb")

_START = """
import json, os, sys, warnings
warnings.simplefilter("ignore")
import torch
from benchmarks._zoo_task import Task
import benchmarks._zoo_{side} as side
found = {{}}
for name in json.loads(sys.argv[1]):
    task = Task.of(name, 0)
    task.model.load_flat(2 * task.model.flat())  # far from small, so that derivatives of high order count
    mine = [share for shares in task.objective.shares().values() for share in shares]
    weights = list(task.model.network.parameters())
    ours = torch.cat([g.reshape(-1) for g in torch.autograd.grad(sum(mine), weights)])
    {other}
    names = [f"{{term.name}}.{{key}}" for term in task.terms for key in term.recorded.names]
    found[name] = {{
        "losses": [[key, a.item(), b] for key, a, b in zip(names, mine, theirs, strict=True)],
        "gradient": ((ours - slopes).norm() / ours.norm()).item(),
    }}
json.dump(found, open(sys.argv[2], "w"))
"""
_OTHER = {
    "deepxde": """his = side.losses(side.model_of(task))
    slopes = torch.cat([g.reshape(-1) for g in torch.autograd.grad(sum(his), weights)])
    theirs = [loss.item() for loss in his]""",
    "jinns": """theirs, slopes = side.losses(task)
    slopes = torch.from_numpy(slopes)""",
}


def _start(side, problems, tmp_path):
    """Losses and gradients of kjet and of another side, in a process whose settings the other may change."""
    result, code = tmp_path / "start.json", _START.format(side=side, other=_OTHER[side])
    words = [sys.executable, "-c", code, json.dumps(list(problems)), str(result)]
    environment = {**__import__("os").environ, "DDE_BACKEND": "pytorch", "HOME": str(tmp_path)}
    done = subprocess.run(words, env=environment, cwd=ROOT, capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr[-2000:]
    return json.loads(result.read_text())


def _assert_same(found):
    for name, run in found.items():
        for key, ours, theirs in run["losses"]:
            assert theirs == pytest.approx(ours, rel=1e-10, abs=1e-20), (name, key)
        assert run["gradient"] < 1e-10, name


@needs_deepxde
def test_deepxde_starts_from_the_same_losses(tmp_path):
    _assert_same(_start("deepxde", FEW, tmp_path))


@needs_deepxde
@pytest.mark.slow
def test_deepxde_starts_from_the_same_losses_on_the_whole_zoo(tmp_path):
    _assert_same(_start("deepxde", measured(), tmp_path))


@needs_jinns
@pytest.mark.slow
def test_jinns_starts_from_the_same_losses(tmp_path):
    _assert_same(_start("jinns", FEW, tmp_path))


@needs_deepxde
def test_residuals_by_hand_are_those_recorded(tmp_path):
    found = zoo._process("benchmarks._zoo_by_hand", {"threads": 1, "repetitions": 2}, 120, sys.executable)
    assert [case["problem"] for case in found] == ["burgers", "poisson2d", "cavity"]
    assert max(case["loss_difference"] for case in found) < 1e-12


def test_the_task_is_what_solve_starts_with(monkeypatch):
    seen = {}

    class StoppedError(Exception):
        pass

    def stop(problem, model, *args, **kwargs):
        seen["objective"] = original(problem, model, *args, **kwargs)
        raise StoppedError

    place = next(m for m in (kjet.training.job, kjet.training.solve) if hasattr(m, "build_objective"))
    original = place.build_objective
    monkeypatch.setattr(place, "build_objective", stop)
    for name in ("burgers", "kdv", "heat_inverse"):
        with pytest.raises(StoppedError):
            kjet.solve(build(name), seed=3, max_seconds=1, progress=False)
        mine, theirs = Task.of(name, 3).objective, seen["objective"]
        assert torch.equal(mine.model.flat(), theirs.model.flat())
        assert [(t.name, t.weight) for t in mine.terms] == [(t.name, t.weight) for t in theirs.terms]
        assert all(torch.equal(a.points.x, b.points.x) for a, b in zip(mine.terms, theirs.terms, strict=True))


def test_reading_combines_derivatives_of_another_engine():
    task = Task.of("biharmonic", 0)
    term = task.terms[0]
    x = term.points.x[:].clone().requires_grad_()

    def derivative(field, wanted):
        total = 0.0
        for index, c in wanted.expanded().items():
            dense = tuple(dict(index).get(i, 0) for i in range(x.shape[1]))
            total = total + c * reference.partials(task.model, x, [dense])[dense][:, field]
        return total

    (found,) = residuals(term, Reading(derivative, term.points.x), task.model.parameter_values())
    (expected,) = (row / term.scale for row in task.objective.rows(task.objective.terms[0]))
    torch.testing.assert_close(found, expected, rtol=1e-9, atol=1e-9 * float(expected.detach().abs().max()))


def test_an_unknown_quantity_is_refused():
    reading = Reading(lambda field, wanted: torch.ones(2), torch.ones(2, 2))
    with pytest.raises(TypeError, match="which this benchmark does not know"):
        reading[Derivative()][..., 0]


def test_problems_of_any_dimension_are_small():
    assert build("hjb").domain.dim == 4
    assert (title("hjb"), title("burgers")) == ("hjb, dim = 3", "burgers")
    assert "``" not in "".join(statement(name) for name in names("problem"))


def _stored(**errors):
    about = {"title": "burgers", "statement": "`u_t`", "seconds": 5.0, "threads": 1, "start_loss": 1.0, "cores": 1.0}
    runs = [
        {"problem": "burgers", "side": side, "seed": seed, **about, "curve": [[0.0, 1.0], [5.0, error]]}
        for side, found in errors.items()
        for seed, error in enumerate(found)
    ]
    return {"machine": {"cpu": "a processor", "threads": 1}, "runs": runs}


def test_the_table_has_medians_ratios_and_their_geometric_mean():
    content = _stored(kjet=[1e-4, 2e-4, 8e-4], deepxde=[1e-2, 4e-2, 2e-2])
    more = _stored(kjet=[1.0], deepxde=[0.25])["runs"]
    content["runs"] += [{**run, "problem": "kdv", "title": "kdv"} for run in more]
    text = _zoo_table.table(content)
    assert "| `burgers` | `u_t` | 5 | 2.0e-04 [1.0e-04, 8.0e-04] | 2.0e-02 [1.0e-02, 4.0e-02] | 100 |" in text
    assert "smaller error in 1 of 2 problems; geometric mean of the ratios 5." in text  # sqrt(100 / 4)


def test_a_side_that_could_not_be_run_is_no_win():
    content = _stored(kjet=[1e-4], jinns=[1.0])
    failed = next(run for run in content["runs"] if run["side"] == "jinns")
    del failed["curve"]
    failed["failed"] = "MemoryError"
    text = _zoo_table.table(content)
    assert "could not be run" in text
    assert "problems" not in text.split("\n\n", 1)[1].split("Relative")[0]


def test_a_side_that_diverged_loses_and_is_left_out_of_the_mean():
    text = _zoo_table.table(_stored(kjet=[1e-4], deepxde=[None]))
    assert "smaller error in 1 of 1 problems; geometric mean of the ratios none" in text
    text = _zoo_table.table(_stored(kjet=[None], deepxde=[0.5]))
    assert "smaller error in 0 of 1 problems" in text


def test_disturbed_runs_are_told():
    content = _stored(kjet=[1e-4], deepxde=[1e-2])
    assert "slowed down" not in _zoo_table.table(content)
    content["runs"][0]["cores"] = 0.24
    assert "1 runs were slowed down by other programs" in _zoo_table.table(content)


@pytest.mark.parametrize(("entry", "value"), [("start_loss", 1.0 + 1e-9), ("seconds", 6.0), ("threads", 2)])
def test_sides_that_are_not_equal_are_refused(entry, value):
    content = _stored(kjet=[1e-4], deepxde=[1e-2])
    assert not _zoo_table.unequal(content["runs"])
    content["runs"][1][entry] = value
    assert _zoo_table.unequal(content["runs"])


def test_the_page_is_checked_against_what_is_stored():
    content = _stored(kjet=[1e-4], deepxde=[1e-2])
    page = _zoo_table.inserted(f"a\n{_zoo_table.BEGIN}\n{_zoo_table.END}\nb", _zoo_table.table(content))
    assert not _zoo_table.check(page, content)
    content["runs"][0]["curve"][-1][1] = 2e-4
    assert _zoo_table.check(page, content)
    with pytest.raises(ValueError, match="has no lines"):
        _zoo_table.inserted("nothing", "table")


def test_the_documentation_has_the_table_of_the_stored_results():
    content = json.loads(zoo.RESULTS.read_text(encoding="utf-8")) if zoo.RESULTS.exists() else None
    assert _zoo_table.check(zoo.PAGE.read_text(encoding="utf-8"), content) == []


def test_the_quick_mode_takes_twenty_minutes():
    seconds = zoo._quick(50, ["kjet", "deepxde"])
    assert 50 * (2 * seconds + sum(zoo.STARTING[side] for side in ("kjet", "deepxde"))) <= zoo.QUICK + 10


def test_a_run_that_is_stored_is_not_repeated(tmp_path, monkeypatch):
    asked = []

    def measured_(about, options):
        asked.append((about["problem"], about["side"]))
        return {"curve": [[0.0, 1.0], [1.0, math.pi / 10]], "start_loss": 1.0, "steps": 1, "ended": "time", "cores": 1}

    monkeypatch.setattr(zoo, "_measured", measured_)
    monkeypatch.setattr(zoo, "_installed", lambda side, options: True)
    page = tmp_path / "zoo.md"
    page.write_text(zoo.PAGE.read_text(encoding="utf-8"), encoding="utf-8")
    words = ["--problems", "burgers", "--sides", "kjet", "deepxde", "--seeds", "0", "--out", str(tmp_path / "zoo.json")]
    words += ["--page", str(page), "--seconds"]
    zoo.main([*words, "1"])
    zoo.main([*words, "1"])
    assert asked == [("burgers", "kjet"), ("burgers", "deepxde")]
    zoo.main([*words, "2"])  # another time: measured anew, in place of the old ones
    assert len(asked) == 4
    content = json.loads((tmp_path / "zoo.json").read_text())
    assert [run["seconds"] for run in content["runs"]] == [2.0, 2.0]
    assert {"command", "machine", "versions", "date"} <= content.keys()
    assert (tmp_path / "zoo.png").stat().st_size > 5000
    zoo.main(["--check", "--out", str(tmp_path / "zoo.json"), "--page", str(page)])


def test_an_unknown_problem_is_named(capsys):
    with pytest.raises(SystemExit):
        zoo.main(["--problems", "burger"])
    assert 'Did you mean "burgers"?' in capsys.readouterr().err


@needs_deepxde
@pytest.mark.slow
@pytest.mark.parametrize("side", ["kjet", "deepxde"])
def test_both_sides_run(side):
    asked = {"side": side, "problem": "heat_inverse", "seed": 0, "seconds": 3.0, "threads": 1}
    found = zoo._process("benchmarks._zoo_worker", asked, 120, sys.executable)
    seconds, errors = zip(*found["curve"], strict=True)
    assert list(seconds) == sorted(seconds)
    assert all(math.isfinite(error) for error in errors)
    assert found["start_loss"] == pytest.approx(2.764, rel=1e-3)
