"""Measure a solution: everything, or what takes a few seconds."""

from __future__ import annotations

import logging
import time
from collections.abc import Callable
from typing import TYPE_CHECKING, Any

import torch

from ...data.geometry.windows import during
from ...errors import ConfigError, KjetError, RunError
from ...problem import Problem
from ..causality import causality
from ..objective import ResidualObjective
from ..windows import check_windows
from .advice import advise
from .balance import term_balance
from .fitting import float32_noise, residuals_at
from .gradients import term_gradients
from .indicator import estimate_error
from .magnitudes import magnitudes
from .report import Diagnosis
from .sampling import fresh, interior, squares, thinned
from .spectrum import tangent_spectrum
from .trivial import triviality

if TYPE_CHECKING:
    from ..solution import Solution

__all__ = ["brief", "diagnose"]

_logger = logging.getLogger(__name__)
_DENSE = 100  # coordinates up to which sums over them are written out and evaluated exactly
_ENTRIES = 2**25  # of a Jacobian
_NUMBERS, _FEWEST = 2**22, 16  # numbers in all points; fewest points


def diagnose(solution: Solution, *, rows: int = 500, points: int = 2000, seed: int = 0) -> Diagnosis:
    """Measure what limits a solution.

    Args:
        solution: A solution with its problem.
        rows: Residuals in the tangent kernel.
        points: Points for means over the domain, and for the estimate of the error.
        seed: Seed of the points.

    Raises:
        RunError: If the solution was loaded without its problem.

    Cost: a few Jacobians and factorizations; seconds for networks of a few thousand parameters.

    >>> import kjet
    >>> from kjet.problems import Poisson2DProblem
    >>> solution = kjet.solve(Poisson2DProblem().build(), max_steps=1, progress=False)
    >>> found = diagnose(solution, rows=50, points=100)
    >>> list(found.balance["residual"].parts)
    ['-coefficient (u_xx + u_yy)', '-19.7392 sin(3.14159 x) sin(3.14159 y)']
    """
    found, measure = _start(solution, seed, points, None)
    measure.cheap(found)
    measure("float32 noise", lambda: _noise(found, measure))
    measure("tangent kernel", lambda: _spectrum(found, measure, rows))
    measure("estimated error", lambda: _indicator(found, measure))
    return measure.finished(found)


def brief(solution: Solution, *, seconds: float = 3.0, points: int = 400, seed: int = 0) -> dict[str, Any]:
    """Measure what is cheap, for the summary of a run: plain data.

    What has not begun when the time is up is left out; nothing that goes wrong here ends a run.

    Args:
        solution: A solution with its problem.
        seconds: Time after which nothing more is begun.
        points: Points for means over the domain.
        seed: Seed of the points.
    """
    found, measure = _start(solution, seed, points, seconds)
    measure.cheap(found)
    return measure.finished(found).plain()


def _start(solution: Solution, seed: int, points: int, seconds: float | None) -> tuple[Diagnosis, _Measure]:
    objective, problem = solution.objective, solution.problem
    if objective is None or problem is None:
        raise RunError("this solution was loaded without its problem; kjet.load(path, problem=problem)")
    like = next(solution.model.parameters())
    network = solution.network
    found = Diagnosis(
        problem.name,
        str(like.dtype).removeprefix("torch."),
        weight=next((term.weight for term in objective.terms[1:]), None),
        counts={term.name: len(term.points) for term in objective.terms},
        fixed_points=solution.info.get("sampler", {}).get("adaptive") == "none",
        can_march=_can_march(solution, problem),
        width=getattr(network, "width", None),
        output_scale=getattr(network, "output_scale", None),
    )
    generator = torch.Generator(device=like.device).manual_seed(seed)
    return found, _Measure(solution, objective, problem, generator, points, seconds)


def _can_march(solution: Solution, problem: Problem) -> bool:
    try:
        check_windows(problem)
        during(problem.domain, *problem.domain.bounds[problem.domain.coords.index(str(problem.domain.time))].tolist())
    except ConfigError:
        return False
    return not solution.info.get("windows")


class _Measure:
    """Takes one measurement after the other, within a time, and notes what could not be taken."""

    def __init__(
        self, solution: Solution, objective: ResidualObjective, problem: Problem, generator: torch.Generator,
        points: int, seconds: float | None,
    ) -> None:  # fmt: skip
        self.solution, self.problem, self.generator = solution, problem, generator
        self.points = max(_FEWEST, min(points, _NUMBERS // problem.domain.dim))
        self.objective = squares(objective)
        self.begun, self.seconds = time.perf_counter(), seconds
        self.skipped: dict[str, str] = {}
        self.exact = not any(term.recorded.plan.random for term in self.objective.terms)
        self.short = problem.domain.dim <= _DENSE
        self.few = thinned(self.objective, self.points, generator=generator)
        self.x = interior(problem, self.points, next(objective.model.parameters()), generator=generator).x

    def __call__(self, what: str, action: Callable[[], None]) -> None:
        spent = time.perf_counter() - self.begun
        if self.seconds is not None and spent > self.seconds:
            self.skipped[what] = f"{spent:.1f} s were spent already"
            return
        try:
            action()
        except (KjetError, torch.OutOfMemoryError, torch.linalg.LinAlgError) as error:
            self.skipped[what] = " ".join(str(error).split())

    def cheap(self, found: Diagnosis) -> None:
        """Measure what takes a few passes."""
        self("sizes", lambda: _sizes(found, self))
        self("parts of the equation", lambda: _balance(found, self))
        self("fresh points", lambda: _fit(found, self))
        if self.problem.domain.time is not None:
            self("order of time", lambda: _order(found, self))
        self("gradients", lambda: _gradients(found, self))

    def finished(self, found: Diagnosis) -> Diagnosis:
        """Add advice."""
        found.skipped = self.skipped
        found.advice = advise(found, self.solution.info, self.solution.history)
        found.seconds = round(time.perf_counter() - self.begun, 3)
        for what, why in self.skipped.items():
            _logger.debug("%s not measured: %s", what, why)
        return found


def _sizes(found: Diagnosis, measure: _Measure) -> None:
    info = measure.solution.info
    found.magnitudes = magnitudes(measure.objective.model, measure.problem, measure.x)
    errors = [error["rel_l2"] for error in info.get("errors", {}).values()]
    trivial = info.get("trivial_error")
    found.trivial = triviality(measure.few, measure.x, max(errors, default=None), trivial)


def _balance(found: Diagnosis, measure: _Measure) -> None:
    if not measure.short:
        measure.skipped["parts of the equation"] = f"the equation has over {_DENSE} coordinates"
        return
    found.balance = term_balance(measure.few, measure.problem)


def _fit(found: Diagnosis, measure: _Measure) -> None:
    edge = max(term.rows for term in measure.few.terms[1:]) if len(measure.few.terms) > 1 else 1
    other = fresh(measure.few, measure.problem, measure.points, edge, generator=measure.generator)
    found.fit = residuals_at(measure.few, other)


def _order(found: Diagnosis, measure: _Measure) -> None:
    found.causality = causality(
        measure.objective, measure.problem, slices=8, points=measure.points, generator=measure.generator
    )


def _gradients(found: Diagnosis, measure: _Measure) -> None:
    found.gradients = term_gradients(measure.few)


def _noise(found: Diagnosis, measure: _Measure) -> None:
    if not (measure.exact and measure.short):
        measure.skipped["float32 noise"] = "directions are random, whose noise is far above that of rounding"
        return
    found.noise = float32_noise(measure.few)


def _spectrum(found: Diagnosis, measure: _Measure, rows: int) -> None:
    p, expressions = measure.objective.model.flat().numel(), sum(len(t.recorded.names) for t in measure.few.terms)
    rows = min(rows, _ENTRIES // p)
    if rows < 20:
        measure.skipped["tangent kernel"] = f"the network has {p} parameters"
        return
    found.spectrum = tangent_spectrum(thinned(measure.few, max(2, rows // expressions), generator=measure.generator))


def _indicator(found: Diagnosis, measure: _Measure) -> None:
    if not measure.exact:
        measure.skipped["estimated error"] = "directions are random; the estimate would be one of their noise"
        return
    found.indicator = estimate_error(
        measure.objective, measure.problem, rows=min(measure.points, 1500), generator=measure.generator
    )
