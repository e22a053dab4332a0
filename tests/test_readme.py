"""Every python block of README.md, CONTRIBUTING.md and docs/ runs, and the shell blocks name what exists."""

from __future__ import annotations

import dataclasses
import re
import shlex
import tomllib
from importlib import import_module
from pathlib import Path
from typing import Any

import pytest

import kjet
from kjet import registry
from kjet.config import read_command
from kjet.training import SamplerConfig, TrainerConfig

ROOT = Path(__file__).resolve().parent.parent
PAGES = [ROOT / "README.md", ROOT / "CONTRIBUTING.md", *sorted((ROOT / "docs").glob("*.md"))]
CI = ROOT / ".ci" / "run"
PROJECT = tomllib.loads((ROOT / "pyproject.toml").read_text(encoding="utf-8"))
MAKE_TARGETS = re.findall(r"^(\w+):", (ROOT / "Makefile").read_text(encoding="utf-8"), re.MULTILINE)
LINK = re.compile(r"\]\((?!https?:|#)([^)#]+)[^)]*\)")


def blocks(page: Path, language: str) -> list[str]:
    """Return the fenced blocks of a language."""
    return re.findall(rf"^```{language}\n(.*?)^```", page.read_text(encoding="utf-8"), re.MULTILINE | re.DOTALL)


def commands(page: Path) -> list[list[str]]:
    """Return the single commands of the shell blocks, split into words."""
    lines = [line for block in blocks(page, "sh") for line in block.splitlines()]
    parts = [part for line in lines for part in line.split("&&")]
    return [words for part in parts if (words := shlex.split(part, comments=True))]


@pytest.fixture
def tiny(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    """Make solves tiny, keep registrations and files within the test."""
    solve = kjet.solve

    def small(problem: Any, **options: Any) -> Any:
        names = {field.name for field in dataclasses.fields(TrainerConfig)}
        kept = {key: value for key, value in options.items() if key not in names}
        sampler = dataclasses.replace(options.get("sampler") or SamplerConfig(), points=20, boundary_points=8)
        kept |= {"sampler": sampler, "progress": False, "network": options.get("network") or "mlp"}
        return solve(problem, **kept, max_steps=2, test_points=20)

    monkeypatch.setattr(kjet, "solve", small, raising=False)
    for kind in registry.KINDS:
        registry.names(kind)
        monkeypatch.setitem(registry._COMPONENTS, kind, dict(registry._COMPONENTS[kind]))
    rules = import_module("kjet.jets._registry")
    monkeypatch.setattr(rules, "_RULES", dict(rules._RULES))
    monkeypatch.chdir(tmp_path)
    monkeypatch.syspath_prepend(tmp_path)


@pytest.mark.usefixtures("tiny")
@pytest.mark.parametrize("page", PAGES, ids=lambda page: page.stem)
def test_python_blocks_run(page: Path) -> None:
    namespace: dict[str, Any] = {"__name__": "__main__"}
    for block in blocks(page, "python"):
        exec(compile(block, f"{page.name}: {block.splitlines()[0]}", "exec"), namespace)


def test_there_are_blocks() -> None:
    assert len(blocks(PAGES[0], "python")) >= 3
    assert any(words[:2] == ["python", "train.py"] for words in commands(PAGES[0]))


@pytest.mark.parametrize("page", PAGES, ids=lambda page: page.stem)
def test_commands_are_known(page: Path) -> None:
    known = {"python3", "python", ".", "pip", "make", "tensorboard", "git", "cd", "sphinx-build", "torchrun"}
    for words in commands(page):
        assert words[0] in known, words
        if words[0] == "make":
            assert set(words[1:]) <= set(MAKE_TARGETS), words
        if words[0] == "python" and words[1].endswith(".py"):
            assert (ROOT / words[1]).is_file(), words
        if words[:2] == ["pip", "install"]:
            extras = re.findall(r"\[([\w,]+)\]", " ".join(words))
            named = {extra for group in extras for extra in group.split(",")}
            assert named <= set(PROJECT["project"]["optional-dependencies"]), words


@pytest.mark.usefixtures("tiny")
@pytest.mark.parametrize("page", PAGES, ids=lambda page: page.stem)
def test_settings_are_known(page: Path, tmp_path: Path) -> None:
    plugin = next(block for block in blocks(PAGES[0], "python") if "kjet.register" in block)
    (tmp_path / "my_pde.py").write_text(plugin, encoding="utf-8")
    for words in commands(page):
        if words[:2] == ["python", "train.py"]:
            given = [word for word in words[2:] if not word.startswith("resume=")]
            look = [] if {"-m", "--help", "--cfg"} & set(given) else ["--cfg", "job"]
            assert read_command([*given, *look]).for_hydra


@pytest.mark.parametrize("page", PAGES, ids=lambda page: page.stem)
def test_links_lead_somewhere(page: Path) -> None:
    text = re.sub(r"^```.*?^```", "", page.read_text(encoding="utf-8"), flags=re.MULTILINE | re.DOTALL)
    for target in LINK.findall(text):
        # docs/conf.py brings the notebooks into docs/
        folder = ROOT if target.startswith("notebooks/") else page.parent
        assert (folder / target).exists(), f"{page.name} links to {target}"


def test_pages_name_the_components() -> None:
    text = PAGES[0].read_text(encoding="utf-8")
    for problem in registry.names("problem"):
        assert f"`{problem}`" in text


def test_ci_installs_what_the_readme_says() -> None:
    test = next(words for words in blocks(PAGES[0], "sh") if "pytest" in words)
    for part in test.strip().split("&&"):
        if "pip install" in part or "pytest" in part:
            assert part.strip() in CI.read_text(encoding="utf-8")
