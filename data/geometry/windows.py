"""A domain during a part of its time."""

from __future__ import annotations

import copy

from ...errors import ConfigError
from .base import Domain
from .box import Time
from .product import Product

__all__ = ["during"]


def during(domain: Domain, start: float, end: float) -> Domain:
    """Return the same domain for times from `start` to `end`.

    Parts made by :meth:`Domain.with_part` stay, but for those that hold nowhere at these times.

    Args:
        domain: A product of domains with a :class:`Time`, or that alone.
        start: First time.
        end: Last time.

    Raises:
        ConfigError: If space and time are not separate factors.

    >>> from kjet.data.geometry import Interval
    >>> during(Interval(0, 1) * Time(0, 4), 1, 2).bounds[1].tolist()
    [1.0, 2.0]
    """
    if isinstance(domain, Time):
        return Time(start, end, domain.coords[0])
    factors = domain.factors if isinstance(domain, Product) else ()
    if not any(isinstance(factor, Time) for factor in factors):
        raise ConfigError(
            f"{domain!r} cannot be divided in time: it is no product of a region and a time interval, such as "
            "Interval(0, 1) * Time(0, 1)"
        )
    cut: Domain = Product(*[during(f, start, end) if isinstance(f, Time) else f for f in factors])
    for name, extra in domain._extras.items():
        trial = copy.copy(cut)
        trial._extras, trial._measures = {**cut._extras, name: extra}, {}
        if trial.part_measure(name) > 0:
            cut = trial
    return cut
