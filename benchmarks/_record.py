"""What every results file says about where it comes from."""

from __future__ import annotations

import datetime
import json
import os
import platform
from collections.abc import Sequence
from importlib.metadata import version
from pathlib import Path
from typing import Any

import torch

__all__ = ["command", "document", "machine", "versions", "write"]


def machine(threads: int) -> dict[str, Any]:
    """Describe the machine: model of the CPU, number of cores, memory, threads in use."""
    info = Path("/proc/cpuinfo")
    lines = info.read_text(encoding="utf-8").splitlines() if info.exists() else []
    model = next((line.split(":")[1].strip() for line in lines if line.startswith("model name")), platform.processor())
    memory = os.sysconf("SC_PAGE_SIZE") * os.sysconf("SC_PHYS_PAGES") if hasattr(os, "sysconf") else 0
    return {
        "cpu": model,
        "cores": os.cpu_count(),
        "memory_gb": round(memory / 2**30, 1),
        "threads": threads,
        "system": f"{platform.system()} {platform.machine()}",
        "instructions": torch.backends.cpu.get_cpu_capability(),
    }


def versions(*more: str) -> dict[str, str]:
    """Versions of Python, kjet, torch, numpy and of other packages."""
    return {"python": platform.python_version(), **{name: version(name) for name in ("kjet", "torch", "numpy", *more)}}


def command(module: str, arguments: Sequence[str]) -> str:
    """Return the command as it was typed, with the folders of this machine left out.

    >>> command("benchmarks.zoo", ["--out", "/somewhere/zoo.json"])
    'python -m benchmarks.zoo --out zoo.json'
    """
    typed = [Path(word).name if Path(word).is_absolute() else word for word in arguments]
    return " ".join([f"python -m {module}", *typed])


def document(benchmark: str, arguments: Sequence[str], threads: int, *packages: str) -> dict[str, Any]:
    """Start a results document."""
    return {
        "benchmark": benchmark,
        "command": command(f"benchmarks.{benchmark}", arguments),
        "date": datetime.datetime.now(datetime.UTC).strftime("%Y-%m-%d"),
        "machine": machine(threads),
        "versions": versions(*packages),
    }


def write(path: Path, content: dict[str, Any]) -> None:
    """Write a results document, whole or not at all."""
    path.parent.mkdir(parents=True, exist_ok=True)
    part = path.with_suffix(".part")
    part.write_text(json.dumps(content, indent=1) + "\n", encoding="utf-8")
    part.replace(path)
