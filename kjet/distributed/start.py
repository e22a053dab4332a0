"""Connecting the processes that torchrun starts."""

from __future__ import annotations

import os
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from datetime import timedelta

import torch
import torch.distributed as dist

from ..errors import ConfigError

__all__ = ["connected"]


@contextmanager
def connected(
    device: str = "cpu", seconds: float = 600.0, environment: Mapping[str, str] | None = None
) -> Iterator[torch.device]:
    """Connect this process to those that were started with it; alone, do nothing.

    CPU tensors travel by gloo, CUDA tensors by NCCL. Every attempt of a restarted job meets under a name of its own:
    torchrun keeps one store for all attempts, in which processes of a new one would find addresses of the last.

    After an exception nothing is taken down, since that would wait for the others: let the process end, and they learn
    of it when they next talk to it.

    Args:
        device: ``"cpu"`` or ``"cuda"``, which becomes the device of the process's number on its machine.
        seconds: How long to wait for a process that does not answer.
        environment: Variables that torchrun sets; None for those of the process.

    Yields:
        The device of this process.

    Raises:
        ConfigError: If processes are connected already, or a variable is missing.

    >>> with connected(environment={}) as device:
    ...     print(device)
    cpu
    """
    variables = os.environ if environment is None else environment
    size = int(variables.get("WORLD_SIZE", "1"))
    if size == 1:
        yield torch.device(device)
        return
    if dist.is_initialized():
        raise ConfigError("processes are connected already; leave the first connected() before entering another")
    missing = [name for name in ("RANK", "MASTER_ADDR", "MASTER_PORT") if name not in variables]
    if missing:
        raise ConfigError(f"WORLD_SIZE is {size}, but {', '.join(missing)} is not set; start with torchrun")
    own = torch.device(device, int(variables.get("LOCAL_RANK", "0"))) if device == "cuda" else torch.device(device)
    rank, timeout = int(variables["RANK"]), timedelta(seconds=seconds)
    dist.init_process_group(
        "cpu:gloo,cuda:nccl" if own.type == "cuda" else "gloo",
        store=_store(variables, rank, timeout),
        rank=rank,
        world_size=size,
        timeout=timeout,
        device_id=own if own.type == "cuda" else None,
    )
    yield own
    dist.barrier()  # the last to finish still needs the others
    dist.destroy_process_group()


def _store(variables: Mapping[str, str], rank: int, timeout: timedelta) -> dist.Store:
    hosted = variables.get("TORCHELASTIC_USE_AGENT_STORE") == "True"
    store = dist.TCPStore(
        variables["MASTER_ADDR"],
        int(variables["MASTER_PORT"]),
        is_master=rank == 0 and not hosted,
        timeout=timeout,
    )
    return dist.PrefixStore(f"attempt_{variables.get('TORCHELASTIC_RESTART_COUNT', '0')}", store)
