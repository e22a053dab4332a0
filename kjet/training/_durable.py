"""Files that are whole or absent: every byte is on the disk before its name appears."""

from __future__ import annotations

import os
from pathlib import Path

__all__ = ["replace_durably", "sync_directory", "write_durably"]


def write_durably(path: Path, data: bytes) -> None:
    """Write a new file and wait until its bytes are on the disk.

    Raises:
        OSError: If the file cannot be written in full.
    """
    with path.open("wb") as file:
        file.write(data)
        file.flush()
        os.fsync(file.fileno())


def replace_durably(path: Path, data: bytes) -> None:
    """Put `data` in the place of `path` in one step: a reader sees the old file or the new one, never a part.

    Raises:
        OSError: If the file cannot be written; the old one is then as it was.
    """
    temporary = path.with_name(f".{path.name}.tmp")
    try:
        write_durably(temporary, data)
        temporary.replace(path)
    finally:
        temporary.unlink(missing_ok=True)
    sync_directory(path.parent)


def sync_directory(path: Path) -> None:
    """Wait until the names in a folder are on the disk.

    Only POSIX systems can open a folder for this; elsewhere the file system orders renames by itself.
    """
    if os.name != "posix":
        return
    descriptor = os.open(path, os.O_RDONLY)
    try:
        os.fsync(descriptor)
    finally:
        os.close(descriptor)
