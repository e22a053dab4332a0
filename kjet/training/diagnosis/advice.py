"""Changes of the configuration that measurements suggest."""

from __future__ import annotations

import math
from collections.abc import Iterator
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from .report import Diagnosis

__all__ = ["Advice", "advise"]

_OVERFIT, _PEAKED, _IMBALANCED, _CONFLICT = 3.0, 20.0, 100.0, -0.5
_UNSEEING = ("none", "uniform")  # ways of drawing points that do not look at the residual
_FIRST_ORDER = ("adam", "soap")


@dataclass(frozen=True)
class Advice:
    """A change that may help, and what was measured.

    Attributes:
        setting: As on the command line, ``constraint.weight=100``; or a call in Python.
        reason: What was measured.
    """

    setting: str
    reason: str

    def __str__(self) -> str:
        return f"{self.setting}: {self.reason}"


def advise(found: Diagnosis, info: dict[str, Any], history: list[dict[str, Any]]) -> tuple[Advice, ...]:
    """Derive advice from measurements, the most important first.

    Args:
        found: Measurements.
        info: Numbers of the solution's summary.
        history: Logged steps.
    """
    rules = (_precision, _scales, _trivial, _time, _points, _peaks, _weights, _conflicts, _size, _duration)
    made: dict[str, Advice] = {}
    for rule in rules:
        for advice in rule(found, info, history):
            made.setdefault(advice.setting, advice)
    return tuple(made.values())


def _precision(found: Diagnosis, info: dict[str, Any], history: Any) -> Iterator[Advice]:
    if found.dtype != "float32" or not found.noise or not found.fit:
        return
    for name, noise in found.noise.items():
        if name in found.fit and found.fit[name].training < 5 * noise:
            yield Advice(
                "trainer.dtype=float64",
                f'the residual of "{name}" is {found.fit[name].training:.1e}, and rounding to float32 alone changes it '
                f"by {noise:.1e}",
            )


def _scales(found: Diagnosis, info: dict[str, Any], history: Any) -> Iterator[Advice]:
    sizes = found.magnitudes
    if sizes is None:
        return
    odd = {name: f"{extent:.3g}" for name, extent in sizes.odd_coords.items()}
    offset = {k: f for k, f in sizes.fields.items() if f.deviation > 0 and abs(f.mean) > 30 * f.deviation}
    if odd or offset:
        scales = ", ".join([f'"{n}": {e}' for n, e in odd.items()])
        shifts = ", ".join(f'"{n}": ({f.deviation:.3g}, {f.mean:.3g})' for n, f in offset.items())
        what = ", ".join(
            [f"{n} extends over {e}" for n, e in odd.items()]
            + [f"{n} varies by {f.deviation:.1e} about {f.mean:.3g}" for n, f in offset.items()]
        )
        given = ", ".join(part for part in (scales, shifts) if part)
        yield Advice(f"nondimensional(problem, {{{given}}})", f"{what}; networks want coordinates and fields of size 1")
    largest = max((f.largest for f in sizes.fields.values()), default=1.0)
    if not 0.1 <= largest <= 10 and found.output_scale is not None and largest > 0:
        factor = largest / found.output_scale
        if not 0.1 <= factor <= 10:
            yield Advice(
                f"operator.output_scale={_rounded(largest):g}", f"the fields reach {largest:.2g}; outputs start at 1"
            )


def _trivial(found: Diagnosis, info: dict[str, Any], history: Any) -> Iterator[Advice]:
    if found.trivial is None or not found.trivial.warning:
        return
    if found.weight is not None:  # some conditions are residuals
        if info.get("constraint", {}).get("name") != "hard":
            yield Advice("constraint=hard", found.trivial.warning)
        yield Advice(f"constraint.weight={100 * found.weight:g}", found.trivial.warning)
    elif info.get("seconds"):
        yield Advice(f"trainer.max_seconds={_rounded(10 * info['seconds']):g}", found.trivial.warning)


def _points(found: Diagnosis, info: dict[str, Any], history: Any) -> Iterator[Advice]:
    for name, fit in (found.fit or {}).items():
        if fit.ratio > _OVERFIT:
            key = "points" if name == "equation" else "boundary_points"
            reason = (
                f'the residual of "{name}" is {fit.ratio:.1f} times larger at fresh points ({fit.fresh:.1e}) than at '
                f"those of training ({fit.training:.1e})"
            )
            yield Advice(f"sampler.{key}={2 * found.counts.get(name, 1000):d}", reason)
            if found.fixed_points and name == "equation":
                yield Advice("sampler.adaptive=rad", f"{reason}; points were never drawn anew")


def _peaks(found: Diagnosis, info: dict[str, Any], history: Any) -> Iterator[Advice]:
    fit = (found.fit or {}).get("equation")
    unseen = info.get("sampler", {}).get("adaptive") in _UNSEEING
    if unseen and fit is not None and fit.fresh > 0 and fit.peak > _PEAKED * fit.fresh:
        yield Advice(
            "sampler.adaptive=rad",
            f"the equation's residual is concentrated: its peak is {fit.peak / fit.fresh:.0f} times its mean",
        )


def _weights(found: Diagnosis, info: dict[str, Any], history: Any) -> Iterator[Advice]:
    spectrum = found.spectrum
    if spectrum is None or "equation" not in spectrum.rates or len(spectrum.rates) < 2:
        return
    equation = spectrum.rates["equation"]
    conditions = {name: rate for name, rate in spectrum.rates.items() if name != "equation" and rate > 0}
    if not conditions or equation <= 0:
        return
    name, slowest = min(conditions.items(), key=lambda item: item[1])
    ratio = equation / slowest
    optimizer = str(info.get("optimizer", "")).lower()
    if ratio > _IMBALANCED and any(word in optimizer for word in _FIRST_ORDER):
        weight = (found.weight or 1.0) * 10 ** math.floor(math.log10(ratio))
        reason = f'the tangent kernel trains the equation {ratio:.0f} times faster than "{name}"'
        yield Advice(f"constraint.weight={weight:g}", reason)
        yield Advice("balance=ntk", reason)
        if found.dtype == "float64":
            yield Advice("optimizer=auto", f"{reason}; methods of curvature do not mind")


def _conflicts(found: Diagnosis, info: dict[str, Any], history: Any) -> Iterator[Advice]:
    if found.gradients is None or not any(w in str(info.get("optimizer", "")).lower() for w in _FIRST_ORDER):
        return
    largest = max(found.gradients.norms.values(), default=0.0)
    if found.gradients.total > 0.1 * largest:  # near a minimum gradients cancel, as they should
        for pair, cosine in found.gradients.cosines.items():
            if cosine < _CONFLICT:
                yield Advice("balance=config", f"the gradients of {pair} oppose each other, with cosine {cosine:.2f}")


def _time(found: Diagnosis, info: dict[str, Any], history: Any) -> Iterator[Advice]:
    if found.causality is not None and found.causality.lost:
        if found.can_march:
            yield Advice("trainer.windows=5", found.causality.explain())
        yield Advice("balance=causal", found.causality.explain())


def _size(found: Diagnosis, info: dict[str, Any], history: Any) -> Iterator[Advice]:
    spectrum, indicator = found.spectrum, found.indicator
    if spectrum is None or indicator is None or not found.width:
        return
    worst = max(indicator.relative.values(), default=0.0)
    relative = max((b.relative for b in (found.balance or {}).values()), default=0.0)
    settled = len(_losses(history)) >= 10 and not any(_duration(found, info, history))
    if settled and indicator.explained < 0.2 and relative > 1e-2 and worst < relative:
        yield Advice(
            f"operator.width={2 * found.width}",
            f"no small change of the network reduces the residual at fresh points by more than "
            f"{indicator.explained:.0%}, and it is {relative:.1e} of the largest part of the equation",
        )


def _duration(found: Diagnosis, info: dict[str, Any], history: list[dict[str, Any]]) -> Iterator[Advice]:
    losses = _losses(history)
    if len(losses) < 10:
        return
    before, last = losses[-1 - len(losses) // 5], losses[-1]
    if last > 0 and before > 2 * last and info.get("seconds"):
        yield Advice(
            f"trainer.max_seconds={_rounded(3 * info['seconds']):g}",
            f"the loss still fell {before / last:.1f}-fold in the last fifth of the logged steps",
        )


def _losses(history: list[dict[str, Any]]) -> list[float]:
    """Losses in order; of windows of time, those of the one that ended with the largest."""
    found: dict[Any, list[float]] = {}
    for entry in history:
        if isinstance(entry.get("loss"), float):
            found.setdefault(entry.get("window"), []).append(entry["loss"])
    return max(found.values(), key=lambda losses: losses[-1], default=[])


def _rounded(value: float) -> float:
    """Two digits."""
    return float(f"{value:.2g}")
