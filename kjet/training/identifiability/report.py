"""Standard errors, correlations and blind directions of the unknown parameters of a solution."""

from __future__ import annotations

import html
import math
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any

import torch

from ...constraints import ByRegion, Observations
from ...errors import ConfigError, RunError
from ...typing import Float, Tensor
from ..diagnosis.sampling import fresh, squares, unscaled
from ..objective import ResidualObjective, Term
from .fisher import Marginal, marginal_information

if TYPE_CHECKING:
    from ..solution import Solution

__all__ = ["Identifiability", "identifiability"]

_DENSE = 5  # points for each weight, with which the weights cannot give way between the points
_BLIND = 1e-8  # information in a direction relative to what there is before it is marginalised
_AT_A_BOUND = 1e-3
_UNCERTAIN = 1.0  # standard error relative to the value
_ENTRIES = 2**26


@dataclass(frozen=True, eq=False)
class Identifiability:
    """How well the unknown parameters are determined.

    Attributes:
        names: Unknown parameters.
        values: What was found.
        errors: Standard errors; infinite for those that cannot be identified.
        intervals: Confidence intervals, within the bounds.
        level: Their level.
        correlation: Correlation matrix.
        fisher: Fisher information of the parameters, marginalised over the network's weights: inverse of their
            covariance, zero in blind directions.
        noise: Standard deviation of the observations' noise, given or from their residual, by field.
        freedom: Parameters and weights that the observations determine effectively.
        flags: What is wrong with a parameter, by name.
        blind: Directions that leave all residuals as they are: components by name, relative to the values.
    """

    names: tuple[str, ...]
    values: dict[str, float]
    errors: dict[str, float]
    intervals: dict[str, tuple[float, float]]
    level: float
    correlation: Float[Tensor, "k k"]
    fisher: Float[Tensor, "k k"]
    noise: dict[str, float]
    freedom: float
    flags: dict[str, str] = field(default_factory=dict)
    blind: tuple[dict[str, float], ...] = ()

    def plain(self) -> dict[str, Any]:
        """Return numbers, text, lists and dictionaries only."""
        return {
            "values": self.values, "errors": self.errors, "intervals": {k: list(v) for k, v in self.intervals.items()},
            "level": self.level, "correlation": self.correlation.tolist(), "fisher": self.fisher.tolist(),
            "noise": self.noise, "freedom": self.freedom, "flags": self.flags, "blind": list(self.blind),
        }  # fmt: skip

    def _rows(self) -> list[tuple[str, str]]:
        rows = []
        for name in self.names:
            low, high = self.intervals[name]
            text = f"{self.values[name]:.6g} +- {self.errors[name]:.2g}, {self.level:.0%} in [{low:.6g}, {high:.6g}]"
            rows.append((name, f"{text}  ! {self.flags[name]}" if name in self.flags else text))
        for i, left in enumerate(self.names):
            for j in range(i):
                rows.append((f"{left} | {self.names[j]}", f"correlation {float(self.correlation[i, j]):+.3f}"))
        return [*rows, *((f"noise of {k}", f"{v:.2e}") for k, v in self.noise.items())]

    def __str__(self) -> str:
        rows = self._rows()
        width = max(len(name) for name, _ in rows)
        return "\n".join(f"{name:<{width}}  {text}" for name, text in rows)

    def _repr_html_(self) -> str:
        cells = "".join(f"<tr><td>{html.escape(a)}</td><td>{html.escape(b)}</td></tr>" for a, b in self._rows())
        return f"<table>{cells}</table>"


def identifiability(
    solution: Solution, *, noise: float | None = None, level: float = 0.95, points: int | None = None, seed: int = 0
) -> Identifiability:
    """Report how well the unknown parameters of an inverse problem are determined.

    The Gauss-Newton matrix of all residuals, at fresh points of the equation, is marginalised over the network's
    weights by its Schur complement S: information is what cannot be made up for by other weights. Noise of standard
    deviation sigma enters through the observations, and moves the minimum by the response ``G = S^-1 A^T (1 - P)``, so
    that the parameters have the covariance ``sigma^2 G_o W_o G_o^T``, with the rows o of the observations and their
    weights W. Where the equation holds strictly this is the inverse Fisher information.

    Args:
        solution: Solution of a problem with unknown parameters and observations.
        noise: Standard deviation of the observations; None estimates it from their residual.
        level: Level of the confidence intervals.
        points: Fresh points of the equation; None takes five for each weight of the network, as far as memory goes:
            between fewer points weights give way, and parameters seem worse determined than they are.
        seed: Seed of these points.

    Returns:
        Errors, intervals and correlations, and flags for parameters that cannot be identified or sit at a bound.

    Raises:
        RunError: If the solution was loaded without its problem.
        ConfigError: If there are no unknown parameters or no observations, or the network is too large.

    Cost: one Jacobian and ``r q^2 + q^3`` for q weights.

    Ref: Seber, Wild, *Nonlinear regression*, 1989, chapters 2 and 5; Raue et al., *Structural and practical
    identifiability analysis of partially observed dynamical models by exploiting the profile likelihood*, 2009.
    """
    objective, problem = solution.objective, solution.problem
    if objective is None or problem is None:
        raise RunError("this solution was loaded without its problem; kjet.load(path, problem=problem)")
    names = tuple(solution.model.unknowns)
    if not names:
        raise ConfigError("the problem has no unknown parameters; give one as Unknown(guess)")
    if not any(is_observed(term) for term in objective.terms):
        raise ConfigError("identifiability() needs Observations among the conditions: they carry the noise")
    if not 0 < level < 1 or (noise is not None and not noise > 0):
        raise ConfigError(f"level must be between 0 and 1 and noise positive; got {level} and {noise}")
    rows = dense_rows(solution, points, seed)
    theta = objective.model.flat()
    _, jacobian = rows.residual_and_jacobian(theta)
    wanted = _columns(objective, names)
    rest = torch.ones(theta.numel(), dtype=torch.bool, device=theta.device)
    rest[wanted] = False
    found = marginal_information(jacobian[:, wanted], jacobian[:, rest])
    return _report(solution, rows, found, names, noise, level)


def dense_rows(solution: Solution, points: int | None = None, seed: int = 0) -> ResidualObjective:
    """Return the residuals at so many fresh points that the weights cannot give way between them.

    Raises:
        RunError: If the solution was loaded without its problem.
        ConfigError: If there would be fewer points than weights, or too many for memory.
    """
    objective, problem = solution.objective, solution.problem
    if objective is None or problem is None:
        raise RunError("this solution was loaded without its problem; kjet.load(path, problem=problem)")
    theta = objective.model.flat()
    most = _ENTRIES // theta.numel()
    n = points or min(max(len(objective.terms[0].points), _DENSE * theta.numel()), most)
    if n > most or n < theta.numel():
        raise ConfigError(
            f"{n} points for {theta.numel()} weights: fewer points than weights determine nothing, and {most} are the "
            "limit of memory; use a smaller network, or pass points="
        )
    edge = max([len(t.points) for t in objective.terms if t.condition and not t.condition.fixed], default=1)
    edge = max(edge, n // 10)
    generator = torch.Generator(device=theta.device).manual_seed(seed)
    return fresh(squares(objective), problem, n, edge, generator=generator)


def is_observed(term: Term) -> bool:
    """Tell whether a term compares fields with measured values; of regions, too."""
    condition = term.condition
    return isinstance(condition.condition if isinstance(condition, ByRegion) else condition, Observations)


def _columns(objective: ResidualObjective, names: tuple[str, ...]) -> list[int]:
    """Places of the unknown parameters in the flat vector."""
    model, places, start = objective.model, {}, 0
    for p in model.trainable():
        places[id(p)] = start
        start += p.numel()
    return [places[id(model.free[name])] for name in names]


def _report(
    solution: Solution, rows: ResidualObjective, found: Marginal, names: tuple[str, ...], noise: float | None,
    level: float,
) -> Identifiability:  # fmt: skip
    model = solution.model
    free = torch.tensor([float(model.free[name].detach()) for name in names], dtype=torch.float64)
    slopes = torch.stack([_slope(model, name) for name in names])
    covariance, level_of_noise, freedom = _covariance(rows, found, noise)
    values = model.found()
    flags, blind = _blind_directions(found, names, slopes, values)
    deviation = covariance.diagonal().clamp(min=0).sqrt()
    lost = {name for direction in blind for name, share in direction.items() if abs(share) > 0.1}
    z = math.sqrt(2) * float(torch.erfinv(torch.tensor(level, dtype=torch.float64)))
    errors, intervals = {}, {}
    for i, name in enumerate(names):
        infinite = name in lost
        errors[name] = math.inf if infinite else float(slopes[i].abs() * deviation[i])
        reach = math.inf if infinite else z * float(deviation[i])
        ends = sorted(float(model.unknowns[name].value(free[i] + sign * reach)) for sign in (-1, 1))
        intervals[name] = (ends[0], ends[1])
        if name not in flags:
            flags |= _flag(name, values[name], errors[name], model.unknowns[name])
    signs = slopes.sign()
    # a parameter that enters no residual has neither covariance nor information
    seen = deviation > 0
    spread = torch.where(seen, deviation, 1.0)
    correlation = covariance / (spread[:, None] * spread) * (signs[:, None] * signs)
    correlation.diagonal().masked_fill_(~seen, 1.0)
    # inverted in units of the errors, for parameters may differ by powers of ten
    units = (slopes.abs() * spread)[:, None] * (slopes.abs() * spread)
    fisher = torch.where(seen[:, None] & seen, torch.linalg.pinv(correlation, hermitian=True) / units, 0.0)
    return Identifiability(
        names, {name: values[name] for name in names}, errors, intervals, level, correlation, fisher, level_of_noise,
        freedom, flags, blind,
    )  # fmt: skip


def _covariance(
    rows: ResidualObjective, found: Marginal, noise: float | None
) -> tuple[Tensor, dict[str, float], float]:
    """Covariance of the free variables, the noise by field, effective degrees of freedom."""
    k = len(found.information)
    covariance = torch.zeros(k, k, dtype=torch.float64, device=found.information.device)
    levels: dict[str, float] = {}
    freedom, start = 0.0, 0
    influence = found.nuisance + (found.response * _rest(found)).sum(0)
    for term in rows.terms:
        values = unscaled(rows, term)
        for name, value in zip(term.recorded.names, values, strict=True):
            stop = start + len(value)
            if is_observed(term):
                own = float(influence[start:stop].sum())
                left = max(len(value) - own, 1.0)
                sigma = noise or float((value.double().square().sum() / left).sqrt())
                response = found.response[:, start:stop] * (term.scale * sigma)
                covariance += response @ response.T
                levels[f"{term.name}.{name}" if name in levels else name] = sigma
                freedom += own
            start = stop
    return covariance.cpu(), levels, freedom


def _rest(found: Marginal) -> Tensor:
    """``(1 - P) A`` as rows, back from the response."""
    return found.information @ found.response


def _slope(model: Any, name: str) -> Tensor:
    """Derivative of a parameter by its free variable."""
    free = model.free[name].detach().double().requires_grad_()
    with torch.enable_grad():
        value = model.unknowns[name].value(free)
        return torch.autograd.grad(value, free)[0].cpu()


def _blind_directions(
    found: Marginal, names: tuple[str, ...], slopes: Tensor, values: dict[str, float]
) -> tuple[dict[str, str], tuple[dict[str, float], ...]]:
    """Directions in which hardly any of the information is left, in relative changes of the parameters."""
    size = found.full.diagonal().clamp(min=torch.finfo(torch.float64).tiny).sqrt().cpu()
    relative = found.information.cpu() / (size[:, None] * size)
    eigenvalues, vectors = torch.linalg.eigh(relative)
    flags: dict[str, str] = {}
    blind = []
    for value, vector in zip(eigenvalues.tolist(), vectors.T, strict=True):
        if value > _BLIND:
            continue
        step = vector / size * slopes / torch.tensor([abs(values[n]) or 1.0 for n in names])
        step = step / step.abs().max()
        direction = {name: float(s) for name, s in zip(names, step, strict=True)}
        involved = [name for name, share in direction.items() if abs(share) > 0.1]
        blind.append(direction)
        for name in involved:
            others = ", ".join(other for other in involved if other != name)
            flags[name] = (
                f"cannot be told apart from {others}: changing them together leaves all residuals as they are"
                if others
                else "cannot be identified: the network's weights make up for any change of it"
            )
    return flags, tuple(blind)


def _flag(name: str, value: float, error: float, unknown: Any) -> dict[str, str]:
    low, high = unknown.low, unknown.high
    width = high - low if low is not None and high is not None else abs(unknown.initial - (low or high or 0.0))
    for bound in (low, high):
        if bound is not None and abs(value - bound) < _AT_A_BOUND * width:
            return {name: f"is at its bound {bound:g}, where its standard error says little"}
    if error > _UNCERTAIN * abs(value):
        return {name: "has a standard error larger than itself"}
    return {}
