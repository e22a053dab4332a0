"""The folder of a run's checkpoints: finished ones take their place by renaming, old ones make room.

Names: ``step_00000012`` and ``best`` are checkpoints; ``.best.tmp`` is being written or removed; ``.best.old`` is a
checkpoint on its way out, kept until its replacement is in place.
"""

from __future__ import annotations

import logging
import re
import shutil
from pathlib import Path

from ._durable import sync_directory

__all__ = ["NAME", "STEP", "clean", "install", "listing", "retired_path", "rotate", "step_of", "temporary_path"]

STEP = re.compile(r"step_(\d{8,})")
NAME = re.compile(r"(?!step_|latest$)[A-Za-z][\w-]*")
_RETIRED = re.compile(r"\.(.+)\.old")
_logger = logging.getLogger(__name__)


def temporary_path(path: Path) -> Path:
    """Return the name of a checkpoint that is being written or removed."""
    return path.with_name(f".{path.name}.tmp")


def retired_path(path: Path) -> Path:
    """Return the name of a checkpoint that is being replaced."""
    return path.with_name(f".{path.name}.old")


def listing(folder: Path) -> dict[str, Path]:
    """Map the names of checkpoints to folders; one whose replacement was cut short is found under its retired name."""
    found: dict[str, Path] = {}
    for entry in folder.iterdir():
        if match := _RETIRED.fullmatch(entry.name):
            found.setdefault(match[1], entry)
        elif entry.is_dir() and not entry.name.startswith("."):
            found[entry.name] = entry
    return found


def step_of(name: str) -> int:
    """Read the step from the name of a numbered checkpoint."""
    return int(name.removeprefix("step_"))


def clean(folder: Path, names: str = "*") -> None:
    """Undo what a killed writer left: temporary folders go, a checkpoint retired but not replaced comes back.

    Args:
        folder: Where to look.
        names: Pattern of the checkpoints' names.
    """
    for entry in list(folder.glob(f".{names}.tmp")):
        _remove(entry)
    for entry in list(folder.glob(f".{names}.old")):
        match = _RETIRED.fullmatch(entry.name)
        if match and not (folder / match[1]).exists():
            entry.rename(folder / match[1])
        else:
            _remove(entry)


def install(temporary: Path, target: Path) -> None:
    """Rename a finished folder; one that has the name already is retired first and removed last."""
    retired = retired_path(target)
    if target.exists():
        target.rename(retired)
    try:
        temporary.rename(target)
    except OSError:
        if retired.exists():
            retired.rename(target)
        raise
    sync_directory(target.parent)
    _remove(retired)


def rotate(folder: Path, step: int, keep: int) -> None:
    """Remove all numbered checkpoints but the newest `keep` up to `step`, which has just been written."""
    steps = {step_of(name): path for name, path in listing(folder).items() if STEP.fullmatch(name)}
    kept = sorted((other for other in steps if other <= step), reverse=True)[:keep]
    for other in steps.keys() - set(kept):
        if other > step:
            _logger.info("removing the checkpoint of step %d: the run went back and is at step %d", other, step)
        doomed = temporary_path(folder / steps[other].name)
        try:
            # Renamed first, so that a half-removed folder never looks like a broken checkpoint.
            steps[other].rename(doomed)
            _remove(doomed)
        except OSError as error:
            _logger.warning("cannot remove the old checkpoint %s: %s", steps[other], error.strerror)


def _remove(path: Path) -> None:
    if path.is_dir() and not path.is_symlink():
        shutil.rmtree(path, ignore_errors=True)
    else:
        path.unlink(missing_ok=True)
