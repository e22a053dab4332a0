"""Dense self-scaled quasi-Newton: the workhorse for transport-dominated and stiff problems."""

from __future__ import annotations

import math
from dataclasses import dataclass

import torch

from ..errors import ConfigError
from ..typing import Float, Tensor
from .objective import State, require, tensor_of
from .quasi_newton import Pair, QuasiNewton

__all__ = ["BroydenParameters", "SelfScaledBroyden", "bfgs_parameters", "broyden_parameters", "update_inverse"]


@dataclass(frozen=True)
class BroydenParameters:
    """Member of the self-scaled Broyden family for one update.

    In terms of ``B = H^-1``, with ``w = sqrt(s.Bs) [y / y.s - B s / s.Bs]``,
    ``B+ = tau [B - B s s^T B / s.Bs + theta w w^T] + y y^T / y.s``.

    Attributes:
        tau: Scaling of the old matrix, in (0, 1].
        theta: 0 for BFGS, 1 for DFP.
        phi: The same member in terms of ``H``: 1 for BFGS, 0 for DFP.
    """

    tau: float
    theta: float
    phi: float


def bfgs_parameters(b: float, h: float, size: int) -> BroydenParameters:
    """Return self-scaled BFGS: ``theta = 0`` and ``tau = min(1, 1 / b)``.

    Args:
        b: ``s.Bs / y.s``.
        h: ``y.Hy / y.s``; unused.
        size: Number of parameters; unused.

    Ref: Al-Baali, *Global and superlinear convergence of a restricted class of self-scaling methods with inexact line
    searches, for convex functions*, 1998; Urban, Stefanou, Pons, *Unveiling the optimization process of
    physics-informed neural networks*, 2025, (11).

    >>> bfgs_parameters(b=2.0, h=1.0, size=3)
    BroydenParameters(tau=0.5, theta=0.0, phi=1.0)
    """
    return BroydenParameters(min(1.0, 1.0 / b), 0.0, 1.0)


def broyden_parameters(b: float, h: float, size: int) -> BroydenParameters:
    """Return the self-scaled Broyden member of Al-Baali and Khalfan.

    With ``a = b h - 1 >= 0``, ``c = sqrt(a / (a + 1))`` and ``rho = min(1, h (1 - c))``, ``theta`` is ``(1 - b) / b``
    held between ``(rho - 1) / a`` and ``1 / rho``; with ``sigma = 1 + a theta`` and ``root = sigma^(-1 / (size - 1))``,
    ``tau = min(1, 1/b) min(root, 1 / theta)`` for positive `theta` and ``min(root min(1, 1/b), sigma)`` else.

    Args:
        b: ``s.Bs / y.s``.
        h: ``y.Hy / y.s``; ``b h >= 1`` up to rounding.
        size: Number of parameters.

    Ref: Al-Baali and Khalfan, *A wide interval for efficient self-scaling quasi-Newton algorithms*, 2005; Urban,
    Stefanou, Pons, *Unveiling the optimization process of physics-informed neural networks*, 2025, (13)-(23).

    >>> broyden_parameters(b=1.0, h=1.0, size=3)
    BroydenParameters(tau=1.0, theta=0.0, phi=1.0)
    """
    a = max(b * h - 1.0, 0.0)  # Cauchy-Schwarz
    # h (1 - c) = h (1 - c^2) / (1 + c), which does not cancel for large a
    rho = min(1.0, h / (a + 1.0) / (1.0 + math.sqrt(a / (a + 1.0))))
    # With a = 0, w = 0: theta has no effect, and its lower bound tends to minus infinity or zero.
    lower = (rho - 1.0) / a if a > 0 else 0.0
    theta = max(lower, min(1.0 / rho, (1.0 - b) / b))
    sigma = max(1.0 + a * theta, rho)
    root = sigma ** (-1.0 / max(size - 1, 1))
    bfgs = min(1.0, 1.0 / b)
    tau = bfgs * min(root, 1.0 / theta) if theta > 0 else min(bfgs * root, sigma)
    return BroydenParameters(tau, theta, (1.0 - theta) / sigma)


def update_inverse(
    H: Float[Tensor, "p p"],
    s: Float[Tensor, " p"],
    q: Float[Tensor, " p"],
    sy: float,
    yHy: float,
    member: BroydenParameters,
) -> tuple[float, float, float]:
    """Update an inverse Hessian in place, in one pass over its memory.

    ``H+ = [H - q q^T / y.Hy + phi v v^T] / tau + s s^T / y.s`` with ``q = H y`` and
    ``v = sqrt(y.Hy) [s / y.s - q / y.Hy]``.
    Everything but ``H / tau`` is ``[s q] M [s q]^T`` with a symmetric 2 x 2 matrix. Its eigenvectors turn that into
    ``+- z z^T`` twice: as both factors of each product are the same vector, the sum is symmetric to the last bit,
    and no asymmetry can grow with the scaling over thousands of steps.

    Args:
        H: Symmetric positive definite matrix; overwritten.
        s: Change of the parameters.
        q: ``H y``.
        sy: ``s . y``, positive.
        yHy: ``y . H y``, positive.
        member: Scaling and member of the family.

    Returns:
        ``(M_ss, M_sq, M_qq)``, so that products with ``H+`` follow from those with ``H``.

    >>> H, s, y = torch.eye(2), torch.tensor([2.0, 0.0]), torch.tensor([1.0, 1.0])
    >>> _ = update_inverse(H, s, H @ y, 2.0, 2.0, bfgs_parameters(1.0, 1.0, 2))
    >>> torch.allclose(H @ y, s, atol=1e-6)
    True
    """
    tau, phi = member.tau, member.phi
    ss = (1.0 + phi * yHy / (tau * sy)) / sy
    sq = -phi / (tau * sy)
    qq = -(1.0 - phi) / (tau * yHy)
    s_norm, q_norm = torch.stack([s.norm(), q.norm()]).tolist()
    pairs = _eigenpairs(ss * s_norm * s_norm, sq * s_norm * q_norm, qq * q_norm * q_norm)
    z = [math.sqrt(abs(value)) * (x / s_norm * s + y / q_norm * q) for value, x, y in pairs]
    left = torch.stack(z, dim=1)
    right = torch.stack([math.copysign(1.0, pair[0]) * column for pair, column in zip(pairs, z, strict=True)])
    H.addmm_(left, right, beta=1.0 / tau)
    return ss, sq, qq


def _eigenpairs(a: float, b: float, c: float) -> tuple[tuple[float, float, float], tuple[float, float, float]]:
    """Return eigenvalue and unit eigenvector of ``[[a, b], [b, c]]``, twice."""
    angle = 0.5 * math.atan2(2.0 * b, a - c)
    x, y = math.cos(angle), math.sin(angle)
    mean, radius = 0.5 * (a + c), math.hypot(0.5 * (a - c), b)
    return (mean + radius, x, y), (mean - radius, -y, x)


_MEMBERS = {"broyden": broyden_parameters, "bfgs": bfgs_parameters}


@dataclass(frozen=True, kw_only=True)
class SelfScaledBroyden(QuasiNewton):
    """Self-scaled Broyden or BFGS with a dense inverse Hessian, for up to some five thousand parameters.

    Steps along ``-H g`` with a strong Wolfe search; see `broyden_parameters` and `update_inverse` for the update. The
    first update starts from ``(s.y / y.y) I``. Most steps cost one evaluation, one product with ``H`` and one pass that
    updates it: ``H y`` follows from ``H g+``, since ``H g`` is the old direction, and the new direction from the same
    product. The memory is ``p^2``. Train in float64; in float32 the status soon is ``NOISE_FLOOR``.

    Attributes:
        variant: ``"broyden"`` or ``"bfgs"``.
        max_parameters: Most parameters that it takes: their square is kept, and written with each checkpoint.
        c1: Sufficient decrease of the strong Wolfe conditions.
        c2: Curvature of the strong Wolfe conditions.
        max_evaluations: Budget of one line search.
        tolerance: Relative decrease that counts as progress.
        patience: Steps in a row without progress before the status is ``STALLED``.

    Raises:
        ConfigError: If a value is out of range.

    Ref: Urban, Stefanou, Pons, *Unveiling the optimization process of physics-informed neural networks: how accurate
    and competitive can PINNs be?*, Journal of Computational Physics 523, 2025.

    >>> SelfScaledBroyden(variant="bfgs").variant
    'bfgs'
    """

    variant: str = "broyden"
    max_parameters: int = 20_000

    def inverse_hessian(self, state: State) -> Float[Tensor, "p p"]:
        """Return ``H``; the state's own tensor, which later steps overwrite."""
        return tensor_of(state, "inverse_hessian")

    def _check(self) -> None:
        options = ", ".join(_MEMBERS)
        known = self.variant in _MEMBERS
        require(known, "SelfScaledBroyden", "variant", self.variant, f"one of {options}", 'Use "broyden".')
        most = self.max_parameters
        require(most >= 1, "SelfScaledBroyden", "max_parameters", most, "a positive integer", "Use 20000.")

    def _no_curvature(self, theta: Tensor) -> State:
        p = theta.numel()
        if p > self.max_parameters:
            size = p * p * theta.element_size() / 2**30
            raise ConfigError(
                f"SelfScaledBroyden keeps a dense matrix, {size:.1f} GB for {p} parameters; it takes at most "
                f"max_parameters={self.max_parameters}. Use optimizer=lbfgs, gauss_newton or soap, or raise it"
            )
        return {"inverse_hessian": torch.eye(p, dtype=theta.dtype, device=theta.device)}

    def _forget(self, state: State) -> None:
        H = self.inverse_hessian(state)
        H.zero_()
        H.fill_diagonal_(1.0)

    def _direction(self, state: State, gradient: Tensor) -> Tensor:
        return -(self.inverse_hessian(state) @ gradient)

    def _update(self, state: State, direction: Tensor, pair: Pair) -> dict[str, float]:
        H, s, y, gradient = self.inverse_hessian(state), pair.s, pair.y, pair.gradient
        if state["fresh"]:
            initial = pair.sy / float(y @ y)
            H.fill_diagonal_(initial)
            product, old = initial * gradient, initial * direction  # H g+ and -H g
        else:
            initial, product, old = 1.0, H @ gradient, direction
        q = product + old
        yHy, s_g, q_g, length, width = torch.stack([y @ q, s @ gradient, q @ gradient, s.norm(), q.norm()]).tolist()
        if not (yHy > 0 and length > 0 and width > 0):
            # Rounding has made H indefinite along y: the next line search finds out whether it still descends. Or the
            # step is so short that its length underflows, and teaches nothing.
            return {"skipped": 1.0}
        b = -pair.step * pair.step * pair.slope / (initial * pair.sy)
        member = _MEMBERS[self.variant](b, yHy / pair.sy, y.numel())
        ss, sq, qq = update_inverse(H, s, q, pair.sy, yHy, member)
        # H+ g+ by the terms of the update: no second product with a p x p matrix
        state["direction"] = -(product / member.tau + (ss * s_g + sq * q_g) * s + (sq * s_g + qq * q_g) * q)
        return {"tau": member.tau, "theta": member.theta}
