"""Two-body Sine-Gordon equation on the unit ball, in numbers that every side of the benchmark starts from.

``lap u + sin u = f`` with ``u = (1 - |x|^2) N(x)``, where N is a network of three hidden tanh layers of 128 and f
belongs to ``(1 - |x|^2) sum_i c_i sin(x_i + cos(x_{i+1}) + x_{i+1} cos(x_i))``. Points have uniform directions and
uniform distances from the center. A training step draws 100 points and 16 axes, evaluates the source, the estimated
residual and the gradient of its mean square, and updates all parameters by Adam. Imports numpy alone, so that each
side can be run, and its memory measured, without the other.
"""

from __future__ import annotations

import itertools
import math
from dataclasses import asdict, dataclass
from typing import Any

import numpy as np

__all__ = ["Step", "coefficients", "inputs", "weights"]

Layers = list[tuple[np.ndarray, np.ndarray]]


@dataclass(frozen=True)
class Step:
    """Sizes of a training step.

    Attributes:
        dim: Number of coordinates d.
        points: Points n.
        samples: Directions s.
        width: Size of the hidden layers.
        depth: Number of hidden layers.
        rate: Learning rate.
        factor: Whether the network is multiplied by ``1 - |x|^2``.
        seed: Seed of everything drawn.
        dtype: Floating type, ``"float32"`` or ``"float64"``.
    """

    dim: int
    points: int = 100
    samples: int = 16
    width: int = 128
    depth: int = 3
    rate: float = 1e-3
    factor: bool = True
    seed: int = 0
    dtype: str = "float32"

    def options(self) -> dict[str, Any]:
        """Return the fields by name."""
        return asdict(self)


def weights(step: Step) -> Layers:
    """Draw weights (out, in) of variance 1 / fan-in, and biases.

    >>> [w.shape for w, _ in weights(Step(dim=5, width=4))]
    [(4, 5), (4, 4), (4, 4), (1, 4)]
    """
    rng = np.random.default_rng(step.seed)
    sizes = [step.dim, *[step.width] * step.depth, 1]
    layers = []
    for i, o in itertools.pairwise(sizes):
        weight = rng.standard_normal((o, i), dtype=np.float32)
        weight *= 1 / math.sqrt(i)
        layers.append((_typed(weight, step), _typed(0.1 * rng.standard_normal(o, dtype=np.float32), step)))
    return layers


def coefficients(step: Step) -> np.ndarray:
    """Draw the coefficients ``c`` (d - 1,)."""
    return _typed(np.random.default_rng([step.seed, 1]).standard_normal(step.dim - 1, dtype=np.float32), step)


def inputs(step: Step) -> tuple[np.ndarray, np.ndarray]:
    """Draw points (n, d) and axes (s,), for a comparison of the sides on equal inputs."""
    rng = np.random.default_rng([step.seed, 2])
    x = rng.standard_normal((step.points, step.dim), dtype=np.float32)
    x *= (rng.random((step.points, 1)) / np.linalg.norm(x, axis=1, keepdims=True)).astype(np.float32)
    return _typed(x, step), rng.choice(step.dim, step.samples, replace=False)


def _typed(values: np.ndarray, step: Step) -> np.ndarray:
    """Convert float32 numbers: the same ones in every type."""
    return values.astype(step.dtype, copy=False)
