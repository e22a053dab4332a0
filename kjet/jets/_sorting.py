"""Which sums are written out, estimated, or left to passes of their own."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from fractions import Fraction

from ..errors import ConfigError
from .blueprint import Atom, Symbol
from .bundles import (
    Bundle,
    FamilyLike,
    Source,
    exact_bundle,
    exact_directions,
    exact_slopes,
    exact_varying,
    sampled_bundle,
    sampled_slopes,
    sampled_varying,
)
from .derivative import Derivative, Quantity
from .indices import SparseIndex
from .traces import GradientProducts, Trace
from .varying import Varying

__all__ = ["Sorting"]

# Up to so many directions a trace is written out, and shares directions with the other derivatives of the plan.
_WRITTEN_OUT = 128
# An exact sum of more terms than this is planned one by one in no reasonable time.
_MOST_TERMS = 4096


class Sorting:
    """Decides for each trace whether it is written out, estimated, or summed in passes of its own.

    Args:
        quantities: Everything that the plan delivers.
        d: Number of coordinates.
        estimator: What becomes of traces; None to sum them exactly.
        apart: Whether estimates have passes of their own, too, for a memory budget.
    """

    def __init__(
        self, quantities: Iterable[Quantity | Varying], d: int, estimator: Source | None, apart: bool = False
    ) -> None:
        self.d, self.estimator, self.apart = d, estimator, apart
        self.families: dict[Trace, FamilyLike] = {}
        self._bundles: dict[Derivative, Bundle] = {}
        self._slopes: dict[Trace, Bundle] = {}
        sums = [terms for terms in quantities if isinstance(terms, Quantity)]
        indices = [a.index for terms in sums for a, _ in terms if not a.traces]
        # Along these axes the plan pushes directions anyway.
        self._pushed = frozenset(index[0][0] for index in indices if len(index) == 1)

    def symbol(self, terms: Quantity | Varying) -> Symbol:
        """Sort the terms of a quantity."""
        if isinstance(terms, Varying):
            return self._varying(terms)
        plain: dict[int, dict[SparseIndex, Fraction]] = {}
        bundles: dict[Bundle, Fraction] = {}
        outer: dict[Bundle, Fraction] = {}
        for derivative, c in terms:
            bundle = self._bundle(derivative) if derivative.traces else None
            if bundle is None:
                group = plain.setdefault(derivative.order, {})
                for index, multiple in derivative.expanded().items():
                    group[index] = group.get(index, Fraction(0)) + multiple * Fraction(c)
            else:
                place = outer if bundle.directions or self.apart else bundles
                place[bundle] = place.get(bundle, Fraction(0)) + Fraction(c)
        return Symbol(plain, bundles, outer)

    def _varying(self, terms: Varying) -> Symbol:
        """A sum with coefficients that vary: in the same pass, or if it is long and exact, in passes of its own."""
        trace = Trace(terms.axes)
        family = self._family(trace) if terms.order == 2 else None
        if family is not None:
            bundle = sampled_varying(terms, family, list(self.families).index(trace))
        else:
            bundle = exact_varying(terms)
        sums = {bundle: Fraction(1)}
        long = terms.order == 2 and (bundle.count > _WRITTEN_OUT if family is None else self.apart)
        return Symbol({}, {}, sums) if long else Symbol({}, sums, {})

    def slopes(self, products: GradientProducts, symbols: Sequence[Symbol]) -> tuple[tuple[Atom, ...], Bundle | None]:
        """First derivatives whose products are summed: in the same pass, or in passes of their own.

        Those of a Laplacian over the same axes are there anyway, whether it is estimated or not.

        Args:
            products: What is wanted.
            symbols: What :meth:`symbol` made of all quantities.
        """
        trace = Trace(products.axes)
        known = {bundle for symbol in symbols for bundle in (*symbol.bundles, *symbol.outer)}
        shared = self._bundles.get(Derivative.of(traces=(trace,)))
        shared = shared if shared in known else None
        family = self._family(trace) if len(trace.axes) > 1 else None
        if family is not None:
            if trace not in self._slopes:  # which checks the family
                self._slopes[trace] = sampled_slopes(trace, family, list(self.families).index(trace))
            bundle = shared or self._slopes[trace]
            return ((), bundle) if self.apart else ((bundle,), None)
        if not self._in_passes(trace):
            return tuple(((axis, 1),) for axis in trace.axes), None
        if trace not in self._slopes:
            self._slopes[trace] = exact_slopes(trace)
        return (), shared or self._slopes[trace]

    def _bundle(self, derivative: Derivative) -> Bundle | None:
        """Bundle of a derivative with traces; None if it is to be written out."""
        if derivative not in self._bundles:
            found = self._sampled(derivative) or self._exact(derivative)
            if found is None:
                return None
            self._bundles[derivative] = found
        return self._bundles[derivative]

    def _family(self, trace: Trace) -> FamilyLike | None:
        """Directions of the estimator; None for an exact sum."""
        if trace not in self.families:
            family = None if self.estimator is None else self.estimator.family(trace, self.d)
            if family is None:
                return None
            self.families[trace] = family
        return self.families[trace]

    def _sampled(self, derivative: Derivative) -> Bundle | None:
        if self.estimator is None:
            return None
        trace, *others = derivative.traces
        if others:
            raise ConfigError(f"no estimator for the product {derivative} of two sums; use estimator=None (exact)")
        family = self._family(trace)
        return None if family is None else sampled_bundle(derivative, family, list(self.families).index(trace))

    def _exact(self, derivative: Derivative) -> Bundle | None:
        if _is_trace(derivative) and self._in_passes(derivative.traces[0]):
            return exact_bundle(derivative.traces[0])
        if derivative.terms > _MOST_TERMS and not (_is_trace(derivative) and derivative.order == 2):
            raise ConfigError(
                f"the exact sum {derivative} has {derivative.terms} terms, more than {_MOST_TERMS}; estimate it with "
                "STDE(samples=16) or Hutchinson(samples=16, law='gaussian')"
            )
        return None

    def _in_passes(self, trace: Trace) -> bool:
        """Whether an exact sum is long, and most of its directions are of no other use to the plan."""
        directions = exact_directions(trace)
        if directions is None or directions <= _WRITTEN_OUT:
            return False
        return trace.power > 1 or 2 * sum(axis in self._pushed for axis in trace.axes) < len(trace.axes)


def _is_trace(derivative: Derivative) -> bool:
    return len(derivative.traces) == 1 and not derivative.index
