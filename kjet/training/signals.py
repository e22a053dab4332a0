"""Ask a running loop to stop: finish the step, save, and leave in order."""

from __future__ import annotations

import logging
import signal
import threading
from types import FrameType, TracebackType
from typing import Any

__all__ = ["StopRequest"]

_logger = logging.getLogger(__name__)


class StopRequest:
    """Turn SIGTERM and SIGINT into a request that a loop reads between its steps.

    A second SIGINT raises `KeyboardInterrupt` at once. The handlers that were there before come back on leaving the
    context. Outside the main thread, where Python allows no handlers, nothing is caught. A signal that is ignored, as
    under ``nohup``, stays ignored.

    Args:
        also: Further signals to catch, such as ``signal.SIGUSR1``, which Slurm can send before the time is up.

    Attributes:
        requested: Name of the first signal that came, or None.

    >>> with StopRequest() as stop:
    ...     for step in range(100):
    ...         if step == 3:
    ...             signal.raise_signal(signal.SIGTERM)
    ...         if stop.requested:
    ...             break
    >>> step, stop.requested, stop.exit_code
    (3, 'SIGTERM', 143)
    """

    def __init__(self, also: tuple[signal.Signals, ...] = ()) -> None:
        self.requested: str | None = None
        self._signals = (signal.SIGTERM, signal.SIGINT, *also)
        self._previous: dict[signal.Signals, Any] = {}
        self._interrupted = False

    @property
    def exit_code(self) -> int:
        """Status with which the process ends by convention: 128 plus the signal's number, 0 without a request."""
        return 0 if self.requested is None else 128 + signal.Signals[self.requested]

    def __enter__(self) -> StopRequest:
        if threading.current_thread() is threading.main_thread():
            for number in self._signals:
                previous = signal.getsignal(number)
                if previous != signal.SIG_IGN:
                    self._previous[number] = previous
                    signal.signal(number, self._handle)
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        for number, previous in self._previous.items():
            # None stands for a handler that was not set from Python; it cannot be put back.
            signal.signal(number, signal.SIG_DFL if previous is None else previous)
        self._previous.clear()

    def _handle(self, number: int, frame: FrameType | None) -> None:
        if number == signal.SIGINT and self._interrupted:
            raise KeyboardInterrupt
        self._interrupted |= number == signal.SIGINT
        if self.requested is None:
            self.requested = signal.Signals(number).name
            again = "; press Ctrl-C again to leave at once" if number == signal.SIGINT else ""
            _logger.warning("%s: stopping after this step%s", self.requested, again)
