"""One run of one side, in a process of its own: ``python -m benchmarks._zoo_worker '{"side": ...}' result.json``."""

from __future__ import annotations

import importlib
import json
import sys
import time
from importlib.metadata import version
from pathlib import Path
from typing import Any

from ._zoo_task import threads

__all__ = ["PACKAGES"]

PACKAGES = {"kjet": ("kjet", "torch"), "deepxde": ("deepxde", "torch"), "jinns": ("jinns", "jax", "optax")}
"""Sides, and the packages whose versions their results depend on."""


def main() -> None:
    """Do what the first argument asks for, and write the result to the path in the second."""
    asked = json.loads(sys.argv[1])
    threads(asked.pop("threads"))
    side = asked.pop("side")
    Path(sys.argv[2]).write_text(json.dumps(_done(side, **asked)), encoding="utf-8")


def _done(side: str, problem: str, seed: int, seconds: float) -> dict[str, Any]:
    wall, cpu = time.perf_counter(), time.process_time()
    found = importlib.import_module(f"benchmarks._zoo_{side}").run(problem, seed, seconds)
    curve = [(round(t, 3), error if error is None else float(f"{error:.4g}")) for t, error in found["curve"]]
    share = (time.process_time() - cpu) / (time.perf_counter() - wall)
    return {
        **found,
        "curve": curve,
        "cores": round(share, 2),
        "versions": {name: version(name) for name in PACKAGES[side]},
    }


if __name__ == "__main__":
    main()
