"""Whether residuals are linear in what is estimated: else their mean over the draws is not the exact value."""

from __future__ import annotations

from collections.abc import Container, Iterable
from typing import Any

import torch

from ..jets import EstimatorError, Plan, Trace
from .expression import Apply, Expression, Field, Product, Sum, Total

__all__ = ["check_linear"]


def check_linear(nodes: Iterable[Expression], plan: Plan) -> None:
    """Refuse products and functions of estimates.

    Args:
        nodes: Every node of the graph, each behind those that it is made of.
        plan: What estimates the derivatives.

    Raises:
        EstimatorError: Naming the first such node.
    """
    pairs = zip(plan.traces, plan.sources, strict=True)
    estimated = frozenset(trace for trace, family in pairs if not getattr(family, "exact", False))
    if not estimated:
        return
    random: dict[Expression, Expression] = {}
    for node in nodes:
        if isinstance(node, Field | Total):
            if _is_estimate(node, estimated):
                random[node] = node
            continue
        found = [random[child] for child in node._children() if child in random]
        if found:
            if not _is_linear(node, random.keys()):
                raise EstimatorError(
                    f"{node} is no linear function of {found[0]}, which is estimated: its mean over the draws is not "
                    "its exact value, so that training would have another solution. Use estimator=exact, or write that "
                    "sum out, term by term, which is never estimated"
                )
            random[node] = found[0]


def _is_estimate(node: Field | Total, estimated: frozenset[Trace]) -> bool:
    if isinstance(node, Total):
        return node._trace in estimated
    return any(trace in estimated for derivative, _ in node._terms for trace in derivative.traces)


def _is_linear(node: Expression, random: Container[Any]) -> bool:
    if isinstance(node, Sum):
        return True
    if isinstance(node, Product):
        return not (node._left in random and node._right in random)
    return isinstance(node, Apply) and node._function is torch.where and node._args[0] not in random
