"""Equations: residuals over named fields, recorded into derivative plans."""

from ..registry import register
from .advection import Advection
from .allen_cahn import AllenCahn
from .black_scholes import BlackScholes
from .burgers import Burgers, Burgers2D
from .calculus import bilap, curl, d, diffusion, div, dt, grad, lap
from .coordinates import call_with_names
from .elasticity import Elasticity
from .equation import Coefficient, Equation, Parameters, record
from .exact import manufactured, residual_of
from .expression import Data, Expression, Field, Frame, Vector
from .gray_scott import GrayScott
from .heat import Heat
from .helmholtz import Helmholtz
from .kdv import KdV
from .kuramoto_sivashinsky import KuramotoSivashinsky
from .navier_stokes import NavierStokes2D, NavierStokes2DUnsteady
from .parameter import Unknown
from .plate import Plate
from .poisson import Poisson
from .recording import Recorded, Values
from .schrodinger import Schrodinger
from .symbolic import from_sympy
from .wave import Wave

__all__ = [
    "Advection", "AllenCahn", "BlackScholes", "Burgers", "Burgers2D", "Coefficient", "Data", "Elasticity", "Equation",
    "Expression", "Field", "Frame", "GrayScott", "Heat", "Helmholtz", "KdV", "KuramotoSivashinsky", "NavierStokes2D",
    "NavierStokes2DUnsteady", "Parameters", "Plate", "Poisson", "Recorded", "Schrodinger", "Unknown", "Values",
    "Vector", "Wave", "bilap", "call_with_names", "curl", "d", "diffusion", "div", "dt",
    "from_sympy", "grad", "lap", "manufactured", "record", "residual_of",
]  # fmt: skip

for _name, _equation in {
    "advection": Advection, "allen_cahn": AllenCahn, "black_scholes": BlackScholes, "burgers": Burgers,
    "burgers_2d": Burgers2D, "elasticity": Elasticity, "gray_scott": GrayScott, "heat": Heat, "helmholtz": Helmholtz,
    "kdv": KdV, "kuramoto_sivashinsky": KuramotoSivashinsky, "navier_stokes_2d": NavierStokes2D,
    "navier_stokes_2d_unsteady": NavierStokes2DUnsteady, "plate": Plate, "poisson": Poisson, "schrodinger": Schrodinger,
    "wave": Wave,
}.items():  # fmt: skip
    register("equation", _name)(_equation)
