"""What a solve returns: the trained fields, their errors and the story of the training."""

from __future__ import annotations

import dataclasses
import json
import logging
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING, Any

import torch

from ..constraints import DirichletAnsatz
from ..data import Points
from ..errors import ConfigError, RunError, listed, unknown
from ..operators import NETWORKS, NetworkConfig
from ..problem import Problem
from ..typing import Float, Tensor
from .checkpoint import save_folder
from .inputs import Inputs
from .model import Model
from .objective import ResidualObjective
from .reference import reference_values, rows_at_once
from .settings import ConstraintConfig
from .windows import Windowed

if TYPE_CHECKING:
    from .diagnosis import Diagnosis
    from .identifiability import Identifiability, Profile
    from .uncertainty import Conformal, Laplace

__all__ = ["Solution"]

_logger = logging.getLogger(__name__)
_ROWS = 2**16  # points that are evaluated at once


@dataclass
class Solution:
    """Trained fields of a problem.

    Attributes:
        model: Network and unknown parameters.
        problem: What was solved; None for a solution that was loaded without it.
        status: ``"completed"``, ``"stopped"`` or ``"failed"``.
        reason: Why training ended.
        history: One entry for each logged step: step, seconds, loss, error, terms, phase.
        info: Numbers for the summary.
        network: Configuration of the network, where it has one.
        objective: Residuals at the last points.
        inputs: What the network knows of the coordinates; None follows from the problem.
    """

    model: Model
    problem: Problem | None = None
    status: str = "completed"
    reason: str = ""
    history: list[dict[str, Any]] = field(default_factory=list)
    info: dict[str, Any] = field(default_factory=dict)
    network: NetworkConfig | None = None
    objective: ResidualObjective | None = None
    inputs: Inputs | None = None

    @property
    def fields(self) -> tuple[str, ...]:
        """Names of the unknown functions; where regions have their own, of what is chosen among them."""
        return self.model.fields if self.problem is None else self.problem.outputs

    @property
    def coords(self) -> tuple[str, ...]:
        """Names of the coordinates, in the order of the columns of points."""
        return self.model.coords

    @property
    def parameters(self) -> dict[str, float]:
        """Values found for the unknown parameters."""
        return self.model.found()

    def predict(self, points: Any) -> dict[str, Float[Tensor, " n"]]:
        """Evaluate the fields, many points some at a time.

        Args:
            points: Tensor or array (n, d), :class:`kjet.data.Points`, or columns by coordinate name.

        Raises:
            ConfigError: If columns are missing, unknown, not finite, or too many.
        """
        x = self._tensor(points)
        like = next(self.model.parameters())
        with torch.no_grad():
            values = torch.cat([self._reported(part, self.model(part.to(like))) for part in x.split(self._rows)])
        return {name: values[:, i] for i, name in enumerate(self.fields)}

    def _reported(self, x: Float[Tensor, "n d"], values: Float[Tensor, "n m"]) -> Float[Tensor, "n k"]:
        return values if self.problem is None else self.problem.equation.report(x.to(values.device), values)

    @property
    def _rows(self) -> int:
        """Points that are evaluated at once."""
        return min(_ROWS, rows_at_once(len(self.coords)))

    def _tensor(self, points: Any) -> Tensor:
        if isinstance(points, Points):
            same = points.coords == self.coords
            points = points.x if same else {name: points.column(name) for name in points.coords}
        if isinstance(points, Mapping):
            points = self._joined(points)
        # lists of numbers would become float32 and lose digits
        floating = isinstance(points, Tensor) and points.is_floating_point()
        x = points if floating else torch.as_tensor(points, dtype=torch.float64)
        if x.ndim != 2 or x.shape[1] != len(self.coords):
            raise ConfigError(
                f"points of shape {tuple(x.shape)}; expected (n, {len(self.coords)}) for {listed(self.coords)}"
            )
        bad = sum(int((~torch.isfinite(part)).any(1).sum()) for part in x.split(self._rows))
        if bad:
            raise ConfigError(f"{bad} points are not finite; remove them first")
        return x

    def _joined(self, points: Mapping[str, Any]) -> Float[Tensor, "n d"]:
        for name in points:
            if name not in self.coords:
                raise ConfigError(unknown("coordinate", str(name), self.coords, "the solution"))
        missing = [name for name in self.coords if name not in points]
        if missing:
            raise ConfigError(f"points need the coordinates {listed(self.coords)}; {listed(missing)} missing")
        columns = [torch.as_tensor(points[name], dtype=torch.float64).reshape(-1) for name in self.coords]
        n = next((len(column) for column in columns if len(column) != 1), 1)
        for name, column in zip(self.coords, columns, strict=True):
            if len(column) not in (1, n):
                raise ConfigError(f"points have {len(column)} values of {name} and {n} of another coordinate")
        return torch.stack([column.expand(n) for column in columns], -1)

    def residual(self, points: Any, *, exact: bool = False) -> dict[str, Float[Tensor, " n"]]:
        """Evaluate the residuals of the equation, unreduced: what is left of it at the points.

        Args:
            points: As for :meth:`predict`.
            exact: Whether sums over coordinates that training estimated are taken term by term. Otherwise they are the
                estimate along the directions that were drawn last.

        Raises:
            RunError: If the solution was loaded without its problem.
        """
        if self.objective is None or self.problem is None:
            raise RunError("this solution was loaded without its problem; kjet.load(path, problem=problem)")
        term = self.objective.terms[0]
        if exact:
            term = dataclasses.replace(term, recorded=term.recorded.estimated(None), draws=(), others=None)
        like = next(self.model.parameters())
        with torch.no_grad():
            parts = [
                torch.stack(self.objective.values(term.at(Points(part.to(like), self.coords))))
                for part in self._tensor(points).split(self._rows)
            ]
        return dict(zip(term.recorded.names, torch.cat(parts, 1), strict=True))

    @property
    def errors(self) -> dict[str, dict[str, float]]:
        """Relative errors against the reference, by field; empty without a reference."""
        return dict(self.info.get("errors", {}))

    def summary(self) -> dict[str, Any]:
        """Collect what ``summary.json`` holds."""
        return {"status": self.status, "reason": self.reason, **self.info}

    def diagnose(self, *, rows: int = 500, points: int = 2000, seed: int = 0) -> Diagnosis:
        """Measure what limits the solution, and say what may help; see :func:`kjet.training.diagnosis.diagnose`."""
        from .diagnosis import diagnose

        return diagnose(self, rows=rows, points=points, seed=seed)

    def identifiability(
        self, *, noise: float | None = None, level: float = 0.95, points: int | None = None, seed: int = 0
    ) -> Identifiability:
        """Report how well the unknown parameters are determined; see :mod:`kjet.training.identifiability`."""
        from .identifiability import identifiability

        return identifiability(self, noise=noise, level=level, points=points, seed=seed)

    def profile(self, name: str, values: Sequence[float] | None = None, **options: Any) -> Profile:
        """Profile the likelihood of an unknown parameter; see :func:`kjet.training.identifiability.profile`."""
        from .identifiability import profile

        return profile(self, name, values, **options)

    def laplace(self, kind: str = "auto", *, noise: float | None = None, prior: float | None = None) -> Laplace:
        """Approximate the posterior of the weights; see :func:`kjet.training.uncertainty.laplace`."""
        from .uncertainty import laplace

        return laplace(self, kind, noise=noise, prior=prior)

    def conformal(self, points: Any, values: Mapping[str, Any], *, level: float = 0.9) -> Conformal:
        """Calibrate intervals on known values; see :func:`kjet.training.uncertainty.conformal`."""
        from .uncertainty import conformal

        return conformal(self, points, values, level=level)

    def figures(self, resolution: int = 200) -> dict[str, Any]:
        """Draw solution, reference and error, residual, loss, collocation points."""
        from ..io import history_figure, parameters_figure, points_figure, residual_figure, solution_figure

        view = self._view()
        terms = () if self.objective is None else self.objective.terms
        drawn = {
            "solution": solution_figure(view, resolution=resolution),
            "residual": residual_figure(view),
            "loss": history_figure(self.history),
            "points": points_figure({t.name: t.points.x for t in terms}, self.coords, view.time),
        }
        if self.parameters:
            drawn["parameters"] = parameters_figure(self.history)
        return drawn

    def _view(self) -> Any:
        from ..io import View

        if self.problem is None or self.objective is None:
            raise RunError("figures need the problem; kjet.load(path, problem=problem)")
        domain, reference = self.problem.domain, self.problem.reference
        return View(
            coords=self.coords, bounds=domain.bounds, time=domain.time, fields=self.fields, inside=domain.inside,
            predict=self.predict,
            reference=None if reference is None else lambda x: reference_values(self.problem, x),
            residual=self.residual,
        )  # fmt: skip

    def plot(self, resolution: int = 200) -> Any:
        """Draw solution, reference and error as a matplotlib figure."""
        from ..io import solution_figure

        return solution_figure(self._view(), resolution=resolution)

    def save(self, path: str | Path) -> Path:
        """Write network and parameters as a folder of safetensors and JSON, complete or not at all.

        Raises:
            RunError: If something else has that name already, or the folder cannot be written.
        """
        inputs = self.inputs
        if self.problem is not None:
            inputs = Inputs.of(self.problem, ConstraintConfig(**self.info.get("constraint", {})))
        network = self.model.network
        parts = tuple(network.parts) if isinstance(network, Windowed) else (network,)
        windows = {"edges": network.edges, "column": network.column} if isinstance(network, Windowed) else None
        meta = {
            "fields": self.model.fields, "outputs": self.fields, "coords": tuple(self.coords),
            "known": self.model.known,
            "unknowns": {name: dataclasses.asdict(unknown) for name, unknown in self.model.unknowns.items()},
            "network": _describe(self.network), "ansatz": any(isinstance(part, DirichletAnsatz) for part in parts),
            "windows": windows,
            "inputs": None if inputs is None else inputs.plain(), "history": self.history,
            "dtype": str(next(self.model.parameters()).dtype).removeprefix("torch."), "summary": self.summary(),
        }  # fmt: skip
        return save_folder(path, self.model.state_dict(), meta)

    def _repr_html_(self) -> str:
        rows = "".join(f"<tr><td>{k}</td><td>{json.dumps(v)}</td></tr>" for k, v in self.summary().items())
        return f"<table>{rows}</table>"


def _describe(network: NetworkConfig | None) -> dict[str, Any] | None:
    for name, kind in NETWORKS.items():
        if type(network) is kind:
            return {"name": name, **dataclasses.asdict(network)}  # type: ignore[call-overload, arg-type]
    return None
