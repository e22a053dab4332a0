"""The configuration that a run directory keeps, and how a run is continued from it."""

from __future__ import annotations

import difflib
import itertools
import json
import os
import re
from collections.abc import Sequence
from pathlib import Path
from typing import Any

from omegaconf import DictConfig, OmegaConf

from ..errors import ConfigError, RunError
from .groups import FILE_GROUPS, GROUPS
from .overrides import parse, plugins_of, quote

__all__ = ["NAME", "fresh_directory", "masked", "resumed_overrides", "store", "stored"]

NAME = "config.json"
"""File of a run directory with the configuration as plain JSON."""

_SECRET = re.compile(r"key|token|secret|password", re.IGNORECASE)
_GIVEN_SECRET = re.compile(r"(key|token|secret|password)\w*\s*[=:]\s*(?!\$\{)\S", re.IGNORECASE)
_UNKNOWN = "???"  # OmegaConf's mark for a value that has to be given
_SHORTEST_SECRET = 8
_FIXED = ("problem", "operator", "constraint", "estimator", "seed")
_FIXED_ALONE = (
    "optimizer",
    "optimizer.name",
    "balance",
    "balance.name",
    "trainer.dtype",
    "trainer.precision",
)  # other settings of these may change


def store(
    cfg: DictConfig, directory: Path, overrides: Sequence[str], hydra: DictConfig, *, again: bool = False
) -> None:
    """Write a configuration into the directory of a run: as ``config.json``, and as Hydra does into ``.hydra/``.

    References such as ``${oc.env:NAME}`` are stored as they are written, never their values. Texts under names like
    ``api_key``, and texts that hold the value of an environment variable of such a name, are left out.

    Args:
        cfg: Configuration.
        directory: Directory of the run.
        overrides: What the command line said.
        hydra: Hydra's own node.
        again: Whether a run is there already, which is being continued.

    Raises:
        RunError: If a run is there already, or the files cannot be written.
    """
    values = {**_plain(cfg), "resume": None}
    try:
        directory.mkdir(parents=True, exist_ok=True)
        if not again and ((directory / "checkpoints").exists() or (directory / "summary.json").exists()):
            raise FileExistsError
        temporary = directory / f".{NAME}.{os.getpid()}.tmp"
        with (temporary if again else directory / NAME).open("w" if again else "x", encoding="utf-8") as file:
            file.write(json.dumps(values, indent=2, default=str) + "\n")
        if again:
            temporary.replace(directory / NAME)
        folder = directory / ".hydra"
        folder.mkdir(exist_ok=True)
        OmegaConf.save(OmegaConf.create(values), folder / "config.yaml")
        settings = {key: value for key, value in _plain(hydra).items() if key not in ("help", "hydra_help")}
        OmegaConf.save(OmegaConf.create({"hydra": settings}), folder / "hydra.yaml")
        history = folder / "overrides.yaml"
        before = list(OmegaConf.load(history)) if again and history.exists() else []
        OmegaConf.save(OmegaConf.create(before + list(map(_masked_override, overrides))), history)
    except FileExistsError as error:
        raise RunError(f"{directory} holds a run already; go on with resume={directory} or choose another") from error
    except OSError as error:
        raise RunError(f"cannot write to the run directory {directory}: {error.strerror or error}") from error


def stored(directory: str | Path) -> DictConfig:
    """Read the configuration of a run.

    Raises:
        ConfigError: If there is no such directory, or it holds no run of ``train.py``.
    """
    folder = Path(directory)
    if not folder.is_dir():
        raise ConfigError(f'there is no run directory "{folder}"{_nearest(folder)}')
    try:
        values = json.loads((folder / NAME).read_text(encoding="utf-8"))
    except FileNotFoundError as error:
        raise ConfigError(f'"{folder}" holds no run: it has no {NAME}{_nearest(folder)}') from error
    except (OSError, ValueError) as error:
        raise ConfigError(f"cannot read {folder / NAME}: {error}; start a new run") from error
    if isinstance(values, dict):
        values.setdefault("estimator", {"name": "exact"})  # runs from before there were others
        values.setdefault("balance", {"name": "none"})
    missing = [key for key in (*GROUPS, "seed") if not isinstance(values, dict) or key not in values]
    if missing:
        raise ConfigError(f"{folder / NAME} is no configuration: it has no {', '.join(missing)}; start a new run")
    return OmegaConf.create(values)


def resumed_overrides(directory: str | Path, further: Sequence[str]) -> list[str]:
    """Write a stored configuration as overrides, with further ones behind them.

    Settings of a group that is chosen anew are left out.

    Raises:
        ConfigError: If there is no run, or a further override cannot change a run that has begun.
    """
    cfg, given = stored(directory), parse(further)
    chosen = set()
    for override in given:
        key = override.key_or_group
        if key in FILE_GROUPS or key.startswith("hydra.run"):
            advice = "give single values instead" if key in FILE_GROUPS else "a run goes on in its own directory"
            raise ConfigError(f"{override.input_line} cannot be combined with resume=; {advice}")
        if key.split(".")[0] in _FIXED or key in _FIXED_ALONE:
            raise ConfigError(f"{override.input_line}: a resumed run keeps its {key}; start a new run to change it")
        chosen.add(key)
    _require_plugins(cfg, further)
    result = [f"seed={quote(cfg.seed)}"]
    for group in GROUPS:
        if group not in chosen:
            entries = dict(_plain(cfg[group]))
            result.append(f"{group}={entries.pop('name', 'default')}")
            result += [f"{group}.{key}={quote(value)}" for key, value in entries.items()]
    return [*result, *further]


def fresh_directory(path: Path) -> Path:
    """Make a directory that did not exist: `path`, else the first of ``path-2``, ``path-3``...

    Raises:
        RunError: If it cannot be made.
    """
    for number in itertools.count(1):
        candidate = path if number == 1 else path.with_name(f"{path.name}-{number}")
        try:
            candidate.mkdir(parents=True)
        except FileExistsError:
            continue
        except OSError as error:
            raise RunError(f"cannot make the run directory {candidate}: {error.strerror or error}") from error
        return candidate
    raise AssertionError("itertools.count ended")


def masked(node: Any, key: str = "") -> Any:
    """Replace secret texts in plain values by ``"???"``, which OmegaConf takes for a value that has to be given.

    >>> masked({"api_key": "hunter2", "tokens": 64, "url": "${oc.env:API_KEY}"})
    {'api_key': '???', 'tokens': 64, 'url': '${oc.env:API_KEY}'}
    """
    if isinstance(node, dict):
        return {name: masked(value, str(name)) for name, value in node.items()}
    if isinstance(node, list):
        return [masked(value, key) for value in node]
    return _UNKNOWN if isinstance(node, str) and _is_secret(key, node) else node


def _is_secret(key: str, text: str) -> bool:
    if (_SECRET.search(key) and not text.startswith("${")) or _GIVEN_SECRET.search(text):
        return True
    known = [value for name, value in os.environ.items() if _SECRET.search(name)]
    return any(len(value) >= _SHORTEST_SECRET and not value.startswith("/") and value in text for value in known)


def _masked_override(text: str) -> str:
    key, _, value = text.partition("=")
    return f"{key}={_UNKNOWN}" if _is_secret(key, value) else text


def _plain(cfg: DictConfig) -> dict[str, Any]:
    values = masked(OmegaConf.to_container(cfg, resolve=False, enum_to_str=True))
    assert isinstance(values, dict)  # a DictConfig is a mapping
    return values


def _require_plugins(cfg: DictConfig, further: Sequence[str]) -> None:
    """Plugins are imported on a person's word only, never on that of a file."""
    needed, given = list(cfg.get("plugins") or []), plugins_of(further)
    if [name for name in needed if name not in given]:
        raise ConfigError(f"this run needs its plugins again: plugins=[{','.join(map(str, needed))}]")


def _nearest(folder: Path) -> str:
    """Name the run directory of the most similar name."""
    roots = [root for root in (folder, folder.parent, folder.parent.parent, Path("outputs")) if root.is_dir()]
    runs = [
        str(path.parent) for root in roots for path in itertools.chain(root.glob(f"*/{NAME}"), root.glob(f"*/*/{NAME}"))
    ]
    near = difflib.get_close_matches(str(folder), runs, n=1, cutoff=0.0)
    return f'; did you mean "{near[0]}"?' if near else "; give the directory that an earlier run printed"
