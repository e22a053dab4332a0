"""A command line, and the job that it asks for."""

from __future__ import annotations

import argparse
import contextlib
import sys
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import NoReturn, cast

import hydra
from hydra.core.hydra_config import HydraConfig
from hydra.core.utils import configure_log
from omegaconf import DictConfig, OmegaConf, open_dict, read_write

from ..errors import ConfigError
from ..training.run_directory import RunDirectory
from .building import components
from .composing import check, compose_with_hydra, without_hydra
from .groups import import_plugins, store_groups
from .mistakes import explained
from .overrides import parse, plugins_of, quote
from .storage import fresh_directory, masked, resumed_overrides, store

__all__ = ["Command", "Job", "by_hydra", "prepare", "read_command", "sweep_job"]


@dataclass(frozen=True)
class Command:
    """What a command line asks for.

    Attributes:
        arguments: Arguments as Hydra is to see them; none for a single run.
        overrides: Those that say something about the configuration.
        config_dir: Folder with the user's own files.
        for_hydra: Whether Hydra answers it: a sweep, help, a look at the configuration.
    """

    arguments: tuple[str, ...]
    overrides: tuple[str, ...]
    config_dir: Path | None
    for_hydra: bool


@dataclass(frozen=True)
class Job:
    """One run to be done.

    Attributes:
        cfg: Configuration, checked.
        directory: Directory of the run.
        resume: Whether to continue what is there.
    """

    cfg: DictConfig
    directory: Path
    resume: bool = False


def read_command(arguments: Sequence[str]) -> Command:
    """Read a command line, import its plugins, and check all that Hydra would otherwise find out late.

    Raises:
        ConfigError: If something is misspelt, of the wrong type or out of range.

    >>> command = read_command(["problem=burgers", "seed=1"])
    >>> command.for_hydra, command.overrides
    (False, ('problem=burgers', 'seed=1'))
    """
    found = _parser().parse_intermixed_args(list(arguments))
    overrides, folder = tuple(found.overrides), found.config_dir
    import_plugins(plugins_of(overrides))
    if not (found.multirun or found.look or found.shell_completion):
        return Command((), overrides, folder, for_hydra=False)
    if _resumed(overrides) is not None:
        raise ConfigError("resume= continues one run; leave out the options beside it")
    store_groups()
    if not found.shell_completion:
        check(overrides, folder)
    options = [argument for argument in arguments if argument not in overrides]
    own = _sweep_settings(overrides, folder) if found.multirun and not found.look else ()
    return Command((*options, *overrides, *own), overrides, folder, for_hydra=True)


def prepare(command: Command) -> Job:
    """Compose the configuration of a single run, make its directory, and direct the log to it.

    Raises:
        ConfigError: If the configuration is wrong; nothing has been written then.
        RunError: If the directory cannot be used.
    """
    source = _resumed(command.overrides)
    overrides = command.overrides
    if source is not None:
        further = [str(each.input_line) for each in parse(overrides) if each.key_or_group != "resume"]
        overrides = (*resumed_overrides(source, further), f"resume={quote(str(source))}")
    cfg = compose_with_hydra(overrides, command.config_dir)
    job = without_hydra(cfg)
    components(job)
    if source is not None:
        RunDirectory.open(source).close()  # says now that another process uses it
        directory = source
    else:
        explicit = any(override.key_or_group == "hydra.run.dir" for override in parse(overrides))
        with explained():
            wanted = Path(cfg.hydra.run.dir)
        directory = wanted if explicit else fresh_directory(wanted)
    store(job, directory, command.overrides, cfg.hydra, again=source is not None)
    with read_write(cfg), open_dict(cfg):
        cfg.hydra.runtime.output_dir = str(directory.absolute())
    with explained("hydra.job_logging"):
        configure_log(cfg.hydra.job_logging, cfg.hydra.verbose)
    return Job(job, directory, resume=source is not None)


def by_hydra(command: Command, task: Callable[[DictConfig], None]) -> None:
    """Let Hydra answer a command: it runs the task once for each job of a sweep, prints help, and so on."""
    before = sys.argv
    sys.argv = [before[0], *command.arguments]
    try:
        hydra.main(config_path="pkg://kjet.conf", config_name="config", version_base="1.3")(task)()
    finally:
        sys.argv = before


def sweep_job(cfg: DictConfig) -> Job:
    """Return the job for which Hydra has called the task.

    Raises:
        ConfigError: If the configuration is wrong.
        RunError: If the directory cannot be used.
    """
    import_plugins(cfg.plugins)  # a launcher may have started another process
    components(cfg)
    hydra_cfg = cast("DictConfig", HydraConfig.get())
    directory = Path(hydra_cfg.runtime.output_dir)
    store(cfg, directory, list(hydra_cfg.overrides.task), hydra_cfg)
    sweep = Path(hydra_cfg.sweep.dir) / "multirun.yaml"
    with contextlib.suppress(FileNotFoundError):
        values = OmegaConf.to_container(OmegaConf.load(sweep), resolve=False)
        if masked(values) != values:
            OmegaConf.save(OmegaConf.create(masked(values)), sweep)
    return Job(cfg, directory)


class _Parser(argparse.ArgumentParser):
    def error(self, message: str) -> NoReturn:
        raise ConfigError(f"{message}; settings are written group.key=value, and --help shows the options")


def _parser() -> argparse.ArgumentParser:
    """Tell Hydra's options from overrides."""
    parser = _Parser(add_help=False, allow_abbrev=False)
    for names in (("--help", "-h"), ("--hydra-help",), ("--version",), ("--resolve",)):
        parser.add_argument(*names, dest="look", action="append_const", const=True)
    for names in (("--cfg", "-c"), ("--package", "-p")):
        parser.add_argument(*names, dest="look", action="append")
    parser.add_argument("--info", "-i", dest="look", action="append", nargs="?", const="all")
    parser.add_argument("--shell-completion", "-sc", action="store_true")
    parser.add_argument("--multirun", "-m", action="store_true")
    parser.add_argument("--run", "-r", action="store_true")
    parser.add_argument("--config-dir", "-cd", type=Path)
    parser.add_argument("overrides", nargs="*")
    return parser


def _resumed(overrides: Sequence[str]) -> Path | None:
    """Return the run that is to be continued."""
    source = None
    for override in parse(overrides):
        if override.key_or_group == "resume":
            source = override.value()
    return None if source is None else Path(str(source))


def _sweep_settings(overrides: Sequence[str], config_dir: Path | None) -> tuple[str, ...]:
    """Give a sweep a directory of its own, and leave it to kjet to store configurations, without secrets."""
    given = [override for override in parse(overrides) if not override.is_sweep_override()]
    own = "hydra.output_subdir=null"
    if any(override.key_or_group == "hydra.sweep.dir" for override in given):
        return (own,)
    cfg = compose_with_hydra([str(override.input_line) for override in given], config_dir)
    with explained():
        wanted = Path(cfg.hydra.sweep.dir)
    return own, f"hydra.sweep.dir={quote(str(fresh_directory(wanted)))}"
