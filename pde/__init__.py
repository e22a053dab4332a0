"""Equations: residuals over named fields, recorded into derivative plans."""

from ..registry import register
from .advection import Advection
from .allen_cahn import AllenCahn
from .ball_solution import BallSolution
from .benjamin_bona_mahony import BenjaminBonaMahony
from .biharmonic import Biharmonic
from .black_scholes import BlackScholes
from .black_scholes_barenblatt import BlackScholesBarenblatt
from .burgers import Burgers, Burgers2D
from .calculus import advect, bilap, curl, d, diffusion, div, dt, grad, grad_dot, grad_squared, lap
from .coordinates import call_with_names
from .eikonal import Eikonal
from .elasticity import Elasticity
from .equation import Coefficient, Equation, Parameters, record
from .exact import manufactured, residual_of
from .expression import Data, Expression, Field, Frame, Vector
from .fokker_planck import FokkerPlanck
from .ginzburg_landau import GinzburgLandau
from .gradient_enhanced import GradientEnhanced
from .gray_scott import GrayScott
from .hamilton_jacobi_bellman import HamiltonJacobiBellman
from .heat import Heat
from .helmholtz import Helmholtz
from .interaction import INTERACTIONS, ball_solution
from .kadomtsev_petviashvili import KadomtsevPetviashvili
from .kdv import GeneralizedKdV, KdV, KdV2D
from .kuramoto_sivashinsky import KuramotoSivashinsky
from .navier_stokes import NavierStokes2D, NavierStokes2DUnsteady
from .parameter import Unknown
from .piecewise import Piecewise
from .plate import Plate
from .point_function import PointFunction
from .poisson import Poisson
from .profiles import LocalSum, LowRank, Profile
from .recording import Recorded, Values
from .scaling import Scale, ScaledEquation
from .schrodinger import Schrodinger
from .semilinear_heat import SemilinearHeat
from .sine_gordon import SineGordon
from .solitons import HirotaSolitons, bbm_soliton, gkdv_soliton
from .symbolic import from_sympy
from .trivial import TrivialPredictor, best_trivial_predictor, trivial_predictors
from .vorticity import VorticityTransport2D
from .wave import Wave

__all__ = [
    "INTERACTIONS", "Advection", "AllenCahn", "BallSolution", "BenjaminBonaMahony", "Biharmonic", "BlackScholes",
    "BlackScholesBarenblatt", "Burgers", "Burgers2D", "Coefficient", "Data", "Eikonal", "Elasticity", "Equation",
    "Expression", "Field", "FokkerPlanck", "Frame", "GeneralizedKdV", "GinzburgLandau", "GradientEnhanced", "GrayScott",
    "HamiltonJacobiBellman", "Heat", "Helmholtz", "HirotaSolitons", "KadomtsevPetviashvili", "KdV", "KdV2D",
    "KuramotoSivashinsky", "LocalSum", "LowRank", "NavierStokes2D", "NavierStokes2DUnsteady", "Parameters", "Piecewise",
    "Plate", "PointFunction", "Poisson", "Profile", "Recorded", "Scale", "ScaledEquation", "Schrodinger",
    "SemilinearHeat", "SineGordon", "TrivialPredictor", "Unknown", "Values", "Vector", "VorticityTransport2D", "Wave",
    "advect", "ball_solution", "bbm_soliton", "best_trivial_predictor", "bilap", "call_with_names", "curl", "d",
    "diffusion", "div", "dt", "from_sympy", "gkdv_soliton", "grad", "grad_dot", "grad_squared", "lap", "manufactured",
    "record", "residual_of", "trivial_predictors",
]  # fmt: skip

for _name, _equation in {
    "advection": Advection, "allen_cahn": AllenCahn, "benjamin_bona_mahony": BenjaminBonaMahony,
    "biharmonic": Biharmonic, "black_scholes": BlackScholes, "black_scholes_barenblatt": BlackScholesBarenblatt,
    "burgers": Burgers, "burgers_2d": Burgers2D, "eikonal": Eikonal, "elasticity": Elasticity,
    "fokker_planck": FokkerPlanck, "generalized_kdv": GeneralizedKdV, "ginzburg_landau": GinzburgLandau,
    "gray_scott": GrayScott, "hamilton_jacobi_bellman": HamiltonJacobiBellman, "heat": Heat, "helmholtz": Helmholtz,
    "kadomtsev_petviashvili": KadomtsevPetviashvili, "kdv": KdV, "kdv_2d": KdV2D,
    "kuramoto_sivashinsky": KuramotoSivashinsky, "navier_stokes_2d": NavierStokes2D,
    "navier_stokes_2d_unsteady": NavierStokes2DUnsteady, "plate": Plate, "poisson": Poisson, "schrodinger": Schrodinger,
    "semilinear_heat": SemilinearHeat, "sine_gordon": SineGordon, "vorticity_transport_2d": VorticityTransport2D,
    "wave": Wave,
}.items():  # fmt: skip
    register("equation", _name)(_equation)
