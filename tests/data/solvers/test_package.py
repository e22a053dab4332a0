import subprocess
import sys

import kjet.data.solvers as solvers


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
