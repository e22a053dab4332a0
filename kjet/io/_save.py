"""Write figures to files."""

from __future__ import annotations

import os
from collections.abc import Mapping
from pathlib import Path
from typing import TYPE_CHECKING

from ..errors import ConfigError
from ._canvas import DPI

if TYPE_CHECKING:
    from matplotlib.figure import Figure

__all__ = ["save_figures"]


def save_figures(figures: Mapping[str, Figure], directory: str | os.PathLike[str]) -> list[Path]:
    """Write each figure to ``directory/name.png`` at 150 dots per inch.

    A reader sees the old file or the new one, never a part: the image is written under a temporary name and renamed.

    Args:
        figures: Figures by the name of their file, without its ending.
        directory: Folder of the files; made if missing.

    Returns:
        The files, in the order of `figures`.

    Raises:
        ConfigError: If a name is empty or leads out of the folder; nothing is written then.
        OSError: If a file cannot be written; an older one of its name is then as it was.

    >>> import tempfile
    >>> with tempfile.TemporaryDirectory() as folder:
    ...     [path.name for path in save_figures({}, folder)]
    []
    """
    for name in figures:
        if not name.strip() or name.startswith(".") or any(separator in name for separator in "/\\\0"):
            raise ConfigError(f"figure name {name!r} cannot be a file name; use a word such as 'solution'.")
    folder = Path(directory)
    folder.mkdir(parents=True, exist_ok=True)
    return [_save(figure, folder / f"{name}.png") for name, figure in figures.items()]


def _save(figure: Figure, path: Path) -> Path:
    # The process is in the name so that two of them, saving the same figure, do not write into one file.
    temporary = path.with_name(f".{path.name}.{os.getpid()}.tmp")
    try:
        figure.savefig(temporary, format="png", dpi=DPI)
        temporary.replace(path)
    finally:
        temporary.unlink(missing_ok=True)
    return path
