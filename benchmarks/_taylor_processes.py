"""Sides of a comparison in processes of their own, that work in turn and are watched for memory and time."""

from __future__ import annotations

import json
import os
import selectors
import subprocess
import sys
import time
from pathlib import Path
from types import TracebackType
from typing import Any

__all__ = ["SideError", "Worker", "available_gb"]

ONE_THREAD = {
    "OMP_NUM_THREADS": "1",
    "MKL_NUM_THREADS": "1",
    "TORCHINDUCTOR_COMPILE_THREADS": "1",
    "XLA_FLAGS": "--xla_cpu_multi_thread_eigen=false intra_op_parallelism_threads=1",
    "XLA_PYTHON_CLIENT_PREALLOCATE": "false",
}
"""Environment of the sides; a GPU is shared between those that are alive."""


class SideError(RuntimeError):
    """A side could not do what it was asked for: out of memory or time, not installed, or broken."""


def available_gb() -> float:
    """Memory that is free for new processes."""
    info = Path("/proc/meminfo")
    if info.exists():
        line = next(line for line in info.read_text().splitlines() if line.startswith("MemAvailable"))
        return int(line.split()[1]) / 2**20
    return float(os.sysconf("SC_PAGE_SIZE") * os.sysconf("SC_PHYS_PAGES")) / 2**30


class Worker:
    """A process that answers one JSON object with another.

    Args:
        module: What it runs, ``python -m module``.
        arguments: Its arguments.
        memory_gb: It is ended when it holds more than that.
        seconds: It is ended when an answer takes longer than that.
    """

    def __init__(self, module: str, arguments: list[str], memory_gb: float, seconds: float) -> None:
        self.memory_gb, self.seconds = memory_gb, seconds
        self._process = subprocess.Popen(
            [sys.executable, "-m", module, *arguments],
            cwd=Path(__file__).parents[1],
            env=os.environ | ONE_THREAD,
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            stderr=subprocess.PIPE,
            text=True,
        )

    def __enter__(self) -> Worker:
        return self

    def __exit__(self, kind: type[BaseException] | None, error: BaseException | None, at: TracebackType | None) -> None:
        self._process.kill()
        self._process.communicate()

    def ask(self, **command: Any) -> dict[str, Any]:
        """Give a command and wait for the answer.

        Raises:
            SideError: If the process ended, or had to be.
        """
        process: Any = self._process  # whose pipes are known to be there
        try:
            print(json.dumps(command), file=process.stdin, flush=True)
        except BrokenPipeError:
            raise SideError(self._last_words()) from None
        self._watch(process.stdout)
        line = process.stdout.readline()
        if not line:
            raise SideError(self._last_words())
        return json.loads(line)

    def _watch(self, stdout: Any) -> None:
        """Wait for an answer, or for the process to take too much."""
        late = time.monotonic() + self.seconds
        with selectors.DefaultSelector() as selector:
            selector.register(stdout, selectors.EVENT_READ)
            while not selector.select(timeout=0.2):
                if self._resident_gb() > self.memory_gb:
                    self._process.kill()
                    raise SideError(f"needs more than {self.memory_gb:.1f} GB of memory")
                if time.monotonic() > late:
                    self._process.kill()
                    raise SideError(f"took longer than {self.seconds:g} s")

    def _resident_gb(self) -> float:
        try:
            pages = Path(f"/proc/{self._process.pid}/statm").read_text().split()[1]
        except (OSError, IndexError):
            return 0.0
        return int(pages) * os.sysconf("SC_PAGE_SIZE") / 2**30

    def _last_words(self) -> str:
        _, errors = self._process.communicate()
        lines = [line for line in errors.strip().splitlines() if line.strip()]
        return lines[-1][:300] if lines else f"ended with status {self._process.returncode}"
