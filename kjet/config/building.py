"""From a configuration to the parts of a run, and the run itself."""

from __future__ import annotations

import contextlib
import inspect
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import fields
from pathlib import Path
from typing import Any

from omegaconf import DictConfig, OmegaConf

from ..errors import ConfigError, unknown
from ..operators import NetworkConfig
from ..problem import Problem
from ..training.checkpoint import load_checkpoint
from ..training.estimation import estimation
from ..training.loggers import Logger
from ..training.setup import check_estimator
from ..training.solution import Solution
from ..training.solve import solve
from .groups import GROUPS, choices, component_of
from .mistakes import explained
from .schema import construct

__all__ = ["components", "open_loggers", "run"]

_REPLACED_BY = {"hidden": ("width", "depth"), "sigmas": ("sigma",)}
"""Keys of networks that take the place of others; a suggestion for them ends where the user gives one of the others."""


def components(cfg: DictConfig | Mapping[str, Any]) -> dict[str, Any]:
    """Make the parts that a configuration describes.

    Keys of `operator` that are null are the problem's suggestion, else the network's default. A suggestion holds only
    where the chosen network has a key of that name.

    Args:
        cfg: Configuration from :func:`compose` or :func:`stored`, or plain values of the same keys.

    Returns:
        By group: the ``problem`` (built), the ``operator``, ``optimizer``, ``balance``, ``curriculum``, ``sampler``,
        ``constraint``, ``estimator`` and ``trainer`` configurations, and the ``logger``, a class or a dataclass; see
        :func:`open_loggers`.

    Raises:
        ConfigError: If a key or name is unknown, a value of the wrong type or out of range, or the estimator does not
            fit the problem.

    >>> parts = components({"problem": {"name": "burgers"}, "operator": {"name": "mlp", "depth": 2}})
    >>> parts["operator"]
    MLPConfig(width=24, depth=2, hidden=[], activation='tanh', input_scale=1.0, output_scale=1.0, factorized=False)
    """
    values = _plain(cfg)
    parts = {group: _part(group, values[group]) for group in GROUPS if group in values and group != "operator"}
    if "problem" in parts:
        parts["problem"] = parts["problem"].build()
    if "operator" in values:
        parts["operator"] = _network(values["operator"], parts.get("problem"))
    if "problem" in parts and "estimator" in parts:
        check_estimator(parts["problem"], estimation(parts["estimator"]))
    return parts


def run(
    cfg: DictConfig, directory: Path, *, resume: bool = False, loggers: Sequence[Logger] = (), progress: bool = True
) -> Solution:
    """Solve what a configuration describes, in the directory of the run.

    Args:
        cfg: Configuration.
        directory: Directory of the run.
        resume: Whether to continue the run in it.
        loggers: Receive each logged step.
        progress: Whether to show progress.

    Raises:
        ConfigError: If parts do not fit.
        RunError: If the directory cannot be used.
        DivergenceError: If the residual becomes not finite.
    """
    parts = components(cfg)
    return solve(
        parts["problem"],
        network=parts["operator"],
        optimizer=parts["optimizer"],
        sampler=parts["sampler"],
        constraint=parts["constraint"],
        estimator=parts["estimator"],
        balance=parts["balance"],
        curriculum=parts.get("curriculum"),
        trainer=parts["trainer"],
        seed=int(cfg["seed"]),
        run_dir=directory,
        resume=resume,
        loggers=loggers,
        progress=progress,
    )


@contextlib.contextmanager
def open_loggers(cfg: DictConfig, directory: Path, *, resume: bool = False) -> Iterator[tuple[Logger, ...]]:
    """Open the logger of a configuration; it is closed on leaving the context.

    A registered logger is a class that is called with a folder for its files, and with ``resumed``, the step from which
    the run goes on, if it takes that; or a dataclass with settings and ``build(folder)``.

    Raises:
        ConfigError: If a package is missing.
        RunError: If there is no checkpoint to resume from.
    """
    name = str(cfg["logger"]["name"])
    chosen = components({"logger": cfg["logger"]})["logger"]
    make = getattr(chosen, "build", chosen)
    takes_step = "resumed" in inspect.signature(make).parameters
    known = {"resumed": load_checkpoint(directory).step} if resume and takes_step else {}
    with contextlib.closing(make(directory / name, **known)) as logger:
        yield (logger,)


def _plain(cfg: DictConfig | Mapping[str, Any]) -> dict[str, Any]:
    """Resolve a configuration and check its top level."""
    with explained():
        node = cfg if isinstance(cfg, DictConfig) else OmegaConf.create(dict(cfg))
        values = OmegaConf.to_container(node, resolve=True, throw_on_missing=True)
    assert isinstance(values, dict)  # a DictConfig is a mapping
    known = (*GROUPS, "seed", "plugins", "resume")
    for key, value in values.items():
        if key not in known:
            raise ConfigError(unknown("key", str(key), known, "the configuration"))
        if key in GROUPS and not isinstance(value, dict):
            raise ConfigError(f"{key} is {value}; choose one of {', '.join(choices(key))}")
    if not values.get("seed", 0) >= 0:
        raise ConfigError(f"seed must not be negative; got {values['seed']}")
    return {str(key): value for key, value in values.items()}


def _part(group: str, values: dict[str, Any]) -> Any:
    component = _component(group, values)
    if group == "logger" and not hasattr(component, "__dataclass_fields__"):
        extra = [key for key in values if key != "name"]
        if extra:
            raise ConfigError(unknown("key", extra[0], ["name"], group))
        return component
    return construct(component, values, group)


def _component(group: str, values: dict[str, Any]) -> Any:
    if group != "trainer" and "name" not in values:
        raise ConfigError(f"{group} has no name; choose one of {', '.join(choices(group))}")
    return component_of(group, str(values.get("name")))


def _network(values: dict[str, Any], problem: Problem | None) -> NetworkConfig:
    """Merge the problem's suggestion under what the user gives."""
    component = _component("operator", values)
    given = {key for key, value in values.items() if value is not None}
    suggestion = dict(problem.network) if problem is not None else {}
    suggested = {
        field.name: suggestion[field.name]
        for field in fields(component)
        if field.name in suggestion and field.name not in given and given.isdisjoint(_REPLACED_BY.get(field.name, ()))
    }
    network: NetworkConfig = construct(component, {**values, **suggested}, "operator", suggested=True)
    return network
