"""Problems in dimensionless form, and their solutions back in units."""

from __future__ import annotations

import functools
from collections.abc import Mapping
from dataclasses import dataclass, field, replace
from typing import Any

import torch
from torch import nn

from ..constraints import Condition, Dirichlet, Draw, Initial, Observations, Periodic
from ..constraints.conditions import _split
from ..data import Domain, Points
from ..data.geometry.scaled import scaled_domain
from ..errors import ConfigError, listed
from ..pde import Frame, PointFunction, Recorded, Unknown, call_with_names
from ..pde.scaling import Scale, ScaledEquation, Scales, rescale_recorded
from ..problem import Problem
from ..typing import Float, Tensor
from .model import Model
from .reference import ErrorMeter
from .settings import SamplerConfig
from .setup import build_objective
from .solution import Solution

__all__ = ["DimensionlessProblem", "nondimensional"]

_SAMPLE = 512  # points at which coefficients are sized


@dataclass(frozen=True, eq=False)
class DimensionlessProblem:
    """A problem whose coordinates, fields and residuals are of size one, and the way back.

    Attributes:
        problem: To be solved.
        original: Problem in units.
        scales: What relates the two.
        sizes: What the residuals of each condition were divided by.
    """

    problem: Problem
    original: Problem
    scales: Scales
    sizes: Mapping[str, Mapping[str, float]] = field(default_factory=dict)

    @property
    def numbers(self) -> dict[str, dict[str, float]]:
        """Dimensionless numbers: the factor of each part of each residual of the equation."""
        equation = self.problem.equation
        assert isinstance(equation, ScaledEquation)  # made so by nondimensional()
        return {name: {term.text: term.factor for term in terms} for name, terms in equation.numbers.items()}

    def describe(self) -> str:
        """Write scales and dimensionless equation."""
        equation = self.problem.equation
        assert isinstance(equation, ScaledEquation)
        return f"{self.scales.describe()}\n{equation.describe()}"

    def physical(self, solution: Solution) -> Solution:
        """Return a solution of the dimensionless problem in units, its errors measured anew.

        Its network is wrapped, so that it has to be passed to :func:`kjet.load`; better save the dimensionless one.

        Raises:
            ConfigError: If the solution belongs to another problem.
        """
        if solution.coords != tuple(self.problem.domain.coords) or solution.fields != self.problem.fields:
            raise ConfigError(
                f"the solution has fields {solution.fields} over {solution.coords}; expected one of this problem, "
                f"{self.problem.fields} over {tuple(self.problem.domain.coords)}"
            )
        original = self.original
        like = next(solution.model.parameters())
        network = _InUnits(solution.model.network, self.scales, original.fields)
        model = Model(network, original.all_parameters, original.fields, original.domain.coords)
        model = model.to(dtype=like.dtype, device=like.device)
        with torch.no_grad():
            for name, value in solution.model.free.items():
                model.free[name].copy_(value)
        sampling = SamplerConfig()
        generator = torch.Generator(device=like.device).manual_seed(0)
        draw = Draw(sampling.sampler(original.domain.dim), generator, like.dtype, like.device)
        objective = build_objective(original, model, original.conditions, sampling, draw)
        # relative errors depend on the offsets of the fields
        meter = ErrorMeter(original, model, solution.info.get("test_points"), like.dtype, like.device)
        trivial = meter.trivial()
        info = {**solution.info, "problem": original.name, "errors": meter.errors()}
        info["trivial_error"] = None if trivial is None else trivial[1]
        return Solution(model, original, solution.status, solution.reason, solution.history, info, None, objective)


def nondimensional(problem: Problem, scales: Mapping[str, Any]) -> DimensionlessProblem:
    """Bring a problem into dimensionless form.

    Coordinates become ``(x - x0) / X`` and fields ``(u - u0) / U``; each residual of the equation and of the conditions
    is divided by its dominating part; fixed parameters go into the dimensionless numbers. Conditions, observations and
    the reference follow. Unknown parameters keep their units.

    Args:
        problem: Problem in units.
        scales: Characteristic size of each field and coordinate: a number, ``(size, offset)``, ``(size, offset, unit)``
            or :class:`kjet.pde.scaling.Scale`. A coordinate that is not given takes the domain's extent, a field one.

    Raises:
        ConfigError: If a scale is wrong, the domain is no box and its coordinates have different sizes, or regions have
            fields of their own.

    >>> from kjet.constraints import Dirichlet, Initial
    >>> from kjet.data import Interval, Time
    >>> from kjet.pde import Heat
    >>> conditions = [Initial(u=lambda x: 20 + 60 * x / 0.2), Dirichlet("left", u=20.0), Dirichlet("right", u=80.0)]
    >>> rod = Problem(Heat(diffusivity=1e-5), Interval(0.0, 0.2) * Time(0.0, 3600.0), conditions)
    >>> print(nondimensional(rod, {"x": (0.2, 0.0, "m"), "t": (3600.0, 0.0, "s"), "u": (60.0, 20.0, "C")}).describe())
    x = 0.2 m x'
    t = 3600 s t'
    u = 60 C u' + 20 C
    residual / 0.0166667: u_t - 0.9 u_xx = 0
    """
    if tuple(problem.outputs) != tuple(problem.fields):
        raise ConfigError(
            f"{problem.name} has fields of its own in each region, {listed(problem.fields)}, which are not scaled "
            "together; scale the problems of the regions before they are coupled"
        )
    domain = problem.domain
    declared = Scales.of(scales, tuple(domain.coords), problem.fields)
    coords = {}
    for (name, scale), (low, high) in zip(declared.coords.items(), domain.bounds.tolist(), strict=True):
        coords[name] = scale if name in scales else Scale(high - low, low)
    made = Scales(coords, declared.fields)
    small = scaled_domain(domain, {name: (scale.size, scale.offset) for name, scale in coords.items()})
    known = {k: v for k, v in problem.all_parameters.items() if not isinstance(v, Unknown)}
    fixed = {name: value for name, value in known.items() if name not in problem.parameters}
    generator = torch.Generator().manual_seed(0)
    x = small.interior(_SAMPLE, sampler="uniform", generator=generator, dtype=torch.float64).x
    equation = ScaledEquation(original=problem.equation, scales=made, points=x, known=fixed)
    guesses = {k: v.initial if isinstance(v, Unknown) else v for k, v in problem.all_parameters.items()}
    conditions = [_condition(c, problem, made, x, fixed, guesses) for c in problem.conditions]
    reference = None if problem.reference is None else _reference(problem, made)
    result = replace(
        problem, equation=equation, domain=small, conditions=conditions, reference=reference, trivial=None,
        name=f"{problem.name}_dimensionless",
    )  # fmt: skip
    sizes = {c.name: dict(c.sizes) for c in conditions if isinstance(c, _InScales)}
    return DimensionlessProblem(result, problem, made, sizes)


class _InUnits(nn.Module):
    """``u(x) = U N((x - x0) / X) + u0``."""

    def __init__(self, network: nn.Module, scales: Scales, fields: tuple[str, ...]) -> None:
        super().__init__()
        self.network, self.scales = network, scales
        chosen = [scales.fields[name] for name in fields]
        self.sizes = [scale.size for scale in chosen]
        self.offsets = [scale.offset for scale in chosen]

    def forward(self, x: Any) -> Any:
        """Evaluate at points in units, or at jets of them."""
        y = self.network(self.scales.dimensionless(x))
        options: dict[str, Any] = {"dtype": y.dtype, "device": y.device}
        return y * torch.tensor(self.sizes, **options) + torch.tensor(self.offsets, **options)


class _InScales(Condition):
    """A condition in units, imposed on dimensionless fields; normals, data and quadrature stay those of the original.

    Attributes:
        sizes: What each residual is divided by.
    """

    def __init__(
        self, original: Condition, domain: Domain, scales: Scales, x: Float[Tensor, "n d"],
        known: Mapping[str, float], values: Mapping[str, float],
    ) -> None:  # fmt: skip
        self.original, self.domain, self.scales, self.fixed = original, domain, scales, original.fixed
        self.name, self.part, self.sizes = original.name, original.part, dict[str, float]()
        self._x, self._known, self._values = x, known, values

    def expressions(self, frame: Frame) -> Recorded:
        """Record the original in dimensionless form."""
        found, sizes = rescale_recorded(
            self.original.expressions(frame), self.scales, self._x, self._known, self._values
        )
        if self.original.offset:
            # the expressions share the offset, so they share the size
            found, sizes = _rescaled_alike(self.original.expressions(frame), self.scales), dict.fromkeys(sizes, 1.0)
        self.sizes = sizes
        return found

    def check(self, domain: Domain) -> None:
        """Check against the domain in units."""
        self.original.check(self.domain)

    def sample(self, domain: Domain, n: int, draw: Draw) -> Points:
        """Draw as the original does, in units, and leave them behind."""
        exact = Draw(draw.sampler, draw.generator, torch.float64, draw.device)
        points = self.original.sample(self.domain, n, exact)
        return replace(points, x=self.scales.dimensionless(points.x)).to(draw.dtype)

    def data(self, points: Points) -> dict[str, Tensor]:
        """Columns of the original."""
        return self.original.data(points)

    def collapse(self, values: Tensor, points: Points) -> Tensor:
        """Combine as the original does."""
        return self.original.collapse(values, points)

    @property
    def offset(self) -> float:
        """Offset of the original."""
        return self.original.offset

    def rows(self, points: Points) -> int:
        """Residuals for each expression."""
        return self.original.rows(points)


def _rescaled_alike(recorded: Recorded, scales: Scales) -> Recorded:
    from ..pde._rescaling import rescaled
    from ..pde.expression import Field

    frame = recorded.frame
    given = {name: Field.of(name, frame) for name in frame.fields}
    nodes = rescaled(recorded._outputs, scales.affine(frame), given, frame)
    return Recorded(dict(zip(recorded.names, nodes, strict=True)), frame)


def _condition(
    condition: Condition, problem: Problem, scales: Scales, x: Tensor, known: Mapping[str, float],
    values: Mapping[str, float],
) -> Condition:  # fmt: skip
    """Keep observations and the kinds of conditions that can be exact by construction; wrap the others."""
    if type(condition) is Periodic:
        return condition
    if type(condition) is Dirichlet:
        made = {k: _value(v, scales, scales.fields[k], scales.fields[k].size) for k, v in condition.values.items()}
        return Dirichlet(condition.part, condition.name, **made)
    if type(condition) is Observations and condition.values.keys() <= scales.fields.keys():
        columns = {k: scales.coords[k].dimensionless(condition.points.column(k)) for k in condition.points.coords}
        measured = {k: scales.fields[k].dimensionless(v) for k, v in condition.values.items()}
        return Observations(columns, name=condition.name, **measured)
    if type(condition) is Initial and problem.frame.time is not None:
        return Initial(condition.name, **_starts(condition, problem.frame, scales))
    return _InScales(condition, problem.domain, scales, x, known, values)


def _starts(condition: Initial, frame: Frame, scales: Scales) -> dict[str, Any]:
    found = {}
    for key, value in condition.values.items():
        name, derivative = _split(key, frame)
        scale, size = scales.fields[name], scales.fields[name].size
        for axis in frame.split(derivative) or []:
            size /= scales.coords[frame.coords[axis]].size
        found[key] = _value(value, scales, Scale(1.0) if derivative else scale, size)
    return found


def _value(value: Any, scales: Scales, scale: Scale, size: float) -> Any:
    """Express a number or a function of named coordinates in dimensionless ones: ``(g(x) - u0) / size``."""
    origin = scale.offset
    if isinstance(value, PointFunction):
        inner = value
        chosen = Scales({name: scales.coords[name] for name in inner.coords}, {})
        return PointFunction(
            lambda x: (inner.at(chosen.physical(x)) - origin) * (1.0 / size), inner.coords,
            name=inner.__name__, taylor=inner.taylor,
        )  # fmt: skip
    if not callable(value):
        return (value - origin) / size
    function = value

    @functools.wraps(function, assigned=("__name__", "__qualname__", "__doc__"), updated=())
    def dimensionless(*args: Any, **given: Any) -> Any:
        if args:  # a function without a signature, such as torch.sin, of the only coordinate
            scale = next(iter(scales.coords.values()))
            return (function(scale.physical(args[0])) - origin) / size
        physical = {k: scales.coords[k].physical(v) if k in scales.coords else v for k, v in given.items()}
        return (call_with_names(function, physical) - origin) / size

    return dimensionless


def _reference(problem: Problem, scales: Scales) -> Any:
    from .reference import reference_values

    def reference(**given: Any) -> dict[str, Tensor]:
        x = scales.physical(torch.stack(torch.broadcast_tensors(*(given[name] for name in scales.coords)), -1))
        return {k: scales.fields[k].dimensionless(v) for k, v in reference_values(problem, x).items()}

    return reference
