"""The worked changes of CONTRIBUTING.md apply to the tree as it is, and pass the tests that they touch."""

from __future__ import annotations

import os
import re
import shutil
import subprocess
import sys
from pathlib import Path

import pytest

ROOT = Path(__file__).resolve().parent.parent
TEXT = (ROOT / "CONTRIBUTING.md").read_text(encoding="utf-8")
DIFFS = dict(re.findall(r"^## Add an? ([\w ]+)\n.*?^```diff\n(.*?)^```", TEXT, re.MULTILINE | re.DOTALL))
FOLDERS = ("kjet", "pde", "operators", "constraints", "data", "conf", "tests")
changes = pytest.mark.parametrize("name", DIFFS)


def apply(diff: str, folder: Path, *options: str) -> None:
    """Apply a change without any fuzz."""
    (folder / "change.diff").write_text(diff, encoding="utf-8")
    command = ["git", "apply", *options, "change.diff"]
    environment = os.environ | {"GIT_CEILING_DIRECTORIES": str(folder.parent)}
    done = subprocess.run(command, cwd=folder, env=environment, capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr


@pytest.fixture
def copy(tmp_path: Path) -> Path:
    """Copy the tree."""
    for folder in FOLDERS:
        shutil.copytree(ROOT / folder, tmp_path / folder, ignore=shutil.ignore_patterns("__pycache__"))
    for file in ("pyproject.toml", "train.py"):
        shutil.copy(ROOT / file, tmp_path / file)
    return tmp_path


def test_order_of_the_sections() -> None:
    assert list(DIFFS) == ["PDE", "condition", "network", "optimizer", "jet rule"]


@changes
def test_changes_are_short(name: str) -> None:
    assert len(DIFFS[name].splitlines()) <= 60


@changes
def test_changes_apply(name: str, copy: Path) -> None:
    apply(DIFFS[name], copy, "--check")


@pytest.mark.slow
@changes
def test_changes_work(name: str, copy: Path) -> None:
    apply(DIFFS[name], copy)
    touched = re.findall(r"^\+\+\+ b/(tests/.*)$", DIFFS[name], re.MULTILINE)
    folders = sorted({str(Path(path).parent) for path in touched})
    environment = os.environ | {"PYTHONPATH": str(copy)}
    command = [sys.executable, "-m", "pytest", "-q", "-x", *folders, "tests/test_layers.py"]
    done = subprocess.run(command, cwd=copy, env=environment, capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stdout
