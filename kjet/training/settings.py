"""Settings of a training run, with their ranges checked where they enter."""

from __future__ import annotations

import math
from collections.abc import Callable
from dataclasses import dataclass
from numbers import Integral, Real
from typing import Any

import torch

from ..data import R3, RAD, RARD, SAMPLERS, Importance, Renewal, Sampler, Uniformly, make_sampler
from ..errors import ConfigError, unknown
from .precision import PRECISIONS, check_precision

__all__ = ["ConstraintConfig", "SamplerConfig", "TrainerConfig"]

DTYPES = {"float32": torch.float32, "float64": torch.float64}

_BALANCED = 32  # coordinates up to which Sobol' points spread more evenly than independent ones, at a fair price


def _positive(owner: str, name: str, value: Any) -> None:
    number = isinstance(value, Real) and not isinstance(value, bool)
    if value is not None and not (number and math.isfinite(value) and value > 0):
        raise ConfigError(f"{owner}.{name} must be a positive number; got {value!r}")


def _count(owner: str, name: str, value: Any) -> None:
    whole = isinstance(value, Integral) and not isinstance(value, bool)
    if value is not None and not (whole and value > 0):
        raise ConfigError(f"{owner}.{name} must be a positive whole number; got {value!r}")


def _choice(what: str, value: str, options: Any) -> None:
    if value not in options:
        raise ConfigError(unknown(what, value, options))


@dataclass(frozen=True)
class TrainerConfig:
    """When to stop, in which precision to work, how often to report.

    Attributes:
        max_seconds: Seconds of training; None takes the problem's suggestion.
        max_steps: Optimizer steps; None for no limit.
        tolerance: Loss at which to stop; None for no limit.
        dtype: ``"float64"`` or ``"float32"``; None takes the problem's suggestion. Curvature methods want float64.
        device: Torch device, such as ``"cpu"`` or ``"cuda:0"``.
        precision: Products of matrices in the loss that is trained, for float32: ``"full"``; ``"tf32"``, all products
            in TF32, on GPUs; ``"bf16"``, the network under autocast to bfloat16. What that costs in accuracy is
            measured before the first step. For methods of first order; parameters, sums and errors stay in float32.
        threads: CPU threads for torch; None leaves the setting as it is. Applied by ``train.py`` alone.
        compile: Compile loss and gradient of a step: a minute or so before the first step, faster ones after it. The
            Jacobian of Gauss-Newton methods is not compiled.
        memory_mb: Megabytes that a loss may keep for its gradient, beside points and parameters: points then go in
            chunks, whose gradients are added up. The Jacobian of Gauss-Newton methods is not taken in chunks.
        log_seconds: Time between two logged steps; more where measuring the error takes long.
        checkpoint_seconds: Time between two checkpoints.
        test_points: Points at which the error against the reference is measured; None takes 10,000, and fewer in
            thousands of dimensions.
        windows: Windows of time that are solved one after the other, each from the end of the one before; 1 for all
            times at once, None for the problem's suggestion. See :mod:`kjet.training.marching`.
        window_shares: Share of the time or the steps that each window may take, in any unit; none for equal shares.

    Raises:
        ConfigError: If a value is out of range or the device is not there.

    >>> TrainerConfig(max_steps=0)
    Traceback (most recent call last):
    kjet.errors.ConfigError: trainer.max_steps must be a positive whole number; got 0
    """

    max_seconds: float | None = None
    max_steps: int | None = None
    tolerance: float | None = None
    dtype: str | None = None
    device: str = "cpu"
    precision: str = "full"
    threads: int | None = None
    compile: bool = False
    memory_mb: float | None = None
    log_seconds: float = 2.0
    checkpoint_seconds: float = 60.0
    test_points: int | None = None
    windows: int | None = None
    window_shares: tuple[float, ...] = ()

    def __post_init__(self) -> None:
        for name in ("max_seconds", "tolerance", "memory_mb", "log_seconds", "checkpoint_seconds"):
            _positive("trainer", name, getattr(self, name))
        for name in ("max_steps", "threads", "test_points", "windows"):
            _count("trainer", name, getattr(self, name))
        for share in self.window_shares:
            _positive("trainer", "window_shares", share)
        if self.window_shares and len(self.window_shares) != (self.windows or len(self.window_shares)):
            raise ConfigError(
                f"trainer.window_shares has {len(self.window_shares)} shares for {self.windows} windows; give one each"
            )
        if self.dtype is not None:
            _choice("dtype", self.dtype, DTYPES)
        if self.compile and self.memory_mb is not None:
            raise ConfigError(
                "trainer.compile makes one program for all points, and trainer.memory_mb takes them in chunks; use one "
                "of them"
            )
        self._check_device()
        _choice("precision", self.precision, PRECISIONS)
        check_precision(self.precision, self.dtype, torch.device(self.device))

    def _check_device(self) -> None:
        try:
            device = torch.device(self.device)
        except RuntimeError as error:
            raise ConfigError(f'trainer.device is "{self.device}"; use cpu, cuda or cuda:0') from error
        if device.type == "cuda" and (device.index or 0) >= torch.cuda.device_count():
            raise ConfigError(
                f'trainer.device is "{self.device}", but torch sees {torch.cuda.device_count()} CUDA devices; use '
                "trainer.device=cpu or a device that is there"
            )

    @property
    def torch_dtype(self) -> torch.dtype:
        """The dtype as torch names it; float64 where none is given."""
        return DTYPES[self.dtype or "float64"]


@dataclass(frozen=True)
class SamplerConfig:
    """How collocation points are drawn, and drawn anew.

    Attributes:
        name: ``"sobol"``, ``"uniform"``, ``"latin_hypercube"`` or ``"grid"``; ``"auto"`` takes Sobol' points in up to
            32 dimensions and uniform ones beyond.
        points: Points inside; None takes the problem's suggestion.
        boundary_points: Points for each condition; None takes the problem's suggestion.
        adaptive: ``"rad"`` draws anew by the size of the residual; ``"rar_d"`` keeps old points and adds some by it,
            up to a maximum; ``"r3"`` keeps those above the mean and draws the others anew; ``"importance"`` draws as
            ``"rad"`` does, with weights that leave the loss what it is on average; ``"uniform"`` draws anew without
            looking; ``"none"`` keeps the first points, which the network then overfits. ``"auto"`` is ``"uniform"``
            where directions are random, whose errors would be taken for residuals, ``"none"`` where weights belong to
            points, and ``"rad"`` elsewhere.
        every: Optimizer steps between two draws; None leaves it to the optimizer.
        candidates: Pool points for each point drawn, for ``"rad"``, ``"rar_d"`` and ``"importance"``.
        power: Exponent of the residual, for these three; None takes 1, and 2 for ``"rar_d"``.
        offset: Share of uniform sampling, for these three; None takes 1, and 0 for ``"rar_d"``.
        added: Points for each addition of ``"rar_d"``; None takes a twentieth of the first ones.
        max_points: Points beyond which ``"rar_d"`` adds none; None takes twice the first ones.

    Raises:
        ConfigError: If a name is unknown or a value out of range.
    """

    name: str = "auto"
    points: int | None = None
    boundary_points: int | None = None
    adaptive: str = "auto"
    every: int | None = None
    candidates: int = 5
    power: float | None = None
    offset: float | None = None
    added: int | None = None
    max_points: int | None = None

    def __post_init__(self) -> None:
        for name in ("points", "boundary_points", "every", "candidates", "added", "max_points"):
            _count("sampler", name, getattr(self, name))
        _choice("sampler", self.name, ("auto", *SAMPLERS))
        _choice("adaptive sampling", self.adaptive, ("auto", *RENEWALS))
        self.rad()
        if self.points is not None and self.max_points is not None and self.max_points < self.points:
            raise ConfigError(
                f"sampler.max_points={self.max_points} is below the first sampler.points={self.points}; raise it, or "
                "use another sampler.adaptive"
            )

    def sampler(self, d: int) -> Sampler:
        """Return the sampler for `d` coordinates.

        >>> SamplerConfig().sampler(3), SamplerConfig().sampler(1000), SamplerConfig("grid").sampler(1000)
        (Sobol(), Uniform(), Grid())
        """
        chosen = "sobol" if d <= _BALANCED else "uniform"
        return make_sampler(chosen if self.name == "auto" else self.name)

    def redrawn(self, stochastic: bool, attached: bool = False) -> str:
        """Return how points are drawn anew, ``"auto"`` decided.

        Args:
            stochastic: Whether directions are random.
            attached: Whether weights belong to the points.
        """
        chosen = "none" if attached else "uniform" if stochastic else "rad"
        return chosen if self.adaptive == "auto" else self.adaptive

    def renewal(self, name: str, first: int) -> Renewal | None:
        """Return the rule by which points are drawn anew.

        Args:
            name: From :meth:`redrawn`.
            first: Number of the first points.

        >>> SamplerConfig(added=10).renewal("rar_d", 100).maximum, SamplerConfig().renewal("none", 100)
        (200, None)
        """
        return RENEWALS[name](self, first)

    def rad(self, default: RAD = RAD()) -> RAD:  # noqa: B008  # immutable
        """Return the distribution by the residual; what is not set is that of `default`."""
        power = default.power if self.power is None else self.power
        return RAD(self.candidates, power, default.offset if self.offset is None else self.offset)


def _growing(config: SamplerConfig, first: int) -> RARD:
    added, most = config.added or max(first // 20, 1), config.max_points or 2 * first
    return RARD(added, most, config.rad(RAD(power=2.0, offset=0.0)))


RENEWALS: dict[str, Callable[[SamplerConfig, int], Renewal | None]] = {
    "rad": lambda config, first: config.rad(),
    "rar_d": _growing,
    "r3": lambda config, first: R3(),
    "importance": lambda config, first: Importance(config.rad()),
    "uniform": lambda config, first: Uniformly(),
    "none": lambda config, first: None,
}
"""Adaptive sampling by the name that a configuration gives."""


@dataclass(frozen=True)
class ConstraintConfig:
    """How conditions are imposed.

    Attributes:
        name: ``"soft"``: as residuals. ``"hard"``: Dirichlet and initial values by an ansatz that has them exactly.
            ``"auto"``: what the problem suggests. Periodic conditions are exact in all cases but ``"soft"``.
        weight: Weight of the mean square of each soft condition against that of the equation; None takes the
            problem's suggestion. An error at the boundary or at the first time spreads inside unweakened, one in the
            equation is divided by the operator, so conditions may well weigh more.
        harmonics: Sines and cosines for each periodic coordinate; None takes the problem's suggestion.

    Raises:
        ConfigError: If the name is unknown or a number not positive.
    """

    name: str = "auto"
    weight: float | None = None
    harmonics: int | None = None

    def __post_init__(self) -> None:
        _choice("constraint", self.name, ("auto", "soft", "hard"))
        _positive("constraint", "weight", self.weight)
        _count("constraint", "harmonics", self.harmonics)
