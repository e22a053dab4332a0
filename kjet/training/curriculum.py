"""Parameters that move from an easy value to that of the problem as training goes on."""

from __future__ import annotations

import math
from abc import ABC, abstractmethod
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from ..errors import ConfigError, unknown
from ..pde import Unknown
from ..problem import Problem

__all__ = ["Curriculum", "GeometricCurriculum", "LinearCurriculum", "NoCurriculum", "curriculum_of"]


@dataclass(frozen=True)
class NoCurriculum:
    """All parameters have the values of the problem from the start."""


@dataclass(frozen=True)
class Curriculum(ABC):
    """Stages of training, each with its own values of some parameters; the last one has those of the problem.

    Stage i of ``stages`` has parameters a share ``i / stages`` of the way from `start`; after that come the problem's
    own values, with which training goes on to its end. Only known parameters of equation and conditions move, by name,
    such as Burgers' ``nu``; a source or a boundary value that was made from the same number does not follow. A stage
    ends early where its loss reaches the tolerance or falls no further. Errors are those against the solution of
    the problem.

    Attributes:
        start: Easy value of each parameter that moves.
        stages: Number of values before that of the problem.
        share: Share of the run, in time or steps, after which the problem's own values hold.
        steps: Optimizer steps of each stage, in place of a share.

    Raises:
        ConfigError: If a value is out of range.

    Ref: Krishnapriyan, Gholami, Zhe, Kirby, Mahoney, *Characterizing possible failure modes in physics-informed neural
    networks*, 2021, section 5.
    """

    start: Any = None  # a mapping; configurations can only replace a whole mapping of new keys where it has no type
    stages: int = 5
    share: float = 0.5
    steps: int | None = None

    def __post_init__(self) -> None:
        if not isinstance(self.start, Mapping | None):
            raise ConfigError(f"curriculum.start must be values by parameter, such as {{nu: 0.1}}; got {self.start!r}")
        start: dict[str, float] = dict(self.start or {})
        object.__setattr__(self, "start", start)
        for name, value in start.items():
            if not (isinstance(value, int | float) and not isinstance(value, bool) and math.isfinite(value)):
                raise ConfigError(f"curriculum.start: {name} must be a number; got {value!r}")
        for name in ("stages", "steps"):
            value = getattr(self, name)
            if value is not None and not (isinstance(value, int) and value >= 1):
                raise ConfigError(f"curriculum.{name} must be a positive whole number; got {value!r}")
        if not 0 < self.share < 1:
            raise ConfigError(
                f"curriculum.share is {self.share}; give a number between 0 and 1, which leaves the rest of the run to "
                "the values of the problem"
            )

    @abstractmethod
    def between(self, start: float, target: float, share: float) -> float:
        """Return the value a share of the way from one to the other."""

    def check_target(self, name: str, target: float) -> None:  # noqa: B027  # most pairs will do
        """Refuse a target that cannot be reached from the start."""

    def check(self, problem: Problem, max_steps: int | None) -> None:
        """Refuse a curriculum that does not fit the problem, or does not end before training does.

        Args:
            problem: Its parameters are the targets.
            max_steps: Steps of the run, if they are limited.

        Raises:
            ConfigError: With what to change.
        """
        if not self.start:
            raise ConfigError(
                'a curriculum needs the easy value of a parameter: curriculum={"nu": 0.1}, or "curriculum.start={nu: '
                '0.1}" on the command line'
            )
        known = problem.all_parameters
        for name, value in self.start.items():
            if name not in known:
                raise ConfigError("curriculum.start: " + unknown("parameter", name, known, "the problem"))
            target = known[name]
            if isinstance(target, Unknown):
                raise ConfigError(f'curriculum.start: "{name}" is to be found, not given; leave it out')
            if float(target) == float(value):
                raise ConfigError(
                    f'curriculum.start: "{name}" starts at {value:g}, its value in the problem; give an easier one'
                )
            self.check_target(name, float(target))
        needed = self.stages if self.steps is None else self.stages * self.steps
        if max_steps is not None and max_steps <= needed:
            raise ConfigError(
                f"the curriculum takes at least {needed} steps before {', '.join(self.start)} has the value of the "
                f"problem, and the run ends after {max_steps}; raise trainer.max_steps, or lower curriculum.stages or "
                "curriculum.steps"
            )

    def values(self, problem: Problem, stage: int) -> dict[str, float]:
        """Return the parameters that move, with their values in a stage."""
        targets: dict[str, Any] = {name: problem.all_parameters[name] for name in self.start}
        if stage >= self.stages:
            return {name: float(target) for name, target in targets.items()}
        share = stage / self.stages
        return {name: self.between(value, float(targets[name]), share) for name, value in self.start.items()}

    def stage(self, step: int, done: float) -> int:
        """Return the stage after a number of steps and a share of the run."""
        reached = step // self.steps if self.steps is not None else math.floor(done / self.share * self.stages)
        return min(reached, self.stages)


@dataclass(frozen=True)
class GeometricCurriculum(Curriculum):
    """Values at equal ratios, for parameters that matter by their order of magnitude.

    >>> from kjet.problems import BurgersProblem
    >>> easy = GeometricCurriculum({"nu": 0.1}, stages=2)
    >>> [round(easy.values(BurgersProblem(nu=1e-3).build(), stage)["nu"], 6) for stage in (0, 1, 2)]
    [0.1, 0.01, 0.001]
    """

    def between(self, start: float, target: float, share: float) -> float:
        """Return ``start (target / start)**share``."""
        return start * (target / start) ** share

    def check_target(self, name: str, target: float) -> None:
        """Refuse zero and a change of sign."""
        if not self.start[name] * target > 0:
            raise ConfigError(
                f"curriculum=geometric cannot take {name} from {self.start[name]:g} to {target:g}; use "
                "curriculum=linear, or a start of the same sign"
            )


@dataclass(frozen=True)
class LinearCurriculum(Curriculum):
    """Values at equal distances.

    >>> LinearCurriculum({"nu": 1.0}).between(1.0, 0.0, 0.25)
    0.75
    """

    def between(self, start: float, target: float, share: float) -> float:
        """Return ``start + share (target - start)``."""
        return start + share * (target - start)


def curriculum_of(given: Curriculum | NoCurriculum | Mapping[str, float] | None) -> Curriculum | None:
    """Return the curriculum that is meant; a mapping gives the start of a geometric one."""
    if given is None or isinstance(given, NoCurriculum):
        return None
    if isinstance(given, Curriculum):
        return given
    if isinstance(given, Mapping):
        return GeometricCurriculum(dict(given))
    raise ConfigError(f'curriculum is {given!r}; give the easy value of a parameter, such as {{"nu": 0.1}}')
