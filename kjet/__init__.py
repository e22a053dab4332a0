"""kjet: partial differential equations as conditions on jets, solved by neural networks.

Heavy parts are imported on first use, so that ``import kjet`` costs little beyond torch.
"""

from __future__ import annotations

from importlib import import_module
from pathlib import Path
from typing import TYPE_CHECKING, Any

_root = Path(__file__).resolve().parent.parent
if (_root / "pyproject.toml").is_file() and (_root / "pde").is_dir():
    # In a checkout the sub-packages `pde`, `operators`, `constraints`, `data` and `conf` lie beside this folder.
    __path__.append(str(_root))

__version__ = "0.1.0"

_LAZY = {
    "Equation": "kjet.pde",
    "Problem": "kjet.problem",
    "Solution": "kjet.training",
    "coupled": "kjet.decomposition",
    "decomposed": "kjet.decomposition",
    "load": "kjet.training",
    "register": "kjet.registry",
    "solve": "kjet.training",
}
_SUBPACKAGES = ("constraints", "data", "distributed", "jets", "operators", "optim", "pde", "problems")

__all__ = ["Equation", "Problem", "Solution", "__version__", "coupled", "decomposed", "load", "register", "solve"]

if TYPE_CHECKING:
    from kjet.decomposition import coupled, decomposed
    from kjet.pde import Equation
    from kjet.problem import Problem
    from kjet.registry import register
    from kjet.training import Solution, load
    from kjet.training.solve import solve


def __getattr__(name: str) -> Any:
    if name in _LAZY:
        return getattr(import_module(_LAZY[name]), name)
    if name in _SUBPACKAGES:
        return import_module(f"kjet.{name}")
    raise AttributeError(f"module 'kjet' has no attribute {name!r}")


def __dir__() -> list[str]:
    return sorted([*__all__, *_SUBPACKAGES])
