"""The zoo: each file one problem with a reference solution, nothing downloaded."""

from .advection import AdvectionProblem
from .allen_cahn import AllenCahnProblem
from .allen_cahn_hd import AllenCahnHDProblem
from .allen_cahn_parabolic_hd import AllenCahnParabolicHDProblem
from .bbm_soliton import BBMSolitonProblem
from .biharmonic import BiharmonicProblem
from .black_scholes_barenblatt import BlackScholesBarenblattProblem
from .burgers import BurgersProblem
from .burgers2d import Burgers2DProblem
from .burgers_parametric import BurgersParametricProblem
from .cavity import CavityProblem
from .diffusion_reaction import DiffusionReactionProblem
from .eikonal import EikonalProblem
from .elasticity import ElasticityProblem
from .fokker_planck import FokkerPlanckProblem
from .ginzburg_landau import GinzburgLandauProblem
from .gkdv_soliton import GKdVSolitonProblem
from .gray_scott import GrayScottProblem
from .heat_complex import HeatComplexProblem
from .heat_inverse import HeatInverseProblem
from .heat_long_time import HeatLongTimeProblem
from .heat_multiscale import HeatMultiscaleProblem
from .heat_varying import HeatVaryingProblem
from .helmholtz import HelmholtzProblem
from .hjb import HJBProblem
from .interface_circle import InterfaceCircleProblem
from .kdv import KdVProblem
from .kdv2d import KdV2DProblem
from .kdv_soliton import KdVSolitonProblem
from .kovasznay import KovasznayProblem
from .kp import KPProblem
from .kuramoto_sivashinsky import KuramotoSivashinskyProblem
from .kuramoto_sivashinsky_chaotic import KuramotoSivashinskyChaoticProblem
from .kuramoto_sivashinsky_regular import KuramotoSivashinskyRegularProblem
from .navier_stokes_backstep import NavierStokesBackstepProblem
from .navier_stokes_inverse import NavierStokesInverseProblem
from .navier_stokes_long_time import NavierStokesLongTimeProblem
from .navier_stokes_torus import NavierStokesTorusProblem
from .poisson2d import Poisson2DProblem
from .poisson3d_composite import Poisson3DCompositeProblem
from .poisson5d import Poisson5DProblem
from .poisson_boltzmann import PoissonBoltzmannProblem
from .poisson_hd import PoissonHDProblem
from .poisson_holes import PoissonHolesProblem
from .poisson_inverse import PoissonInverseProblem
from .poisson_lshape import PoissonLShapeProblem
from .poisson_many_areas import PoissonManyAreasProblem
from .poisson_nd import PoissonNDProblem
from .robin_inverse import RobinInverseProblem
from .schrodinger import SchrodingerProblem
from .semilinear_heat_hd import SemilinearHeatHDProblem
from .sine_gordon_hd import SineGordonHDProblem
from .sine_gordon_parabolic_hd import SineGordonParabolicHDProblem
from .stokes import StokesProblem
from .two_materials import TwoMaterialsProblem
from .wave1d import Wave1DProblem
from .wave2d_heterogeneous import Wave2DHeterogeneousProblem
from .wave_long_time import WaveLongTimeProblem

__all__ = [
    "AdvectionProblem",
    "AllenCahnHDProblem",
    "AllenCahnParabolicHDProblem",
    "AllenCahnProblem",
    "BBMSolitonProblem",
    "BiharmonicProblem",
    "BlackScholesBarenblattProblem",
    "Burgers2DProblem",
    "BurgersParametricProblem",
    "BurgersProblem",
    "CavityProblem",
    "DiffusionReactionProblem",
    "EikonalProblem",
    "ElasticityProblem",
    "FokkerPlanckProblem",
    "GKdVSolitonProblem",
    "GinzburgLandauProblem",
    "GrayScottProblem",
    "HJBProblem",
    "HeatComplexProblem",
    "HeatInverseProblem",
    "HeatLongTimeProblem",
    "HeatMultiscaleProblem",
    "HeatVaryingProblem",
    "HelmholtzProblem",
    "InterfaceCircleProblem",
    "KPProblem",
    "KdV2DProblem",
    "KdVProblem",
    "KdVSolitonProblem",
    "KovasznayProblem",
    "KuramotoSivashinskyChaoticProblem",
    "KuramotoSivashinskyProblem",
    "KuramotoSivashinskyRegularProblem",
    "NavierStokesBackstepProblem",
    "NavierStokesInverseProblem",
    "NavierStokesLongTimeProblem",
    "NavierStokesTorusProblem",
    "Poisson2DProblem",
    "Poisson3DCompositeProblem",
    "Poisson5DProblem",
    "PoissonBoltzmannProblem",
    "PoissonHDProblem",
    "PoissonHolesProblem",
    "PoissonInverseProblem",
    "PoissonLShapeProblem",
    "PoissonManyAreasProblem",
    "PoissonNDProblem",
    "RobinInverseProblem",
    "SchrodingerProblem",
    "SemilinearHeatHDProblem",
    "SineGordonHDProblem",
    "SineGordonParabolicHDProblem",
    "StokesProblem",
    "TwoMaterialsProblem",
    "Wave1DProblem",
    "Wave2DHeterogeneousProblem",
    "WaveLongTimeProblem",
]
