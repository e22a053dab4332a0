import doctest
import importlib
import pkgutil
import subprocess
import sys

import pytest

import kjet.data.solvers as solvers

MODULES = sorted(module.name for module in pkgutil.iter_modules(solvers.__path__))


def test_names_are_exported():
    assert sorted(solvers.__all__) == list(solvers.__all__)
    assert all(hasattr(solvers, name) for name in solvers.__all__)


def test_import_is_light():
    code = (
        "import sys, kjet.data; before = set(sys.modules); import kjet.data.solvers; "
        "print([m for m in set(sys.modules) - before if m.split('.')[0] in ('scipy', 'skfem')], 'skfem' in sys.modules)"
    )
    found = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True).stdout
    assert found.strip() == "[] False"


@pytest.mark.parametrize("name", MODULES)
def test_examples(name):
    if name in ("poisson_fem", "cell_mesh", "diffusion_fem", "flow_fem"):
        pytest.importorskip("skfem")
    result = doctest.testmod(importlib.import_module(f"{solvers.__name__}.{name}"))
    assert result.failed == 0
