import subprocess
import sys

import pytest

from kjet.errors import ConfigError
from kjet.io import history_figure, save_figures, solution_figure

from .conftest import VIEWS

HISTORY = [{"step": i, "seconds": i, "loss": 0.5**i} for i in range(3)]


def test_files_at_150_dots_per_inch_in_order(tmp_path):
    from matplotlib.image import imread

    figures = {"solution": solution_figure(VIEWS["plane"](), 8), "history": history_figure(HISTORY)}
    paths = save_figures(figures, tmp_path / "run" / "figures")
    assert [path.name for path in paths] == ["solution.png", "history.png"]
    assert sorted(path.name for path in paths[0].parent.iterdir()) == ["history.png", "solution.png"]
    height, width = imread(paths[1]).shape[:2]
    assert (width, height) == tuple(figures["history"].get_size_inches() * 150)


def test_an_older_file_is_replaced(tmp_path):
    (tmp_path / "a.png").write_bytes(b"old")
    (path,) = save_figures({"a": history_figure([])}, str(tmp_path))
    assert path.read_bytes().startswith(b"\x89PNG")


def test_a_failure_leaves_the_older_file_and_nothing_else(tmp_path):
    class Broken:
        def savefig(self, path, **_):
            path.write_bytes(b"half")
            raise OSError("disk full")

    (tmp_path / "a.png").write_bytes(b"old")
    with pytest.raises(OSError, match="disk full"):
        save_figures({"a": Broken()}, tmp_path)
    assert [(path.name, path.read_bytes()) for path in tmp_path.iterdir()] == [("a.png", b"old")]


@pytest.mark.parametrize("name", ["", " ", "../a", "a/b", "a\\b", ".hidden"])
def test_names_that_lead_elsewhere_are_refused(tmp_path, name):
    with pytest.raises(ConfigError, match="cannot be a file name"):
        save_figures({"good": history_figure([]), name: history_figure([])}, tmp_path)
    assert not list(tmp_path.iterdir())


def test_notebooks_show_a_figure_by_itself():
    assert history_figure(HISTORY)._repr_png_().startswith(b"\x89PNG")


def test_matplotlib_is_not_imported_before_it_is_needed_and_pyplot_never():
    code = (
        "import sys, kjet.io; assert 'matplotlib' not in sys.modules;"
        "kjet.io.history_figure([{'step': 0, 'seconds': 0, 'loss': 1.0}]).canvas.draw();"
        "assert 'matplotlib' in sys.modules and 'matplotlib.pyplot' not in sys.modules"
    )
    subprocess.run([sys.executable, "-W", "error", "-c", code], check=True)
