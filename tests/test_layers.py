"""Imports go down only, heavy packages wait for the function that needs them, and a few habits hold everywhere."""

from __future__ import annotations

import ast
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

import pytest

ROOT = Path(__file__).resolve().parent.parent
FOLDERS = {"kjet": "kjet", "pde": "kjet.pde", "operators": "kjet.operators", "constraints": "kjet.constraints",
           "data": "kjet.data", "conf": "kjet.conf"}  # fmt: skip
SCRIPTS = ("train.py", "evaluate.py", "export.py", "benchmarks")

LEVELS = {
    "kjet.errors": 0, "kjet.typing": 0, "kjet.jets": 0, "kjet.registry": 0,
    "kjet.data": 1, "kjet.optim": 1, "kjet.io": 1, "kjet.implicit": 1, "kjet.distributed": 1,
    "kjet.pde": 2, "kjet.data.adaptive": 2,
    "kjet.constraints": 3, "kjet.operators": 3,
    "kjet.problem": 4, "kjet.decomposition": 4, "kjet.problems": 4,
    "kjet.training": 5,
    "kjet.config": 6, "kjet.export": 6, "kjet.compat": 6, "kjet.doctor": 6,
    "kjet.conf": 7, "scripts": 7,
}  # fmt: skip
"""Level of every part; a part may import those of lower levels only."""

GROUND = ("kjet.errors", "kjet.typing")
"""What everything else may import, level 0 included."""

WITHIN_A_LEVEL = {("kjet.decomposition", "kjet.problem"), ("kjet.problems", "kjet.decomposition"),
                  ("kjet.problems", "kjet.problem")}  # fmt: skip
RE_EXPORTS = {("kjet.data.__init__", "kjet.data.adaptive")}

HEAVY = ("deepxde", "sympy", "skfem", "onnx", "onnxruntime", "pyvista", "torch_geometric", "tensorboard", "matplotlib",
         "hydra", "omegaconf", "h5py", "meshio", "scipy", "tqdm", "rich")  # fmt: skip
HEAVY_MODULES = ("torch.utils.tensorboard",)
AT_THE_TOP = {"kjet.config": ("hydra", "omegaconf"), "scripts": ("hydra", "omegaconf")}
"""Parts that are about such a package and that nothing below imports."""


@dataclass(frozen=True)
class Module:
    path: Path
    name: str

    @property
    def tree(self) -> ast.Module:
        return ast.parse(self.path.read_text(encoding="utf-8"), str(self.path))

    @property
    def part(self) -> str:
        return part_of(self.name)


@dataclass(frozen=True)
class Import:
    target: str
    line: int
    in_function: bool
    for_types: bool


def part_of(name: str) -> str:
    """Longest name in the table that is the module or holds it."""
    found = [part for part in LEVELS if name == part or name.startswith(part + ".")]
    return max(found, key=len, default="")


def _modules() -> Iterator[Module]:
    for folder, package in FOLDERS.items():
        for path in sorted((ROOT / folder).rglob("*.py")):
            yield Module(path, ".".join([package, *path.relative_to(ROOT / folder).with_suffix("").parts]))
    for script in SCRIPTS:
        path = ROOT / script
        for file in sorted(path.rglob("*.py")) if path.is_dir() else [path] if path.exists() else []:
            yield Module(file, f"scripts.{file.stem}")


MODULES = {module.name: module for module in _modules()}
KNOWN = set(MODULES) | {name.removesuffix(".__init__") for name in MODULES}


def _imports(module: Module) -> Iterator[Import]:
    def walk(node: ast.AST, in_function: bool, for_types: bool) -> Iterator[Import]:
        for child in ast.iter_child_nodes(node):
            inside = in_function or isinstance(child, ast.FunctionDef | ast.AsyncFunctionDef | ast.Lambda)
            types = for_types or (isinstance(child, ast.If) and "TYPE_CHECKING" in ast.unparse(child.test))
            for target in _targets(child, module):
                yield Import(target, child.lineno, in_function, types)
            yield from walk(child, inside, types)

    return walk(module.tree, False, False)


def _targets(node: ast.AST, module: Module) -> list[str]:
    if isinstance(node, ast.Import):
        return [alias.name for alias in node.names]
    if not isinstance(node, ast.ImportFrom):
        return []
    base = node.module or ""
    if node.level:
        base = ".".join([*module.name.split(".")[: -node.level], *([base] if base else [])])
    full = [f"{base}.{alias.name}" for alias in node.names]
    return [name if name in KNOWN else base for name in full]


def _ours(target: str) -> bool:
    return target.split(".")[0] == "kjet"


def _refused(source: Module, target: str) -> bool:
    here, there = source.part, part_of(target)
    if target == "kjet" or here == there or (here, there) in WITHIN_A_LEVEL:
        return False
    if (source.name, there) in RE_EXPORTS or (there in GROUND and here not in GROUND):
        return False
    return LEVELS[there] >= LEVELS[here]


def test_every_module_has_a_level():
    assert {name for name in MODULES if not part_of(name)} == {"kjet.__init__"}


@pytest.mark.parametrize("name", sorted(MODULES))
def test_imports_go_down(name):
    module = MODULES[name]
    if name == "kjet.__init__":
        eager = [i for i in _imports(module) if _ours(i.target) and not i.in_function and not i.for_types]
        assert not eager, f"kjet/__init__.py imports {eager[0].target} at once"
        return
    for found in _imports(module):
        if _ours(found.target):
            assert part_of(found.target) or found.target == "kjet", f"{module.path}:{found.line}: {found.target}?"
            assert not _refused(module, found.target), (
                f"{module.path}:{found.line}: {module.part} (level {LEVELS[module.part]}) imports {found.target}"
            )


def test_the_walk_sees_an_import_that_goes_up(tmp_path):
    path = tmp_path / "line.py"
    path.write_text("def f():\n    from ..training import Solution\n    import scipy.fft\n")
    module = Module(path, "kjet.optim.line")
    up, heavy = _imports(module)
    assert up == Import("kjet.training", 2, True, False)
    assert _refused(module, up.target)
    assert _heavy(heavy.target) == "scipy"
    assert not _refused(module, "kjet.errors")
    assert _refused(module, "kjet.data.points"), "equal levels"
    assert _refused(Module(path, "kjet.errors"), "kjet.typing")


def _heavy(target: str) -> str | None:
    if any(target == name or target.startswith(name + ".") for name in HEAVY_MODULES):
        return target
    return target.split(".")[0] if target.split(".")[0] in HEAVY else None


@pytest.mark.parametrize("name", sorted(MODULES))
def test_heavy_packages_are_imported_in_functions(name):
    module = MODULES[name]
    allowed = AT_THE_TOP.get(module.part, ())
    for found in _imports(module):
        package = _heavy(found.target)
        if package is None or package in allowed:
            continue
        where = f"{module.path}:{found.line}: {found.target}"
        assert found.in_function or found.for_types, f"{where} is imported at the top; move it into the function"
        if package == "scipy":
            assert name.startswith("kjet.data.solvers."), f"{where}: scipy is for reference solvers only"


@pytest.mark.parametrize("name", sorted(name for name in MODULES if not name.startswith("scripts.")))
def test_no_prints_and_no_blanket_excepts(name):
    module = MODULES[name]
    for node in ast.walk(module.tree):
        where = f"{module.path}:{getattr(node, 'lineno', 0)}"
        if isinstance(node, ast.Call) and isinstance(node.func, ast.Name):
            assert node.func.id != "print", f"{where}: print; use logging"
        if isinstance(node, ast.ExceptHandler):
            caught = "" if node.type is None else ast.unparse(node.type)
            cleans_up = caught == "BaseException" and isinstance(node.body[-1], ast.Raise)
            blanket = caught in ("", "Exception", "BaseException")
            assert not blanket or cleans_up, f"{where}: except {caught}; name the errors that are expected"


def test_configurations_name_no_code():
    for path in (ROOT / "conf").rglob("*.yaml"):
        assert "_target_" not in path.read_text(encoding="utf-8"), f"{path} has a _target_; choose a component by name"
