"""What the results are held against."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from typing import Any

__all__ = ["judged"]

STEP_MS = {100: 7.0, 1_000: 8.0, 10_000: 20.0, 100_000: 250.0}
STEP_MB = {100: 450.0, 1_000: 450.0, 10_000: 500.0, 100_000: 800.0}
FACTOR = 1.20
LAPLACIAN = 3.5
ORDER_8 = 50.0
JAX_AT_8, JAX_BELOW_8 = 1.3, 1.0
LOW_COMPILED, LOW_EAGER = 2.0, 1.3
ROUNDING = 3e-6

Bar = tuple[str, float, float, bool]
"""What, the number found, the bar, and whether the number has to be below it."""


def judged(cases: Mapping[str, Sequence[Mapping[str, Any]]]) -> list[dict[str, Any]]:
    """Compare medians with the bars.

    >>> entry = {"dim": 100, "sides": {"kjet compiled": {"median_ms": 6.0, "peak_mb": 460.0}}}
    >>> [(bar["found"], bar["bar"], bar["reached"]) for bar in judged({"step": [entry]})]
    [(6.0, 7.0, True), (460.0, 450.0, False)]
    """
    found = [bar for name, rows in cases.items() for entry in rows for bar in _BARS[name](entry)]
    return [
        {"what": what, "found": number, "bar": bar, "reached": number <= bar if below else number >= bar}
        for what, number, bar, below in found
    ]


def _step(entry: Mapping[str, Any]) -> Iterator[Bar]:
    d, side = entry["dim"], entry["sides"].get("kjet compiled", {})
    if d in STEP_MS and "median_ms" in side:
        yield f"step, d = {d}, ms", side["median_ms"], STEP_MS[d], True
        yield f"step, d = {d}, MB", side["peak_mb"], STEP_MB[d], True


def _ratio(entry: Mapping[str, Any], key: str) -> float | None:
    return entry["ratios"][key]["median"] if key in entry["ratios"] else None


def _factor(entry: Mapping[str, Any]) -> Iterator[Bar]:
    for side in ("kjet", "kjet compiled"):
        found = _ratio(entry, f"{side} / {side} without")
        if found is not None:
            yield f"factor, {side}, d = {entry['dim']}", found, FACTOR, True


def _laplacian(entry: Mapping[str, Any]) -> Iterator[Bar]:
    for side in ("kjet", "kjet compiled"):
        found = _ratio(entry, f"autograd / {side}")
        if found is not None:
            yield f"Laplacian, d = {entry['dim']}, autograd / {side}", found, LAPLACIAN, False


def _order(entry: Mapping[str, Any]) -> Iterator[Bar]:
    order, autograd = entry["order"], _ratio(entry, "autograd / kjet")
    if order == 8 and autograd is not None:
        yield "order 8, autograd / kjet", autograd, ORDER_8, False
    jax = _ratio(entry, "jax / kjet compiled")
    if jax is not None:
        bar = JAX_AT_8 if order == 8 else JAX_BELOW_8
        yield f"order {order}, kjet compiled / jax", round(1 / jax, 4), bar, True


def _low(entry: Mapping[str, Any]) -> Iterator[Bar]:
    pairs = (("autograd / jets", LOW_EAGER), ("autograd / jets compiled", LOW_COMPILED))
    for key, bar in pairs:
        found = _ratio(entry, key)
        if found is not None:
            yield f"{entry['name']}, {key}", found, bar, False


def _accuracy(entry: Mapping[str, Any]) -> Iterator[Bar]:
    for side, error in entry.get("errors", {}).items():
        if entry["order"] == 8 and side != "jax":
            yield f"float32 at order 8, {side}", error, ROUNDING, True
    if "not_finite" in entry:
        yield "numbers not finite in saturation", float(sum(entry["not_finite"].values())), 0.0, True


_BARS = {
    "step": _step,
    "factor": _factor,
    "laplacian": _laplacian,
    "order": _order,
    "lowdim": _low,
    "accuracy": _accuracy,
}
