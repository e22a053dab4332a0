"""Problems on regions: several materials, and one equation that is split among several networks."""

from __future__ import annotations

import itertools
from collections.abc import Callable, Mapping, Sequence
from dataclasses import replace
from typing import Any

import torch

from .constraints import Condition, Flux, Interface, Match, NormalDerivatives, RegionResidual, by_region
from .constraints.conditions import Value
from .data import Box, Domain, Partition
from .errors import ConfigError, unknown
from .pde import Equation, Piecewise, Recorded
from .problem import Problem, Reference
from .typing import Tensor

__all__ = ["RegionReference", "coupled", "decomposed"]

_MARGIN = 0.125  # by which boxes reach beyond the domain, relative to its extent
_COUPLINGS = ("flux", "residual", "smooth")


def coupled(
    domain: Domain,
    regions: Mapping[str, tuple[Domain | None, Equation]],
    conditions: Sequence[Condition] = (),
    *,
    flux: Callable[..., Any] | Match | None = None,
    jump: Mapping[str, Value] | None = None,
    scales: Mapping[str, float] | None = None,
    reference: Reference | Mapping[str, Reference] | None = None,
    **options: Any,
) -> Problem:
    """Make a problem of regions with an equation each, such as several materials.

    Every region has fields, and a network, of its own. On the interfaces between regions fields and fluxes are
    continuous. Conditions are written as for a single region: at each point they hold for the region there, whose
    parameters they read. Predictions, errors and figures show one field, chosen by region.

    Args:
        domain: The whole.
        regions: Name to shape and equation. A point belongs to the first region that holds it; the last one may have
            None for a shape and takes the rest.
        conditions: Initial, boundary and other conditions.
        flux: What is continuous across interfaces besides the fields, called like a residual with a further argument
            ``normal``; by default the equations' own ``flux``, such as ``a du/dn`` of :class:`kjet.pde.Poisson`.
        jump: Jumps of fields, or of the ``flux``, across all interfaces, from the region that is named first to the
            one that is named later; zero if not given.
        scales: Size of the terms of a region's equation, by name; residuals are divided by it, and fluxes by the
            geometric mean of both sides. Give it where materials differ by orders of magnitude: ``{"copper": 400.0}``.
        reference: Known solution, as for :class:`kjet.Problem`, or one for each region by name.
        **options: Further arguments of :class:`kjet.Problem`.

    Raises:
        ConfigError: If regions, equations and conditions do not fit.

    >>> from kjet.constraints import Dirichlet
    >>> from kjet.data import Interval
    >>> from kjet.pde import Poisson
    >>> line = {"coords": ("x",)}
    >>> rods = coupled(
    ...     Interval(-1, 1),
    ...     {"copper": (Interval(-1, 0), Poisson(**line, coefficient=4.0)), "steel": (None, Poisson(**line))},
    ...     [Dirichlet("left", u=0.0), Dirichlet("right", u=1.0)],
    ... )
    >>> rods.fields, rods.outputs
    (('u_copper', 'u_steel'), ('u',))
    >>> print(rods.record()["interface"].describe().splitlines()[1])
    flux: coefficient_steel u_steel_x n_x - coefficient_copper u_copper_x n_x = 0
    """
    for name, pair in regions.items():
        if not (isinstance(pair, tuple) and len(pair) == 2):
            raise ConfigError(f'region "{name}" is a pair (shape, equation), such as (disk, Poisson()); got {pair!r}')
    partition = Partition(domain, {name: shape for name, (shape, _) in regions.items()})
    equation = Piecewise(partition, {name: own for name, (_, own) in regions.items()}, scales)
    if isinstance(reference, Mapping):
        reference = RegionReference(partition, reference)
    conditions = [*(by_region(condition, equation) for condition in conditions)]
    match = flux if isinstance(flux, Match) else Flux(flux)
    return Problem(
        equation, domain, [*conditions, Interface(equation, match, jump=jump)], reference=reference, **options
    )


class RegionReference:
    """A known solution that is given by region.

    Args:
        partition: Regions of the domain.
        by_region: Solution in each region, called with named coordinates; finite in the whole domain.

    Raises:
        ConfigError: If a region has none.
    """

    def __init__(self, partition: Partition, by_region: Mapping[str, Reference]) -> None:
        for name in by_region:
            partition.index(name)
        for name in partition.names:
            if not callable(by_region.get(name)):
                raise ConfigError(f'region "{name}" has no reference; give a function of the coordinates for each')
        self.partition, self.by_region = partition, {name: by_region[name] for name in partition.names}

    def __call__(self, **columns: Tensor) -> dict[str, Tensor] | Tensor:
        """Evaluate at points, given by columns."""
        x = torch.stack([columns[name] for name in self.partition.domain.coords], -1)
        owner = self.partition.owner(x)
        values = [function(**columns) for function in self.by_region.values()]
        if not isinstance(values[0], Mapping):
            return _picked(owner, values)
        return {name: _picked(owner, [value[name] for value in values]) for name in values[0]}


def _picked(owner: Tensor, values: Sequence[Tensor | float]) -> Tensor:
    result = torch.as_tensor(values[-1])
    for i in range(len(values) - 2, -1, -1):
        result = torch.where(owner == i, values[i], result)
    return result


def decomposed(problem: Problem, *, coupling: str = "smooth", **cuts: Sequence[float]) -> Problem:
    """Split a problem along coordinates, with a network of its own for each piece.

    Across the cuts every field is continuous, and with it:

    - ``smooth``: the derivatives along the cut coordinate that the equation's order there leaves free, ``u_x`` for an
      equation of second order in x, nothing for one of first order in t. This is what makes the pieces one solution.
    - ``flux``: the flux of the equation, as in conservative PINNs.
    - ``residual``: the residual of the equation, as in XPINNs, which leaves the slope to the optimizer. (There each
      side is held to the mean of both, which is half the jump, as here up to the weight.)

    Args:
        problem: Any problem.
        coupling: ``"smooth"``, ``"flux"`` or ``"residual"``.
        **cuts: Places by coordinate, ``x=[-0.5, 0.0, 0.5]``, time among them.

    Raises:
        ConfigError: If a coordinate or the coupling is unknown, or a place is not inside of the domain.

    Ref: Jagtap, Karniadakis, *Extended physics-informed neural networks (XPINNs)*, 2020.

    >>> from kjet.problems import BurgersProblem
    >>> halves = decomposed(BurgersProblem().build(), x=[0.0])
    >>> halves.fields, halves.outputs
    (('u_x0', 'u_x1'), ('u',))
    >>> print(halves.record()["interface_x"].describe().splitlines()[1])
    u_n: n_x u_x1_x - n_x u_x0_x = 0
    """
    if coupling not in _COUPLINGS:
        raise ConfigError(unknown("coupling", coupling, _COUPLINGS))
    if isinstance(problem.equation, Piecewise):
        raise ConfigError(f'problem "{problem.name}" has regions already; cut them where they are made')
    if not cuts:
        raise ConfigError("decomposed() needs places to cut, such as x=[0.0]")
    partition = Partition(problem.domain, _boxes(problem.domain, cuts))
    equation = Piecewise(partition, dict.fromkeys(partition.names, problem.equation))
    wrapped = [by_region(condition, equation) for condition in problem.conditions]
    matches: dict[str, Match] = {
        "smooth": NormalDerivatives(_orders(problem.record()["equation"], tuple(cuts))),
        "flux": Flux(),
        "residual": RegionResidual(),
    }
    interface = Interface(equation, matches[coupling], name=f"interface_{'_'.join(cuts)}")
    # windows of time do not divide interfaces; a cut of the time does what they do
    return replace(problem, equation=equation, conditions=[*wrapped, interface], windows=1)


def _boxes(domain: Domain, cuts: Mapping[str, Sequence[float]]) -> dict[str, Domain | None]:
    """Boxes between the cuts, which reach beyond the domain at its own boundary."""
    sides: list[list[tuple[str, tuple[float, float]]]] = []
    for name in cuts:
        if name not in domain.coords:
            raise ConfigError(unknown("coordinate", name, domain.coords, repr(domain)))
    for axis, name in enumerate(domain.coords):
        low, high = domain.bounds[axis].tolist()
        places = sorted(float(place) for place in cuts.get(name, ()))
        for place in places:
            if not low < place < high:
                raise ConfigError(f"{name}={place} is not inside of the domain, where {low} < {name} < {high}")
        margin = _MARGIN * (high - low)
        edges = [low - margin, *places, high + margin]
        labels = [f"{name}{i}" if places else "" for i in range(len(edges) - 1)]
        sides.append(list(zip(labels, itertools.pairwise(edges), strict=True)))
    return {
        "".join(label for label, _ in box): Box([side for _, side in box], domain.coords)
        for box in itertools.product(*sides)
    }


def _orders(recorded: Recorded, coords: Sequence[str]) -> dict[str, dict[str, int]]:
    """Order of an equation in each coordinate, by field."""
    frame = recorded.frame
    orders = {field: dict.fromkeys(coords, 0) for field in frame.fields}
    for field, terms in recorded.leaves:
        for index in terms.expanded():
            for axis, order in index:
                name = frame.coords[axis]
                if name in coords:
                    orders[field][name] = max(orders[field][name], order)
    for total in recorded.totals:  # sums over space of first or second derivatives of all fields in them
        for field in orders:
            for name in set(coords) & set(frame.space):
                orders[field][name] = max(orders[field][name], total._wanted.order)
    return orders
