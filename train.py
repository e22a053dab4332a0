"""Solve a partial differential equation; ``python train.py --help`` shows the choices."""

from __future__ import annotations

import os
import shlex
import signal
import sys
from typing import TYPE_CHECKING

from hydra.errors import CompactHydraException

from kjet.config import Job, by_hydra, open_loggers, prepare, read_command, run, sweep_job
from kjet.errors import KjetError
from kjet.io import save_figures

if TYPE_CHECKING:
    from omegaconf import DictConfig

    from kjet.training import Solution


def main(arguments: list[str]) -> int:
    """Run a command line; returns the exit status."""
    try:
        command = read_command(arguments)
        job = None if command.for_hydra else prepare(command)
    except KjetError as error:
        return complain(error, 2)
    if job is None:
        by_hydra(command, sweep)
        return 0
    try:
        return train(job)
    except (KjetError, OSError) as error:
        return complain(error, 1)


def train(job: Job) -> int:
    """Do one run: solve, draw, report."""
    threads = job.cfg.trainer.threads
    if threads is not None:
        import torch

        torch.set_num_threads(threads)
    with open_loggers(job.cfg, job.directory, resume=job.resume) as loggers:
        solution = run(job.cfg, job.directory, resume=job.resume, loggers=loggers)
        for path in save_figures(solution.figures(), job.directory / "figures"):
            for logger in loggers:
                logger.figure(path.stem, path)
    report(solution, job)
    if solution.status != "stopped":
        return 0
    return 128 + signal.Signals[solution.reason.split()[0]]


def sweep(cfg: DictConfig) -> None:
    """Do one run of a sweep."""
    try:
        code = train(sweep_job(cfg))
    except KjetError as error:
        raise CompactHydraException(str(error)) from error
    if code:
        sys.exit(code)


def report(solution: Solution, job: Job) -> None:
    """Print the result and what can be done with it."""
    found = solution.summary()
    plugins = ",".join(job.cfg.plugins)
    again = ["python", "train.py", f"resume={job.directory}", *([f"plugins=[{plugins}]"] if plugins else [])]
    rows = [("problem", found["problem"]), ("status", f"{solution.status} ({solution.reason})")]
    rows += [("seconds", f"{found['seconds']:.1f} of training in {found['steps']} steps")]
    rows += [(f"error in {name}", f"{error['rel_l2']:.2e} (relative L2)") for name, error in solution.errors.items()]
    if found["trivial_error"] is not None:
        rows += [("without a network", f"{found['trivial_error']:.2e} (best trivial predictor, same points)")]
    rows += [("loss", f"{found['loss']:.2e}")]
    rows += [(f"found {name}", f"{value:.6g}") for name, value in solution.parameters.items()]
    rows += [("try", f"{a['setting']}: {a['reason']}") for a in found.get("diagnosis", {}).get("advice", [])[:3]]
    rows += [("directory", str(job.directory)), ("resume", shlex.join(again))]
    width = max(len(name) for name, _ in rows)
    sys.stdout.write("\n" + "".join(f"{name:<{width}}  {value}\n" for name, value in rows))


def complain(error: Exception, code: int) -> int:
    """Say in one line what is wrong."""
    if os.environ.get("HYDRA_FULL_ERROR") == "1":
        raise error
    sys.stderr.write(f"train.py: {' '.join(str(error).split())}\n")
    return code


if __name__ == "__main__":
    try:
        status = main(sys.argv[1:])
    except KeyboardInterrupt:
        status = 128 + signal.SIGINT
    sys.exit(status)
