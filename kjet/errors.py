"""Errors that kjet raises, and the wording that they share.

Every message says what was given, what was expected and what to do.
"""

from __future__ import annotations

import difflib
from collections.abc import Iterable

__all__ = [
    "ConfigError",
    "DivergenceError",
    "JetRuleError",
    "KjetError",
    "KjetWarning",
    "NonSmoothWarning",
    "RunError",
    "listed",
    "unknown",
]


class KjetError(Exception):
    """Base of the errors that a user can cause and mend."""


class ConfigError(KjetError, ValueError):
    """A value in a configuration or an argument is unknown, of the wrong type or out of range."""


class JetRuleError(KjetError, NotImplementedError):
    """A jet met an operation that has no Taylor rule."""


class DivergenceError(KjetError, ArithmeticError):
    """A loss, residual or parameter is not finite."""


class RunError(KjetError, RuntimeError):
    """A run directory or checkpoint cannot be used."""


class KjetWarning(UserWarning):
    """Base of what kjet warns of: a computation that goes on, and may not be what was meant."""


class NonSmoothWarning(KjetWarning):
    """A function with kinks is differentiated more often than it has derivatives everywhere."""


def unknown(what: str, given: str, options: Iterable[str], where: str = "") -> str:
    """Word the message for an unknown name, with the nearest valid one.

    Args:
        what: Kind of the name, such as ``"boundary part"``.
        given: The name that was given.
        options: Valid names.
        where: Where it was looked up, such as ``"Rectangle"``.

    >>> unknown("boundary part", "lft", ["left", "right"], "Interval")
    'unknown boundary part "lft" of Interval; it has left, right. Did you mean "left"?'
    """
    names = sorted(str(option) for option in options)
    of = f" of {where}" if where else ""
    near = difflib.get_close_matches(str(given), names, n=1, cutoff=0.5)
    hint = f' Did you mean "{near[0]}"?' if near else ""
    return f'unknown {what} "{given}"{of}; it has {listed(names)}.{hint}'


def listed(names: Iterable[str], most: int = 100) -> str:
    """Join names by commas; of very many, as an equation has coordinates, the first ones and their number.

    >>> listed(["x", "t"]), listed((f"x{i}" for i in range(1000)), most=2)
    ('x, t', 'x0, x1, ... (1000 in all)')
    """
    known = list(names)
    shown = ", ".join(known[:most]) or "none"
    return shown if len(known) <= most else f"{shown}, ... ({len(known)} in all)"
