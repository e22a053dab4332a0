"""Settings of a training run, with their ranges checked where they enter."""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import Any

import torch

from ..data import RAD, SAMPLERS
from ..errors import ConfigError, unknown

__all__ = ["ConstraintConfig", "SamplerConfig", "TrainerConfig"]

DTYPES = {"float32": torch.float32, "float64": torch.float64}


def _positive(owner: str, name: str, value: Any) -> None:
    if value is not None and not (math.isfinite(value) and value > 0):
        raise ConfigError(f"{owner}.{name} must be positive; got {value}")


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
        compile: Whether to compile the Taylor pass with torch.compile.
        threads: CPU threads for torch; None leaves the setting as it is. Applied by ``train.py`` alone.
        log_seconds: Time between two logged steps.
        checkpoint_seconds: Time between two checkpoints.
        test_points: Points at which the error against the reference is measured.
    """

    max_seconds: float | None = None
    max_steps: int | None = None
    tolerance: float | None = None
    dtype: str = "float64"
    device: str = "cpu"
    compile: bool = False
    threads: int | None = None
    log_seconds: float = 2.0
    checkpoint_seconds: float = 60.0
    test_points: int = 10000

    def __post_init__(self) -> None:
        for name in (
            "max_seconds",
            "max_steps",
            "tolerance",
            "threads",
            "log_seconds",
            "checkpoint_seconds",
            "test_points",
        ):
            _positive("trainer", name, getattr(self, name))
        _choice("dtype", self.dtype, DTYPES)
        if self.device.startswith("cuda") and not torch.cuda.is_available():
            raise ConfigError(
                f'trainer.device is "{self.device}", but torch sees no CUDA device; use trainer.device=cpu'
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
        for name in ("points", "boundary_points", "every"):
            _positive("sampler", name, getattr(self, name))
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
        harmonics: Sines and cosines for each periodic coordinate.
    """

    name: str = "auto"
    harmonics: int = 1

    def __post_init__(self) -> None:
        _choice("constraint", self.name, ("auto", "soft", "hard"))
        _positive("constraint", "harmonics", self.harmonics)
