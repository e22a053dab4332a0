"""The package list is that of the tree, and importing kjet costs, prints and changes nothing."""

from __future__ import annotations

import json
import subprocess
import sys
import tomllib
import zipfile
from pathlib import Path

import pytest

ROOT = Path(__file__).resolve().parent.parent
SETUPTOOLS = tomllib.loads((ROOT / "pyproject.toml").read_text(encoding="utf-8"))["tool"]["setuptools"]
FOLDERS = SETUPTOOLS["package-dir"]

_IMPORT = """
import json, sys, time
import torch

def settings():
    return {
        "dtype": str(torch.get_default_dtype()), "device": str(torch.get_default_device()),
        "threads": torch.get_num_threads(), "interop": torch.get_num_interop_threads(),
        "deterministic": torch.are_deterministic_algorithms_enabled(), "debug": torch.get_deterministic_debug_mode(),
        "precision": torch.get_float32_matmul_precision(), "grad": torch.is_grad_enabled(),
        "cudnn": [torch.backends.cudnn.benchmark, torch.backends.cudnn.deterministic, torch.backends.cudnn.allow_tf32],
        "random": torch.get_rng_state().sum().item(), "seed": torch.initial_seed(),
        "printing": str(torch._tensor_str.PRINT_OPTS),
    }

heavy, out = json.loads(sys.argv[1]), sys.argv[2]
before, loaded, start = settings(), set(sys.modules), time.perf_counter()
import kjet
seconds = time.perf_counter() - start
same = [before == settings()]
early = sorted(set(heavy) & (set(sys.modules) - loaded))
kjet.solve, kjet.Problem, kjet.Equation, kjet.problems
same.append(before == settings())
late = sorted(set(heavy) & (set(sys.modules) - loaded))
json.dump({"seconds": seconds, "same": same, "early": early, "late": late}, open(out, "w"))
"""
HEAVY = ["deepxde", "sympy", "skfem", "onnx", "pyvista", "torch_geometric", "tensorboard", "matplotlib", "hydra",
         "omegaconf", "h5py", "meshio", "scipy", "rich", "tqdm"]  # fmt: skip


def _packages() -> set[str]:
    found = set()
    for package, folder in FOLDERS.items():
        for path in (ROOT / folder).rglob("__init__.py"):
            found.add(".".join([package, *path.parent.relative_to(ROOT / folder).parts]))
    return found


def _files() -> set[str]:
    """Paths of all modules, types markers and configurations, as they lie in an installed package."""
    found = set()
    for package, folder in FOLDERS.items():
        for pattern in ("*.py", "*.yaml", "py.typed"):
            for path in (ROOT / folder).rglob(pattern):
                found.add("/".join([*package.split("."), *path.relative_to(ROOT / folder).parts]))
    return found


def test_packages_are_those_of_the_tree():
    assert set(SETUPTOOLS["packages"]) == _packages()
    assert len(SETUPTOOLS["packages"]) == len(set(SETUPTOOLS["packages"]))


def test_every_folder_with_modules_is_a_package():
    for folder in FOLDERS.values():
        for path in (ROOT / folder).rglob("*.py"):
            assert (path.parent / "__init__.py").exists(), f"{path.parent} has no __init__.py"


@pytest.fixture(scope="module")
def fresh(tmp_path_factory):
    """Import kjet in new processes: at most three, until the time is that of an idle machine."""
    out = tmp_path_factory.mktemp("import") / "found.json"
    seconds = []
    for _ in range(3):
        command = [sys.executable, "-c", _IMPORT, json.dumps(HEAVY), str(out)]
        done = subprocess.run(command, capture_output=True, text=True, cwd=ROOT, check=False)
        assert done.returncode == 0, done.stderr
        seconds.append(json.loads(out.read_text())["seconds"])
        if seconds[-1] < 0.3:
            break
    return json.loads(out.read_text()) | {"seconds": min(seconds), "output": done.stdout + done.stderr}


def test_import_is_fast_and_silent(fresh):
    assert fresh["seconds"] < 0.3
    assert fresh["output"] == ""


def test_import_loads_no_heavy_package(fresh):
    assert fresh["early"] == []
    assert fresh["late"] == [], "solving, too, needs none of them before it runs"


def test_import_changes_no_setting_of_torch(fresh):
    assert fresh["same"] == [True, True]


@pytest.mark.slow
def test_wheel_holds_the_files_of_the_tree(tmp_path):
    setuptools = pytest.importorskip("setuptools")
    if int(setuptools.__version__.split(".")[0]) < 77:
        pytest.skip("the build needs setuptools 77")
    # built from a copy, as setuptools leaves a build folder beside the sources
    source = tmp_path / "source"
    for name in ("pyproject.toml", "README.md", "LICENSE", *FOLDERS.values()):
        if (ROOT / name).exists():
            _copy(ROOT / name, source / name)
    (source / "README.md").touch()
    command = [sys.executable, "-m", "pip", "wheel", "--no-deps", "--no-build-isolation", "-w", str(tmp_path), "."]
    done = subprocess.run(command, cwd=source, capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr
    (wheel,) = tmp_path.glob("*.whl")
    names = {name for name in zipfile.ZipFile(wheel).namelist() if ".dist-info/" not in name}
    assert names == _files()


def _copy(source: Path, target: Path) -> None:
    import shutil

    if source.is_dir():
        shutil.copytree(source, target, ignore=shutil.ignore_patterns("__pycache__"))
    else:
        target.parent.mkdir(parents=True, exist_ok=True)
        shutil.copy(source, target)
