"""Starting processes that find each other."""

from __future__ import annotations

import os
import subprocess
import sys
import time
from pathlib import Path

import torch.distributed as dist

ROOT = Path(__file__).resolve().parents[2]
LIMIT = 240.0  # seconds for everything, on a busy machine
GRACE = 20.0  # seconds that processes have once one of them has failed
# torch scripts its own derivative rules when forward mode is first used.
WARNINGS = ("-W", "error", "-W", "ignore:`torch.jit:DeprecationWarning")


def launch(worker: str, count: int, what: str, folder: Path, *options: str) -> list[tuple[int, str]]:
    """Run a worker in processes of its own, and return their exit codes and what they wrote."""
    # A store for this run alone; it lives in this process, as torchrun's lives in the launcher.
    store = dist.TCPStore("127.0.0.1", 0, is_master=True, wait_for_workers=False)
    variables = os.environ | {"OMP_NUM_THREADS": "1", "GLOO_SOCKET_IFNAME": "lo", "PYTHONPATH": str(ROOT)}
    command = [sys.executable, *options, "-m", worker, what, str(folder)]
    processes = [
        subprocess.Popen(
            [*command, str(rank), str(store.port)],
            cwd=ROOT, env=variables, stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True,
        )
        for rank in range(count)
    ]  # fmt: skip
    end = time.monotonic() + LIMIT
    try:
        while time.monotonic() < end and any(process.poll() is None for process in processes):
            if any(process.poll() for process in processes):
                end = min(end, time.monotonic() + GRACE)
            time.sleep(0.05)
    finally:
        for process in processes:
            process.kill()
        outputs = [process.communicate()[0] for process in processes]
    return [(process.returncode, output) for process, output in zip(processes, outputs, strict=True)]


def environment(rank: int, port: int, size: int, attempt: int) -> dict[str, str]:
    """Variables as torchrun sets them: one store, which the launcher holds, for every attempt."""
    return {
        "RANK": str(rank), "WORLD_SIZE": str(size), "LOCAL_RANK": str(rank), "MASTER_ADDR": "127.0.0.1",
        "MASTER_PORT": str(port), "TORCHELASTIC_USE_AGENT_STORE": "True", "TORCHELASTIC_RESTART_COUNT": str(attempt),
    }  # fmt: skip
