"""Overrides: what a command line says about a configuration."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from hydra.core.override_parser.overrides_parser import OverridesParser
from hydra.core.override_parser.types import Override, Quote, QuotedString
from hydra.errors import HydraException

from ..errors import ConfigError

__all__ = ["alternatives", "parse", "plugins_of", "quote"]


def parse(overrides: Sequence[str]) -> list[Override]:
    """Parse overrides by Hydra's grammar.

    Raises:
        ConfigError: If one cannot be read.
    """
    parser, parsed = OverridesParser.create(), []
    for text in overrides:
        try:
            parsed.append(parser.parse_override(text))
        except HydraException as error:
            raise ConfigError(
                f'cannot read the argument "{text}"; write group=choice, group.key=value or group.key=[1,2]'
            ) from error
    return parsed


def plugins_of(overrides: Sequence[str]) -> list[str]:
    """Return the modules that overrides name as plugins.

    Raises:
        ConfigError: If they are no list of names.

    >>> plugins_of(["seed=1", "plugins=[my_package.my_pde]"])
    ['my_package.my_pde']
    """
    modules: Any = []
    for override in parse(overrides):
        if override.key_or_group == "plugins":
            modules = None if override.is_sweep_override() else override.value()
    if not isinstance(modules, list) or not all(isinstance(module, str) for module in modules):
        raise ConfigError("plugins takes a list of modules: plugins=[my_package.my_pde]")
    return modules


def alternatives(override: Override) -> list[str]:
    """List the plain overrides that one with a sweep stands for; none where they cannot be listed."""
    if not override.is_sweep_override():
        return [str(override.input_line)]
    if not override.is_discrete_sweep() or override.value_type is None or "GLOB" in override.value_type.name:
        return []
    return [f"{override.get_key_element()}={value}" for value in override.sweep_string_iterator()]


def quote(value: Any) -> str:
    r"""Write a plain value in the grammar of Hydra's overrides.

    >>> print(quote({"a": [1, 1e-6, None], "b": "it's"}))
    {a:[1,1e-06,null],b:'it\'s'}
    """
    if value is None or isinstance(value, bool):
        return {None: "null", True: "true", False: "false"}[value]
    if isinstance(value, str):
        return QuotedString(value, Quote.single).with_quotes()
    if isinstance(value, list | tuple):
        return "[" + ",".join(quote(item) for item in value) + "]"
    if isinstance(value, dict):
        return "{" + ",".join(f"{key}:{quote(item)}" for key, item in value.items()) + "}"
    return str(value) if isinstance(value, int | float) else quote(str(value))
