"""The training step of ``_taylor_problem`` by jax.experimental.jet, compiled as a whole.

Laplacian: one jet of order 2 for each drawn axis, mapped over axes and points, as published code for such problems has
it: a direction is a dense unit vector that the points share, so that the first layer maps it once for all of them.
"""

from __future__ import annotations

from functools import partial
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np
from jax.experimental.jet import jet

from ._taylor_problem import Step, coefficients, inputs, weights

__all__ = ["JaxStep"]

Parameters = list[tuple[Any, Any]]


def network(parameters: Parameters, x: Any) -> Any:
    """Evaluate the perceptron: one point or many."""
    *hidden, (last, bias) = parameters
    for weight, shift in hidden:
        x = jnp.tanh(x @ weight.T + shift)
    return (x @ last.T + bias)[..., 0]


def laplacian(u: Any, x: Any, axes: Any) -> tuple[Any, Any]:
    """Values (n,) and ``d / s sum_r u_rr`` (n,) over the drawn axes."""
    d = x.shape[1]
    directions = jax.nn.one_hot(axes, d, dtype=x.dtype)

    def along(point: Any, direction: Any) -> tuple[Any, Any]:
        value, (_, second) = jet(u, (point,), ((direction, jnp.zeros_like(direction)),))
        return value, second

    values, seconds = jax.vmap(jax.vmap(along, in_axes=(None, 0)), in_axes=(0, None))(x, directions)
    return values[:, 0], d * seconds.mean(1)


def source(c: Any, x: Any) -> Any:
    """``lap u + sin u`` of the exact solution ``u = w g``, ``w = 1 - |x|^2``, ``g = sum c sin(a + cos b + b cos a)``.

    ``lap u = w lap g - 4 x . grad g - 2 d g``, and each term of g depends on two neighbours a, b.
    """
    a, b = x[:, :-1], x[:, 1:]
    phase = a + jnp.cos(b) + b * jnp.cos(a)
    by_a, by_b = 1 - b * jnp.sin(a), jnp.cos(a) - jnp.sin(b)
    sine, cosine = c * jnp.sin(phase), c * jnp.cos(phase)
    g = sine.sum(-1)
    radial = (cosine * (a * by_a + b * by_b)).sum(-1)
    curved = (-cosine * (b * jnp.cos(a) + jnp.cos(b)) - sine * (by_a**2 + by_b**2)).sum(-1)
    w = 1 - (x**2).sum(-1)
    return w * curved - 4 * radial - 2 * x.shape[1] * g + jnp.sin(w * g)


def loss(parameters: Parameters, x: Any, axes: Any, f: Any, factor: bool) -> Any:
    """Mean square of the residual."""

    def u(point: Any) -> Any:
        value = network(parameters, point)
        return (1 - jnp.sum(point**2)) * value if factor else value

    value, second = laplacian(u, x, axes)
    return jnp.mean((second + jnp.sin(value) - f) ** 2)


def adam(parameters: Parameters, gradient: Any, state: Any, rate: float) -> tuple[Any, Any]:
    """One step of Adam with its usual constants."""
    count, first, second = state
    count = count + 1
    first = jax.tree.map(lambda m, g: 0.9 * m + 0.1 * g, first, gradient)
    second = jax.tree.map(lambda v, g: 0.999 * v + 0.001 * g * g, second, gradient)
    scale, shrink = rate / (1 - 0.9**count), 1 / (1 - 0.999**count)
    moved = jax.tree.map(lambda p, m, v: p - scale * m / (jnp.sqrt(v * shrink) + 1e-8), parameters, first, second)
    return moved, (count, first, second)


@partial(jax.jit, static_argnames=("step",), donate_argnums=(0, 1))
def train(parameters: Parameters, state: Any, key: Any, c: Any, step: Step) -> tuple[Any, Any, Any, Any]:
    """Draw, evaluate, differentiate and update."""
    key, for_points, for_radii, for_axes = jax.random.split(key, 4)
    x = jax.random.normal(for_points, (step.points, step.dim), c.dtype)
    x = x * (jax.random.uniform(for_radii, (step.points, 1), c.dtype) / jnp.linalg.norm(x, axis=1, keepdims=True))
    axes = jax.random.choice(for_axes, step.dim, (step.samples,), replace=False)
    f = source(c, x)
    value, gradient = jax.value_and_grad(loss)(parameters, x, axes, f, step.factor)
    parameters, state = adam(parameters, gradient, state, step.rate)
    return parameters, state, key, value


class JaxStep:
    """JAX's side: steps that go on from each other."""

    def __init__(self, step: Step, device: str, precision: str) -> None:
        jax.config.update("jax_enable_x64", step.dtype == "float64")
        jax.config.update("jax_platforms", device)
        jax.config.update("jax_default_matmul_precision", precision)
        self.sizes = step
        self.stages = (("step", self),)
        self.parameters = [(jnp.asarray(w), jnp.asarray(b)) for w, b in weights(step)]
        zeros = partial(jax.tree.map, jnp.zeros_like, self.parameters)
        self.state = (jnp.zeros(()), zeros(), zeros())
        self.key = jax.random.PRNGKey(step.seed)
        self.coefficients = jnp.asarray(coefficients(step))

    def __call__(self) -> None:
        """Take one step and wait for it."""
        self.parameters, self.state, self.key, value = train(
            self.parameters, self.state, self.key, self.coefficients, self.sizes
        )
        jax.block_until_ready((value, self.parameters))

    def evaluate(self) -> tuple[float, list[np.ndarray]]:
        """Loss and gradient in all parameters, on the inputs that all sides share."""
        x, axes = map(jnp.asarray, inputs(self.sizes))
        f = source(self.coefficients, x)
        parameters = [(jnp.asarray(w), jnp.asarray(b)) for w, b in weights(self.sizes)]
        value, gradient = jax.jit(jax.value_and_grad(loss), static_argnums=4)(parameters, x, axes, f, self.sizes.factor)
        return float(value), [np.asarray(part) for layer in gradient for part in layer]

    def peak_mb(self) -> float | None:
        """Peak memory of a GPU; None on a CPU."""
        found = jax.devices()[0].memory_stats() or {}
        return found["peak_bytes_in_use"] / 2**20 if "peak_bytes_in_use" in found else None

    @staticmethod
    def versions() -> dict[str, str]:
        """Versions of what is measured."""
        return {"jax": jax.__version__, "jaxlib": jax.lib.__version__}
