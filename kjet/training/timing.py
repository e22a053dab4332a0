"""What an equation asks of the time: how often each field is differentiated by it."""

from __future__ import annotations

from ..problem import Problem

__all__ = ["time_orders"]


def time_orders(problem: Problem) -> dict[str, int]:
    """Return for each field the highest derivative with respect to time in the equation; 0 where there is none.

    >>> from kjet.problems import BurgersProblem
    >>> time_orders(BurgersProblem().build())
    {'u': 1}
    """
    if problem.domain.time is None:
        return dict.fromkeys(problem.fields, 0)
    at = problem.domain.coords.index(problem.domain.time)
    orders = dict.fromkeys(problem.fields, 0)
    for name, quantity in problem.record()["equation"].leaves:
        found = [order for derivative, _ in quantity.terms for axis, order in derivative.index if axis == at]
        orders[name] = max([orders[name], *found])
    return orders
