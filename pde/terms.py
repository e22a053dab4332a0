"""The additive parts of recorded residuals: ``u_t``, ``u u_x`` and ``-nu u_xx`` of Burgers' equation."""

from __future__ import annotations

from collections.abc import Iterable, Sequence

from .expression import Coordinate, Data, Expression, Field, Number, Parameter, Product, Sum, Total, _product
from .recording import Recorded, _topological

__all__ = ["additive_terms", "split_terms"]


def additive_terms(node: Expression) -> list[Expression]:
    """Take a sum apart; factors that contain no field are multiplied out.

    >>> from kjet.pde import Burgers
    >>> [str(part) for part in additive_terms(Burgers().record()._outputs[0])]
    ['u_t', 'u u_x', '-nu u_xx']
    """
    if isinstance(node, Sum):
        return [*additive_terms(node._left), *additive_terms(node._right)]
    if isinstance(node, Product):
        for factor, rest in ((node._left, node._right), (node._right, node._left)):
            if not _has_fields(factor):
                parts = additive_terms(rest)
                if len(parts) > 1:
                    return [_product(factor, part) for part in parts]
    return [node]


def split_terms(recorded: Recorded) -> dict[str, Recorded]:
    """Record the parts of each residual as residuals of their own, named by what they say.

    Returns:
        For each residual its parts; parts that say the same are one.

    >>> from kjet.pde import Burgers
    >>> split_terms(Burgers().record())["residual"].names
    ('u_t', 'u u_x', '-nu u_xx')
    """
    found = {}
    for name, node in zip(recorded.names, recorded._outputs, strict=True):
        parts: dict[str, Expression] = {}
        for part in additive_terms(node):
            if isinstance(part, Number) and part._is(0):
                continue
            text = str(part)
            parts[text] = Sum(parts[text], part) if text in parts else part
        named = dict(zip(_labels(parts), parts.values(), strict=True))
        found[name] = Recorded(named, recorded.frame, recorded.estimator, recorded.scales)
    return found


_LONGEST = 60


def _labels(texts: Iterable[str]) -> list[str]:
    """Shorten texts; those that begin alike are numbered."""
    found: list[str] = []
    for text in texts:
        short, number = _short(text), 1
        label = short
        while label in found:
            number += 1
            label = f"{short} ({number})"
        found.append(label)
    return found


def _short(text: str) -> str:
    return text if len(text) <= _LONGEST else f"{text[: _LONGEST - 3]}..."


def _has_fields(node: Expression) -> bool:
    if isinstance(node, Number | Parameter | Coordinate | Data):
        return False
    return depends_on_fields([node])


def depends_on_fields(nodes: Sequence[Expression]) -> bool:
    """Tell whether a field stands somewhere in the expressions."""
    return any(isinstance(node, Field | Total) for node in _topological(nodes))
