"""Settings of a training run, with their ranges checked where they enter."""

from __future__ import annotations

import math
from dataclasses import dataclass
from numbers import Integral, Real
from typing import Any

import torch

from ..data import RAD, SAMPLERS
from ..errors import ConfigError, unknown

__all__ = ["ConstraintConfig", "SamplerConfig", "TrainerConfig"]

DTYPES = {"float32": torch.float32, "float64": torch.float64}


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
        dtype: ``"float64"`` or ``"float32"``; curvature methods want float64.
        device: Torch device, such as ``"cpu"`` or ``"cuda:0"``.
        threads: CPU threads for torch; None leaves the setting as it is. Applied by ``train.py`` alone.
        log_seconds: Time between two logged steps.
        checkpoint_seconds: Time between two checkpoints.
        test_points: Points at which the error against the reference is measured.

    Raises:
        ConfigError: If a value is out of range or the device is not there.

    >>> TrainerConfig(max_steps=0)
    Traceback (most recent call last):
    kjet.errors.ConfigError: trainer.max_steps must be a positive whole number; got 0
    """

    max_seconds: float | None = None
    max_steps: int | None = None
    tolerance: float | None = None
    dtype: str = "float64"
    device: str = "cpu"
    threads: int | None = None
    log_seconds: float = 2.0
    checkpoint_seconds: float = 60.0
    test_points: int = 10000

    def __post_init__(self) -> None:
        for name in ("max_seconds", "tolerance", "log_seconds", "checkpoint_seconds"):
            _positive("trainer", name, getattr(self, name))
        for name in ("max_steps", "threads", "test_points"):
            _count("trainer", name, getattr(self, name))
        _choice("dtype", self.dtype, DTYPES)
        self._check_device()

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
        """The dtype as torch names it."""
        return DTYPES[self.dtype]


@dataclass(frozen=True)
class SamplerConfig:
    """How collocation points are drawn, and drawn anew.

    Attributes:
        name: ``"sobol"``, ``"uniform"``, ``"latin_hypercube"`` or ``"grid"``.
        points: Points inside; None takes the problem's suggestion.
        boundary_points: Points for each condition; None takes the problem's suggestion.
        adaptive: ``"rad"`` draws anew by the size of the residual, ``"uniform"`` anew without it, ``"none"`` keeps the
            first points, which the network then overfits.
        every: Optimizer steps between two draws; None leaves it to the optimizer.
        candidates: Pool points for each point kept, for ``"rad"``.
        power: Exponent of the residual, for ``"rad"``.
        offset: Share of uniform sampling, for ``"rad"``.

    Raises:
        ConfigError: If a name is unknown or a value out of range.
    """

    name: str = "sobol"
    points: int | None = None
    boundary_points: int | None = None
    adaptive: str = "rad"
    every: int | None = None
    candidates: int = 5
    power: float = 1.0
    offset: float = 1.0

    def __post_init__(self) -> None:
        for name in ("points", "boundary_points", "every", "candidates"):
            _count("sampler", name, getattr(self, name))
        _choice("sampler", self.name, SAMPLERS)
        _choice("adaptive sampling", self.adaptive, ("rad", "uniform", "none"))
        self.rad()

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
