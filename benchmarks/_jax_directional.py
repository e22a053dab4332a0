"""Directional derivatives with parameter gradients by jax.experimental.jet, compiled."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np
from jax.experimental.jet import jet

from ._jax_sine_gordon import network

__all__ = ["derivative", "step"]

Layers = Sequence[tuple[np.ndarray, np.ndarray]]


def _along(parameters: Any, x: Any, direction: Any, order: int) -> Any:
    zero = jnp.zeros_like(x)
    seeds = (jnp.broadcast_to(direction, x.shape), *(zero,) * (order - 1))
    return jet(lambda points: network(parameters, points), (x,), (seeds,))[1][-1]


def derivative(layers: Layers, x: np.ndarray, direction: np.ndarray, order: int) -> np.ndarray:
    """``d^k/dt^k f(x + t v)`` of a tanh network (n,)."""
    return np.asarray(jax.jit(_along, static_argnums=3)(_arrays(layers), *map(jnp.asarray, (x, direction)), order))


def step(layers: Layers, x: np.ndarray, direction: np.ndarray, order: int) -> Callable[[], tuple[Any, list[Any]]]:
    """Make what evaluates the mean square of the derivative, and its gradient in weights and biases, and waits."""
    parameters, points, v = _arrays(layers), jnp.asarray(x), jnp.asarray(direction)

    @jax.jit
    def gradient(parameters: Any, points: Any, v: Any) -> Any:
        return jax.value_and_grad(lambda p: jnp.mean(_along(p, points, v, order) ** 2))(parameters)

    def run() -> tuple[Any, list[Any]]:
        value, parts = jax.block_until_ready(gradient(parameters, points, v))
        return value, [part for layer in parts for part in layer]

    return run


def _arrays(layers: Layers) -> list[tuple[Any, Any]]:
    return [(jnp.asarray(w), jnp.asarray(b)) for w, b in layers]
