"""Exact solutions of integer linear systems: elimination modulo primes, put together to fractions and verified."""

from __future__ import annotations

import itertools
import math
from collections.abc import Iterator, Sequence
from fractions import Fraction
from functools import lru_cache

import torch

from ..typing import Int, Tensor

__all__ = ["solve"]

_MOST_PRIMES = 64


def solve(columns: Int[Tensor, "m c"], target: Sequence[Fraction]) -> dict[int, Fraction] | None:
    """Solve ``columns w = target`` exactly, with weights on the earliest independent columns.

    Args:
        columns: Integers.
        target: One number for each row.

    Returns:
        Weights that are not zero, by column; None if there is no solution.

    Cost: elimination modulo a prime of 31 bits, O(m^2 c) operations on tensors, and one on the independent columns for
    every further prime that the size of the fractions needs.

    >>> solve(torch.tensor([[1, 2, 1], [0, 2, 1]]), [Fraction(1), Fraction(1, 3)])
    {0: Fraction(2, 3), 1: Fraction(1, 6)}
    """
    common = math.lcm(*(value.denominator for value in target))
    right = [int(value * common) for value in target]
    pivots = _eliminate(columns, right, prime_number(0))
    if pivots is None:
        return None
    if not pivots:
        return {}
    used = sorted(pivots)
    chosen = columns[:, used]
    rows = chosen.tolist()
    modulus, residues = 1, [0] * len(used)
    for place in range(_MOST_PRIMES):
        prime = prime_number(place)
        found = pivots if place == 0 else _eliminate(chosen, right, prime)
        if found is None or len(found) < len(used):
            continue  # the columns are dependent modulo this prime
        values = list(found.values()) if place else [found[column] for column in used]
        inverse = pow(modulus, -1, prime)
        residues = [r + modulus * ((v - r) * inverse % prime) for r, v in zip(residues, values, strict=True)]
        modulus *= prime
        weights = [_fraction(residue, modulus) for residue in residues]
        if None not in weights and _holds(rows, weights, right):  # type: ignore[arg-type]
            return {column: w / common for column, w in zip(used, weights, strict=True) if w}  # type: ignore[operator]
    return None


def _eliminate(columns: Int[Tensor, "m c"], right: Sequence[int], prime: int) -> dict[int, int] | None:
    """Solve modulo a prime: weights of the pivot columns, rising; None if there is no solution."""
    last = torch.tensor([value % prime for value in right], dtype=torch.int64)
    matrix = torch.cat([columns % prime, last[:, None]], 1)
    count = columns.shape[1]
    pivots: list[int] = []
    for column in range(count):
        place = len(pivots)
        if place == len(right):
            break
        nonzero = matrix[place:, column].nonzero()
        if not len(nonzero):
            continue
        row = place + int(nonzero[0])
        if row != place:
            matrix[[place, row]] = matrix[[row, place]]
        matrix[place] = matrix[place] * pow(int(matrix[place, column]), -1, prime) % prime
        factors = matrix[:, column].clone()
        factors[place] = 0
        # Columns to the left are done: their entries below and above the pivots are zero already.
        matrix[:, column:] = (matrix[:, column:] - factors[:, None] * matrix[place, column:]) % prime
        pivots.append(column)
    if bool(matrix[len(pivots) :, -1].any()):
        return None
    return dict(zip(pivots, matrix[: len(pivots), -1].tolist(), strict=True))


def _fraction(residue: int, modulus: int) -> Fraction | None:
    """Fraction with small numerator and denominator that has a residue; None if there is none.

    Ref: Wang, *A p-adic algorithm for univariate partial fractions*, 1981.
    """
    bound = math.isqrt(modulus // 2)
    a, b, s, t = modulus, residue % modulus, 0, 1
    while b > bound:
        quotient = a // b
        a, b, s, t = b, a - quotient * b, t, s - quotient * t
    if not t or abs(t) > bound or math.gcd(b, t) > 1:
        return None
    return Fraction(b, t)


def _holds(rows: Sequence[Sequence[int]], weights: Sequence[Fraction], right: Sequence[int]) -> bool:
    common = math.lcm(*(w.denominator for w in weights))
    whole = [int(w * common) for w in weights]
    return all(
        sum(a * w for a, w in zip(row, whole, strict=True)) == common * value
        for row, value in zip(rows, right, strict=True)
    )


@lru_cache(maxsize=_MOST_PRIMES)
def prime_number(place: int) -> int:
    """Primes below 2^31, falling: 0 is the largest."""
    return next(itertools.islice(_primes(), place, None))


def _primes() -> Iterator[int]:
    return (number for number in range(2**31 - 1, 2, -2) if _is_prime(number))


def _is_prime(number: int) -> bool:
    """Test of Miller and Rabin; these bases decide all numbers below 3.2e9 (Jaeschke, 1993)."""
    odd, twos = number - 1, 0
    while odd % 2 == 0:
        odd, twos = odd // 2, twos + 1
    for base in (2, 3, 5, 7):
        power = pow(base, odd, number)
        if power in (1, number - 1):
            continue
        if not any((power := power * power % number) == number - 1 for _ in range(twos - 1)):
            return False
    return True
