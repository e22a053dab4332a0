"""References that are computed when they are first asked for, and plates with holes."""

from __future__ import annotations

from collections.abc import Callable
from functools import cache
from typing import Any

from ..data import Disk, Domain
from ..typing import Tensor


def solved_once(solve: Callable[[], Any]) -> Callable[..., Any]:
    """Make a reference of x, y and t from a function that solves; it is called at most once."""
    solution = cache(solve)
    return lambda x, y, t: solution()(x, y, t)


def solved_once_steady(solve: Callable[[], Any]) -> Callable[[Tensor, Tensor], Any]:
    """Make a reference of x and y from a function that solves; it is called at most once."""
    solution = cache(solve)
    return lambda x, y: solution()(x, y)


def without_holes(domain: Domain, holes: tuple[tuple[float, float, float], ...]) -> Domain:
    """Cut circles (x, y, radius) out; their boundary parts are ``circle0``, ``circle1``, ..."""
    for i, (x, y, radius) in enumerate(holes):
        domain = domain - Disk((x, y), radius, part=f"circle{i}")
    return domain
