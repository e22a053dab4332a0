"""Runs of ``train.py`` as a user starts it; the rest of the configuration layer is tested in ``test_config.py``."""

from __future__ import annotations

import importlib.util
import json
import os
import signal
import subprocess
import sys
import time
from pathlib import Path

import pytest

from kjet.errors import ConfigError

ROOT = Path(__file__).resolve().parent.parent
TINY = ("debug=default", "hydra.run.dir=run")


def _train(folder: Path, *arguments: str, **environment: str) -> subprocess.CompletedProcess[str]:
    return subprocess.run(
        [sys.executable, str(ROOT / "train.py"), *arguments],
        cwd=folder,
        env={**os.environ, "OMP_NUM_THREADS": "1", "PYTHONPATH": str(folder), **environment},
        capture_output=True,
        text=True,
        timeout=120,
        check=False,
    )


def _summary(run: Path) -> dict[str, object]:
    found: dict[str, object] = json.loads((run / "summary.json").read_text())
    return found


def test_a_run_and_its_continuation(tmp_path: Path) -> None:
    done = _train(tmp_path, "debug=default", "problem=heat_inverse", "logger=tensorboard", "trainer.threads=1")
    assert done.returncode == 0, done.stderr
    (run,) = tmp_path.glob("outputs/*/*")
    shown = run.relative_to(tmp_path)
    lines = [" ".join(line.split()) for line in done.stdout.splitlines()]
    for line in (
        "problem heat_inverse",
        "status completed (3 steps)",
        f"directory {shown}",
        f"resume python train.py resume={shown}",
    ):
        assert line in lines
    for start in ("error in u ", "found diffusivity ", "loss ", "seconds "):
        assert any(line.startswith(start) for line in lines)
    assert "\x1b" not in done.stdout + done.stderr
    names = {path.name for path in run.iterdir()}
    assert {".hydra", "config.json", "train.log", "metrics.jsonl", "checkpoints", "figures", "summary.json"} <= names
    assert {path.name for path in (run / ".hydra").iterdir()} == {"config.yaml", "hydra.yaml", "overrides.yaml"}
    assert {"solution.png", "residual.png", "loss.png"} <= {path.name for path in (run / "figures").iterdir()}
    assert len(list(run.rglob("events.out.tfevents.*"))) == 1
    assert _summary(run)["status"] == "completed"
    assert "gauss_newton: " in (run / "train.log").read_text()

    again = _train(tmp_path, f"resume={shown}", "trainer.max_steps=5")
    assert again.returncode == 0, again.stderr
    assert list(tmp_path.glob("outputs/*/*")) == [run]
    assert _summary(run)["steps"] == 5
    steps = [json.loads(line)["step"] for line in (run / "metrics.jsonl").read_text().splitlines()]
    assert steps == sorted(set(steps))
    assert steps[-1] == 5
    assert json.loads((run / "config.json").read_text())["trainer"]["max_steps"] == 5


def test_a_mistake_ends_with_one_line(tmp_path: Path) -> None:
    done = _train(tmp_path, *TINY, "optimzer=adam")
    assert (done.returncode, done.stdout) == (2, "")
    assert done.stderr.startswith('train.py: unknown key "optimzer" of the configuration; it has ')
    assert done.stderr.endswith('Did you mean "optimizer"?\n')
    assert done.stderr.count("\n") == 1
    assert not list(tmp_path.iterdir())


def test_a_run_with_random_directions(tmp_path: Path) -> None:
    run = ("problem=sine_gordon_hd", "problem.dim=30", "estimator=stde", "estimator.samples=4")
    done = _train(tmp_path, *TINY, *run, "trainer.dtype=float64")
    assert done.returncode == 0, done.stderr
    lines = [" ".join(line.split()) for line in done.stdout.splitlines()]
    (bar,) = (line for line in lines if line.startswith("without a network "))
    assert bar.endswith("(best trivial predictor, same points)")
    assert any(line.startswith("error in u ") for line in lines)
    summary = _summary(tmp_path / "run")
    assert 0 < float(str(summary["trivial_error"])) < 1
    again = _train(tmp_path, "resume=run", "trainer.max_steps=4")
    assert again.returncode == 0, again.stderr
    assert _summary(tmp_path / "run")["steps"] == 4


FAILING = """
from dataclasses import dataclass
from kjet import Equation, Problem, register
from kjet.data import Interval

class Broken(Equation):
    fields, coords = ("u",), ("x",)
    def residual(self, u, p):
        return u.xx / (0.0 * u)

@register("problem", "broken")
@dataclass(frozen=True)
class BrokenProblem:
    def build(self) -> Problem:
        return Problem(name="broken", equation=Broken(), domain=Interval(0.0, 1.0))
"""


def test_an_error_of_a_plugin_s_problem_is_one_line(tmp_path: Path) -> None:
    (tmp_path / "broken_pde.py").write_text(FAILING)
    done = _train(tmp_path, *TINY, "plugins=[broken_pde]", "problem=broken")
    assert done.returncode == 1
    assert done.stderr.count("\n") == 1
    assert "is not finite" in done.stderr


def test_the_whole_error_is_shown_on_request(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    spec = importlib.util.spec_from_file_location("kjet_train_script", ROOT / "train.py")
    assert spec is not None
    assert spec.loader is not None
    script = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(script)
    monkeypatch.delenv("HYDRA_FULL_ERROR", raising=False)
    assert script.main(["problem=burgrs"]) == 2
    assert capsys.readouterr().err.count("\n") == 1
    monkeypatch.setenv("HYDRA_FULL_ERROR", "1")
    with pytest.raises(ConfigError, match="unknown problem") as caught:
        script.main(["problem=burgrs"])
    assert caught.value.__cause__ is not None


def test_help_is_written_for_people(tmp_path: Path) -> None:
    done = _train(tmp_path, "--help")
    assert done.returncode == 0
    examples = [
        line.strip() for line in done.stdout.split("Examples:")[1].split("More:")[0].splitlines() if line.strip()
    ]
    assert len(examples) == 7
    assert all(line.startswith("python train.py") for line in examples)
    for group in (
        "problem",
        "operator",
        "estimator",
        "optimizer",
        "sampler",
        "constraint",
        "trainer",
        "logger",
        "experiment",
        "debug",
    ):
        assert f"\n  {group:<12} " in done.stdout
        assert f"\n{group}: " in done.stdout
    assert "$" not in done.stdout
    assert not list(tmp_path.iterdir())


@pytest.mark.slow
def test_a_sweep_has_a_directory_for_each_run(tmp_path: Path) -> None:
    done = _train(tmp_path, "debug=default", "-m", "seed=0,1", "optimizer=adam")
    assert done.returncode == 0, done.stderr
    runs = sorted(tmp_path.glob("multirun/*/*/[0-9]"))
    assert [run.name for run in runs] == ["0", "1"]
    summaries = [_summary(run) for run in runs]
    assert [found["seed"] for found in summaries] == [0, 1]
    assert summaries[0]["loss"] != summaries[1]["loss"]
    assert [json.loads((run / "config.json").read_text())["seed"] for run in runs] == [0, 1]


@pytest.mark.parametrize(
    ("sent", "code"), [(signal.SIGTERM, 143), pytest.param(signal.SIGINT, 130, marks=pytest.mark.slow)]
)
def test_a_signal_stops_in_order(tmp_path: Path, sent: signal.Signals, code: int) -> None:
    arguments = ["debug=default", "trainer.max_steps=null", "trainer.max_seconds=90", "hydra.run.dir=run"]
    process = subprocess.Popen(
        [sys.executable, str(ROOT / "train.py"), *arguments],
        cwd=tmp_path,
        env={**os.environ, "OMP_NUM_THREADS": "1"},
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
    )
    try:
        metrics, waited = tmp_path / "run" / "metrics.jsonl", time.monotonic()
        while not (metrics.exists() and metrics.stat().st_size) and process.poll() is None:
            assert time.monotonic() - waited < 60
            time.sleep(0.05)
        process.send_signal(sent)
        output, errors = process.communicate(timeout=60)
    finally:
        process.kill()
    assert process.returncode == code, errors
    assert _summary(tmp_path / "run")["status"] == "stopped"
    assert f"stopped ({sent.name} after step " in output
    assert "python train.py resume=run" in output
