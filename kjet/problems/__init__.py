"""The zoo: each file one problem with a reference solution, nothing downloaded."""

from .allen_cahn import AllenCahnProblem
from .burgers import BurgersProblem
from .cavity import CavityProblem
from .heat_inverse import HeatInverseProblem
from .helmholtz import HelmholtzProblem
from .kdv import KdVProblem
from .kovasznay import KovasznayProblem
from .poisson2d import Poisson2DProblem
from .poisson5d import Poisson5DProblem
from .poisson_lshape import PoissonLShapeProblem

__all__ = [
    "AllenCahnProblem",
    "BurgersProblem",
    "CavityProblem",
    "HeatInverseProblem",
    "HelmholtzProblem",
    "KdVProblem",
    "KovasznayProblem",
    "Poisson2DProblem",
    "Poisson5DProblem",
    "PoissonLShapeProblem",
]
