"""Compose a configuration from the groups, the files in ``conf/`` and overrides."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import fields
from pathlib import Path
from typing import Any

import hydra
from hydra.core.override_parser.types import Override
from omegaconf import DictConfig, OmegaConf, open_dict

from ..errors import ConfigError
from .building import components
from .groups import FILE_GROUPS, GROUPS, Root, choices, component_of, import_plugins, store_groups
from .mistakes import explained
from .overrides import alternatives, parse, plugins_of, quote

__all__ = ["check", "compose", "compose_with_hydra", "without_hydra"]

_PACKAGE = "kjet.conf"
_HYDRA_PARTS = ("hydra.launcher", "hydra.sweeper")
_PERSONAL: dict[str, Any] = {"plugins": [], "resume": None}
_HYDRA_CODE = ("hydra._internal.core_plugins.", "hydra_plugins.")


def compose(overrides: Sequence[str] = (), *, config_dir: str | Path | None = None) -> DictConfig:
    """Compose and check a configuration.

    Args:
        overrides: As on the command line: ``"problem=burgers"``, ``"trainer.max_seconds=30"``. The modules of
            ``"plugins=[my_package.my_pde]"`` are imported first, so that they can register components.
        config_dir: Folder with files of your own, such as ``experiment/mine.yaml``.

    Raises:
        ConfigError: If a name, type or value is wrong.

    >>> cfg = compose(["problem=heat_inverse", "operator.width=16", "seed=1"])
    >>> cfg.problem.name, cfg.operator.width, cfg.operator.depth, cfg.seed
    ('heat_inverse', 16, None, 1)
    """
    import_plugins(plugins_of(overrides))
    cfg = without_hydra(compose_with_hydra(overrides, config_dir))
    components(cfg)
    return cfg


def compose_with_hydra(overrides: Sequence[str], config_dir: str | Path | None = None) -> DictConfig:
    """Compose a configuration, Hydra's own node included; values are not checked yet.

    Raises:
        ConfigError: If a name or type is wrong, or a file sets what only a person may set.
    """
    store_groups()
    given = parse(overrides)
    for override in given:
        _check_choice(override)
    folder = () if config_dir is None else (f"hydra.searchpath=[{quote(_existing(config_dir).as_uri())}]",)
    with explained(groups=FILE_GROUPS), hydra.initialize_config_module(_PACKAGE, version_base="1.3"):
        cfg = hydra.compose("config", [*overrides, *folder], return_hydra_config=True)
    _refuse_code(cfg)
    _refuse_hidden(cfg, given)
    _check_names(cfg)
    return cfg


def without_hydra(cfg: DictConfig) -> DictConfig:
    """Return the configuration without Hydra's own node."""
    job = cfg.copy()
    with open_dict(job):
        job.pop("hydra", None)
    return job


def check(overrides: Sequence[str], config_dir: str | Path | None = None) -> None:
    """Check a configuration, or every value of a sweep once, before anything runs.

    Each value is tried with the first values of the others, so that the time grows with their sum.

    Raises:
        ConfigError: If one is wrong.
    """
    options = [values for values in map(alternatives, parse(overrides)) if values]
    first = [values[0] for values in options]
    components(without_hydra(compose_with_hydra(first, config_dir)))
    for position, values in enumerate(options):
        for value in values[1:]:
            changed = [*first[:position], value, *first[position + 1 :]]
            components(without_hydra(compose_with_hydra(changed, config_dir)))


def _refuse_code(cfg: DictConfig) -> None:
    """Refuse what would make a configuration run code of its choice.

    Hydra's own launchers and sweepers are the exception; they are chosen by name, as components are.
    """
    for path, key, value in _entries(OmegaConf.to_container(cfg, resolve=False)):
        own = path in _HYDRA_PARTS and str(value).startswith(_HYDRA_CODE)
        if key in ("_target_", "()") and not own:
            raise ConfigError(f"{path}.{key}: a configuration is data and names no code; choose components by name")


def _entries(node: Any, path: str = "") -> Iterator[tuple[str, str, Any]]:
    """Walk through all entries: path of the parent, key, value."""
    items = node.items() if isinstance(node, dict) else enumerate(node) if isinstance(node, list) else ()
    for key, value in items:
        yield path, str(key), value
        yield from _entries(value, f"{path}.{key}".lstrip("."))


def _refuse_hidden(cfg: DictConfig, overrides: Sequence[Override]) -> None:
    """Refuse keys in files that decide what code runs or where a run writes."""
    given = {override.key_or_group: override.value() for override in overrides if override.key_or_group in _PERSONAL}
    for key, default in _PERSONAL.items():
        if key in cfg and cfg[key] != given.get(key, default):
            raise ConfigError(f"{key} is set in a file; give it on the command line, as {key}=...")


def _check_choice(override: Override) -> None:
    """Refuse a group that is given something else than one name, and a sweep, which is for several runs."""
    key, text = override.key_or_group, override.input_line
    if override.is_sweep_override():
        raise ConfigError(f"{text} are several runs; add -m to run them all, or write a list as {key}=[...]")
    if key in GROUPS and not override.is_delete() and not isinstance(override.value(), str | dict):
        raise ConfigError(f"{text} names no choice; {key} has {', '.join(choices(key))}")


def _check_names(cfg: DictConfig) -> None:
    """Check that every group is there, with the settings of the component that it names."""
    for key in fields(Root):
        if key.name not in cfg:
            raise ConfigError(f"{key.name} is missing; leave it out for the default")
    for group in GROUPS:
        node = cfg[group]
        chosen = getattr(OmegaConf.get_type(node), "name", None)
        if chosen is not None and component_of(group, node.name) is not component_of(group, chosen):
            raise ConfigError(f"{group}.name is {node.name} with the settings of {chosen}; write {group}={node.name}")


def _existing(folder: str | Path) -> Path:
    if not Path(folder).is_dir():
        raise ConfigError(f"there is no folder {folder} for --config-dir")
    return Path(folder).absolute()
