"""Deep ensembles: the same problem solved from several seeds."""

from __future__ import annotations

import json
import logging
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

import torch

from ...errors import ConfigError, RunError
from ...problem import Problem
from .prediction import Prediction

if TYPE_CHECKING:
    from ..solution import Solution

__all__ = ["Ensemble", "ensemble", "load_ensemble"]

_logger = logging.getLogger(__name__)
_INDEX = "ensemble.json"


@dataclass(frozen=True, eq=False)
class Ensemble:
    """Solutions of one problem from different seeds.

    Attributes:
        members: The solutions.
        seeds: Their seeds.

    Raises:
        ConfigError: If there are fewer than two, or they differ in fields or coordinates.
    """

    members: tuple[Solution, ...]
    seeds: tuple[int, ...]

    def __post_init__(self) -> None:
        if len(self.members) < 2 or len(self.members) != len(self.seeds):
            raise ConfigError(f"an ensemble needs two members or more, with a seed each; got {len(self.members)}")
        first = self.members[0]
        if any(m.fields != first.fields or m.coords != first.coords for m in self.members):
            raise ConfigError("the members of an ensemble must have the same fields and coordinates")

    def predict(self, points: Any) -> Prediction:
        """Return mean and standard deviation over the members, with ``k - 1`` in the denominator.

        Args:
            points: As for :meth:`kjet.Solution.predict`.
        """
        found = [member.predict(points) for member in self.members]
        stacked = {name: torch.stack([values[name] for values in found]) for name in found[0]}
        mean = {name: values.mean(0) for name, values in stacked.items()}
        return Prediction(mean, {name: values.std(0) for name, values in stacked.items()})

    @property
    def parameters(self) -> dict[str, tuple[float, float]]:
        """Mean and standard deviation of each unknown parameter over the members."""
        found = [member.parameters for member in self.members]
        values = {name: torch.tensor([each[name] for each in found], dtype=torch.float64) for name in found[0]}
        return {name: (float(value.mean()), float(value.std())) for name, value in values.items()}

    def save(self, path: str | Path) -> Path:
        """Write each member into a folder of its own.

        Raises:
            RunError: If a folder cannot be written.
        """
        folder = Path(path)
        for i, member in enumerate(self.members):
            member.save(folder / f"member_{i}")
        (folder / _INDEX).write_text(json.dumps({"seeds": list(self.seeds)}) + "\n", encoding="utf-8")
        return folder


def ensemble(
    problem: Problem, members: int = 5, *, seed: int = 0, run_dir: str | Path | None = None, **options: Any
) -> Ensemble:
    """Solve a problem from several seeds, of weights and points.

    The spread of the members shows what the loss leaves undetermined; what all of them get wrong alike it does not.

    Args:
        problem: What to solve.
        members: Number of solutions, at least two.
        seed: Seed of the first; the others follow.
        run_dir: Folder with a directory for each run; None writes nothing.
        **options: As for :func:`kjet.solve`; ``network`` must be a configuration or a name.

    Raises:
        ConfigError: If there are fewer than two members, or a module is given that all would share.

    Ref: Lakshminarayanan, Pritzel, Blundell, *Simple and scalable predictive uncertainty estimation using deep
    ensembles*, 2017.

    >>> from kjet.problems import Poisson2DProblem
    >>> pair = ensemble(Poisson2DProblem().build(), members=2, max_steps=1, progress=False)
    >>> pair.predict({"x": [0.5], "y": [0.5]}).std["u"].shape
    torch.Size([1])
    """
    from ..solve import solve

    if members < 2:
        raise ConfigError(f"an ensemble needs two members or more; got {members}")
    if isinstance(options.get("network"), torch.nn.Module):
        raise ConfigError("all members would share this network; pass a configuration, such as MLPConfig(width=32)")
    seeds = tuple(range(seed, seed + members))
    found = []
    for i, each in enumerate(seeds):
        _logger.info("member %d of %d", i + 1, members)
        folder = None if run_dir is None else Path(run_dir) / f"member_{i}"
        found.append(solve(problem, seed=each, run_dir=folder, **options))
    return Ensemble(tuple(found), seeds)


def load_ensemble(path: str | Path, problem: Problem | None = None, **options: Any) -> Ensemble:
    """Load what :meth:`Ensemble.save` wrote.

    Args:
        path: The folder.
        problem: As for :func:`kjet.load`.
        **options: As for :func:`kjet.load`.

    Raises:
        RunError: If there is no ensemble, or a member is damaged.
    """
    from ..loading import load

    folder = Path(path)
    try:
        seeds: Sequence[int] = json.loads((folder / _INDEX).read_text(encoding="utf-8"))["seeds"]
    except (OSError, ValueError, KeyError, TypeError) as error:
        raise RunError(f"{folder} holds no ensemble: {error}; give the folder that Ensemble.save wrote") from error
    return Ensemble(tuple(load(folder / f"member_{i}", problem, **options) for i in range(len(seeds))), tuple(seeds))
