"""Domains: shapes, their boolean combinations, and products with time and parameters."""

from __future__ import annotations

from .ball import Disk, Sphere
from .base import Domain
from .box import Box, Cuboid, Interval, Parameters, Rectangle, Time
from .csg import Difference, Intersection, Union
from .ellipse import Ellipse
from .partition import Partition
from .polygon import Polygon
from .product import Product

__all__ = [
    "Box",
    "Cuboid",
    "Difference",
    "Disk",
    "Domain",
    "Ellipse",
    "Intersection",
    "Interval",
    "Parameters",
    "Partition",
    "Polygon",
    "Product",
    "Rectangle",
    "Sphere",
    "Time",
    "Union",
]
