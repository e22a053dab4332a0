"""Loss and gradient of a step over chunks of points, so that memory does not grow with the points."""

from __future__ import annotations

import itertools
import math

import torch

from ..errors import ConfigError
from ..pde import Recorded
from ..typing import Float, Tensor
from .objective import ResidualObjective, Term, flat_gradient

__all__ = ["ChunkedGradient"]


class ChunkedGradient:
    """Evaluates the loss of an objective and its gradient over chunks of points, one after the other.

    The loss of a term is a mean over its points, and so is its gradient: each chunk is evaluated along the directions
    that belong to its points, differentiated, and forgotten. The result is that of all points at once, up to the order
    of summation. Integrals and pairs of points, whose residuals take all points together, are one chunk.

    How many points fit is measured when a term is first met: what autograd keeps of two points and of four, and three
    arrays of the size of the largest for the backward pass. Arrays that all evaluations share, such as parameters, are
    not counted, nor is what is computed again in the backward pass: long exact sums, which go in passes of their own.

    Args:
        budget: Bytes for one chunk; None for no limit.
        points: Points in a chunk, in place of a budget.

    Raises:
        ConfigError: If neither or both are given, one is not positive, or, when called, a single point needs more.

    Cost: that of the loss; the measurement is two small evaluations for each term.

    >>> ChunkedGradient(points=0)
    Traceback (most recent call last):
    kjet.errors.ConfigError: give a budget in bytes or a number of points, positive; got budget=None, points=0
    """

    def __init__(self, budget: float | None = None, *, points: int | None = None) -> None:
        given = [value for value in (budget, points) if value is not None]
        if len(given) != 1 or not given[0] > 0:
            raise ConfigError(
                f"give a budget in bytes or a number of points, positive; got budget={budget}, points={points}"
            )
        self._budget, self._points = budget, points
        self._measured: dict[tuple[str, bool, Recorded], tuple[float, float]] = {}

    def __call__(
        self, objective: ResidualObjective, theta: Float[Tensor, " p"]
    ) -> tuple[Float[Tensor, ""], Float[Tensor, " p"]]:
        """Return the loss and its gradient at parameters that the model has loaded."""
        parameters = objective.model.trainable()
        loss, gradient = theta.new_zeros(()), torch.zeros_like(theta)
        for term in objective.terms:
            ends = self._ends(objective, term)
            for first, last in itertools.pairwise(ends):
                part = term if len(ends) == 2 else term.part(first, last)
                share = (part.rows / term.rows) * objective.with_terms([part]).total()
                if share.requires_grad:
                    share, slope = flat_gradient(share, parameters)
                    gradient += slope
                loss += share
        return loss, gradient

    def _ends(self, objective: ResidualObjective, term: Term) -> list[int]:
        """Where chunks end: as few as fit, all of the same size but for one point."""
        count = len(term.points)
        size = self._size(objective, term) if term.divisible and count else count
        pieces = math.ceil(count / min(size, count)) if count else 1
        return [count * i // pieces for i in range(pieces + 1)]

    def _size(self, objective: ResidualObjective, term: Term) -> int:
        if self._points is not None or self._budget is None:
            return self._points or len(term.points)
        # An estimator that changes its mind records anew.
        key = term.name, term.others is None, term.recorded
        if key not in self._measured:
            self._measured[key] = _measure(objective, term)
        fixed, each = self._measured[key]
        if fixed + each > self._budget:
            raise ConfigError(
                f'a single point of "{term.name}" keeps {(fixed + each) / 2**20:.3g} MB for the gradient, above the '
                f"limit of {self._budget / 2**20:.3g} MB; raise trainer.memory_mb, or take fewer directions"
            )
        return max(int((self._budget - fixed) / each), 1) if each > 0 else len(term.points)


def _measure(objective: ResidualObjective, term: Term) -> tuple[float, float]:
    """Bytes that a term keeps whatever its points, and for each point."""
    count = min(4, len(term.points))
    if count < 4:
        return 0.0, 0.0  # too few to gain anything
    runs = [_kept(objective, term.part(0, n)) for n in (count // 2, count)]
    # The graphs of both runs are alive: what they have in common was there before.
    common = set.intersection(*(set(sizes) for sizes, _ in runs))
    half, whole = (_weighed([size for at, size in sizes.items() if at not in common]) for sizes, _ in runs)
    each = max((whole - half) / (count - count // 2), 0.0)
    return max(whole - count * each, 0.0), each


def _kept(objective: ResidualObjective, part: Term) -> tuple[dict[int, int], Tensor]:
    """Sizes of the storages that autograd keeps, by address, and the loss that keeps them alive."""
    sizes: dict[int, int] = {}

    def note(tensor: Tensor) -> Tensor:
        storage = tensor.untyped_storage()
        sizes[storage.data_ptr()] = storage.nbytes()
        return tensor

    with torch.autograd.graph.saved_tensors_hooks(note, lambda tensor: tensor):
        loss = objective.with_terms([part]).total()
    return sizes, loss


def _weighed(sizes: list[int]) -> int:
    # The backward pass of a layer holds the gradient of its output, that of its input, and one array to make it.
    return sum(sizes) + 3 * max(sizes, default=0)
