"""Reference solvers and exact solutions in float64.

Importing this package loads torch and NumPy only; SciPy and scikit-fem are imported by the functions that need them.
"""

from .cavity import CavityFlow, ghia_centreline, lid_driven_cavity
from .cole_hopf import burgers_cole_hopf
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
from .fourier import heat, wave
from .grid import PeriodicGrid
from .periodic import allen_cahn, burgers, forced_burgers, kdv, kuramoto_sivashinsky
from .periodic2d import gray_scott, navier_stokes, velocity_of_vorticity
from .poisson_fem import FemSolution, poisson_fem
from .spectral import Stepping, etdrk4
from .trajectory import PeriodicSolution

__all__ = [
    "CavityFlow",
    "FemSolution",
    "PeriodicGrid",
    "PeriodicSolution",
    "Stepping",
    "allen_cahn",
    "black_scholes_call",
    "burgers",
    "burgers_cole_hopf",
    "dalembert",
    "darcy",
    "etdrk4",
    "forced_burgers",
    "ghia_centreline",
    "gray_scott",
    "heat",
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
    "taylor_green",
    "velocity_of_vorticity",
    "wave",
]
