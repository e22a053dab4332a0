"""The directory of one run: its lock, its log, its metrics, its figures and its summary."""

from __future__ import annotations

import contextlib
import json
import logging
import os
import weakref
from collections.abc import Iterator, Mapping
from numbers import Integral
from pathlib import Path
from types import TracebackType
from typing import Any

from ..errors import ConfigError, RunError
from ._durable import replace_durably
from ._lock import acquire
from ._strict_json import to_json

__all__ = ["RunDirectory"]

_logger = logging.getLogger(__name__)
_IMAGES = (".png", ".pdf", ".svg", ".jpg")


class RunDirectory:
    """A directory that belongs to one run and, while it is open, to one process.

    Make one with :meth:`create` or :meth:`open`; leave it with :meth:`close` or a ``with`` statement. It holds
    ``checkpoints/``, ``figures/``, ``metrics.jsonl``, ``summary.json`` and ``train.log``.

    Attributes:
        path: The directory.
        checkpoints: Folder of the checkpoints.
        figures: Folder of the figures.

    >>> import tempfile
    >>> with tempfile.TemporaryDirectory() as folder, RunDirectory.create(Path(folder) / "run") as run:
    ...     run.log({"step": 1, "loss": float("nan")})
    ...     run.metrics()
    [{'step': 1, 'loss': None, 'nonfinite': {'loss': 'nan'}}]
    """

    def __init__(self, path: Path, *, lock: bool) -> None:
        self.path = Path(path)
        self.checkpoints, self.figures = self.path / "checkpoints", self.path / "figures"
        self._metrics, self._summary = self.path / "metrics.jsonl", self.path / "summary.json"
        self._release = weakref.finalize(self, os.close, acquire(self.path / ".lock")) if lock else None

    @classmethod
    def create(cls, path: Path | str) -> RunDirectory:
        """Make the directory of a new run and lock it. Files of other names may be there already.

        Raises:
            RunError: If a run is there already, another process uses it, or it cannot be written.
        """
        path = Path(path)
        with _reported(path):
            path.mkdir(parents=True, exist_ok=True)
            run = cls(path, lock=True)
            # Looked for under the lock, so that of two processes one is refused.
            found = [entry.name for entry in (run._summary, run.checkpoints, run._metrics) if entry.exists()]
            if found:
                run.close()
                raise RunError(f"{path} holds a run already ({found[0]}); go on with resume={path} or choose another.")
            run.checkpoints.mkdir()
            run.figures.mkdir(exist_ok=True)
        return run

    @classmethod
    def open(cls, path: Path | str, *, lock: bool = True) -> RunDirectory:
        """Open the directory of an earlier run.

        Args:
            path: The directory.
            lock: Whether to own it, as resuming needs; reading does not.

        Raises:
            RunError: If there is no run, another process uses it, or it cannot be written.
        """
        path = Path(path)
        if not path.is_dir():
            raise RunError(
                f"there is no run directory {path}; resume= takes the directory that an earlier run printed."
            )
        with _reported(path):
            run = cls(path, lock=lock)
            if not run.checkpoints.is_dir():
                run.close()
                raise RunError(f"{path} holds no run: it has no checkpoints/. Give the directory of an earlier run.")
            if lock:
                run.figures.mkdir(exist_ok=True)
                run._seal()
        return run

    def close(self) -> None:
        """Release the directory for other processes; more than once does no harm."""
        if self._release is not None:
            self._release()

    def __enter__(self) -> RunDirectory:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.close()

    def log(self, step: Mapping[str, Any]) -> None:
        """Append one line to ``metrics.jsonl``.

        Args:
            step: Values by name, among them the integer ``"step"``. Tensors become numbers or lists. A float that is
                not finite becomes null, and ``"nonfinite"`` then tells which it was.

        Raises:
            ConfigError: If ``"step"`` is missing or a value is not for JSON.
            RunError: If the file cannot be written.
        """
        if not isinstance(step.get("step"), Integral):
            raise ConfigError(f'a line of metrics needs an integer "step"; it has {", ".join(step) or "nothing"}.')
        with _reported(self.path), self._metrics.open("a", encoding="utf-8") as file:
            file.write(to_json(step) + "\n")

    def metrics(self) -> list[dict[str, Any]]:
        """Read the lines of ``metrics.jsonl``; a line that a crash cut short is left out."""
        with _reported(self.path):
            text = self._metrics.read_text(encoding="utf-8", errors="replace") if self._metrics.exists() else ""
        lines = []
        for number, line in enumerate(text.splitlines(), start=1):
            try:
                entry = json.loads(line)
                if isinstance(entry, dict) and isinstance(entry.get("step"), int):
                    lines.append(entry)
            except ValueError:
                _logger.debug("line %d of %s is not JSON; left out", number, self._metrics)
        return lines

    def truncate_metrics(self, step: int) -> None:
        """Drop the lines after `step`, which a resumed run will write again."""
        kept = [json.dumps(entry, allow_nan=False) + "\n" for entry in self.metrics() if entry["step"] <= step]
        with _reported(self.path):
            replace_durably(self._metrics, "".join(kept).encode())

    def write_summary(self, summary: Mapping[str, Any]) -> None:
        """Write ``summary.json`` in one step; floats that are not finite are treated as in :meth:`log`."""
        with _reported(self.path):
            replace_durably(self._summary, (to_json(summary, indent=2) + "\n").encode())

    def read_summary(self) -> dict[str, Any]:
        """Read ``summary.json``.

        Raises:
            RunError: If the run has not ended, or the file is damaged.
        """
        try:
            summary = json.loads(self._summary.read_bytes())
        except FileNotFoundError as error:
            raise RunError(f"{self.path} has no summary.json: the run has not ended. Resume it first.") from error
        except (OSError, ValueError) as error:
            raise RunError(f"cannot read {self._summary}: {error}. Resume the run to write it anew.") from error
        if not isinstance(summary, dict):
            raise RunError(f"{self._summary} is not a summary. Resume the run to write it anew.")
        return summary

    def figure_path(self, name: str) -> Path:
        """Return the path of the figure `name`, a PNG unless it has another suffix.

        Raises:
            ConfigError: If the name would lead out of ``figures/``.
        """
        if not name or name.startswith(".") or any(character in name for character in "/\\\0\n"):
            raise ConfigError(f"{name!r} cannot name a figure; give a file name without folders.")
        return self.figures / (name if Path(name).suffix in _IMAGES else f"{name}.png")

    @contextlib.contextmanager
    def attach_logging(self, level: int = logging.INFO) -> Iterator[None]:
        """Write what kjet logs within the context to ``train.log``, too.

        Nothing is added where a handler of the root logger, such as Hydra's, writes that file already.
        """
        path = self.path / "train.log"
        logger = logging.getLogger("kjet")
        if any(getattr(other, "baseFilename", None) == str(path.absolute()) for other in logging.root.handlers):
            yield
            return
        with _reported(self.path):
            handler = logging.FileHandler(path, encoding="utf-8")
        handler.setFormatter(logging.Formatter("[%(asctime)s][%(name)s][%(levelname)s] %(message)s"))
        before = logger.level
        logger.addHandler(handler)
        logger.setLevel(min(level, logger.getEffectiveLevel()))
        try:
            yield
        finally:
            logger.setLevel(before)
            logger.removeHandler(handler)
            handler.close()

    def _seal(self) -> None:
        """End a line that a crash cut short, so that the next one starts on its own."""
        if self._metrics.exists() and self._metrics.stat().st_size:
            with self._metrics.open("rb+") as file:
                file.seek(-1, os.SEEK_END)
                if file.read(1) != b"\n":
                    file.write(b"\n")


@contextlib.contextmanager
def _reported(path: Path) -> Iterator[None]:
    """Turn a failure of the file system into an error that a user can mend."""
    try:
        yield
    except OSError as error:
        raise RunError(
            f"cannot use the run directory {path}: {error.strerror or error} ({error.filename or path}). "
            "Free some space, make it writable or choose another directory."
        ) from error
