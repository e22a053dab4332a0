"""Data: points, domains and their samplers, adaptive sampling, reference solvers."""

from __future__ import annotations

from .adaptive import R3, RAD, RARD, Importance, Renewal, Uniformly
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
    Partition,
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
    "R3",
    "RAD",
    "RARD",
    "SAMPLERS",
    "Box",
    "Cuboid",
    "Difference",
    "Disk",
    "Domain",
    "Ellipse",
    "Grid",
    "Importance",
    "Intersection",
    "Interval",
    "LatinHypercube",
    "Parameters",
    "Partition",
    "Points",
    "Polygon",
    "Product",
    "Rectangle",
    "Renewal",
    "Sampler",
    "Sobol",
    "Sphere",
    "Time",
    "Uniform",
    "Uniformly",
    "Union",
    "make_sampler",
]
