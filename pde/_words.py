"""Powers of the Laplacian and of Euler's operator, of functions of a few variables.

With ``L = sum_i d_i^2`` and ``E = sum_i z_i d_i``, the word ``(a, b)`` stands for ``L^a E^b``. Both take a sum of
functions of a few variables each term by term, and ``L |z|^2 = |z|^2 L + 4 E + 2 d``, so that these words are all that
a Laplacian of ``F(|z|^2) g(z)`` needs of g.
"""

from __future__ import annotations

import itertools
import math
from collections.abc import Callable, Iterable, Mapping, Sequence
from typing import Any

import torch

from ..errors import ConfigError
from ..jets import Jet, Layout
from ..typing import Tensor

__all__ = ["Word", "words_of"]

Word = tuple[int, int]

_KNOWN = ((0, 0), (0, 1), (1, 0), (0, 2), (1, 1), (2, 0))


def words_of(function: Callable[..., Any], z: Sequence[Tensor], wanted: Iterable[Word]) -> dict[Word, Tensor]:
    """Evaluate words on a function of a few variables, at many points at once.

    Args:
        function: Of ``len(z)`` arguments, elementwise, built from operations that have a Taylor rule.
        z: Variables, of one shape.
        wanted: Words of order ``2 a + b <= 4`` with ``a + b <= 2``.

    Returns:
        Values by word, each of the shape of the variables.

    Raises:
        ConfigError: If a word is not among those.

    Cost: k jets of the words' order in one direction, ``k^2`` of them beyond the Laplacian, for k variables.

    >>> values = words_of(lambda x, y: x * x * y, [torch.tensor(2.0), torch.tensor(3.0)], [(0, 1), (1, 0)])
    >>> values[0, 1], values[1, 0]
    (tensor(36.), tensor(6.))
    """
    words = set(wanted)
    for word in words:
        if word not in _KNOWN:
            raise ConfigError(f"the word {word} is not one of {_KNOWN}")
    order = max([2 * a + b for a, b in words])
    if order == 0:
        return {word: function(*z) for word in words}
    along = [_derivatives(function, z, {i: 1}, order) for i in range(len(z))]
    pairs = {
        (i, j): tuple(_derivatives(function, z, {i: 1, j: sign}, order) for sign in (1, -1))
        for i, j in (itertools.combinations(range(len(z)), 2) if words - {(0, 0), (0, 1), (1, 0)} else ())
    }
    rules: Mapping[Word, Callable[[], Any]] = {
        (0, 0): lambda: along[0][0],
        (0, 1): lambda: _euler(z, along),
        (1, 0): lambda: sum(d[2] for d in along),
        (0, 2): lambda: _euler_twice(z, along, pairs),
        (1, 1): lambda: _euler_of_laplacian(z, along, pairs) + 2 * sum(d[2] for d in along),  # L E = E L + 2 L
        (2, 0): lambda: _bilaplacian(along, pairs),
    }
    return {word: rules[word]() for word in words}


def _derivatives(
    function: Callable[..., Any], z: Sequence[Tensor], direction: Mapping[int, int], order: int
) -> list[Tensor]:
    """``D_v^k`` for k = 0 to ``order``.

    Variables that stand still are jets, too: every direction then computes the value by the same operations, which a
    compiler does once for all of them.
    """
    layout, rest = Layout.uniform(1, order), (None,) * (order - 1)
    ones = z[0].new_ones(1, *(1,) * z[0].ndim)
    steps = [direction.get(i) for i in range(len(z))]
    jets = [Jet([v, None if s is None else s * ones, *rest], layout) for v, s in zip(z, steps, strict=True)]
    value = function(*jets)
    if not isinstance(value, Jet):  # a constant
        return [value, *[torch.zeros_like(value)] * order]
    found = [value.primal]
    for k in range(1, order + 1):
        c = value.coefficients[k]
        found.append(torch.zeros_like(value.primal) if c is None else math.factorial(k) * c[0])
    return found


Along = Sequence[Sequence[Tensor]]
Pairs = Mapping[tuple[int, int], Sequence[Sequence[Tensor]]]


def _euler(z: Sequence[Tensor], along: Along) -> Any:
    return sum(v * d[1] for v, d in zip(z, along, strict=True))


def _euler_twice(z: Sequence[Tensor], along: Along, pairs: Pairs) -> Any:
    """``sum_ij z_i z_j g_ij + E g``, with ``4 g_ij = D_+^2 - D_-^2``."""
    total = _euler(z, along) + sum(v * v * d[2] for v, d in zip(z, along, strict=True))
    return total + sum(0.5 * z[i] * z[j] * (plus[2] - minus[2]) for (i, j), (plus, minus) in pairs.items())


def _euler_of_laplacian(z: Sequence[Tensor], along: Along, pairs: Pairs) -> Any:
    """``sum_j z_j (g_jjj + sum_i g_iij)``, with ``6 g_iij = D_+^3 - D_-^3 - 2 g_jjj``."""
    total = sum(v * d[3] for v, d in zip(z, along, strict=True))
    for (i, j), (plus, minus) in pairs.items():
        total = total + z[j] * (plus[3] - minus[3] - 2 * along[j][3]) / 6
        total = total + z[i] * (plus[3] + minus[3] - 2 * along[i][3]) / 6
    return total


def _bilaplacian(along: Along, pairs: Pairs) -> Any:
    """``sum_i g_iiii + 2 sum_{i<j} g_iijj``, with ``12 g_iijj = D_+^4 + D_-^4 - 2 g_iiii - 2 g_jjjj``."""
    total = sum(d[4] for d in along)
    for (i, j), (plus, minus) in pairs.items():
        total = total + (plus[4] + minus[4] - 2 * along[i][4] - 2 * along[j][4]) / 6
    return total
