"""JSON that any reader takes: no NaN, no Infinity."""

from __future__ import annotations

import json
import math
from collections.abc import Mapping
from typing import Any

from ..errors import ConfigError

__all__ = ["to_json"]


def to_json(values: Mapping[str, Any], indent: int | None = None) -> str:
    """Write values as JSON; a float that is not finite becomes null and is named under ``"nonfinite"``.

    Args:
        values: Numbers, text, tensors and arrays (through ``tolist``), nested mappings and lists.
        indent: Spaces of indentation; one line without.

    Raises:
        ConfigError: If a value is of another type.

    >>> to_json({"loss": math.inf, "errors": {"u": math.nan}})
    '{"loss": null, "errors": {"u": null}, "nonfinite": {"loss": "inf", "errors.u": "nan"}}'
    """
    nonfinite: dict[str, str] = {}
    clean = {str(key): _clean(value, str(key), nonfinite) for key, value in values.items()}
    if nonfinite:
        clean["nonfinite"] = nonfinite
    try:
        return json.dumps(clean, indent=indent, allow_nan=False)
    except (TypeError, ValueError) as error:
        raise ConfigError(f"a value to log is not for JSON: {error}. Give numbers, text or lists of them.") from error


def _clean(value: Any, name: str, nonfinite: dict[str, str]) -> Any:
    if hasattr(value, "tolist"):
        value = value.tolist()
    if isinstance(value, float) and not math.isfinite(value):
        nonfinite[name] = str(value)
        return None
    if isinstance(value, Mapping):
        return {str(key): _clean(entry, f"{name}.{key}", nonfinite) for key, entry in value.items()}
    if isinstance(value, list | tuple):
        return [_clean(entry, f"{name}.{index}", nonfinite) for index, entry in enumerate(value)]
    return value
