"""Where the numbers and figures of a run go beside its own directory."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping
from numbers import Real
from pathlib import Path
from typing import Any, Protocol

from ..errors import ConfigError

__all__ = ["LOGGERS", "Logger", "NullLogger", "TensorBoardLogger"]


class Logger(Protocol):
    """What a training loop asks of a logger."""

    def log(self, step: int, values: Mapping[str, Any]) -> None:
        """Record named values, which may be nested; what is not a number is left out."""

    def figure(self, name: str, path: Path) -> None:
        """Record the image file `path` under `name`, at the last logged step."""

    def close(self) -> None:
        """Write what is pending and release the files."""


class NullLogger:
    """Record nothing.

    >>> NullLogger().log(0, {"loss": 1.0})
    """

    def __init__(self, directory: Path | None = None) -> None:
        del directory  # every logger is built from a directory

    def log(self, step: int, values: Mapping[str, Any]) -> None:
        """Drop the values."""

    def figure(self, name: str, path: Path) -> None:
        """Drop the image."""

    def close(self) -> None:
        """Do nothing."""


class TensorBoardLogger:
    """Write TensorBoard events.

    Args:
        directory: Folder of the event files; made if missing.
        resumed: Step from which a run goes on: events of later steps, left by an earlier attempt, are hidden.

    Raises:
        ConfigError: If tensorboard is not installed.
    """

    def __init__(self, directory: Path, resumed: int | None = None) -> None:
        try:
            from torch.utils.tensorboard import SummaryWriter
        except ImportError as error:
            raise ConfigError(
                'logger "tensorboard" needs the package tensorboard: pip install tensorboard, or choose logger=none.'
            ) from error
        purge = None if resumed is None else resumed + 1
        self._writer = SummaryWriter(str(directory), purge_step=purge)  # type: ignore[no-untyped-call]
        self._step = resumed or 0

    def log(self, step: int, values: Mapping[str, Any]) -> None:
        """Add one scalar per number; nested names are joined by slashes."""
        self._step = step
        for name, value in _scalars(values):
            self._writer.add_scalar(name, value, step)

    def figure(self, name: str, path: Path) -> None:
        """Add an image file."""
        from matplotlib.image import imread

        self._writer.add_image(name, imread(path), self._step, dataformats="HWC")

    def close(self) -> None:
        """Flush and close the event file."""
        self._writer.close()


def _scalars(values: Mapping[str, Any], prefix: str = "") -> Iterator[tuple[str, float]]:
    for key, value in values.items():
        if isinstance(value, Mapping):
            yield from _scalars(value, f"{prefix}{key}/")
        elif getattr(value, "ndim", None) == 0 or (isinstance(value, Real) and not isinstance(value, bool)):
            yield f"{prefix}{key}", float(value)


LOGGERS: dict[str, Callable[[Path], Logger]] = {"none": NullLogger, "tensorboard": TensorBoardLogger}
"""Loggers by the name that a configuration gives."""
