"""Which sums are written out, estimated, or left to passes of their own."""

from __future__ import annotations

from fractions import Fraction

from ..errors import ConfigError
from ._builder import Symbol
from ._bundles import Bundle, FamilyLike, Source, exact_bundle, exact_directions, sampled_bundle
from .derivative import Derivative, Quantity, SparseIndex, Trace

__all__ = ["Sorting"]

# Up to so many directions a trace is written out, and shares directions with the other derivatives of the plan.
_WRITTEN_OUT = 128
# An exact sum of more terms than this is planned one by one in no reasonable time.
_MOST_TERMS = 4096


class Sorting:
    """Decides for each trace whether it is written out, estimated, or summed in passes of its own."""

    def __init__(self, d: int, estimator: Source | None) -> None:
        self.d, self.estimator = d, estimator
        self.families: dict[Trace, FamilyLike] = {}
        self._bundles: dict[Derivative, Bundle] = {}

    def symbol(self, terms: Quantity) -> Symbol:
        """Sort the terms of a quantity."""
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
                place = outer if bundle.directions else bundles
                place[bundle] = place.get(bundle, Fraction(0)) + Fraction(c)
        return Symbol(plain, bundles, outer)

    def _bundle(self, derivative: Derivative) -> Bundle | None:
        """Bundle of a derivative with traces; None if it is to be written out."""
        if derivative not in self._bundles:
            found = self._sampled(derivative) or self._exact(derivative)
            if found is None:
                return None
            self._bundles[derivative] = found
        return self._bundles[derivative]

    def _sampled(self, derivative: Derivative) -> Bundle | None:
        if self.estimator is None:
            return None
        trace, *others = derivative.traces
        if others:
            raise ConfigError(f"no estimator for the product {derivative} of two sums; use estimator=None (exact)")
        if trace not in self.families:
            family = self.estimator.family(trace, self.d)
            if family is None:
                return None
            self.families[trace] = family
        return sampled_bundle(derivative, self.families[trace], list(self.families).index(trace))

    def _exact(self, derivative: Derivative) -> Bundle | None:
        directions = exact_directions(derivative.traces[0]) if _is_trace(derivative) else None
        if directions is not None and directions > _WRITTEN_OUT:
            return exact_bundle(derivative.traces[0])
        if derivative.terms > _MOST_TERMS:
            raise ConfigError(
                f"the exact sum {derivative} has {derivative.terms} terms, more than {_MOST_TERMS}; estimate it with "
                "STDE(samples=16) or Hutchinson(samples=16, law='gaussian')"
            )
        return None


def _is_trace(derivative: Derivative) -> bool:
    return len(derivative.traces) == 1 and not derivative.index
