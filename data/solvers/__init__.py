"""Reference solvers and exact solutions in float64.

Importing this package loads torch and NumPy only; SciPy and scikit-fem are imported by the functions that need them.
"""

from .cavity import CavityFlow, ghia_centreline, lid_driven_cavity
from .cell_mesh import CellMesh
from .cole_hopf import burgers_cole_hopf
from .diffusion_fem import diffusion_fem, heat_fem
from .elliptic import darcy, helmholtz
from .exact import (
    black_scholes_call,
    dalembert,
    heat_mode,
    kdv_soliton,
    kdv_two_soliton,
    kovasznay,
    lshape_singular,
    plane_wave,
    taylor_green,
)
from .fem_field import FemField
from .flow_fem import FemFlow, flow_fem
from .fourier import heat, wave
from .grid import PeriodicGrid
from .odd_square import heat_in_odd_square
from .periodic import allen_cahn, burgers, forced_burgers, kdv, kuramoto_sivashinsky
from .periodic2d import ginzburg_landau, gray_scott, navier_stokes, velocity_of_vorticity
from .poisson_fem import FemSolution, poisson_fem
from .schrodinger import schrodinger
from .spectral import Stepping, etdrk4
from .trajectory import PeriodicSolution
from .trajectory2d import PeriodicSolution2D
from .varying_wave import varying_wave

__all__ = [
    "CavityFlow",
    "CellMesh",
    "FemField",
    "FemFlow",
    "FemSolution",
    "PeriodicGrid",
    "PeriodicSolution",
    "PeriodicSolution2D",
    "Stepping",
    "allen_cahn",
    "black_scholes_call",
    "burgers",
    "burgers_cole_hopf",
    "dalembert",
    "darcy",
    "diffusion_fem",
    "etdrk4",
    "flow_fem",
    "forced_burgers",
    "ghia_centreline",
    "ginzburg_landau",
    "gray_scott",
    "heat",
    "heat_fem",
    "heat_in_odd_square",
    "heat_mode",
    "helmholtz",
    "kdv",
    "kdv_soliton",
    "kdv_two_soliton",
    "kovasznay",
    "kuramoto_sivashinsky",
    "lid_driven_cavity",
    "lshape_singular",
    "navier_stokes",
    "plane_wave",
    "poisson_fem",
    "schrodinger",
    "taylor_green",
    "varying_wave",
    "velocity_of_vorticity",
    "wave",
]
