"""Conditions that equations of third and fourth order need at their ends."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

from ..constraints import On
from ..pde import call_with_names, d


def slope_of(part: str, coord: str, exact: Callable[..., Any]) -> On:
    """Make ``d (u - exact) / d coord = 0`` on a part; the derivative of the closed form is worked out on recording."""

    def residual(u: Any, p: Any) -> Any:
        names = {name: getattr(p, name) for name in u._frame.coords}
        return d(u - call_with_names(exact, names), coord)

    return On(part, residual, name=f"{part}_slope")
