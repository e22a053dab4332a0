"""Time several ways to compute the same thing, in turn."""

from __future__ import annotations

import contextlib
import gc
import signal
import statistics
import time
from collections.abc import Callable, Iterator, Mapping
from types import FrameType
from typing import Any

__all__ = ["alternate", "ratio", "spread", "time_limit"]

WARM_UP = 3


def alternate(sides: Mapping[str, Callable[[], Any]], repetitions: int) -> dict[str, list[float]]:
    """Measure milliseconds of CPU time of each side, one call each in every round: A B C A B C ...

    On one thread, CPU time is wall time less what other processes take. Each round starts with the next side, so that
    none is always the one behind the largest; garbage is not collected meanwhile.
    """
    taken: dict[str, list[float]] = {name: [] for name in sides}
    order = list(sides)
    collecting = gc.isenabled()
    gc.collect()
    gc.disable()
    try:
        for round_ in range(-WARM_UP, repetitions):
            for name in order:
                start = time.process_time()
                result = sides[name]()
                elapsed = 1e3 * (time.process_time() - start)
                del result
                if round_ >= 0:
                    taken[name].append(elapsed)
            order = order[1:] + order[:1]
    finally:
        if collecting:
            gc.enable()
    return taken


def spread(values: list[float], digits: int = 4) -> dict[str, float]:
    """Summarise by median, minimum and quartiles.

    >>> spread([4.0, 1.0, 3.0, 2.0])
    {'median': 2.5, 'min': 1.0, 'q25': 1.75, 'q75': 3.25}
    """
    lower, middle, upper = statistics.quantiles(values, n=4, method="inclusive") if len(values) > 1 else values * 3
    found = {"median": middle, "min": min(values), "q25": lower, "q75": upper}
    return {name: float(f"{value:.{digits}g}") for name, value in found.items()}


def ratio(slow: list[float], fast: list[float]) -> dict[str, float]:
    """Summarise how many times longer the first side took, round by round; ``best`` compares the minima."""
    found = spread([a / b for a, b in zip(slow, fast, strict=True)])
    return {
        "median": found["median"],
        "q25": found["q25"],
        "q75": found["q75"],
        "best": round(min(slow) / min(fast), 3),
    }


@contextlib.contextmanager
def time_limit(seconds: float) -> Iterator[None]:
    """Raise TimeoutError in the main thread when the time is up."""

    def give_up(number: int, frame: FrameType | None) -> None:
        raise TimeoutError(f"took longer than {seconds:g} s")

    before = signal.signal(signal.SIGALRM, give_up)
    signal.setitimer(signal.ITIMER_REAL, seconds)
    try:
        yield
    finally:
        signal.setitimer(signal.ITIMER_REAL, 0)
        signal.signal(signal.SIGALRM, before)
