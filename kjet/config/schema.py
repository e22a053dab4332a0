"""From the dataclass of a component to a typed node of a configuration, and back.

The dataclass is the single source of names, types and defaults. OmegaConf checks the types; what it cannot represent is
converted here: a tuple becomes a list, a ``Literal`` its plain values, and a field that no text can give keeps its
default. Ranges are checked by the ``__post_init__`` of the dataclass itself.
"""

from __future__ import annotations

import dataclasses
import enum
import types
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any, Literal, Optional, Union, get_args, get_origin, get_type_hints

from omegaconf import MISSING, OmegaConf

from ..errors import ConfigError, unknown
from .mistakes import explained

__all__ = ["construct", "node_type"]

_SCALARS = (bool, int, float, str, bytes, Path)
_LISTS = (list, tuple, Sequence)
_MAPPINGS = (dict, Mapping)


def node_type(component: type, name: str | None = None, *, suggested: bool = False) -> type:
    """Make the dataclass that types a node of the configuration.

    Args:
        component: Dataclass of the component; a class that is none has no settings.
        name: Value of the key ``name``; None for a component that is not chosen by name.
        suggested: Whether all keys start as None, which leaves them to the problem's suggestion.

    Raises:
        ConfigError: If a field has no default and a type that no text can give.

    >>> from kjet.operators import MLPConfig
    >>> [field.name for field in dataclasses.fields(node_type(MLPConfig, "mlp"))]
    ['name', 'width', 'depth', 'hidden', 'activation', 'input_scale', 'output_scale', 'factorized']
    """
    entries: list[tuple[str, Any, Any]] = [] if name is None else [("name", str, dataclasses.field(default=name))]
    for key, hint, field in _fields(component):
        if key == "name":
            continue
        plain = _plain(hint)
        if plain is None:
            if field.default is dataclasses.MISSING and field.default_factory is dataclasses.MISSING:
                raise ConfigError(
                    f"{component.__name__}.{key} of type {hint} cannot be set from a configuration; give it a default"
                )
            continue
        if suggested:
            entries.append((key, Optional[plain], dataclasses.field(default=None)))  # noqa: UP045
        else:
            entries.append((key, plain, _default(field)))
    return dataclasses.make_dataclass(component.__name__, entries, kw_only=True)


def construct(component: type, values: Mapping[str, Any], where: str, *, suggested: bool = False) -> Any:
    """Make a component from the plain values of its node.

    Args:
        component: Dataclass of the component.
        values: Values by key; a key that is left out has its default.
        where: Name of the group, for messages.
        suggested: Whether None stands for the default.

    Raises:
        ConfigError: If a key is unknown, or a value of the wrong type or out of range.

    >>> from kjet.optim import Adam
    >>> construct(Adam, {"name": "adam", "betas": [0.8, 0.99]}, "optimizer").betas
    (0.8, 0.99)
    """
    schema = node_type(component, str(values["name"]) if "name" in values else None, suggested=suggested)
    with explained(where):
        typed = OmegaConf.to_container(
            OmegaConf.merge(OmegaConf.structured(schema), dict(values)), throw_on_missing=True
        )
    assert isinstance(typed, dict)  # a structured node is a mapping
    given = {}
    for key, hint, _ in _fields(component):
        if key in typed and not (suggested and typed[key] is None):
            given[key] = _restore(hint, typed[key], f"{where}.{key}")
    return component(**given)


def _fields(component: type) -> list[tuple[str, Any, dataclasses.Field[Any]]]:
    """List name, type and field of what a dataclass takes."""
    if not dataclasses.is_dataclass(component):
        return []
    hints = get_type_hints(component)
    return [(field.name, hints[field.name], field) for field in dataclasses.fields(component) if field.init]


def _plain(hint: Any) -> Any:
    """Return the type by which OmegaConf represents a type, or None if it cannot."""
    origin, arguments = get_origin(hint), get_args(hint)
    if hint in _SCALARS or hint is Any or (isinstance(hint, type) and issubclass(hint, enum.Enum)):
        return hint
    if origin is Literal:
        kinds = {type(value) for value in arguments}
        return kinds.pop() if len(kinds) == 1 else Any
    if origin in (Union, types.UnionType):
        members = [_plain(member) for member in arguments if member is not types.NoneType]
        if not members or None in members:
            return None
        inner = members[0] if len(set(members)) == 1 else Any
        return Optional[inner] if types.NoneType in arguments else inner  # noqa: UP045
    if hint in _LISTS or origin in _LISTS:
        members = [_plain(member) for member in arguments if member is not Ellipsis] or [Any]
        if None in members:
            return None
        return list[members[0]] if len(set(members)) == 1 else list[Any]  # type: ignore[valid-type]
    if hint in _MAPPINGS or origin in _MAPPINGS:
        inner = _plain(arguments[1]) if arguments else Any
        return None if inner is None or (arguments and arguments[0] is not str) else dict[str, inner]
    return None


def _default(field: dataclasses.Field[Any]) -> Any:
    """Return the default of a field as one of a node."""
    if field.default_factory is not dataclasses.MISSING:
        value = field.default_factory()
    else:
        value = MISSING if field.default is dataclasses.MISSING else field.default
    if isinstance(value, tuple | list):
        return dataclasses.field(default_factory=lambda: list(value))
    if isinstance(value, Mapping):
        return dataclasses.field(default_factory=lambda: dict(value))
    return dataclasses.field(default=value)


def _restore(hint: Any, value: Any, where: str) -> Any:
    """Turn a checked value into what the dataclass expects.

    Raises:
        ConfigError: If it is none of a ``Literal``'s values, or a tuple of the wrong length.
    """
    origin, arguments = get_origin(hint), get_args(hint)
    if value is None:
        return None
    if origin is Literal and value not in arguments:
        raise ConfigError(unknown("value", value, arguments, where))
    if origin in (Union, types.UnionType):
        members = [member for member in arguments if member is not types.NoneType]
        return _restore(members[0], value, where) if len(members) == 1 else value
    if hint is tuple or origin is tuple:
        if arguments and Ellipsis not in arguments and len(value) != len(arguments):
            raise ConfigError(f"{where} takes {len(arguments)} values; got {value}")
        return tuple(value)
    return value
