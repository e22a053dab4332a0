"""The examples in docstrings give what they say.

Run by import name: pytest's own ``--doctest-modules`` cannot resolve the folders that package-dir maps.
"""

from __future__ import annotations

import doctest
import tomllib
from importlib import import_module
from pathlib import Path

import pytest

ROOT = Path(__file__).resolve().parent.parent
SETUPTOOLS = tomllib.loads((ROOT / "pyproject.toml").read_text(encoding="utf-8"))["tool"]["setuptools"]
FINDER = doctest.DocTestFinder(exclude_empty=True)


def modules() -> list[str]:
    """List all modules of the package by import name."""
    found = []
    for package in SETUPTOOLS["packages"]:
        parent, _, rest = package.partition(".")
        top, *inner = rest.split(".") if rest else [""]
        mapped = SETUPTOOLS["package-dir"].get(f"{parent}.{top}", f"{parent}/{top}")
        for path in sorted(ROOT.joinpath(mapped, *inner).glob("*.py")):
            found.append(package if path.stem == "__init__" else f"{package}.{path.stem}")
    return found


def test_the_modules_are_found() -> None:
    assert {"kjet", "kjet.pde.burgers", "kjet.data.geometry.ball", "kjet.jets.api"} <= set(modules())


@pytest.mark.parametrize("name", modules())
def test_examples(name: str) -> None:
    module = import_module(name)
    runner = doctest.DocTestRunner(optionflags=doctest.ELLIPSIS)
    output: list[str] = []
    for example in FINDER.find(module, name):
        runner.run(example, out=output.append)
    assert not runner.failures, "".join(output)
