"""The groups of the configuration, filled from the registry."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field
from importlib import import_module
from typing import Any

from hydra.core.config_store import ConfigStore
from omegaconf import MISSING

from ..errors import ConfigError
from ..registry import names, resolve
from ..training.settings import ConstraintConfig, SamplerConfig, TrainerConfig
from .schema import node_type

__all__ = ["FILE_GROUPS", "GROUPS", "Root", "choices", "component_of", "import_plugins", "store_groups"]

GROUPS = (
    "problem", "operator", "optimizer", "balance", "curriculum", "sampler", "constraint", "estimator", "trainer",
    "logger",
)  # fmt: skip
"""Groups of components: each is one key of the configuration."""

FILE_GROUPS = ("experiment", "debug")
"""Groups of files that set several keys at once."""

_CONSTRAINTS = ("auto", "hard", "soft")


@dataclass
class Root:
    """Top level of the configuration."""

    problem: Any = MISSING
    operator: Any = MISSING
    optimizer: Any = MISSING
    balance: Any = MISSING
    curriculum: Any = MISSING
    sampler: Any = MISSING
    constraint: Any = MISSING
    estimator: Any = MISSING
    trainer: Any = MISSING
    logger: Any = MISSING
    seed: int = 0
    plugins: list[str] = field(default_factory=list)
    resume: str | None = None


def choices(group: str) -> tuple[str, ...]:
    """List the names that a group offers.

    >>> choices("constraint")
    ('auto', 'hard', 'soft')
    """
    return {"trainer": ("default",), "constraint": _CONSTRAINTS}.get(group) or names(group)


def component_of(group: str, name: str) -> Any:
    """Return the dataclass behind a choice: that of the group, or the registered one.

    Raises:
        ConfigError: If nothing of that name is registered; with the nearest name.
    """
    if group == "trainer":
        return TrainerConfig
    if group == "constraint":
        return ConstraintConfig  # checks its name itself
    component = resolve(group, name)
    return SamplerConfig if group == "sampler" else component


def store_groups() -> None:
    """Put every registered component where Hydra finds it; later registrations need a further call."""
    store = ConfigStore.instance()
    store.store(name="schema", node=Root)
    for group in GROUPS:
        for name in choices(group):
            key = None if group == "trainer" else name
            schema = node_type(component_of(group, name), key, suggested=group == "operator")
            store.store(group=group, name=name, node=schema)


def import_plugins(modules: Sequence[str]) -> None:
    """Import the modules that a user names, which register their components.

    Raises:
        ConfigError: If a module cannot be found.
    """
    for name in modules:
        try:
            import_module(name)
        except ImportError as error:
            raise ConfigError(
                f'the plugin "{name}" cannot be imported ({error}); install it or add its folder to PYTHONPATH'
            ) from error
