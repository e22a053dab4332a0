"""How sums over many coordinates are taken: the choices of the configuration group ``estimator``."""

from __future__ import annotations

import dataclasses
from collections.abc import Mapping
from dataclasses import dataclass, is_dataclass
from typing import Any

from ..errors import ConfigError
from ..jets import Exact
from ..jets.estimators import STDE, Auto, Hutchinson
from ..registry import names, resolve
from .directions import Adaptive, Snapshot

__all__ = [
    "AutoEstimatorConfig",
    "Estimation",
    "ExactConfig",
    "HutchinsonConfig",
    "STDEConfig",
    "describe_estimator",
    "estimation",
    "estimation_of",
]


@dataclass(frozen=True)
class ExactConfig:
    """Sums over coordinates are taken term by term.

    >>> ExactConfig().build()
    """

    def build(self) -> None:
        """Return None: there is nothing to draw."""


@dataclass(frozen=True)
class STDEConfig:
    """Random coordinates stand for all; see :class:`kjet.jets.estimators.STDE`.

    Attributes:
        samples: Coordinates drawn.
        replacement: Draw independently.
        per_point: Draw anew for each point.
        unbiased: Loss from two independent draws: ``mean r_1 r_2``, whose mean is the squared residual. The mean of a
            single draw's square exceeds it by the variance of the estimate. Twice the cost, and for SOAP and Adam only.

    Raises:
        ConfigError: If samples are fewer than one.

    >>> STDEConfig(samples=4).build()
    STDE(samples=4, replacement=False, per_point=False)
    """

    samples: int = 16
    replacement: bool = False
    per_point: bool = False
    unbiased: bool = False

    def __post_init__(self) -> None:
        self.build()

    def build(self) -> STDE:
        """Make the estimator."""
        return STDE(self.samples, self.replacement, self.per_point)


@dataclass(frozen=True)
class HutchinsonConfig:
    """Random dense directions; see :class:`kjet.jets.estimators.Hutchinson`.

    Attributes:
        samples: Directions drawn.
        law: ``"rademacher"``, ``"gaussian"`` or ``"sphere"``.
        per_point: Draw anew for each point.
        corrections: Axes drawn besides, where fourth derivatives need them; None takes as many as samples.
        unbiased: As for ``stde``.

    Raises:
        ConfigError: If the law is unknown or a count is below one.

    >>> HutchinsonConfig(law="sphere").build().law
    'sphere'
    """

    samples: int = 16
    law: str = "rademacher"
    per_point: bool = False
    corrections: int | None = None
    unbiased: bool = False

    def __post_init__(self) -> None:
        self.build()

    def build(self) -> Hutchinson:
        """Make the estimator."""
        return Hutchinson(self.samples, self.law, self.per_point, self.corrections)


@dataclass(frozen=True)
class AutoEstimatorConfig:
    """Sparse or dense directions, whichever vary less; see :class:`kjet.jets.estimators.Auto`.

    Attributes:
        samples: Directions drawn, at least two.
        per_point: Draw anew for each point.
        every: Draws from one comparison to the next.
        margin: Part of the score of the estimator in use that another must fall below to take its place.
        decay: How much of the past remains at each comparison.
        points: Points at which they are compared.
        unbiased: As for ``stde``.

    Raises:
        ConfigError: If a value is out of range.

    >>> AutoEstimatorConfig(samples=8).build().samples
    8
    """

    samples: int = 16
    per_point: bool = False
    every: int = 25
    margin: float = 0.75
    decay: float = 0.8
    points: int = 64
    unbiased: bool = False

    def __post_init__(self) -> None:
        self.build()

    def build(self) -> Auto:
        """Make the estimator."""
        options = {f.name: getattr(self, f.name) for f in dataclasses.fields(self) if f.name != "unbiased"}
        return Auto(**options)


_CONFIGS: dict[type, type] = {
    Exact: ExactConfig,
    STDE: STDEConfig,
    Hutchinson: HutchinsonConfig,
    Auto: AutoEstimatorConfig,
}


@dataclass(frozen=True, eq=False)
class Estimation:
    """An estimator as a run uses it.

    Attributes:
        source: What plans take their directions from; None sums exactly.
        unbiased: Whether the loss is made of two draws.
        plain: Name and settings, from which :func:`estimation_of` makes it again.
    """

    source: Any = None
    unbiased: bool = False
    plain: Mapping[str, Any] = dataclasses.field(default_factory=lambda: {"name": "exact"})


def estimation(given: Any) -> Estimation:
    """Read what a user gives: a name, a configuration, or an estimator itself; None is exact.

    Raises:
        ConfigError: If the name is unknown, or it is none of these.

    >>> from kjet.jets.estimators import STDE
    >>> estimation(STDE(4)).plain
    {'name': 'stde', 'samples': 4, 'replacement': False, 'per_point': False, 'unbiased': False}
    >>> estimation("sdte")
    Traceback (most recent call last):
    kjet.errors.ConfigError: unknown estimator "sdte"; it has auto, exact, hutchinson, stde. Did you mean "stde"?
    """
    if given is None:
        return Estimation()
    chosen = resolve("estimator", given)() if isinstance(given, str) else given
    source = chosen.build() if hasattr(chosen, "build") else chosen
    if source is not None and (isinstance(source, type) or not callable(getattr(source, "family", None))):
        raise ConfigError(
            f"estimator is {given!r}; give one of {', '.join(names('estimator'))} or an estimator such as STDE(16)"
        )
    if isinstance(source, Exact):
        source = None
    if isinstance(source, Adaptive):
        source = Snapshot(source)
    return Estimation(source, bool(getattr(chosen, "unbiased", False)), describe_estimator(chosen))


def estimation_of(plain: Mapping[str, Any]) -> Estimation:
    """Make an estimator again from its name and settings.

    Raises:
        ConfigError: If nothing of that name is registered, as with one of a user's own.
    """
    options = dict(plain)
    return estimation(resolve("estimator", str(options.pop("name")))(**options))


def describe_estimator(chosen: Any) -> dict[str, Any]:
    """Return name and settings as values for JSON; of an unregistered one the name of its class."""
    config = _CONFIGS.get(type(chosen))
    if config is not None:
        chosen = config(**{f.name: getattr(chosen, f.name) for f in dataclasses.fields(config) if f.name != "unbiased"})
    known = [name for name in names("estimator") if resolve("estimator", name) is type(chosen)]
    if not known:
        return {"name": type(chosen).__name__}
    settings = {f.name: getattr(chosen, f.name) for f in dataclasses.fields(chosen)} if is_dataclass(chosen) else {}
    return {"name": known[0], **settings}
