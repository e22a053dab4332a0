"""Checkpoints: tensors as safetensors, everything else as JSON, each whole on the disk or not there.

A checkpoint is a folder ``step_00001234/`` (or ``best/``) with ``state.safetensors`` and ``manifest.json``. It is
written under a temporary name, synced and renamed, so that a crash at any moment leaves the one before it. The manifest
holds a SHA-256 of the tensors and of itself, because safetensors would load a flipped byte without a word. Nothing is
ever pickled, so that loading a foreign checkpoint cannot run code.
"""

from __future__ import annotations

import glob
import logging
import shutil
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import torch
from torch import Tensor

from ..errors import ConfigError, RunError
from ._archive import MANIFEST, STATE, BrokenError, parse, serialise
from ._durable import replace_durably, sync_directory, write_durably
from ._slots import NAME, STEP, clean, install, listing, retired_path, rotate, step_of, temporary_path

__all__ = ["Checkpoint", "load_checkpoint", "pack_generator", "save_checkpoint", "save_folder", "unpack_generator"]

_logger = logging.getLogger(__name__)


@dataclass(frozen=True)
class Checkpoint:
    """What a checkpoint holds; its tensors are on the CPU.

    Attributes:
        step: Step after which it was saved.
        tensors: Tensors by name, bit for bit as saved.
        meta: JSON values; tuples have become lists.
        path: Folder that was read, which is an older one where the newest was broken.
    """

    step: int
    tensors: dict[str, Tensor]
    meta: dict[str, Any]
    path: Path


def save_checkpoint(
    directory: Path | str,
    step: int,
    tensors: Mapping[str, Tensor],
    meta: Mapping[str, Any],
    *,
    name: str | None = None,
    keep: int = 2,
) -> Path:
    """Save a checkpoint in the folder `directory`, which has one writer at a time.

    A numbered checkpoint moves the text file ``latest`` and removes all but the newest `keep`. Those of later steps go,
    too: they belong to a course that the run has left by resuming from an earlier step.

    Args:
        directory: Folder of the checkpoints, such as ``run.checkpoints``; made if missing.
        step: Steps done.
        tensors: Tensors by name, of any dtype, shape, device and layout of strides; they may share memory.
        meta: Values that JSON can hold, and non-finite floats.
        name: Name of a checkpoint that is kept beside the numbered ones and replaces its predecessor: ``"best"``.
        keep: Numbered checkpoints to keep.

    Returns:
        The folder of the checkpoint.

    Raises:
        ConfigError: If an argument is out of range, or `tensors` or `meta` hold anything else.
        RunError: If it cannot be written (disk full, read-only). Those already there are intact.

    Cost: two copies of the tensors in memory, one SHA-256 pass, three syncs.

    >>> import tempfile
    >>> with tempfile.TemporaryDirectory() as folder:
    ...     path = save_checkpoint(Path(folder), 7, {"w": torch.ones(2)}, {"loss": 0.5})
    ...     path.name, load_checkpoint(Path(folder)).meta
    ('step_00000007', {'loss': 0.5})
    """
    folder = Path(directory)
    target = folder / _folder_name(step, name, keep)
    _write(target, serialise(step, tensors, meta), f"the checkpoint of step {step} in {folder}", "*")
    if name is None:
        rotate(folder, step, keep)
    return target


def save_folder(path: Path | str, tensors: Mapping[str, Tensor], meta: Mapping[str, Any]) -> Path:
    """Save tensors and values as one folder of any name, whole or not at all, beside which anything may lie.

    A folder that this function wrote is replaced.

    Args:
        path: The folder.
        tensors: As in :func:`save_checkpoint`.
        meta: As in :func:`save_checkpoint`.

    Raises:
        ConfigError: If `tensors` or `meta` hold what cannot be stored.
        RunError: If something else has that name already, or it cannot be written.
    """
    target = Path(path)
    found = sorted(entry.name for entry in target.iterdir()) if target.is_dir() else [target.name]
    if target.exists() and found != sorted((MANIFEST, STATE)):
        raise RunError(
            f"{target} is there already and holds other files ({found[0] if found else 'none'}); save elsewhere"
        )
    _write(target, serialise(0, tensors, meta), str(target), glob.escape(target.name))
    return target


def _write(target: Path, files: Mapping[str, bytes], what: str, leftovers: str) -> None:
    """Write the files of a checkpoint, after removing what killed writers left under the names `leftovers`."""
    folder, temporary = target.parent, temporary_path(target)
    try:
        folder.mkdir(parents=True, exist_ok=True)
        clean(folder, leftovers)
        temporary.mkdir()
        for filename, data in files.items():
            write_durably(temporary / filename, data)
        sync_directory(temporary)
        install(temporary, target)
        if STEP.fullmatch(target.name):
            replace_durably(folder / "latest", f"{target.name}\n".encode())
    except OSError as error:
        raise RunError(
            f"cannot save {what}: {error.strerror or error}. "
            "Earlier checkpoints are intact; free some space or make the folder writable, then resume."
        ) from error
    finally:
        shutil.rmtree(temporary, ignore_errors=True)


def load_checkpoint(path: Path | str) -> Checkpoint:
    """Load the newest checkpoint of a run that is whole.

    Args:
        path: Directory of a run, folder of its checkpoints, or one checkpoint. For the first two a broken checkpoint is
            passed over with a warning that names it and the one used instead.

    Raises:
        RunError: If there is none, if all are broken, or if a newer kjet wrote it.
    """
    path = Path(path)
    failures: list[str] = []
    for candidate in _candidates(path):
        try:
            checkpoint = Checkpoint(*parse(candidate), candidate)
        except BrokenError as error:
            failures.append(f"{candidate.name} ({error})")
            continue
        if failures:
            _logger.warning("using checkpoint %s instead of %s", candidate.name, ", ".join(failures))
        return checkpoint
    raise RunError(f"no usable checkpoint in {path}: {', '.join(failures)}. Start a new run, without resume=.")


def pack_generator(generator: torch.Generator) -> Tensor:
    """Return the state of a random generator as a uint8 tensor, for a checkpoint."""
    return generator.get_state()


def unpack_generator(generator: torch.Generator, state: Tensor) -> None:
    """Set a random generator to a state from :func:`pack_generator`.

    Raises:
        RunError: If the state belongs to a generator of another kind of device.

    >>> a, b = torch.Generator().manual_seed(1), torch.Generator()
    >>> unpack_generator(b, pack_generator(a))
    >>> torch.equal(torch.rand(3, generator=a), torch.rand(3, generator=b))
    True
    """
    try:
        generator.set_state(state.cpu())
    except (RuntimeError, TypeError) as error:
        raise RunError(
            f"a random state of {state.numel()} elements of {state.dtype} does not fit a generator on "
            f"{generator.device}; resume on the kind of device on which the run was started."
        ) from error


def _folder_name(step: int, name: str | None, keep: int) -> str:
    if step < 0 or keep < 1:
        raise ConfigError(f"step is {step} and keep is {keep}; a step is 0 or more, and at least 1 checkpoint is kept.")
    if name is None:
        return f"step_{step:08d}"
    if not NAME.fullmatch(name):
        raise ConfigError(f'"{name}" cannot name a checkpoint; give a word such as "best".')
    return name


def _candidates(path: Path) -> list[Path]:
    """List the checkpoints that `path` stands for, the preferred one first."""
    if not path.exists():
        if retired_path(path).exists():
            return [retired_path(path)]
        raise RunError(f"there is no {path}; give the directory of a run or one of its checkpoints.")
    if path.is_file():
        raise RunError(f"{path} is a file; a checkpoint is a folder with {MANIFEST}. Pickled files are never loaded.")
    if (path / MANIFEST).exists() or (path / STATE).exists() or STEP.fullmatch(path.name):
        return [path]
    folder = path / "checkpoints" if (path / "checkpoints").is_dir() else path
    found = listing(folder)
    numbered = sorted((name for name in found if STEP.fullmatch(name)), key=step_of, reverse=True)
    named = sorted(name for name in found if NAME.fullmatch(name) and (found[name] / MANIFEST).exists())
    if not numbered + named:
        raise RunError(f"there is no checkpoint in {folder}; start a new run, without resume=.")
    return [found[name] for name in numbered + named]
