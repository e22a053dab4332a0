"""The zoo: each file one problem with a reference solution, nothing downloaded."""

from .allen_cahn import AllenCahnProblem
from .allen_cahn_hd import AllenCahnHDProblem
from .allen_cahn_parabolic_hd import AllenCahnParabolicHDProblem
from .bbm_soliton import BBMSolitonProblem
from .biharmonic import BiharmonicProblem
from .black_scholes_barenblatt import BlackScholesBarenblattProblem
from .burgers import BurgersProblem
from .cavity import CavityProblem
from .gkdv_soliton import GKdVSolitonProblem
from .heat_inverse import HeatInverseProblem
from .helmholtz import HelmholtzProblem
from .hjb import HJBProblem
from .kdv import KdVProblem
from .kdv2d import KdV2DProblem
from .kdv_soliton import KdVSolitonProblem
from .kovasznay import KovasznayProblem
from .kp import KPProblem
from .kuramoto_sivashinsky import KuramotoSivashinskyProblem
from .poisson2d import Poisson2DProblem
from .poisson5d import Poisson5DProblem
from .poisson_hd import PoissonHDProblem
from .poisson_lshape import PoissonLShapeProblem
from .semilinear_heat_hd import SemilinearHeatHDProblem
from .sine_gordon_hd import SineGordonHDProblem
from .sine_gordon_parabolic_hd import SineGordonParabolicHDProblem

__all__ = [
    "AllenCahnHDProblem",
    "AllenCahnParabolicHDProblem",
    "AllenCahnProblem",
    "BBMSolitonProblem",
    "BiharmonicProblem",
    "BlackScholesBarenblattProblem",
    "BurgersProblem",
    "CavityProblem",
    "GKdVSolitonProblem",
    "HJBProblem",
    "HeatInverseProblem",
    "HelmholtzProblem",
    "KPProblem",
    "KdV2DProblem",
    "KdVProblem",
    "KdVSolitonProblem",
    "KovasznayProblem",
    "KuramotoSivashinskyProblem",
    "Poisson2DProblem",
    "Poisson5DProblem",
    "PoissonHDProblem",
    "PoissonLShapeProblem",
    "SemilinearHeatHDProblem",
    "SineGordonHDProblem",
    "SineGordonParabolicHDProblem",
]
