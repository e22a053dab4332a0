"""An estimator that watches the variance of several and uses the best."""

from __future__ import annotations

import copy
import logging
import math
from collections.abc import Mapping
from dataclasses import asdict, dataclass, field
from typing import Any

import torch

from ...errors import ConfigError, unknown
from ...typing import Float, Tensor
from ..api import contract
from ..derivative import Derivative, Trace
from ..operator import LinearOperator, Operator
from .base import EstimatorError, Family, Function
from .columns import Blocks
from .evaluate import check_points, directional, estimate, planned
from .hutchinson import Hutchinson
from .stde import STDE
from .targets import Scaled, Sum, Target, Terms, by_order, check_trace, lower_and_scaled, target_of

__all__ = ["Auto", "Choice"]

_log = logging.getLogger(__name__)


@dataclass
class _Record:
    """What is known about one operator.

    Attributes:
        chosen: Name of the estimator in use.
        calls: Estimates made.
        switches: Changes of the choice.
        totals: By name, sums of variances with weights that fade.
        weights: By name, the sums of these weights.
        directions: By name, directions in one draw.
    """

    chosen: str | None = None
    calls: int = 0
    switches: int = 0
    totals: dict[str, float] = field(default_factory=dict)
    weights: dict[str, float] = field(default_factory=dict)
    directions: dict[str, int] = field(default_factory=dict)

    def observe(self, name: str, variance: float, directions: int, decay: float) -> None:
        self.directions[name] = directions
        if math.isfinite(variance):  # one bad step must not spoil the mean for good
            self.totals[name] = decay * self.totals.get(name, 0.0) + variance
            self.weights[name] = decay * self.weights.get(name, 0.0) + 1

    def variance(self, name: str) -> float:
        return self.totals[name] / self.weights[name] if self.weights.get(name) else math.inf

    def score(self, name: str) -> float:
        return self.variance(name) * self.directions[name]

    def decide(self, margin: float) -> bool:
        """Choose the least variance at equal cost; leave what is in use only for a clear gain."""
        best = min(self.directions, key=self.score)
        if self.chosen is not None and not self.score(best) < margin * self.score(self.chosen):
            return False
        changed, self.chosen = best != (self.chosen or "sparse"), best  # sparse ones are used until a choice is made
        self.switches += changed
        return changed


class Auto:
    """Choose between sparse and dense random directions by their variances, estimated on line.

    Which is better depends on the function: sparse directions where the diagonal of the Hessian is flat, dense ones
    where what lies beside it is small. Every so many calls the directions of the estimator in use are evaluated one by
    one, which gives its variance without a further pass, and those of the others at a few points without gradients.
    The least mean variance times directions wins; the one in use is left only for a gain by ``margin``. A choice
    depends on earlier draws alone, so each estimate is unbiased.

    Candidates: :class:`STDE` and :class:`Hutchinson` with signs for second order, Gaussian ones and the sphere
    besides for higher powers. With as many samples as coordinates the Laplacian is exact.

    Args:
        samples: R, at least two.
        per_point: Draw anew for each point.
        every: Calls from one comparison to the next.
        margin: Part of the score of the estimator in use that another must fall below.
        decay: How much of the past remains at each comparison.
        points: Points at which the others are tried.

    Raises:
        ConfigError: If an argument is out of its range.

    >>> from kjet.jets import Laplacian
    >>> f, x = lambda x: (x**2).sum(-1, keepdim=True), torch.zeros(2, 100)
    >>> auto, generator = Auto(samples=5), torch.Generator().manual_seed(0)
    >>> auto(f, x, Laplacian(), generator).flatten().tolist()
    [200.0, 200.0]
    >>> auto(lambda x: x[:, :1] ** 2, x, Laplacian(axes=(0, 1, 2)), generator).flatten().tolist()
    [2.0, 2.0]
    """

    def __init__(
        self,
        samples: int,
        *,
        per_point: bool = False,
        every: int = 25,
        margin: float = 0.75,
        decay: float = 0.8,
        points: int = 64,
    ) -> None:
        if samples < 2:
            raise ConfigError(f"Auto needs at least 2 samples, one tells nothing about its variance; got {samples}")
        if every < 1 or points < 1 or not 0 < margin <= 1 or not 0 <= decay < 1:
            raise ConfigError(
                f"Auto takes every >= 1, points >= 1, 0 < margin <= 1, 0 <= decay < 1; "
                f"got every={every}, points={points}, margin={margin}, decay={decay}"
            )
        self.samples, self.per_point = samples, per_point
        self.every, self.margin, self.decay, self.points = every, margin, decay, points
        self._records: dict[str, _Record] = {}

    def __call__(
        self, f: Function, x: Float[Tensor, "n d"], operator: LinearOperator, generator: torch.Generator | None = None
    ) -> Float[Tensor, "n m"]:
        """Estimate the operator applied to ``f`` at the points, and compare from time to time.

        Raises:
            ConfigError: If points or the operator do not fit, or the generator is missing.
            EstimatorError: If the operator is not linear.
        """
        check_points(x)
        n, d = x.shape
        lower, parts, products, rest = _split(target_of(operator, d), n, d)
        values = [part.times(self._estimate(f, x, part.target, generator)) for part in parts]
        values += [contract(f, x, Operator(lower))] if lower else []
        values += [planned(f, x, products, self.choice(), generator)] if products else []
        if rest:
            samples = min(self.samples, max(len(group) for group in by_order(rest).values()))
            values.append(STDE(samples)(f, x, Operator(rest), generator))
        return torch.stack(values).sum(0) if len(values) > 1 else values[0]

    def family(self, trace: Trace, d: int) -> Family:
        """Make directions of the estimator in use, see :meth:`choice`."""
        return self.choice().family(trace, d)

    def choice(self) -> Choice:
        """What is in use at present, as an estimator that does not change.

        For plans, which keep their directions' layout: call :meth:`probe` now and then, and plan anew with the new
        choice when it says so.
        """
        chosen = ((label, record.chosen) for label, record in self._records.items() if record.chosen)
        return Choice(self.samples, self.per_point, tuple(sorted(chosen)))

    def probe(self, f: Function, x: Float[Tensor, "n d"], operator: LinearOperator, generator: torch.Generator) -> bool:
        """Compare all candidates at some of the points, without gradients; tell whether the choice has changed."""
        check_points(x)
        n, d = x.shape
        changed = False
        for part in _split(target_of(operator, d), n, d)[1]:
            record = self._record(part.target, d)
            self._try(f, x, part.target, generator, record, _names(part.target))
            changed |= record.decide(self.margin)
        return changed

    def explain(self) -> str:
        """Tell for each operator what is used and why."""
        lines = []
        for label, record in self._records.items():
            lines.append(f"{label}: {record.chosen} after {record.calls} calls and {record.switches} choices")
            for name in sorted(record.directions, key=record.score):
                deviation = math.sqrt(record.variance(name))
                lines.append(
                    f"  {name}: deviation {deviation:.3e} from {record.directions[name]} directions, "
                    f"variance times directions {record.score(name):.3e}"
                )
            lines.append(f"  another is chosen when it falls below {self.margin:g} of the one in use")
        return "\n".join(lines) or "nothing compared yet; sparse directions until then"

    def state_dict(self) -> dict[str, Any]:
        """All that later choices depend on, in plain numbers and names; the generator's state is the caller's."""
        return {"samples": self.samples, "records": {label: asdict(r) for label, r in self._records.items()}}

    def load_state_dict(self, state: Mapping[str, Any]) -> None:
        """Go on from a state as if there had been no interruption.

        Raises:
            ConfigError: If it belongs to another number of samples or has unknown entries.
        """
        for key in state:
            if key not in ("samples", "records"):
                raise ConfigError(unknown("entry", key, ("samples", "records"), "the state of Auto"))
        if state["samples"] != self.samples:
            raise ConfigError(f"state of an Auto with {state['samples']} samples; this one has {self.samples}")
        self._records = {label: _Record(**copy.deepcopy(entry)) for label, entry in state["records"].items()}

    def _record(self, target: Trace | Blocks, d: int) -> _Record:
        return self._records.setdefault(_label(target, d), _Record())

    def _estimate(self, f: Function, x: Tensor, target: Trace | Blocks, generator: torch.Generator | None) -> Tensor:
        n, d = x.shape
        record = self._record(target, d)
        watched = record.calls % self.every == 0
        if watched:
            self._try(f, x, target, generator, record, [k for k in _names(target) if k != record.chosen])
            record.decide(self.margin)
        record.calls += 1
        name = record.chosen or "sparse"
        family = _family(name, self.samples, self.per_point, target, d)
        if not watched or family.exact:
            return estimate(f, x, family, generator)
        seeds = family.draw(n, generator, x.dtype, x.device)
        values = directional(f, x, family.order, seeds)
        record.observe(name, float(family.variance(values.detach()).mean()), family.count, self.decay)
        return torch.tensordot(family.weights.to(values), values, 1)

    def _try(
        self,
        f: Function,
        x: Tensor,
        target: Trace | Blocks,
        generator: torch.Generator | None,
        record: _Record,
        names: list[str],
    ) -> None:
        everywhere = isinstance(target, tuple) and any(block.columns.points is not None for block in target)
        some = x if everywhere else x[:: max(1, len(x) // self.points)]
        with torch.no_grad():
            for name in names:
                family = _family(name, self.samples, self.per_point, target, x.shape[1])
                variance = 0.0
                if not family.exact:
                    seeds = family.draw(len(some), generator, x.dtype, x.device)
                    variance = float(family.variance(directional(f, some, family.order, seeds)).mean())
                record.observe(name, variance, family.count, self.decay)


@dataclass(frozen=True)
class Choice:
    """What an :class:`Auto` uses at some time: equal to another with the same choices, so that plans can be remembered.

    Attributes:
        samples: R.
        per_point: Whether directions are drawn anew for each point.
        chosen: Names of operators and of the estimators for them; the sparse one for others.
    """

    samples: int
    per_point: bool
    chosen: tuple[tuple[str, str], ...]

    def family(self, trace: Trace, d: int) -> Family:
        """Make directions of the estimator chosen for a power of the Laplacian."""
        name = dict(self.chosen).get(_label(trace, d), "sparse")
        return _family(name, self.samples, self.per_point, trace, d)


def _family(name: str, samples: int, per_point: bool, target: Trace | Blocks, d: int) -> Family:
    if name != "sparse":
        return Hutchinson(samples, law=name, per_point=per_point).family_of(target, d)
    if isinstance(target, tuple):
        return STDE(min(samples, d), per_point=per_point).family_of(target, d)
    check_trace(target, d)
    whole = len(target.axes)
    some = min(samples, whole)
    if target.power > 1 and some == whole > 1 and whole**target.power > 4 * samples:
        some = whole - 1  # all of them would take every pair, out of proportion to the others
    return STDE(some, per_point=per_point).family_of(target, d)


def _names(target: Trace | Blocks) -> list[str]:
    if isinstance(target, tuple) or target.power == 1:
        return ["sparse", "rademacher"]
    return ["sparse", *(["rademacher"] if target.power == 2 else []), "gaussian", "sphere"]


def _label(target: Trace | Blocks, d: int) -> str:
    if isinstance(target, tuple):
        parts = " - ".join(f"{block.columns.count} squares" for block in target)
        return f"weighted Laplacian, {parts}, of {d} coordinates"
    return f"{target} of {d} coordinates"


def _split(target: Target, n: int, d: int) -> tuple[Terms, list[Scaled], dict[Derivative, float | Tensor], Terms]:
    """Exact terms of low order, what candidates compete for, products, and terms that only sparse directions take."""
    if not isinstance(target, Sum):
        return {}, [Scaled(1.0, target)], {}, {}
    parts = [Scaled(c, a.traces[0]) for a, c in target.traced.items() if not a.index and len(a.traces) == 1]
    products = {a: c for a, c in target.traced.items() if a.index or len(a.traces) > 1}
    try:
        lower, more = lower_and_scaled(target.plain, n, d)
    except EstimatorError:
        return {}, parts, products, target.plain
    return lower, [*parts, *more], products, {}
