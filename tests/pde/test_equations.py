"""Every equation of the zoo, against nested autograd on random networks and against closed-form solutions."""

import math
from dataclasses import dataclass
from typing import Any

import pytest
import torch

from kjet.pde import (
    Advection,
    AllenCahn,
    BenjaminBonaMahony,
    Biharmonic,
    BlackScholes,
    BlackScholesBarenblatt,
    Burgers,
    Burgers2D,
    Eikonal,
    Elasticity,
    Equation,
    FokkerPlanck,
    GeneralizedKdV,
    GinzburgLandau,
    GrayScott,
    HamiltonJacobiBellman,
    Heat,
    Helmholtz,
    HirotaSolitons,
    KadomtsevPetviashvili,
    KdV,
    KdV2D,
    KuramotoSivashinsky,
    NavierStokes2D,
    NavierStokes2DUnsteady,
    Plate,
    Poisson,
    Schrodinger,
    SemilinearHeat,
    SineGordon,
    VorticityTransport2D,
    Wave,
    bbm_soliton,
    call_with_names,
    gkdv_soliton,
    residual_of,
)
from kjet.registry import names, resolve

sin, cos, exp, tanh, sqrt = torch.sin, torch.cos, torch.exp, torch.tanh, torch.sqrt


@dataclass
class Case:
    """An equation and the same residual, written out with nested derivatives: ``oracle(D, fields, points)``."""

    equation: Equation
    oracle: Any


def _stress(N, u, v, lam, mu):
    xx, yy, xy = N.d(u, "x"), N.d(v, "y"), (N.d(u, "y") + N.d(v, "x")) / 2
    trace = xx + yy
    return lam * trace + 2 * mu * xx, lam * trace + 2 * mu * yy, 2 * mu * xy


def _elastic(N, f, x, lam=1.3, mu=0.7, force=(0.0, 0.0)):
    sxx, syy, sxy = _stress(N, f["u"], f["v"], lam, mu)
    return [-N.d(sxx, "x") - N.d(sxy, "y") - force[0], -N.d(sxy, "x") - N.d(syy, "y") - force[1]]


def _momentum(N, f, re, unsteady):
    u, v, p = f["u"], f["v"], f["p"]
    found = []
    for w, axis in ((u, "x"), (v, "y")):
        r = u * N.d(w, "x") + v * N.d(w, "y") + N.d(p, axis) - N.lap(w, "xy") / re
        found.append(r + N.d(w, "t") if unsteady else r)
    return [*found, N.d(u, "x") + N.d(v, "y")]


def _poisson_varying(N, f, x):
    a = 1 + x["x"] ** 2 * x["y"]
    flux = [a * N.d(f["u"], "x"), a * N.d(f["u"], "y")]
    return [-N.d(flux[0], "x") - N.d(flux[1], "y") - sin(x["x"])]


def _heat_varying(N, f, x):
    a = exp(x["x"])
    return [N.d(f["u"], "t") - N.d(a * N.d(f["u"], "x"), "x") - x["t"]]


def _schrodinger(N, f, x):
    u, v = f["u"], f["v"]
    h = torch.complex(u, v)
    hxx, ht = torch.complex(N.d(u, "xx"), N.d(v, "xx")), torch.complex(N.d(u, "t"), N.d(v, "t"))
    r = 1j * ht + 0.4 * hxx + 1.5 * h.abs() ** 2 * h
    return [r.real, r.imag]


def _burgers2d(N, f, x):
    u, v = f["u"], f["v"]
    return [N.d(w, "t") + u * N.d(w, "x") + v * N.d(w, "y") - 0.2 * N.lap(w, "xy") for w in (u, v)]


def _gray_scott(N, f, x):
    u, v = f["u"], f["v"]
    turned = 0.9 * u * v * v
    return [
        N.d(u, "t") - 0.3 * N.lap(u, "xy") + turned - 0.04 * (1 - u),
        N.d(v, "t") - 0.1 * N.lap(v, "xy") - turned + 0.1 * v,
    ]


def _bsb(N, v, x):
    spread = sum(x[name] ** 2 * N.d(v, name * 2) for name in "xyz")
    growth = sum(x[name] * N.d(v, name) for name in "xyz")
    return N.d(v, "t") + 0.08 * spread + 0.05 * (growth - v)


def _kp(N, u, x):
    return N.d(N.d(u, "t") + 6 * u * N.d(u, "x") + N.d(u, "xxx"), "x") - 3 * N.d(u, "yy")


def _kdv_2d(N, u, x):
    mixed = N.d(N.d(u, "x") * N.d(u, "y"), "x")
    return N.d(u, "ty") + N.d(u, "xxxy") + 3 * mixed - N.d(u, "xx") + 2 * N.d(u, "yy")


def _single(formula):
    return lambda N, f, x: [formula(N, next(iter(f.values())), x)]


def _ginzburg_landau(N, f, x):
    u, v = f["u"], f["v"]
    size = u * u + v * v
    return [
        N.d(u, "t") - 0.2 * (N.lap(u, "xy") - 0.6 * N.lap(v, "xy")) - 1.5 * u + size * (0.9 * u - 0.7 * v),
        N.d(v, "t") - 0.2 * (N.lap(v, "xy") + 0.6 * N.lap(u, "xy")) - 1.5 * v + size * (0.9 * v + 0.7 * u),
    ]


def _fokker_planck_2d(N, u, x):
    drifts = {"x": -x["x"] * x["y"], "y": 1 - x["y"]}
    return N.d(u, "t") + sum(N.d(b * u, name) for name, b in drifts.items()) - 0.4 * N.lap(u, "xy")


def _vorticity(N, f, x):
    u, v, w = f["u"], f["v"], f["w"]
    transport = N.d(w, "t") + u * N.d(w, "x") + v * N.d(w, "y") - N.lap(w, "xy") / 20.0
    return [transport, w - N.d(v, "x") + N.d(u, "y"), N.d(u, "x") + N.d(v, "y")]


CASES = {
    "poisson": Case(Poisson(), _single(lambda N, u, x: -N.lap(u, "xy"))),
    "poisson_3d": Case(
        Poisson(coords=("x", "y", "z"), coefficient=2.0, source=lambda z: z**2),
        _single(lambda N, u, x: -2 * N.lap(u, "xyz") - x["z"] ** 2),
    ),
    "poisson_varying": Case(Poisson(coefficient=lambda x, y: 1 + x**2 * y, source=lambda x: sin(x)), _poisson_varying),
    "heat": Case(Heat(diffusivity=0.3, source=1.5), _single(lambda N, u, x: N.d(u, "t") - 0.3 * N.d(u, "xx") - 1.5)),
    "heat_varying": Case(Heat(diffusivity=lambda x: exp(x), source=lambda t: t), _heat_varying),
    "heat_3d": Case(
        Heat(coords=("x", "y", "z", "t"), diffusivity=0.3),
        _single(lambda N, u, x: N.d(u, "t") - 0.3 * N.lap(u, "xyz")),
    ),
    "wave": Case(Wave(speed=2.0), _single(lambda N, u, x: N.d(u, "tt") - 4 * N.d(u, "xx"))),
    "wave_2d": Case(
        Wave(coords=("x", "y", "t"), speed=lambda x: 1 + x, source=lambda x, t: x * t),
        _single(lambda N, u, x: N.d(u, "tt") - (1 + x["x"]) ** 2 * N.lap(u, "xy") - x["x"] * x["t"]),
    ),
    "advection": Case(Advection(velocity=0.7), _single(lambda N, u, x: N.d(u, "t") + 0.7 * N.d(u, "x"))),
    "advection_2d": Case(
        Advection(coords=("x", "y", "t"), velocity=(0.7, -0.2)),
        _single(lambda N, u, x: N.d(u, "t") + 0.7 * N.d(u, "x") - 0.2 * N.d(u, "y")),
    ),
    "advection_rotating": Case(
        Advection(coords=("x", "y", "t"), velocity=lambda x, y: (-y, x), source=lambda t: cos(t)),
        _single(lambda N, u, x: N.d(u, "t") - x["y"] * N.d(u, "x") + x["x"] * N.d(u, "y") - cos(x["t"])),
    ),
    "burgers": Case(Burgers(nu=0.05), _single(lambda N, u, x: N.d(u, "t") + u * N.d(u, "x") - 0.05 * N.d(u, "xx"))),
    "burgers_2d": Case(Burgers2D(nu=0.2), _burgers2d),
    "allen_cahn": Case(AllenCahn(), _single(lambda N, u, x: N.d(u, "t") - 1e-4 * N.d(u, "xx") - 5 * (u - u * u * u))),
    "allen_cahn_2d": Case(
        AllenCahn(coords=("x", "y", "t"), diffusion=0.2, reaction=3.0),
        _single(lambda N, u, x: N.d(u, "t") - 0.2 * N.lap(u, "xy") - 3 * (u - u**3)),
    ),
    "kdv": Case(KdV(a=6.0, b=0.5), _single(lambda N, u, x: N.d(u, "t") + 6 * u * N.d(u, "x") + 0.5 * N.d(u, "xxx"))),
    "kuramoto_sivashinsky": Case(
        KuramotoSivashinsky(alpha=1.1, beta=0.9, gamma=0.5),
        _single(lambda N, u, x: N.d(u, "t") + 1.1 * u * N.d(u, "x") + 0.9 * N.d(u, "xx") + 0.5 * N.d(u, "xxxx")),
    ),
    "schrodinger": Case(Schrodinger(dispersion=0.4, nonlinearity=1.5), _schrodinger),
    "helmholtz": Case(
        Helmholtz(wavenumber=3.0, source=lambda x, y: x * y),
        _single(lambda N, u, x: N.lap(u, "xy") + 9 * u - x["x"] * x["y"]),
    ),
    "helmholtz_1d": Case(
        Helmholtz(coords=("x",), wavenumber=lambda x: 1 + x**2),
        _single(lambda N, u, x: N.d(u, "xx") + (1 + x["x"] ** 2) ** 2 * u),
    ),
    "navier_stokes": Case(NavierStokes2D(reynolds=20.0), lambda N, f, x: _momentum(N, f, 20.0, unsteady=False)),
    "navier_stokes_unsteady": Case(
        NavierStokes2DUnsteady(reynolds=20.0), lambda N, f, x: _momentum(N, f, 20.0, unsteady=True)
    ),
    "elasticity": Case(Elasticity(lam=1.3, mu=0.7), _elastic),
    "elasticity_loaded": Case(
        Elasticity(lam=1.3, mu=0.7, force=(0.5, -2.0)), lambda N, f, x: _elastic(N, f, x, force=(0.5, -2.0))
    ),
    "elasticity_graded": Case(
        Elasticity(lam=lambda x: 1 + x**2, mu=lambda y: exp(y), force=lambda x, y: (x, y)),
        lambda N, f, x: _elastic(N, f, x, 1 + x["x"] ** 2, exp(x["y"]), (x["x"], x["y"])),
    ),
    "plate": Case(
        Plate(stiffness=0.8, load=lambda x: 1 + x),
        _single(lambda N, w, x: 0.8 * N.lap(N.lap(w, "xy"), "xy") - 1 - x["x"]),
    ),
    "gray_scott": Case(GrayScott(diffusion=(0.3, 0.1), reaction=0.9), _gray_scott),
    "black_scholes": Case(
        BlackScholes(rate=0.05, sigma=0.3),
        _single(lambda N, v, x: N.d(v, "t") + 0.045 * x["s"] ** 2 * N.d(v, "ss") + 0.05 * (x["s"] * N.d(v, "s") - v)),
    ),
    "allen_cahn_steady": Case(
        AllenCahn(coords=("x", "y"), diffusion=0.2, reaction=3.0, source=lambda x: x),
        _single(lambda N, u, x: -0.2 * N.lap(u, "xy") - 3 * (u - u**3) - x["x"]),
    ),
    "sine_gordon": Case(
        SineGordon(coords=("x", "y", "z"), source=lambda z: z**2),
        _single(lambda N, u, x: -N.lap(u, "xyz") - sin(u) - x["z"] ** 2),
    ),
    "sine_gordon_parabolic": Case(
        SineGordon(coords=("x", "y", "t")), _single(lambda N, u, x: N.d(u, "t") - N.lap(u, "xy") - sin(u))
    ),
    "semilinear_heat": Case(
        SemilinearHeat(coords=("x", "y", "t"), source=lambda t: t),
        _single(lambda N, u, x: N.d(u, "t") - N.lap(u, "xy") - (1 - u * u) / (1 + u * u) - x["t"]),
    ),
    "hamilton_jacobi_bellman": Case(
        HamiltonJacobiBellman(coords=("x", "y", "z", "t"), mu=0.7),
        _single(lambda N, u, x: N.d(u, "t") + N.lap(u, "xyz") - 0.7 * sum(N.d(u, name) ** 2 for name in "xyz")),
    ),
    "black_scholes_barenblatt": Case(BlackScholesBarenblatt(coords=("x", "y", "z", "t")), _single(_bsb)),
    "generalized_kdv": Case(
        GeneralizedKdV(a=1.3, b=0.5, power=3.0),
        _single(lambda N, u, x: N.d(u, "t") + 1.3 * u**3 * N.d(u, "x") + 0.5 * N.d(u, "xxx")),
    ),
    "kdv_2d": Case(KdV2D(), _single(_kdv_2d)),
    "kadomtsev_petviashvili": Case(KadomtsevPetviashvili(s=-1.0), _single(_kp)),
    "benjamin_bona_mahony": Case(
        BenjaminBonaMahony(c=0.9, a=1.2, b=0.5),
        _single(lambda N, u, x: N.d(u, "t") + (0.9 + 1.2 * u) * N.d(u, "x") - 0.5 * N.d(u, "xxt")),
    ),
    "ginzburg_landau": Case(
        GinzburgLandau(diffusion=0.2, dispersion=0.6, growth=1.5, saturation=0.9, rotation=0.7), _ginzburg_landau
    ),
    "fokker_planck": Case(
        FokkerPlanck(drift=lambda x: sin(x), diffusion=0.4),
        _single(lambda N, u, x: N.d(u, "t") + N.d(sin(x["x"]) * u, "x") - 0.4 * N.d(u, "xx")),
    ),
    "fokker_planck_2d": Case(
        FokkerPlanck(coords=("x", "y", "t"), drift=lambda x, y: (-x * y, 1 - y), diffusion=0.4),
        _single(_fokker_planck_2d),
    ),
    "eikonal": Case(
        Eikonal(viscosity=0.3, speed=lambda x: 1 + x**2),
        _single(
            lambda N, u, x: N.d(u, "x") ** 2 + N.d(u, "y") ** 2 - 0.3 * N.lap(u, "xy") - 1 / (1 + x["x"] ** 2) ** 2
        ),
    ),
    "vorticity_transport": Case(VorticityTransport2D(reynolds=20.0), _vorticity),
    "biharmonic": Case(
        Biharmonic(coords=("x", "y", "z"), source=lambda x: 1 + x),
        _single(lambda N, u, x: N.lap(N.lap(u, "xyz"), "xyz") - 1 - x["x"]),
    ),
}


@pytest.mark.parametrize("name", CASES)
def test_residual_matches_nested_autograd(name, network, points, nested, evaluate):
    equation, oracle = CASES[name].equation, CASES[name].oracle
    f = network(len(equation.coords), len(equation.fields))
    x = points(11, len(equation.coords))
    found = evaluate(equation.record(), f, x, equation.parameters())
    oracle_of = nested(f, x, equation.coords, equation.fields)
    expected = oracle(oracle_of, oracle_of.fields, oracle_of.points)
    assert len(found) == len(expected)
    for value, other in zip(found.values(), expected, strict=True):
        assert float(other.detach().abs().max()) > 1e-3  # the comparison says something
        # Rounding through four orders of nesting.
        torch.testing.assert_close(value, other, rtol=1e-10, atol=1e-11)


@pytest.mark.parametrize("name", ["burgers", "plate", "navier_stokes", "elasticity_graded"])
def test_gradients_to_the_network_match_nested_autograd(name, network, points, nested, evaluate):
    equation, oracle = CASES[name].equation, CASES[name].oracle
    f = network(len(equation.coords), len(equation.fields))
    x = points(5, len(equation.coords))
    found = evaluate(equation.record(), f, x, equation.parameters())
    oracle_of = nested(f, x, equation.coords, equation.fields)
    expected = oracle(oracle_of, oracle_of.fields, oracle_of.points)
    weights = list(f.parameters())
    # The last bias does not reach a residual that only reads derivatives.
    gradients = [
        torch.autograd.grad(sum((r**2).sum() for r in rs), weights, allow_unused=True, materialize_grads=True)
        for rs in (found.values(), expected)
    ]
    for value, other in zip(*gradients, strict=True):
        torch.testing.assert_close(value, other, rtol=1e-9, atol=1e-10)


def _normal(z):
    return 0.5 * (1 + torch.erf(z / math.sqrt(2)))


def _call(s, t, rate=0.05, sigma=0.3, strike=1.1, maturity=1.0):
    left = maturity - t
    spread = sigma * sqrt(left)
    d1 = (torch.log(s / strike) + (rate + sigma**2 / 2) * left) / spread
    return s * _normal(d1) - strike * exp(-rate * left) * _normal(d1 - spread)


def _fletcher(nu):
    def front(x, y, t):
        return torch.sigmoid(-(-4 * x + 4 * y - t) / (32 * nu)) / 4

    return {"u": lambda x, y, t: 0.75 - front(x, y, t), "v": lambda x, y, t: 0.75 + front(x, y, t)}


def _kovasznay(re):
    lam = re / 2 - math.sqrt(re**2 / 4 + 4 * math.pi**2)
    return {
        "u": lambda x, y: 1 - exp(lam * x) * cos(2 * math.pi * y),
        "v": lambda x, y: lam / (2 * math.pi) * exp(lam * x) * sin(2 * math.pi * y),
        "p": lambda x: 0.5 * (1 - exp(2 * lam * x)),
    }


def _taylor_green(re):
    return {
        "u": lambda x, y, t: -cos(x) * sin(y) * exp(-2 * t / re),
        "v": lambda x, y, t: sin(x) * cos(y) * exp(-2 * t / re),
        "p": lambda x, y, t: -0.25 * (cos(2 * x) + cos(2 * y)) * exp(-4 * t / re),
    }


def _soliton(eta=1.2, speed=0.6):
    def phase(x, t):
        return speed * x + 0.5 * (eta**2 - speed**2) * t

    def envelope(x, t):
        return eta / torch.cosh(eta * (x - speed * t))

    return {"u": lambda x, t: envelope(x, t) * cos(phase(x, t)), "v": lambda x, t: envelope(x, t) * sin(phase(x, t))}


def _plane_wave(diffusion, dispersion, growth, saturation, rotation, k=1.3):
    size = math.sqrt((growth - diffusion * k**2) / saturation)
    omega = diffusion * dispersion * k**2 + rotation * size**2
    return {"u": lambda x, t: size * cos(k * x - omega * t), "v": lambda x, t: size * sin(k * x - omega * t)}


def _ks_front(x, t, speed=0.3):
    # Kudryashov, Exact soliton solutions of the generalized evolution equation of wave dynamics, 1988.
    k = 0.5 * math.sqrt(11 / 19)
    front = tanh(k * (x - speed * t))
    return speed + (15 / 19) * math.sqrt(11 / 19) * (11 * front**3 - 9 * front)


def _two_solitons(polynomial, frequency, vectors, shifts=(0.3, -0.5)):
    return HirotaSolitons(polynomial, [(*v, frequency(*v)) for v in vectors], shifts)


KDV_PAIR = _two_solitons(lambda k, w: k * w + k**4, lambda k: -(k**3), [(1.0,), (1.6,)])
KP_PAIR = _two_solitons(
    lambda k, m, w: k * w + k**4 + 3 * m**2, lambda k, m: -(k**4 + 3 * m**2) / k, [(1.5, 0.3), (0.7, -0.2)]
)
KDV_2D_PAIR = _two_solitons(
    lambda k, m, w: m * w + k**3 * m - k**2 + 2 * m**2,
    lambda k, m: -(k**3 * m - k**2 + 2 * m**2) / m,
    [(1.0, 1.2), (0.7, 0.5)],
)


def _soft_minimum(x, y, t, mu=0.7):
    """Hopf-Cole: ``exp(-mu u)`` is a sum of growing exponentials, which solve the backward heat equation."""
    costs = [exp(-mu * (a * x + b * y) - mu**2 * (a * a + b * b) * t) for a, b in ((0.3, -1.0), (1.1, 0.4))]
    return -torch.log(costs[0] + costs[1]) / mu


LAME = {"lam": 1.3, "mu": 0.7}

EXACT = {
    "laplace": (Poisson(), {"u": lambda x, y: exp(x) * sin(y)}),
    "poisson": (Poisson(source=lambda x, y: 2 * sin(x) * cos(y)), {"u": lambda x, y: sin(x) * cos(y)}),
    "poisson_5d": (
        Poisson(coords=tuple("abcde"), source=-10.0),
        {"u": lambda a, b, c, d, e: a**2 + b**2 + c**2 + d**2 + e**2},
    ),
    "darcy": (Poisson(coefficient=lambda x: 1 + x**2, source=lambda x, y: -2 * x * y), {"u": lambda x, y: x * y}),
    "heat_mode": (Heat(diffusivity=0.3), {"u": lambda x, t: exp(-0.3 * 4 * t) * sin(2 * x)}),
    "heat_kernel_2d": (
        Heat(coords=("x", "y", "t"), diffusivity=0.5),
        {"u": lambda x, y, t: exp(-(x**2 + y**2) / (2 * (t + 2))) / (t + 2)},
    ),
    "dalembert": (Wave(speed=2.0), {"u": lambda x, t: exp(-((x - 2 * t) ** 2)) + sin(x + 2 * t)}),
    "plane_wave_3d": (
        Wave(coords=("x", "y", "z", "t"), speed=1.5),
        {"u": lambda x, y, z, t: cos(2 * x - y + 2 * z - 4.5 * t)},
    ),
    "advection": (Advection(velocity=0.7), {"u": lambda x, t: tanh(x - 0.7 * t)}),
    "rotation": (
        Advection(coords=("x", "y", "t"), velocity=lambda x, y: (-y, x)),
        {"u": lambda x, y, t: exp(-((x * cos(t) + y * sin(t) - 0.5) ** 2)) * sin(y * cos(t) - x * sin(t))},
    ),
    "burgers_front": (Burgers(nu=0.1), {"u": lambda x, t: 0.4 - 0.8 * tanh(0.8 * (x - 0.4 * t) / 0.2)}),
    "burgers_2d_fletcher": (Burgers2D(nu=0.05), _fletcher(0.05)),
    "allen_cahn_interface": (AllenCahn(diffusion=0.02, reaction=5.0), {"u": lambda x: tanh(x * math.sqrt(5.0 / 0.04))}),
    "allen_cahn_front": (
        AllenCahn(diffusion=0.5, reaction=2.0),
        {"u": lambda x, t: torch.sigmoid(-(2 * x - 3 / math.sqrt(2) * 2 * t) / math.sqrt(2))},
    ),
    "kdv_soliton": (
        KdV(a=6.0, b=1.0),
        {"u": lambda x, t: 0.8 / (2 * torch.cosh(0.5 * math.sqrt(0.8) * (x - 0.8 * t)) ** 2)},
    ),
    "kdv_soliton_default": (
        KdV(),
        {"u": lambda x, t: 0.9 / torch.cosh(0.5 * math.sqrt(0.3 / 0.0025) * (x - 0.3 * t)) ** 2},
    ),
    "kuramoto_sivashinsky_front": (KuramotoSivashinsky(), {"u": _ks_front}),
    "schrodinger_soliton": (Schrodinger(), _soliton()),
    "helmholtz_plane_wave": (
        Helmholtz(coords=("x", "y", "z"), wavenumber=3.0),
        {"u": lambda x, y, z: sin(2 * x + y - 2 * z + 0.3)},
    ),
    "kovasznay": (NavierStokes2D(reynolds=40.0), _kovasznay(40.0)),
    "taylor_green": (NavierStokes2DUnsteady(reynolds=10.0), _taylor_green(10.0)),
    "elasticity": (
        Elasticity(**LAME, force=lambda x, y: (-(4 * 1.3 + 6 * 0.7) * y, -(4 * 1.3 + 6 * 0.7) * x)),
        {"u": lambda x, y: x**2 * y, "v": lambda x, y: x * y**2},
    ),
    "elasticity_rotation": (Elasticity(**LAME), {"u": lambda y: -y, "v": lambda x: x}),
    "elasticity_3d": (
        Elasticity(coords=("x", "y", "z"), fields=("u", "v", "w"), **LAME, force=-(2 * 1.3 + 4 * 0.7)),
        {"u": lambda x: x**2, "v": lambda y: y**2, "w": lambda z: z**2},
    ),
    "plate_navier": (
        Plate(stiffness=0.8, load=lambda x, y: sin(math.pi * x) * sin(math.pi * y)),
        {"w": lambda x, y: sin(math.pi * x) * sin(math.pi * y) / (4 * math.pi**4 * 0.8)},
    ),
    "gray_scott_fed": (
        GrayScott(diffusion=(0.3, 0.1)),
        {"u": lambda x, t: 1 + exp(-(0.04 + 0.3 * 4) * t) * sin(2 * x), "v": 0.0},
    ),
    "gray_scott_steady": (GrayScott(), {"u": 0.5, "v": 0.2}),
    "black_scholes_call": (BlackScholes(rate=0.05, sigma=0.3), {"v": _call}),
    "kdv_two_solitons": (KdV(a=6.0, b=1.0), {"u": lambda x, t: KDV_PAIR.wave(x, t)}),
    "gkdv_soliton": (GeneralizedKdV(a=1.3, b=0.7, power=3.0), {"u": gkdv_soliton(1.1, 1.3, 0.7, 3.0)}),
    "mkdv_soliton": (GeneralizedKdV(a=1.3, b=0.7), {"u": gkdv_soliton(1.1, 1.3, 0.7, 2.0)}),
    "kp_two_lines": (KadomtsevPetviashvili(), {"u": lambda x, y, t: KP_PAIR.wave(x, y, t)}),
    "kdv_2d_two_kinks": (KdV2D(), {"u": lambda x, y, t: KDV_2D_PAIR.slope(x, y, t)}),
    "bbm_soliton": (BenjaminBonaMahony(c=0.9, a=1.2, b=0.8), {"u": bbm_soliton(1.9, 0.9, 1.2, 0.8)}),
    "ginzburg_landau_plane_wave": (
        GinzburgLandau(diffusion=0.2, dispersion=0.6, growth=1.5, saturation=0.9, rotation=0.7),
        _plane_wave(0.2, 0.6, 1.5, 0.9, 0.7),
    ),
    "fokker_planck_stationary": (
        FokkerPlanck(coords=("x", "y", "t"), drift=lambda x, y: (-2 * x, -y), diffusion=0.5),
        {"u": lambda x, y: exp(-2 * x**2 - y**2)},
    ),
    "eikonal_exponentials": (
        Eikonal(viscosity=0.5, speed=2.0),
        # exp(-u / eps) solves lap(w) = w / (eps c)^2
        {"u": lambda x, y: -0.5 * torch.log(exp(x) + 0.3 * exp(0.6 * x - 0.8 * y))},
    ),
    "taylor_green_by_vorticity": (
        VorticityTransport2D(reynolds=10.0),
        {
            **{name: f for name, f in _taylor_green(10.0).items() if name != "p"},
            "w": lambda x, y, t: 2 * cos(x) * cos(y) * exp(-2 * t / 10.0),
        },
    ),
    "biharmonic_polynomial": (
        Biharmonic(coords=("x", "y", "z"), source=24.0 * 3 + 8),
        {"u": lambda x, y, z: x**4 + y**4 + z**4 + x**2 * y**2},
    ),
    "sine_gordon_kink": (SineGordon(coords=("x",)), {"u": lambda x: math.pi + 4 * torch.atan(exp(x))}),
    "sine_gordon_constant": (SineGordon(coords=("x", "y", "t"), source=-math.sin(0.4)), {"u": 0.4}),
    "semilinear_heat_constant": (SemilinearHeat(), {"u": 1.0}),
    "semilinear_heat_sourced": (
        SemilinearHeat(source=lambda x, t: x * x - 2 * t - (1 - (t * x * x) ** 2) / (1 + (t * x * x) ** 2)),
        {"u": lambda x, t: t * x * x},
    ),
    "hamilton_jacobi_bellman": (HamiltonJacobiBellman(coords=("x", "y", "t"), mu=0.7), {"u": _soft_minimum}),
    "hamilton_jacobi_bellman_quadratic": (
        HamiltonJacobiBellman(coords=("x", "y", "t"), mu=0.7),
        # Riccati: a |x|^2 / (1 + 4 mu a (T - t)) + d / (2 mu) log(1 + 4 mu a (T - t)), with a = 1, T = 2
        {"u": lambda x, y, t: (x**2 + y**2) / (1 + 2.8 * (2 - t)) + torch.log(1 + 2.8 * (2 - t)) / 0.7},
    ),
    "black_scholes_barenblatt": (
        BlackScholesBarenblatt(coords=("x", "y", "z", "t")),
        {"v": lambda x, y, z, t: exp(0.21 * (1 - t)) * (x**2 + y**2 + z**2)},
    ),
}


@pytest.mark.parametrize("name", EXACT)
def test_exact_solution_has_zero_residual(name, points):
    equation, functions = EXACT[name]
    low, high = (0.3, 0.9) if name == "black_scholes_call" else (-1.0, 1.0)
    residuals = residual_of(equation, functions, points(17, len(equation.coords), low=low, high=high))
    for residual in residuals.values():
        # Terms of the equations are at most about 1e3 here: their rounding.
        torch.testing.assert_close(residual, torch.zeros_like(residual), rtol=0, atol=1e-11)


@pytest.mark.parametrize("name", EXACT)
def test_another_function_has_not(name, points):
    """Adding a function that solves none of the equations must show: the test above can fail."""
    equation, functions = EXACT[name]
    low, high = (0.3, 0.9) if name == "black_scholes_call" else (-1.0, 1.0)
    x = points(17, len(equation.coords), low=low, high=high)
    first, second = equation.fields[0], equation.coords[-1]

    def disturbed(**values):
        bump = exp(1.3 * values[equation.coords[0]] + 0.7 * values[second] ** 2)
        return call_with_names(functions[first], values) + bump

    residuals = residual_of(equation, {**functions, first: disturbed}, x)
    assert max(float(r.abs().max()) for r in residuals.values()) > 1e-3


def test_every_equation_is_registered_and_tested():
    tested = {type(case.equation) for case in CASES.values()}
    solved = {type(equation) for equation, _ in EXACT.values()}
    registered = {resolve("equation", name) for name in names("equation")}
    zoo = {cls for cls in registered if cls.__module__.startswith("kjet.pde.")}
    assert zoo == tested == solved


@pytest.mark.parametrize("name", CASES)
def test_description_names_every_residual(name):
    recorded = CASES[name].equation.record()
    lines = recorded.describe().splitlines()
    for residual, line in zip(recorded.names, lines, strict=False):
        assert line.startswith(f"{residual}: ")
        assert line.endswith(" = 0")


def test_advection_needs_one_velocity_for_each_coordinate():
    with pytest.raises(ValueError, match=r"velocity has 1 components, but u has 2 spatial coordinates"):
        Advection(coords=("x", "y", "t"), velocity=1.0).record()


def test_elasticity_needs_one_displacement_for_each_coordinate():
    with pytest.raises(ValueError, match="a displacement for each coordinate"):
        Elasticity(coords=("x", "y", "z"))


def test_evolution_equations_need_time():
    with pytest.raises(ValueError, match="needs a time coordinate"):
        Heat(coords=("x", "y")).record()


def test_laplacians_are_collapsed():
    """A constant coefficient keeps the Laplacian one sum: 1 + d + 1 channels."""
    assert Poisson(coords=tuple("abcdefgh")).record().plan.cost() == 10
    assert Poisson(coords=tuple("abcdefgh"), coefficient=lambda a: 1 + a).record().plan.cost() == 10
