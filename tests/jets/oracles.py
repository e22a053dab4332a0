"""Taylor coefficients by other means than jets, along curves all of whose coefficients are nonzero."""

import warnings
from functools import lru_cache

import numpy as np
import torch

from kjet.jets import Jet, Layout

ORDER = 8
POINTS = torch.tensor([[0.31, 0.72], [0.55, -0.43], [-0.64, 0.18]], dtype=torch.float64)


def curves(points=POINTS, count=2, order=ORDER, seed=0):
    """Coefficients (order + 1, count, n, d) of polynomial curves through the points, dense and falling."""
    generator = torch.Generator().manual_seed(seed)
    rest = torch.rand(order, count, *points.shape, generator=generator, dtype=torch.float64) - 0.5
    falling = torch.tensor([0.7**k for k in range(order)], dtype=torch.float64).reshape(-1, *(1,) * (points.ndim + 1))
    return torch.cat([points.expand(1, count, *points.shape), rest * falling])


def start(path, order=ORDER):
    """Jets along the curves."""
    return Jet([path[0, 0], *path[1 : order + 1]], Layout.uniform(path.shape[1], order))


def rows_of(y, order=ORDER):
    """Coefficients (order + 1, count, ...) of the result, zero where there are none, constant where it is a tensor."""
    if not isinstance(y, Jet):
        return None
    count = y.layout.rows(1)
    rows = [y.row(k) for k in range(1, order + 1)]
    shape = (count, *y.shape)
    filled = [torch.zeros(shape, dtype=y.dtype) if row is None else row for row in rows]
    return torch.stack([y.primal.expand(shape), *filled])


def at(path, row, t):
    """Point of a curve, by Horner's scheme."""
    total = path[-1, row]
    for c in reversed(path[:-1, row].unbind()):
        total = total * t + c
    return total


def by_forward_mode(f, path, row, order):
    """``d^k/dt^k f / k!`` by nested forward mode."""

    def lift(function):
        def lifted(t):
            values, slopes = torch.func.jvp(function, (t,), (torch.ones_like(t),))
            return (*values, slopes[-1])

        return lifted

    function = lambda t: (f(at(path[: order + 1], row, t)),)  # noqa: E731
    for _ in range(order):
        function = lift(function)
    with warnings.catch_warnings():
        # Forward mode compiles its decompositions by torch.jit.script, which torch deprecates itself.
        warnings.filterwarnings("ignore", ".*torch.jit.*", DeprecationWarning)
        found = function(torch.zeros((), dtype=torch.float64))
    factorials = torch.tensor([1.0, *np.cumprod(np.arange(1.0, order + 1))], dtype=torch.float64)
    return torch.stack(found) / factorials.reshape(-1, *(1,) * found[0].ndim)


@lru_cache
def _powers(degree, order):
    """Coefficients of t^k, k <= order, in the Chebyshev polynomials T_0 ... T_degree: exact integers."""
    table = np.zeros((degree + 1, order + 1))
    table[0, 0] = 1.0
    if order:
        table[1, 1] = 1.0
    for j in range(2, degree + 1):
        table[j, 1:] = 2 * table[j - 1, :-1]
        table[j] -= table[j - 2]
    return table


def by_fit(f, path, row, order, radius=0.3, degree=20, nodes=64):
    """Scaled coefficients ``c_k radius^k`` of a polynomial fitted at Chebyshev points: needs values alone.

    Rounding is enlarged by the highest coefficients of the polynomials, about ``degree^order / order!``.
    """
    angles = np.pi * (np.arange(nodes) + 0.5) / nodes
    values = torch.stack([f(at(path, row, radius * float(t))) for t in np.cos(angles)]).detach()
    transform = np.cos(np.outer(np.arange(degree + 1), angles)) * (2 / nodes)
    transform[0] *= 0.5
    series = transform @ values.reshape(nodes, -1).numpy()
    return torch.from_numpy(_powers(degree, order).T @ series).reshape(order + 1, *values.shape[1:])
