"""One process per directory."""

from __future__ import annotations

import errno
import logging
import os
from pathlib import Path

from ..errors import RunError

__all__ = ["acquire"]

_logger = logging.getLogger(__name__)


def acquire(path: Path) -> int:
    """Lock the file `path`, made if missing, and write this process's id into it.

    The system drops the lock when the descriptor is closed or the process ends, however it ends. The file stays: if it
    were removed, two processes could hold locks on two files of one name.

    Returns:
        A descriptor to close.

    Raises:
        RunError: If a process holds the lock.
        OSError: If the file cannot be written.
    """
    descriptor = os.open(path, os.O_RDWR | os.O_CREAT, 0o644)
    try:
        _flock(descriptor, path)
        os.ftruncate(descriptor, 0)
        os.write(descriptor, f"{os.getpid()}\n".encode())
    except BaseException:
        os.close(descriptor)
        raise
    return descriptor


def _flock(descriptor: int, path: Path) -> None:
    try:
        import fcntl
    except ImportError:
        _logger.warning("this system has no fcntl: nothing keeps two processes from using %s", path.parent)
        return
    try:
        fcntl.flock(descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except BlockingIOError as error:
        holder = os.read(descriptor, 32).decode(errors="replace").strip()
        who = "this process; close it" if holder == str(os.getpid()) else f"process {holder or 'unknown'}; stop it"
        raise RunError(f"{path.parent} is in use by {who} or choose another directory.") from error
    except OSError as error:
        if error.errno not in (errno.ENOLCK, errno.ENOTSUP, errno.ENOSYS):
            raise
        _logger.warning("the file system cannot lock: nothing keeps two processes from using %s", path.parent)
