"""Show how far a run is: a live bar on a terminal, a line now and then elsewhere."""

from __future__ import annotations

import logging
import os
import sys
from types import TracebackType
from typing import IO, TYPE_CHECKING, Protocol, cast, runtime_checkable

if TYPE_CHECKING:
    from rich.progress import Progress as Bar

__all__ = ["Progress"]

_logger = logging.getLogger(__name__)


@runtime_checkable
class Stream(Protocol):
    """What a text stream must offer to show progress."""

    def write(self, text: str, /) -> int:
        """Write text."""

    def flush(self) -> None:
        """Pass it on."""

    def isatty(self) -> bool:
        """Tell whether it is a terminal."""


class Progress:
    """Report the progress of a run that ends by time or by steps, whichever comes first.

    On a terminal one live line shows phase, step, loss, error, rate and time left. Elsewhere (a file, a pipe, a
    notebook, ``TERM=dumb``) plain lines without control characters go to the logger, and to the stream as well when no
    handler of the logger would show them.

    Args:
        total_seconds: Time that the run may take.
        total_steps: Steps that it may take.
        stream: Where to write; standard error by default.
        every: Fraction of the run between two plain lines.

    >>> with Progress(None, 100, sys.stdout) as progress:
    ...     progress.update(50, loss=1e-3, error=0.02, rate=25.0, elapsed=2.0, phase="adam")
    50%  adam  step 50/100  loss 1.00e-03  error 2.00e-02  25 it/s  0:02 left
    """

    def __init__(
        self, total_seconds: float | None, total_steps: int | None, stream: Stream | None = None, every: float = 0.05
    ) -> None:
        self._seconds, self._steps, self._every = total_seconds, total_steps, every
        self._stream = sys.stderr if stream is None else stream
        self._bar: Bar | None = None
        self._mark: tuple[str, int] | None = None
        self._pending = ""

    def __enter__(self) -> Progress:
        if _is_terminal(self._stream):
            self._bar = _live_bar(self._stream)
            self._bar.start()
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        if self._bar is not None:
            self._bar.stop()
            self._bar = None
        elif self._pending:
            self._write(self._pending)

    def update(
        self, step: int, loss: float, error: float | None, rate: float | None, elapsed: float, phase: str = ""
    ) -> None:
        """Report the state after a step.

        Args:
            step: Steps done.
            loss: Value of the loss.
            error: Error against a reference, if there is one.
            rate: Steps per second, if known yet.
            elapsed: Seconds of training so far, those before a resume included.
            phase: What the loop is doing, such as the name of the optimizer.
        """
        done = self._fraction(step, elapsed)
        text = self._describe(step, loss, error, rate, elapsed, phase)
        if self._bar is not None:
            self._bar.update(self._bar.task_ids[0], completed=done or 0.0, description=text)
            return
        line = text if done is None else f"{done:.0%}  {text}"
        # Without a budget there is no fraction of the run: then a line every ten seconds.
        mark = (phase, int(elapsed / 10.0) if done is None else int(done / self._every + 1e-9))
        if mark == self._mark:
            self._pending = line
        else:
            self._mark, self._pending = mark, ""
            self._write(line)

    def _fraction(self, step: int, elapsed: float) -> float | None:
        fractions = [elapsed / self._seconds] if self._seconds else []
        fractions += [step / self._steps] if self._steps else []
        return min(max(fractions), 1.0) if fractions else None

    def _left(self, step: int, elapsed: float, rate: float | None) -> float | None:
        left = [self._seconds - elapsed] if self._seconds else []
        left += [(self._steps - step) / rate] if self._steps and rate else []
        return max(min(left), 0.0) if left else None

    def _describe(
        self, step: int, loss: float, error: float | None, rate: float | None, elapsed: float, phase: str
    ) -> str:
        left = self._left(step, elapsed, rate)
        parts = [
            phase,
            f"step {step}/{self._steps}" if self._steps else f"step {step}",
            f"loss {loss:.2e}",
            "" if error is None else f"error {error:.2e}",
            "" if rate is None else f"{rate:.3g} it/s",
            "" if left is None else f"{_clock(left)} left",
        ]
        return "  ".join(part for part in parts if part)

    def _write(self, line: str) -> None:
        _logger.info("%s", line)
        if _unseen(_logger):
            self._stream.write(line + "\n")
            self._stream.flush()


def _is_terminal(stream: Stream) -> bool:
    return stream.isatty() and os.environ.get("TERM", "").lower() not in ("dumb", "unknown")


def _live_bar(stream: Stream) -> Bar:
    from rich.console import Console
    from rich.progress import BarColumn, TaskProgressColumn, TextColumn
    from rich.progress import Progress as Bar

    columns = BarColumn(bar_width=12), TaskProgressColumn(), TextColumn("{task.description}", markup=False)
    bar = Bar(*columns, console=Console(file=cast("IO[str]", stream)), refresh_per_second=4)
    bar.add_task("", total=1.0)
    return bar


def _unseen(logger: logging.Logger) -> bool:
    """Tell whether lines at level INFO reach no console through the logger, although nobody has silenced it by name."""
    chain = [logger]
    while chain[-1].propagate and chain[-1].parent is not None:
        chain.append(chain[-1].parent)
    decisive = next((member for member in chain if member.level), logging.root)
    if decisive.level > logging.INFO:
        return decisive is logging.root
    handlers = [handler for member in chain for handler in member.handlers if handler.level <= logging.INFO]
    return all(isinstance(handler, logging.FileHandler | logging.NullHandler) for handler in handlers)


def _clock(seconds: float) -> str:
    """Write a duration as a clock does.

    >>> _clock(75.2), _clock(3600.0)
    ('1:15', '1:00:00')
    """
    minutes, rest = divmod(round(seconds), 60)
    hours, minutes = divmod(minutes, 60)
    return f"{hours}:{minutes:02d}:{rest:02d}" if hours else f"{minutes}:{rest:02d}"
