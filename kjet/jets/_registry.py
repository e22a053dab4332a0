"""The table of Taylor rules: which torch operation is done on jets by which function."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import torch

from ..errors import JetRuleError

__all__ = ["find", "missing", "rule", "rules"]

_RULES: dict[Callable[..., Any], Callable[..., Any]] = {}
# A compiler traces Tensor's reflected operators, which are Python functions, as copies that are not found by identity.
_BY_NAME: dict[str, Callable[..., Any]] = {}


def rule(*operations: Callable[..., Any]) -> Callable[[Callable[..., Any]], Callable[..., Any]]:
    """Register the Taylor rule of torch operations, or of your own.

    The rule is called with the operation's arguments, of which at least one is a :class:`kjet.jets.Jet`, and returns
    what the operation returns with jets for tensors. The tensor method of the same name is registered with it.
    A rule that calls torch functions on jets composes the rules that exist; one that builds a jet from
    ``coefficients`` must treat top-order sums with :meth:`kjet.jets.Layout.reduce`.

    Raises:
        TypeError: If an operation cannot be called.

    >>> import torch
    >>> @rule(torch.special.expit)
    ... def expit(x):
    ...     return torch.sigmoid(x)
    """
    for operation in operations:
        if not callable(operation):
            raise TypeError(f"rule() takes torch operations, such as torch.tanh; got {operation!r}")

    def register(handler: Callable[..., Any]) -> Callable[..., Any]:
        for operation in operations:
            _RULES[operation] = handler
            if getattr(operation, "__name__", "").startswith("__r"):
                _BY_NAME[operation.__name__] = handler
            method = getattr(torch.Tensor, getattr(operation, "__name__", ""), None)
            if callable(method) and getattr(torch, getattr(operation, "__name__", ""), operation) is operation:
                _RULES[method] = handler
        return handler

    return register


def rules() -> tuple[Callable[..., Any], ...]:
    """List the operations that have a rule."""
    return tuple(_RULES)


def find(operation: Any) -> Callable[..., Any] | None:
    """Return the rule of an operation; None if there is none."""
    return _BY_NAME.get(getattr(operation, "__name__", "")) or _RULES.get(operation)


def missing(operation: Callable[..., Any]) -> JetRuleError:
    """Make the error that names an operation without a rule, and the remedy."""
    name = _spelled(operation)
    return JetRuleError(
        f'no Taylor rule for the operation "{name}"; write one with @kjet.jets.rule({name}), '
        "or express it by operations that have a rule (kjet.jets.rules() lists them)"
    )


def _spelled(operation: Callable[..., Any]) -> str:
    """Name of an operation as a user writes it; torch calls ``torch.special.i0`` ``special_i0``."""
    if isinstance(operation, torch._ops.OpOverload | torch._ops.OpOverloadPacket):
        return f"torch.ops.{operation}"
    known = torch.overrides.resolve_name(operation)
    if known is not None:
        return known.replace("torch.functional.", "torch.")
    name = str(getattr(operation, "__qualname__", None) or getattr(operation, "__name__", repr(operation)))
    home = getattr(operation, "__module__", None)
    return name if home in (None, "builtins", "__main__") else f"{home}.{name}"
