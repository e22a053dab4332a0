"""Plans in words: every quantity as a formula in directional derivatives, with what it costs."""

from __future__ import annotations

import html
from collections.abc import Iterable, Iterator
from fractions import Fraction
from typing import TYPE_CHECKING, Any

from .bundles import Bundle
from .curves import Curve
from .derivative import Derivative, Quantity, SparseIndex, product_of
from .directions import direction_name
from .traces import Trace
from .varying import Varying

if TYPE_CHECKING:
    from .blueprint import Atom
    from .plan import Plan

__all__ = ["explain", "nested_passes", "summary", "table"]

# Terms of a formula, and directions of a list, that are written out.
_SHOWN = 16
# Sums of more terms are not counted one by one.
_COUNTED = 4096


def summary(plan: Plan) -> str:
    """Rows by order, directions and cost in few lines."""
    lines = [f"{len(plan.quantities) + len(plan.products)} derivatives from {plan.cost()} channels, order {plan.order}"]
    for k, (kept, weights, bent) in enumerate(_orders(plan), 1):
        sums = "" if weights is None else f", {weights.shape[0]} sums over {weights.shape[1]} directions"
        lines.append(f"order {k}: {kept} kept{sums}{', first derivatives carried along' if bent else ''}")
    lines += [_pass(outer.bundle) for outer in plan.outer]
    atoms = [_atom(atom, plan.d) for atom in plan.blueprint.atoms if not isinstance(atom, Bundle)]
    more = f" and {len(atoms) - _SHOWN} more" if len(atoms) > _SHOWN else ""
    if atoms or not plan.sources:
        lines.append(f"directions: {', '.join(atoms[:_SHOWN])}{more}")
    return "\n".join(lines)


def explain(plan: Plan) -> str:
    """Everything: quantities, formulas with exact weights, estimators with their variance, rows and cost."""
    head, *rows = summary(plan).splitlines()
    nested = nested_passes(plan.quantities)
    beside = "" if nested is None else f"; nested reverse mode takes {nested} backward passes for them"
    formulas = [f"{name} = {text}" for name, text in _formulas(plan)]
    return "\n".join([head + beside, *formulas, *_families(plan), *rows])


def table(plan: Plan) -> str:
    """HTML of the same, for notebooks."""
    body = "".join(f"<tr><td>{html.escape(a)}</td><td>{html.escape(b)}</td></tr>" for a, b in _formulas(plan))
    head, *rest = [*summary(plan).splitlines(), *_families(plan)]
    notes = "<br>".join(html.escape(line) for line in rest)
    return (
        f"<table><caption>{html.escape(head)}</caption><tr><th>quantity</th><th>from</th></tr>{body}</table>"
        f"<p>{notes}</p>"
    )


def _orders(plan: Plan) -> Iterator[tuple[int, Any, bool]]:
    layout = plan.layout
    for k in range(layout.order):
        yield layout.kept[k], layout.weights[k], bool(plan.blueprint.bends[k])


def _pass(bundle: Bundle) -> str:
    return f"{bundle.derivative}: {bundle.count} directions of order {bundle.order} in passes of their own"


def _atom(atom: Atom, d: int) -> str:
    return str(atom) if isinstance(atom, Curve) else direction_name(atom, d)  # type: ignore[arg-type]


def _formulas(plan: Plan) -> list[tuple[str, str]]:
    """Names of everything that is delivered, and what it is read from."""
    sums = [(str(name), _formula(plan, place)) for place, name in enumerate(plan.quantities)]
    return sums + [(str(name), _slopes(plan, place)) for place, name in enumerate(plan.products)]


def _slopes(plan: Plan, place: int) -> str:
    atoms = plan.blueprint.slopes[place]
    if not atoms or isinstance(atoms[0], Bundle):
        trace = Trace(plan.products[place].axes)
        return f"sum_r w_r (D(v_r) f_a) (D(v_r) f_b)[{trace}]"
    return f"products of {len(atoms)} first derivatives"


def _formula(plan: Plan, place: int) -> str:
    terms = list(_terms(plan, place))
    more = f" + ... ({len(terms)} terms)" if len(terms) > _SHOWN else ""
    text = " + ".join(f"{weight}{name}" for weight, name in terms[:_SHOWN]).replace("+ -", "- ")
    return (text or "0") + more


def _terms(plan: Plan, place: int) -> Iterator[tuple[str, str]]:
    """Weights and directional derivatives, high orders first."""
    blueprint, d = plan.blueprint, plan.d
    symbol, carried = blueprint.symbols[place], blueprint.carried[place]
    for bundle, c in symbol.outer.items():
        yield _number(c), f"sum_r w_r D^{bundle.order}(v_r)[{bundle.derivative}]"
    for order, weights in sorted(blueprint.parts[place].items(), reverse=True):
        power = f"^{order}" if order > 1 else ""
        for atom, weight in weights.items():
            if isinstance(atom, Bundle):
                yield _number(weight), f"sum_r w_r D{power}(v_r)[{atom.derivative}]"
            elif isinstance(atom, Curve):
                yield _number(weight), f"D{power}[{atom}]"
            else:
                name = direction_name(atom, d)
                yield _number(weight), f"D{power}{name}" if name.startswith("(") else f"D{power}({name})"
    for axis, c in carried.items():
        yield _number(c), f"D({direction_name(((axis, 1),), d)}) carried".replace("((", "(").replace("))", ")")
    if value := symbol.terms.get(0, {}).get(()):
        yield _number(value), "u"


def _number(weight: Fraction) -> str:
    """Exact if it is a short fraction; 1 is left out."""
    if abs(weight) == 1:
        return "-" if weight < 0 else ""
    return f"{weight} " if max(abs(weight.numerator), weight.denominator) < 10**9 else f"{float(weight):g} "


def _families(plan: Plan) -> Iterator[str]:
    estimator = plan.estimator
    law = getattr(estimator, "law", "sparse")
    for trace, family in zip(plan.traces, plan.sources, strict=True):
        parts = []
        for stratum in getattr(family, "strata", ()):
            r, p = stratum.samples, stratum.population
            if p is None:
                parts.append(f"{r} independent samples, {r} S^2")
            elif r == p:
                parts.append(f"all {r}, no variance")
            else:
                parts.append(f"{r} of {p} without replacement, {r} (1 - {r}/{p}) S^2")
        variance = f"; variance ({law}): " + " + ".join(parts) if parts else ""
        yield f"{trace}: {len(family.weights)} drawn directions v_r of order {family.order} by {estimator}{variance}"


def nested_passes(quantities: Iterable[Quantity | Varying]) -> int | None:
    """Backward passes that nested reverse mode takes for all of them: one for each derivative that is differentiated.

    One pass gives all first derivatives of what it starts from. None where there are too many to count.
    """
    started: set[SparseIndex] = set()
    sums = 0
    for varying in (terms for terms in quantities if isinstance(terms, Varying)):
        sums = max(sums, 1 if varying.order == 1 else 1 + len(varying.axes))
    known = [terms for terms in quantities if isinstance(terms, Quantity)]
    for derivative in {derivative for terms in known for derivative, _ in terms}:
        count = _of_trace(derivative)
        if count is None:
            return None
        if count:
            sums = max(sums, count)
            continue
        for index in derivative.expanded():
            _collect(index, started)
    return max(sums, len(started))


def _of_trace(derivative: Derivative) -> int | None:
    """Passes of a long sum by formula; 0 if it is short enough to be counted with the others."""
    if derivative.terms <= _COUNTED:
        return 0
    if derivative.index or len(derivative.traces) != 1 or derivative.traces[0].power > 2:
        return None
    n = len(derivative.traces[0].axes)
    return 1 + n if derivative.traces[0].power == 1 else 1 + 2 * n + n * (n + 1) // 2


def _collect(index: SparseIndex, started: set[SparseIndex]) -> None:
    """Everything that is differentiated on the way, the last coordinate last."""
    while index:
        axis, order = index[-1]
        index = product_of(index[:-1], ((axis, order - 1),) if order > 1 else ())
        if index in started:
            return
        started.add(index)
