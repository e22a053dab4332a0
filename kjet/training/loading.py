"""Solutions that were saved."""

from __future__ import annotations

import copy
import itertools
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import torch
from torch import nn

from ..constraints import Condition, Draw
from ..errors import RunError
from ..operators import NETWORKS, NetworkConfig
from ..pde import Unknown
from ..problem import Problem
from .checkpoint import load_checkpoint
from .estimation import estimation, estimation_of
from .inputs import Inputs
from .model import Model
from .settings import ConstraintConfig, SamplerConfig
from .setup import build_model, build_objective
from .solution import Solution
from .windows import Windowed, joined, window_models

__all__ = ["load"]


def load(
    path: str | Path,
    problem: Problem | None = None,
    network: nn.Module | NetworkConfig | None = None,
    estimator: Any = None,
) -> Solution:
    """Load a solution that :meth:`Solution.save` wrote, or that a finished run left in its directory.

    Args:
        path: Folder that was written, or a run directory.
        problem: The problem, needed for residuals and figures, and to rebuild hard constraints.
        network: The module, or its configuration, if the network was not one of kjet's own.
        estimator: How sums over very many coordinates are taken in residuals; None takes what the run took.

    Raises:
        RunError: If the folder is damaged, or the problem or the module is missing or another one.
        ConfigError: If the run's estimator is not registered, and none is given.

    >>> import tempfile, kjet
    >>> from kjet.problems import Poisson2DProblem
    >>> solution = kjet.solve(Poisson2DProblem().build(), max_steps=1, progress=False)
    >>> with tempfile.TemporaryDirectory() as folder:
    ...     again = kjet.load(solution.save(f"{folder}/poisson"))
    >>> centre = {"x": 0.5, "y": 0.5}
    >>> bool(again.predict(centre)["u"] == solution.predict(centre)["u"])
    True
    """
    inside = Path(path) / "solution"
    stored = load_checkpoint(inside if inside.is_dir() else Path(path))
    meta = stored.meta
    if "fields" not in meta:
        raise RunError(
            f"{path} holds no solution but a run; continue it with kjet.solve(..., run_dir=..., resume=True)"
        )
    config = _network(meta, path) if network is None else network
    info = dict(meta["summary"])
    constraint = ConstraintConfig(**info.get("constraint", {}))
    options: dict[str, Any] = {
        "generator": torch.Generator().manual_seed(0), "dtype": getattr(torch, meta["dtype"]), "device": "cpu",
    }  # fmt: skip
    soft: list[Condition] = []
    if problem is None:
        if meta["ansatz"]:
            raise RunError(f"{path} has hard constraints; load it with kjet.load(path, problem=problem)")
        if list(meta.get("outputs", meta["fields"])) != list(meta["fields"]):
            raise RunError(
                f"{path} has regions with fields of their own; load it with kjet.load(path, problem=problem)"
            )
        model = _rebuild(meta, config, options)
    else:
        _check(meta, problem, path)
        model, soft = build_model(problem, config, constraint, **options)
        if meta.get("windows"):
            edges = [float(edge) for edge in meta["windows"]["edges"]]
            model = joined(problem, window_models(problem, config, constraint, edges, **options), edges)
    try:
        model.load_state_dict(stored.tensors)
    except RuntimeError as error:
        raise RunError(f"{path} does not fit the network or the conditions given: {error}") from error
    solution = Solution(model, problem, info.pop("status"), info.pop("reason"), meta["history"], info)
    solution.network = None if isinstance(config, nn.Module) else config
    if problem is None:
        solution.inputs = _inputs(meta)
    else:
        sampling = SamplerConfig()
        draw = Draw(sampling.sampler(problem.domain.dim), options["generator"], options["dtype"])
        plain = info.get("estimator", {"name": "exact"})
        estimating = estimation_of(plain) if estimator is None else estimation(estimator)
        solution.objective = build_objective(problem, model, soft, sampling, draw, constraint.weight, estimating)
    return solution


def _rebuild(meta: Mapping[str, Any], network: nn.Module | NetworkConfig, options: Mapping[str, Any]) -> Model:
    """Build the model from what was stored of the problem."""
    fields, coords = tuple(meta["fields"]), tuple(meta["coords"])
    parameters = {**meta["known"], **{name: Unknown(**bounds) for name, bounds in meta["unknowns"].items()}}
    if meta.get("windows"):
        core = _windows(meta, network, len(fields), options)
    else:
        core = network if isinstance(network, nn.Module) else _inputs(meta).build(network, len(fields), **options)
    return Model(core, parameters, fields, coords).to(dtype=options["dtype"])


def _windows(
    meta: Mapping[str, Any], network: nn.Module | NetworkConfig, outputs: int, options: Mapping[str, Any]
) -> nn.Module:
    """Build the networks of windows of time."""
    edges, column = [float(edge) for edge in meta["windows"]["edges"]], int(meta["windows"]["column"])
    parts: list[nn.Module] = []
    for window in itertools.pairwise(edges):
        inputs = _inputs(meta)
        inputs.bounds[column] = torch.tensor(window, dtype=inputs.bounds.dtype)
        module = isinstance(network, nn.Module)
        parts.append(copy.deepcopy(network) if module else inputs.build(network, outputs, **options))  # type: ignore[union-attr, arg-type]
    return Windowed(parts, edges, column)


def _inputs(meta: Mapping[str, Any]) -> Inputs:
    return Inputs.from_plain(tuple(meta["coords"]), meta["inputs"])


def _network(meta: Mapping[str, Any], path: str | Path) -> NetworkConfig:
    if meta["network"] is None:
        raise RunError(f"{path} was trained with a network of your own; load it with kjet.load(path, network=module)")
    options = dict(meta["network"])
    config: NetworkConfig = NETWORKS[options.pop("name")](**options)
    return config


def _check(meta: Mapping[str, Any], problem: Problem, path: str | Path) -> None:
    for what, given in (("fields", problem.fields), ("coords", problem.domain.coords)):
        if tuple(meta[what]) != tuple(given):
            raise RunError(f"{path} has the {what} {tuple(meta[what])}; the problem given has {tuple(given)}")
