"""Configurations: composed from groups and files, checked, stored with a run, and turned into the run."""

from __future__ import annotations

from .building import components, open_loggers, run
from .command import Command, Job, by_hydra, prepare, read_command, sweep_job
from .composing import compose
from .storage import stored

__all__ = [
    "Command",
    "Job",
    "by_hydra",
    "components",
    "compose",
    "open_loggers",
    "prepare",
    "read_command",
    "run",
    "stored",
    "sweep_job",
]
