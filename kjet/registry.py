"""Components by kind and name: what a configuration's ``name: ...`` is looked up in."""

from __future__ import annotations

from collections.abc import Callable
from importlib import import_module
from typing import Any

from .errors import ConfigError, unknown

__all__ = ["KINDS", "names", "register", "resolve"]

KINDS: dict[str, str] = {
    "problem": "kjet.problems",
    "equation": "kjet.pde",
    "operator": "kjet.training.components",
    "optimizer": "kjet.training.components",
    "balance": "kjet.training.components",
    "curriculum": "kjet.training.components",
    "sampler": "kjet.training.components",
    "constraint": "kjet.training.components",
    "estimator": "kjet.training.components",
    "logger": "kjet.training.components",
}
"""Kinds, and the module whose import registers kjet's own components of that kind."""

_COMPONENTS: dict[str, dict[str, Any]] = {kind: {} for kind in KINDS}


def register(kind: str, name: str) -> Callable[[Any], Any]:
    """Register a component, so that a configuration can name it.

    Args:
        kind: One of :data:`KINDS`.
        name: Name in configurations: ``operator=mine``.

    Raises:
        ConfigError: If the kind does not exist or the name is taken by something else.

    >>> from dataclasses import dataclass
    >>> @register("logger", "quiet_example")
    ... @dataclass
    ... class Quiet:
    ...     level: int = 0
    """
    if kind not in KINDS:
        raise ConfigError(unknown("kind of component", kind, KINDS))

    def add(component: Any) -> Any:
        known = _COMPONENTS[kind].get(name)
        if known is not None and known.__qualname__ != component.__qualname__:
            raise ConfigError(f'{kind} "{name}" is registered already, by {known.__module__}; choose another name')
        _COMPONENTS[kind][name] = component
        return component

    return add


def names(kind: str) -> tuple[str, ...]:
    """List the names of a kind."""
    import_module(KINDS[kind])
    return tuple(sorted(_COMPONENTS[kind]))


def resolve(kind: str, name: str) -> Any:
    """Look a component up.

    Raises:
        ConfigError: With the nearest valid name.
    """
    import_module(KINDS[kind])
    if name not in _COMPONENTS[kind]:
        raise ConfigError(unknown(kind, name, _COMPONENTS[kind]))
    return _COMPONENTS[kind][name]
