"""Differential operators on networks, each by Taylor jets, by nested autograd and by torch.func."""

from __future__ import annotations

import itertools
import math
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import torch
from torch import Tensor, nn

from kjet.jets import Biharmonic, Laplacian, Plan, Quantity, jet, quantity
from kjet.pde import Burgers
from kjet.pde.recording import Values

__all__ = ["FAMILIES", "Case"]

Network = Callable[[Any], Any]
Expression = Callable[[Network, Tensor], Tensor]
"""Network and points (n, d) to one value for each point (n,)."""


@dataclass(frozen=True)
class Case:
    """One operator at one size.

    Attributes:
        family: Name of the series that the case belongs to.
        name: Its own name.
        dim: Number of coordinates d.
        points: Number of points n.
        width: Size of the hidden layers.
        depth: Number of hidden layers.
        order: Highest derivative.
        sides: The same expression by different means; the first is kjet's.
    """

    family: str
    name: str
    dim: int
    points: int
    width: int
    depth: int
    order: int
    sides: Mapping[str, Expression]

    def network(self, dtype: torch.dtype, seed: int) -> nn.Sequential:
        """Make a tanh network with weights of variance 1 / fan-in."""
        generator = torch.Generator().manual_seed(seed)
        sizes = [self.dim, *[self.width] * self.depth, 1]
        layers: list[nn.Module] = []
        for i, o in itertools.pairwise(sizes):
            layer = nn.Linear(i, o, dtype=torch.float64)
            with torch.no_grad():
                layer.weight.normal_(0, 1 / math.sqrt(i), generator=generator)
                layer.bias.normal_(0, 0.1, generator=generator)
            layers += [layer, nn.Tanh()]
        return nn.Sequential(*layers[:-1]).to(dtype)

    def inputs(self, dtype: torch.dtype, seed: int) -> Tensor:
        """Draw points in [-1, 1]^d."""
        generator = torch.Generator().manual_seed(seed + 1)
        return (2 * torch.rand(self.points, self.dim, generator=generator, dtype=torch.float64) - 1).to(dtype)


def _slope(values: Tensor, x: Tensor) -> Tensor:
    return torch.autograd.grad(values.sum(), x, create_graph=True)[0]


def _watched(x: Tensor) -> Tensor:
    return x if x.requires_grad else x.detach().requires_grad_()


def _along(f: Network, v: Tensor) -> Network:
    """Directional derivative by forward mode."""
    return lambda x: torch.func.jvp(f, (x,), (v.expand_as(x),))[1]


# --- Burgers' residual ------------------------------------------------------------------------------------------------

NU = 0.01 / math.pi


def _burgers_jets() -> Expression:
    """The residual as training evaluates it: recorded, and planned with its sums gathered."""
    recorded = Burgers(nu=NU).record().gathered({"nu": NU})

    def residual(f: Network, x: Tensor) -> Tensor:
        return recorded(Values(x, recorded.field_values(recorded.plan(f, x))))[0]

    return residual


def _burgers_autograd(f: Network, x: Tensor) -> Tensor:
    x = _watched(x)
    u = f(x)[:, 0]
    u_x, u_t = _slope(u, x).unbind(-1)
    return u_t + u * u_x - NU * _slope(u_x, x)[:, 0]


def _burgers_func(f: Network, x: Tensor) -> Tensor:
    along_x, along_t = x.new_tensor([1.0, 0.0]), x.new_tensor([0.0, 1.0])
    u, u_t = torch.func.jvp(f, (x,), (along_t.expand_as(x),))  # type: ignore[misc]
    u_x, u_xx = torch.func.jvp(_along(f, along_x), (x,), (along_x.expand_as(x),))  # type: ignore[misc]
    return (u_t + u * u_x - NU * u_xx)[:, 0]


def _burgers(name: str, family: str, points: int, width: int) -> Case:
    sides = {"jets": _burgers_jets(), "autograd": _burgers_autograd, "func": _burgers_func}
    return Case(family, name, 2, points, width, 4, 2, sides)


# --- Laplacian and biharmonic operator --------------------------------------------------------------------------------


def _planned(terms: Quantity, d: int) -> Expression:
    plan = Plan.build([terms], d)
    return lambda f, x: plan(f, x)[terms][:, 0]


def _laplacian_of_values(u: Tensor, x: Tensor) -> Tensor:
    slope = _slope(u, x)
    return torch.stack([_slope(slope[:, i], x)[:, i] for i in range(x.shape[1])]).sum(0)


def _laplacian_autograd(f: Network, x: Tensor) -> Tensor:
    x = _watched(x)
    return _laplacian_of_values(f(x)[:, 0], x)


def _laplacian_func(f: Network, x: Tensor) -> Tensor:
    """Forward over reverse, all axes at once."""
    gradient = torch.func.grad(lambda z: f(z).sum())

    def along(v: Tensor) -> Tensor:
        return torch.func.jvp(gradient, (x,), (v.expand_as(x),))[1] @ v

    return torch.func.vmap(along)(torch.eye(x.shape[1], dtype=x.dtype)).sum(0)


def _laplacian(d: int, points: int, width: int) -> Case:
    terms = quantity(Laplacian().terms(d))  # type: ignore[arg-type]
    sides = {"jets": _planned(terms, d), "autograd": _laplacian_autograd, "func": _laplacian_func}
    return Case("laplacian", f"Laplacian, d = {d}", d, points, width, 3, 2, sides)


def _biharmonic_autograd(f: Network, x: Tensor) -> Tensor:
    x = _watched(x)
    return _laplacian_of_values(_laplacian_of_values(f(x)[:, 0], x), x)


def _biharmonic_func(f: Network, x: Tensor) -> Tensor:
    axes = torch.eye(x.shape[1], dtype=x.dtype)

    def trace(g: Network) -> Network:
        return lambda z: torch.func.vmap(lambda v: _along(_along(g, v), v)(z))(axes).sum(0)

    return trace(trace(f))(x)[:, 0]


def _biharmonic(d: int, points: int, width: int) -> Case:
    terms = quantity(Biharmonic().terms(d))  # type: ignore[arg-type]
    sides = {"jets": _planned(terms, d), "autograd": _biharmonic_autograd, "func": _biharmonic_func}
    return Case("biharmonic", f"biharmonic, d = {d}", d, points, width, 3, 4, sides)


# --- one direction, rising order --------------------------------------------------------------------------------------


def _directional(order: int, points: int, width: int, d: int = 8) -> Case:
    direction = torch.linspace(-1.0, 1.0, d, dtype=torch.float64)
    direction = direction / direction.norm()

    def jets(f: Network, x: Tensor) -> Tensor:
        return jet(f, x, direction.to(x)[None], order)[order, 0, :, 0]

    def autograd(f: Network, x: Tensor) -> Tensor:
        x = _watched(x)
        u = f(x)[:, 0]
        for _ in range(order):
            u = _slope(u, x) @ direction.to(x)
        return u

    def func(f: Network, x: Tensor) -> Tensor:
        for _ in range(order):
            f = _along(f, direction.to(x))
        return f(x)[:, 0]

    sides = {"jets": jets, "autograd": autograd, "func": func}
    return Case("directional", f"order {order}, one direction in {d}-D", d, points, width, 3, order, sides)


def _sizes(quick: bool, full: Sequence[int], few: Sequence[int]) -> Sequence[int]:
    return few if quick else full


def _burgers_cases(quick: bool) -> Iterator[Case]:
    points, width = (50, 8) if quick else (2000, 64)
    yield _burgers(f"Burgers, 4x{width}, {points} points", "burgers", points, width)


def _width_cases(quick: bool) -> Iterator[Case]:
    points = 50 if quick else 2000
    for width in _sizes(quick, (32, 64, 128, 256), (8,)):
        yield _burgers(f"Burgers, 4x{width}, {points} points", "widths", points, width)


def _laplacian_cases(quick: bool) -> Iterator[Case]:
    for d in _sizes(quick, (2, 10, 100), (2, 5)):
        yield _laplacian(d, *((10, 8) if quick else (100, 128)))


def _biharmonic_cases(quick: bool) -> Iterator[Case]:
    for d in _sizes(quick, (2, 5), (2,)):
        yield _biharmonic(d, *((10, 8) if quick else (100, 128)))


def _directional_cases(quick: bool) -> Iterator[Case]:
    for order in _sizes(quick, (2, 4, 6, 8), (2, 4)):
        yield _directional(order, *((10, 8) if quick else (100, 128)))


FAMILIES: dict[str, Callable[[bool], Iterator[Case]]] = {
    "burgers": _burgers_cases,
    "laplacian": _laplacian_cases,
    "directional": _directional_cases,
    "biharmonic": _biharmonic_cases,
    "widths": _width_cases,
}
