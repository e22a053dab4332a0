"""Run directories: never overwritten, one process each, metrics that any reader takes."""

import fcntl
import json
import logging
import os
import resource
import subprocess
import sys

import numpy as np
import pytest
import torch

from kjet.errors import ConfigError, RunError
from kjet.training.run_directory import RunDirectory


@pytest.fixture
def run(tmp_path):
    with RunDirectory.create(tmp_path / "deep" / "run é 1") as run:
        yield run


def strict(text):
    def refuse(constant):
        raise AssertionError(constant)

    return json.loads(text, parse_constant=refuse)


def test_create_makes_the_folders(run):
    assert run.checkpoints == run.path / "checkpoints"
    assert run.checkpoints.is_dir()
    assert run.figures.is_dir()


@pytest.mark.parametrize("leftover", ["summary.json", "metrics.jsonl", "checkpoints"])
def test_create_refuses_a_run_and_leaves_it(tmp_path, leftover):
    (tmp_path / leftover).write_text("precious")
    with pytest.raises(RunError, match=f"{leftover}.*resume="):
        RunDirectory.create(tmp_path)
    assert (tmp_path / leftover).read_text() == "precious"


def test_create_accepts_other_files(tmp_path):
    (tmp_path / ".hydra").mkdir()
    (tmp_path / "train.log").write_text("")
    RunDirectory.create(tmp_path).close()


@pytest.mark.parametrize("place", ["file", "file/run"])
def test_create_says_when_the_place_cannot_be_written(tmp_path, place):
    (tmp_path / "file").write_text("")
    with pytest.raises(RunError, match="choose another"):
        RunDirectory.create(tmp_path / place)


@pytest.mark.skipif(os.geteuid() == 0, reason="root may write anywhere")
def test_create_says_when_the_parent_is_read_only(tmp_path):
    tmp_path.chmod(0o500)
    with pytest.raises(RunError, match="Permission denied"):
        RunDirectory.create(tmp_path / "run")
    tmp_path.chmod(0o700)


def test_open_needs_a_run(tmp_path):
    with pytest.raises(RunError, match="no run directory"):
        RunDirectory.open(tmp_path / "absent")
    with pytest.raises(RunError, match="holds no run"):
        RunDirectory.open(tmp_path)


def test_reading_needs_no_lock_and_writes_nothing(run):
    before = sorted(os.listdir(run.path))
    other = RunDirectory.open(run.path, lock=False)
    other.close()
    assert sorted(os.listdir(run.path)) == before


def test_the_same_process_cannot_open_twice(run):
    with pytest.raises(RunError, match="this process"):
        RunDirectory.open(run.path)
    run.close()
    run.close()
    RunDirectory.open(run.path).close()


def test_a_dropped_directory_is_released(tmp_path):
    RunDirectory.create(tmp_path)
    RunDirectory.open(tmp_path).close()


HOLDER = """
import fcntl, os, sys
file = open(sys.argv[1], "a+")
fcntl.flock(file, fcntl.LOCK_EX | fcntl.LOCK_NB)
file.truncate(0); file.write(f"{os.getpid()}\\n"); file.flush()
print("held", flush=True)
sys.stdin.read()
"""


def test_a_second_process_is_named_and_its_death_releases(tmp_path):
    RunDirectory.create(tmp_path).close()
    holder = subprocess.Popen(
        [sys.executable, "-c", HOLDER, str(tmp_path / ".lock")], stdin=subprocess.PIPE, stdout=subprocess.PIPE
    )
    with holder:
        assert holder.stdout.readline() == b"held\n"
        with pytest.raises(RunError, match=f"process {holder.pid};"):
            RunDirectory.open(tmp_path)
        holder.kill()
    RunDirectory.open(tmp_path).close()


def test_the_lock_is_seen_from_outside(run):
    with (run.path / ".lock").open() as file:
        assert file.read() == f"{os.getpid()}\n"
        with pytest.raises(BlockingIOError):
            fcntl.flock(file, fcntl.LOCK_EX | fcntl.LOCK_NB)
        run.close()
        fcntl.flock(file, fcntl.LOCK_EX | fcntl.LOCK_NB)


def test_metrics_return_as_logged(run):
    lines = [{"step": 1, "loss": 0.1, "phase": "adam"}, {"step": 2, "errors": {"u": 1e-300}, "none": None}]
    for line in lines:
        run.log(line)
    assert run.metrics() == lines
    assert (run.path / "metrics.jsonl").read_bytes().count(b"\n") == 2


def test_tensors_and_arrays_are_logged_as_numbers(run):
    run.log({"step": np.int64(3), "t": torch.tensor(0.5), "a": np.float32(0.25), "v": torch.ones(2)})
    assert run.metrics() == [{"step": 3, "t": 0.5, "a": 0.25, "v": [1.0, 1.0]}]


def test_nonfinite_values_stay_valid_json(run):
    run.log({"step": 1, "loss": float("nan"), "errors": {"u": torch.tensor(-torch.inf)}, "list": [1.0, np.inf]})
    (line,) = (run.path / "metrics.jsonl").read_text().splitlines()
    assert strict(line) == {
        "step": 1,
        "loss": None,
        "errors": {"u": None},
        "list": [1.0, None],
        "nonfinite": {"loss": "nan", "errors.u": "-inf", "list.1": "inf"},
    }


@pytest.mark.parametrize("line", [{}, {"loss": 1.0}, {"step": "1"}, {"step": 1, "bad": object()}])
def test_bad_lines_are_refused_and_not_written(run, line):
    with pytest.raises(ConfigError):
        run.log(line)
    assert run.metrics() == []


def test_truncating_drops_later_and_torn_lines(run):
    for step in (10, 20, 30):
        run.log({"step": step, "loss": float("nan")})
    with (run.path / "metrics.jsonl").open("a") as file:
        file.write('{"step": 40, "lo')
    assert [line["step"] for line in run.metrics()] == [10, 20, 30]
    run.truncate_metrics(20)
    run.log({"step": 21})
    assert [line["step"] for line in run.metrics()] == [10, 20, 21]
    assert run.metrics()[0]["nonfinite"] == {"loss": "nan"}


def test_a_torn_line_does_not_swallow_the_next(run):
    run.log({"step": 1})
    with (run.path / "metrics.jsonl").open("a") as file:
        file.write('{"step": 2')
    run.close()
    with RunDirectory.open(run.path) as again:
        again.log({"step": 3})
        assert [line["step"] for line in again.metrics()] == [1, 3]
    before = (run.path / "metrics.jsonl").read_bytes()
    RunDirectory.open(run.path).close()
    assert (run.path / "metrics.jsonl").read_bytes() == before


def test_truncating_without_metrics_is_harmless(run):
    run.truncate_metrics(5)
    assert run.metrics() == []


def test_summary_returns_and_is_replaced(run):
    with pytest.raises(RunError, match="has not ended"):
        run.read_summary()
    run.write_summary({"status": "stopped"})
    run.write_summary({"status": "completed", "loss": float("inf"), "errors": {"u": {"rel_l2": 0.5}}})
    expected = {"status": "completed", "loss": None, "errors": {"u": {"rel_l2": 0.5}}, "nonfinite": {"loss": "inf"}}
    assert run.read_summary() == strict((run.path / "summary.json").read_text()) == expected


@pytest.mark.parametrize("content", ["", "{", "[1]", "\x00"])
def test_a_damaged_summary_is_an_error(run, content):
    (run.path / "summary.json").write_text(content)
    with pytest.raises(RunError, match="Resume"):
        run.read_summary()


def test_a_full_disk_keeps_the_old_summary(run):
    run.write_summary({"status": "stopped"})
    before = resource.getrlimit(resource.RLIMIT_FSIZE)
    resource.setrlimit(resource.RLIMIT_FSIZE, (100, before[1]))
    try:
        with pytest.raises(RunError, match="File too large"):
            run.write_summary({"status": "x" * 1000})
        with pytest.raises(RunError, match="File too large"):
            run.log({"step": 1, "long": "x" * 1000})
    finally:
        resource.setrlimit(resource.RLIMIT_FSIZE, before)
    assert run.read_summary() == {"status": "stopped"}
    assert not list(run.path.glob(".*.tmp"))


def test_figures_stay_in_their_folder(run):
    assert run.figure_path("solution").name == "solution.png"
    assert run.figure_path("u.x").name == "u.x.png"
    assert run.figure_path("loss.pdf") == run.figures / "loss.pdf"
    for name in ("", "../x", "a/b", ".hidden", "a\0b", "a\\b"):
        with pytest.raises(ConfigError):
            run.figure_path(name)


def test_logging_is_attached_and_removed(run):
    logger = logging.getLogger("kjet")
    before = (logger.level, list(logger.handlers))

    def fail():
        with run.attach_logging():
            logging.getLogger("kjet.training").info("hello ∂u/∂x")
            raise KeyError

    with pytest.raises(KeyError):
        fail()
    logging.getLogger("kjet.training").warning("too late")
    text = (run.path / "train.log").read_text(encoding="utf-8")
    assert "hello ∂u/∂x" in text
    assert "too late" not in text
    assert (logger.level, list(logger.handlers)) == before


def test_a_file_that_the_root_logger_writes_is_not_written_twice(run):
    handler = logging.FileHandler(run.path / "train.log")
    logging.root.addHandler(handler)
    try:
        with run.attach_logging():
            logging.getLogger("kjet.training").warning("once")
    finally:
        logging.root.removeHandler(handler)
        handler.close()
    assert (run.path / "train.log").read_text().count("once") == 1
