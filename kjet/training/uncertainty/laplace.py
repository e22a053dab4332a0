"""Laplace approximations: the posterior of the weights as a Gaussian with the Gauss-Newton matrix as curvature."""

from __future__ import annotations

import copy
import math
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import torch
from torch import nn

from ...errors import ConfigError, RunError, unknown
from ...operators.hypernetwork import HyperNetwork
from ...operators.regional import Regional
from ...typing import Float, Tensor
from ..diagnosis.sampling import squares
from ..model import Model
from ..objective import ResidualObjective
from ..tangent import field_jacobian
from ..windows import Windowed
from .evidence import Evidence, maximise_evidence
from .prediction import Prediction

if TYPE_CHECKING:
    from ..solution import Solution

__all__ = ["KINDS", "Laplace", "laplace"]

KINDS = ("auto", "full", "last_layer")

_FULL = 2500  # parameters up to which all of them are taken
_MOST = 8000  # parameters that a dense matrix may have
_ENTRIES = 2**25


@dataclass(frozen=True, eq=False)
class Laplace:
    """Gaussian posterior of the weights, ``N(theta, (beta J^T J + alpha)^-1)``, seen through the linearised network.

    Attributes:
        solution: What it is around.
        kind: ``"full"`` or ``"last_layer"``.
        model: Network with the weights that are uncertain as its only trainable ones.
        eigenvalues: Of ``J^T J``.
        basis: Eigenvectors (p, p).
        evidence: Precisions of noise and prior.
    """

    solution: Solution
    kind: str
    model: Model
    eigenvalues: Float[Tensor, " p"]
    basis: Float[Tensor, "p p"]
    evidence: Evidence

    def predict(self, points: Any) -> Prediction:
        """Return the fields of the solution, and the standard deviation ``sqrt(diag(J_u C J_u^T))``.

        Args:
            points: As for :meth:`kjet.Solution.predict`.

        Cost: one backward pass for each field, and ``n p^2``.
        """
        like = next(self.model.parameters())
        x = self.solution._tensor(points).to(like)
        means, stds = [], []
        for part in x.split(max(1, _ENTRIES // (8 * len(self.eigenvalues)))):
            y, jacobian = field_jacobian(self.model, part)
            half = jacobian.to(self.basis) @ self._root
            # where regions have fields of their own, those of the region that a point belongs to
            means.append(self.solution._reported(part, y))
            stds.append(self.solution._reported(part, half.square().sum(-1).sqrt().T))
        mean, std = torch.cat(means), torch.cat(stds)
        names = self.solution.fields
        return Prediction(
            {name: mean[:, i] for i, name in enumerate(names)}, {name: std[:, i] for i, name in enumerate(names)}
        )

    @property
    def _root(self) -> Float[Tensor, "p p"]:
        """A root of the covariance."""
        return self.basis * (self.evidence.noise * self.eigenvalues + self.evidence.prior).rsqrt()

    @property
    def covariance(self) -> Float[Tensor, "p p"]:
        """Covariance of the weights that are uncertain."""
        return self._root @ self._root.T


def laplace(
    solution: Solution, kind: str = "auto", *, noise: float | None = None, prior: float | None = None
) -> Laplace:
    """Approximate the posterior of the weights around a solution.

    Residuals, scaled as in the loss, count as Gaussian noise of precision beta, weights have a Gaussian prior of
    precision alpha around zero; those not given maximise the marginal likelihood.

    Args:
        solution: A trained solution with its problem.
        kind: ``"full"``: all weights, and the unknown parameters. ``"last_layer"``: the weights of the last linear
            layer alone, for large networks; of each one where regions or windows of time have their own. ``"auto"``:
            full up to 2,500 parameters.
        noise: Precision beta of the scaled residuals.
        prior: Precision alpha of the weights.

    Raises:
        RunError: If the solution was loaded without its problem.
        ConfigError: If the kind is unknown, a precision not positive, the network too large, or directions are random.

    Cost: a Jacobian in parts, ``r p^2`` and ``p^3``.

    Ref: MacKay, *A practical Bayesian framework for backpropagation networks*, 1992; Immer, Korzepa, Bauer, *Improving
    predictions of Bayesian neural nets via local linearization*, 2021; Daxberger et al., *Laplace redux*, 2021.
    """
    if kind not in KINDS:
        raise ConfigError(unknown("kind", kind, KINDS, "laplace()"))
    for name, value in (("noise", noise), ("prior", prior)):
        if value is not None and not (math.isfinite(value) and value > 0):
            raise ConfigError(f"{name} is a precision, a positive number; got {value!r}. Leave it out to estimate it")
    if solution.objective is None:
        raise RunError("this solution was loaded without its problem; kjet.load(path, problem=problem)")
    objective = squares(solution.objective)
    if objective.stochastic:
        raise ConfigError("laplace() needs exact residuals; with random directions most of them is noise")
    count = objective.model.flat().numel()
    chosen = ("full" if count <= _FULL else "last_layer") if kind == "auto" else kind
    model = _restricted(objective.model, None if chosen == "full" else _last_layers(objective.model.network))
    theta = model.flat()
    if theta.numel() > _MOST:
        raise ConfigError(
            f"{theta.numel()} weights are too many for a dense matrix, {_MOST} are the limit; use "
            + ('kind="last_layer"' if chosen == "full" else "a narrower last layer")
        )
    gram, misfit = _gram(ResidualObjective(model, objective.terms), theta)
    eigenvalues, basis = torch.linalg.eigh(gram)
    eigenvalues = eigenvalues.clamp(min=0)
    evidence = maximise_evidence(
        eigenvalues, objective.size, misfit, float(theta.double().square().sum()), noise, prior
    )
    return Laplace(solution, chosen, model, eigenvalues, basis, evidence)


def _last_layers(network: nn.Module) -> list[nn.Parameter]:
    """Weights of the last linear layer, of each network where regions or windows of time have their own."""
    joint = next((m for m in network.modules() if isinstance(m, Regional | Windowed)), None)
    if joint is not None:
        parts = joint.parts if isinstance(joint, Windowed) else joint.networks
        return [p for part in parts for p in _last_layers(part)]
    conditioned = next((m for m in network.modules() if isinstance(m, HyperNetwork)), None)
    # codes come from a network that stands behind the layers, but acts on all of them
    outer = () if conditioned is None else conditioned.layers[-1].modules()
    layers = [m for m in outer if isinstance(m, nn.Linear)] or [
        m for m in network.modules() if isinstance(m, nn.Linear)
    ]
    if not layers:
        raise ConfigError('the network has no linear layer; use kind="full"')
    return list(layers[-1].parameters())


def _restricted(model: Model, kept: list[nn.Parameter] | None) -> Model:
    """Copy a model; if weights are named, only these stay trainable."""
    wanted = None if kept is None else {id(p) for p in kept}
    chosen = [wanted is None or id(p) in wanted for p in model.trainable()]
    made = copy.deepcopy(model)
    pairs = list(zip(made.trainable(), chosen, strict=True))
    for p, keep in pairs:
        p.requires_grad_(keep)
    made._trainable = [p for p, keep in pairs if keep]
    return made


def _gram(objective: ResidualObjective, theta: Tensor) -> tuple[Float[Tensor, "p p"], float]:
    """``J^T J`` and ``|r|^2``, from parts of the terms that fit into memory."""
    p = theta.numel()
    limit = max(16, _ENTRIES // p)
    gram = torch.zeros(p, p, dtype=torch.float64, device=theta.device)
    misfit = 0.0
    for term in objective.terms:
        n = len(term.points)
        step = limit if term.divisible else n
        for first in range(0, n, step):
            last = min(first + step, n)
            # a part is a mean over fewer points
            share = (last - first) / n
            part = term if share == 1 else term.part(first, last)
            residual, jacobian = objective.with_terms([part]).residual_and_jacobian(theta)
            J = jacobian.double()
            gram += share * (J.T @ J)
            misfit += share * float(residual.double().square().sum())
    return gram, misfit
