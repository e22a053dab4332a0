"""Say in one line what is wrong with a configuration."""

from __future__ import annotations

import contextlib
import re
from collections.abc import Iterator, Sequence

import yaml
from hydra.errors import HydraException, MissingConfigException
from omegaconf import DictConfig
from omegaconf.errors import (
    ConfigAttributeError,
    ConfigKeyError,
    InterpolationResolutionError,
    MissingMandatoryValue,
    OmegaConfBaseException,
)

from ..errors import ConfigError, unknown

__all__ = ["explained"]

_CONVERSION = re.compile(r"Value '(?P<value>.*)' (of type '.*' could not be converted to|is not a valid) (?P<kind>\w+)")
_KINDS = {"Integer": "a whole number", "Float": "a number", "bool": "true or false", "Path": "a path"}
_NO_LIST = re.compile(r"Invalid value assigned: \w+ is not a ListConfig")
_FILE = re.compile(r"In '?(?P<name>[^':]+)'?: ")


@contextlib.contextmanager
def explained(where: str = "", groups: Sequence[str] = ()) -> Iterator[None]:
    """Turn the errors of Hydra and OmegaConf into a :class:`ConfigError` of one line with the nearest valid name.

    Args:
        where: Prefix of the keys in the messages.
        groups: Names that are valid at the top although they are no keys there.

    Raises:
        ConfigError: For every mistake in names, types, files and syntax.

    >>> from omegaconf import OmegaConf
    >>> with explained():
    ...     OmegaConf.update(OmegaConf.create({"points": 1}, flags={"struct": True}), "pints", 2)
    Traceback (most recent call last):
    kjet.errors.ConfigError: unknown key "pints" of the configuration; it has points. Did you mean "points"?
    """
    try:
        yield
    except ConfigError:
        raise
    except (HydraException, OmegaConfBaseException, yaml.YAMLError, ValueError) as error:
        raise ConfigError(_explain(error, where, groups)) from error


def _explain(error: BaseException, where: str, groups: Sequence[str]) -> str:
    if isinstance(error, MissingConfigException) and error.missing_cfg_file:
        group, _, name = error.missing_cfg_file.rpartition("/")
        return unknown(group or "configuration", name, error.options or ())
    prefix = _file(error)
    cause = _omegaconf(error)
    if cause is None:
        return _flat(str(error).split("\nSee http")[0])
    key = ".".join(part for part in (where, cause.full_key or "") if part)
    first = _flat(str(cause.msg or cause).split("\n    full_key")[0])
    if isinstance(cause, InterpolationResolutionError):
        return f"{prefix}{key}: {first}"
    if isinstance(cause, MissingMandatoryValue):
        return f"{prefix}{key} has no value; give it as {key}=..."
    if isinstance(cause, ConfigKeyError | ConfigAttributeError):
        return prefix + _unknown_key(cause, key, groups)
    match = _CONVERSION.match(first)
    if match and match["kind"] in _KINDS:
        return f"{prefix}{key} is {match['value']}; it takes {_KINDS[match['kind']]}"
    if _NO_LIST.match(first):
        return f"{prefix}{key} takes a list: {key}=[...]"
    if first.endswith("is not Optional"):
        return f"{prefix}{key} cannot be null; leave it out for the default"
    return f"{prefix}{key}: {first}"


def _unknown_key(error: OmegaConfBaseException, key: str, groups: Sequence[str]) -> str:
    parent, _, name = key.rpartition(".")
    if name == "_target_":
        return f"{key}: a configuration is data and names no code; choose a component by its name"
    node = error.parent_node
    known = [str(option) for option in node] if isinstance(node, DictConfig) else []
    if known == ["name"] and isinstance(node, DictConfig):
        return f'{parent}={node["name"]} has no settings, and "{name}" is given; choose the {parent} that has it'
    return unknown("key", name, [*known, *(groups if not parent else ())], parent or "the configuration")


def _omegaconf(error: BaseException | None) -> OmegaConfBaseException | None:
    """Return the first error of OmegaConf behind an error."""
    while error is not None:
        if isinstance(error, OmegaConfBaseException):
            return error
        error = error.__cause__ or error.__context__  # Hydra sets the one or the other
    return None


def _file(error: BaseException) -> str:
    """Name the file of the configuration in which the mistake is, if it is in one."""
    match = _FILE.match(str(error))
    return f"{match['name']}: " if match else ""


def _flat(text: str) -> str:
    return " ".join(text.split())
