"""Settings of a training run, with their ranges checked where they enter."""

from __future__ import annotations

import math
from dataclasses import dataclass
from numbers import Integral, Real
from typing import Any

import torch

from ..data import RAD, SAMPLERS, Sampler, make_sampler
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

    def __post_init__(self) -> None:
        for name in ("max_seconds", "tolerance", "memory_mb", "log_seconds", "checkpoint_seconds"):
            _positive("trainer", name, getattr(self, name))
        for name in ("max_steps", "threads", "test_points"):
            _count("trainer", name, getattr(self, name))
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
        adaptive: ``"rad"`` draws anew by the size of the residual, ``"uniform"`` anew without it, ``"none"`` keeps the
            first points, which the network then overfits; ``"auto"`` is ``"uniform"`` where directions are random,
            whose errors would be taken for residuals, and ``"rad"`` elsewhere.
        every: Optimizer steps between two draws; None leaves it to the optimizer.
        candidates: Pool points for each point kept, for ``"rad"``.
        power: Exponent of the residual, for ``"rad"``.
        offset: Share of uniform sampling, for ``"rad"``.

    Raises:
        ConfigError: If a name is unknown or a value out of range.
    """

    name: str = "auto"
    points: int | None = None
    boundary_points: int | None = None
    adaptive: str = "auto"
    every: int | None = None
    candidates: int = 5
    power: float = 1.0
    offset: float = 1.0

    def __post_init__(self) -> None:
        for name in ("points", "boundary_points", "every", "candidates"):
            _count("sampler", name, getattr(self, name))
        _choice("sampler", self.name, ("auto", *SAMPLERS))
        _choice("adaptive sampling", self.adaptive, ("auto", "rad", "uniform", "none"))
        self.rad()

    def sampler(self, d: int) -> Sampler:
        """Return the sampler for `d` coordinates.

        >>> SamplerConfig().sampler(3), SamplerConfig().sampler(1000), SamplerConfig("grid").sampler(1000)
        (Sobol(), Uniform(), Grid())
        """
        chosen = "sobol" if d <= _BALANCED else "uniform"
        return make_sampler(chosen if self.name == "auto" else self.name)

    def redrawn(self, stochastic: bool) -> str:
        """Return how points are drawn anew, ``"auto"`` decided."""
        chosen = "uniform" if stochastic else "rad"
        return chosen if self.adaptive == "auto" else self.adaptive

    def rad(self) -> RAD:
        """Return the adaptive distribution."""
        return RAD(self.candidates, self.power, self.offset)


@dataclass(frozen=True)
class ConstraintConfig:
    """How conditions are imposed.

    Attributes:
        name: ``"soft"``: as residuals. ``"hard"``: Dirichlet and initial values by an ansatz that has them exactly.
            ``"auto"``: what the problem suggests. Periodic conditions are exact in all cases but ``"soft"``.
        weight: Weight of the mean square of each soft condition against that of the equation; None takes the
            problem's suggestion. An error at the boundary or at the first time spreads inside unweakened, one in the
            equation is divided by the operator, so conditions may well weigh more.
        harmonics: Sines and cosines for each periodic coordinate.

    Raises:
        ConfigError: If the name is unknown or a number not positive.
    """

    name: str = "auto"
    weight: float | None = None
    harmonics: int = 1

    def __post_init__(self) -> None:
        _choice("constraint", self.name, ("auto", "soft", "hard"))
        _positive("constraint", "weight", self.weight)
        _count("constraint", "harmonics", self.harmonics)
