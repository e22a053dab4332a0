"""Data: points, domains and their samplers, adaptive sampling, reference solvers."""

from __future__ import annotations

from .adaptive import RAD
from .geometry import (
    Box,
    Cuboid,
    Difference,
    Disk,
    Domain,
    Ellipse,
    Intersection,
    Interval,
    Parameters,
    Polygon,
    Product,
    Rectangle,
    Sphere,
    Time,
    Union,
)
from .points import Points
from .samplers import SAMPLERS, Grid, LatinHypercube, Sampler, Sobol, Uniform, make_sampler

__all__ = [
    "RAD",
    "SAMPLERS",
    "Box",
    "Cuboid",
    "Difference",
    "Disk",
    "Domain",
    "Ellipse",
    "Grid",
    "Intersection",
    "Interval",
    "LatinHypercube",
    "Parameters",
    "Points",
    "Polygon",
    "Product",
    "Rectangle",
    "Sampler",
    "Sobol",
    "Sphere",
    "Time",
    "Uniform",
    "Union",
    "make_sampler",
]
