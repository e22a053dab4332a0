"""The bytes of one checkpoint: a safetensors file, and a JSON manifest that vouches for it and for itself."""

from __future__ import annotations

import hashlib
import json
import math
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import safetensors
import safetensors.torch
import torch
from torch import Tensor

from .. import __version__
from ..errors import ConfigError, RunError

__all__ = ["MANIFEST", "SCHEMA", "STATE", "BrokenError", "parse", "serialise"]

SCHEMA = 1
"""Version of the layout; a checkpoint of a higher one is refused."""

STATE, MANIFEST = "state.safetensors", "manifest.json"


class BrokenError(Exception):
    """One checkpoint cannot be read; another one may."""


def serialise(step: int, tensors: Mapping[str, Tensor], meta: Mapping[str, Any]) -> dict[str, bytes]:
    """Return the bytes of a checkpoint's files by name.

    Raises:
        ConfigError: If `tensors` hold what is not a dense tensor, or `meta` what JSON cannot hold.
    """
    dense, complex_names = _storable(tensors)
    state = safetensors.torch.save(dense)
    body: dict[str, Any] = {
        "schema": SCHEMA,
        "kjet": __version__,
        "torch": str(torch.__version__),
        "step": int(step),
        "files": {STATE: hashlib.sha256(state).hexdigest()},
        "complex": complex_names,
    }
    try:
        body["meta"] = _encode(meta)
        body["checksum"] = _checksum(body)
    except (TypeError, ValueError) as error:
        raise ConfigError(
            f"meta of a checkpoint holds what JSON cannot: {error}. Give numbers, text, lists."
        ) from error
    return {STATE: state, MANIFEST: json.dumps(body, indent=2, allow_nan=False).encode()}


def _storable(tensors: Mapping[str, Tensor]) -> tuple[dict[str, Tensor], list[str]]:
    """Bring tensors into the form that safetensors takes: dense, real (it lacks complex128), no memory shared."""
    dense: dict[str, Tensor] = {}
    complex_names: list[str] = []
    storages: set[int] = set()
    for name, tensor in tensors.items():
        if not isinstance(tensor, Tensor) or tensor.layout != torch.strided or tensor.is_meta:
            raise ConfigError(f'"{name}" of a checkpoint is not a dense tensor; put other values into meta.')
        value = tensor.detach().cpu().resolve_conj().resolve_neg()
        if value.is_complex():
            value = torch.view_as_real(value)
            complex_names.append(name)
        value = value.contiguous()
        storage = value.untyped_storage().data_ptr()
        dense[name] = value.clone() if storage in storages else value
        storages.add(storage)
    return dense, complex_names


def _encode(value: Any) -> Any:
    """Replace the floats for which JSON has no notation."""
    if isinstance(value, float) and not math.isfinite(value):
        return {"__float__": str(float(value))}
    if isinstance(value, Mapping):
        if not all(isinstance(key, str) for key in value):
            raise TypeError(f"keys are text, but there are {list(value)}")
        return {key: _encode(entry) for key, entry in value.items()}
    if isinstance(value, list | tuple):
        return [_encode(entry) for entry in value]
    return value


def _decode(value: Any) -> Any:
    if isinstance(value, dict):
        if value.keys() == {"__float__"}:
            return float(value["__float__"])
        return {key: _decode(entry) for key, entry in value.items()}
    return [_decode(entry) for entry in value] if isinstance(value, list) else value


def _checksum(body: Mapping[str, Any]) -> str:
    content = {key: value for key, value in body.items() if key != "checksum"}
    canonical = json.dumps(content, sort_keys=True, separators=(",", ":"), allow_nan=False)
    return hashlib.sha256(canonical.encode()).hexdigest()


def parse(path: Path) -> tuple[int, dict[str, Tensor], dict[str, Any]]:
    """Read and verify the checkpoint in the folder `path`: its step, tensors and meta.

    Raises:
        BrokenError: If a file is missing, cut or changed.
        RunError: If a newer kjet wrote it.
    """
    try:
        body = json.loads((path / MANIFEST).read_bytes())
        _verify_manifest(body, path)
        # The bytes that are verified are the bytes that are loaded: the file is read once.
        data = (path / STATE).read_bytes()
        if hashlib.sha256(data).hexdigest() != body["files"][STATE]:
            raise BrokenError(f"the checksum of {STATE} is wrong")
        tensors = safetensors.torch.load(data)
        tensors |= {name: torch.view_as_complex(tensors[name]) for name in body["complex"]}
        return int(body["step"]), tensors, _decode(body["meta"])
    except OSError as error:
        raise BrokenError(f"{Path(error.filename or path).name}: {error.strerror}") from error
    except (ValueError, KeyError, TypeError, RecursionError, safetensors.SafetensorError) as error:
        raise BrokenError(" ".join(str(error).split())) from error


def _verify_manifest(body: Any, path: Path) -> None:
    if not isinstance(body, dict) or not isinstance(body.get("schema"), int):
        raise BrokenError(f"{MANIFEST} is not the manifest of a checkpoint")
    if body["schema"] > SCHEMA:
        raise RunError(
            f"checkpoint {path} has schema {body['schema']}, written by kjet {body.get('kjet')}; "
            f"kjet {__version__} reads schemas up to {SCHEMA}. Update kjet."
        )
    if body.get("checksum") != _checksum(body):
        raise BrokenError(f"the checksum of {MANIFEST} is wrong")
