"""Options of the problems in time, and that their references resolve what they show."""

from __future__ import annotations

import math

import pytest
import torch

from kjet.data.solvers import PeriodicGrid, gray_scott, kuramoto_sivashinsky, navier_stokes
from kjet.errors import ConfigError
from kjet.pde import residual_of
from kjet.problems import (
    AdvectionProblem,
    Burgers2DProblem,
    EikonalProblem,
    FokkerPlanckProblem,
    GinzburgLandauProblem,
    GrayScottProblem,
    KuramotoSivashinskyChaoticProblem,
    KuramotoSivashinskyRegularProblem,
    NavierStokesLongTimeProblem,
    NavierStokesTorusProblem,
    SchrodingerProblem,
    Wave1DProblem,
    Wave2DHeterogeneousProblem,
    WaveLongTimeProblem,
)


def points(problem, n=20):
    return problem.domain.interior(n, sampler="uniform", generator=torch.Generator().manual_seed(0)).x.double()


@pytest.mark.parametrize(
    "options",
    [
        AdvectionProblem(velocity=-3.0),
        Burgers2DProblem(nu=0.05),
        FokkerPlanckProblem(rate=0.7, diffusion=0.3, mean=-1.0, deviation=0.5),
        NavierStokesLongTimeProblem(reynolds=50.0, stream=-0.3, end=3.0),
        Wave1DProblem(speed=1.5, mode=3),
        WaveLongTimeProblem(end=2.0),
    ],
    ids=repr,
)
def test_options_reach_the_equation_and_the_reference(options):
    problem = options.build()
    x = points(problem)
    exact = dict.fromkeys(problem.fields, problem.reference)
    if len(exact) > 1:
        exact = {name: lambda x, y, t, name=name: problem.reference(x, y, t)[name] for name in exact}
    for value in residual_of(problem.equation, exact, x).values():
        assert float(value.abs().max()) < 1e-9
    wrong = residual_of(type(options)().build().equation, exact, x)
    if type(options)().build().equation.parameters() != problem.equation.parameters():
        assert max(float(value.abs().max()) for value in wrong.values()) > 1e-3


def test_density_stays_one():
    problem = FokkerPlanckProblem().build()
    x = torch.linspace(-4, 4, 801, dtype=torch.float64)
    for t in (0.0, 0.5, 2.0):
        u = problem.reference(x, torch.full_like(x, t))
        assert float(torch.trapezoid(u, x)) == pytest.approx(1.0, abs=1e-5)


def test_eikonal_is_the_distance_up_to_the_viscosity():
    r = torch.linspace(0.1, 1.0, 50, dtype=torch.float64)
    for eps in (0.1, 1e-3):
        u = EikonalProblem(viscosity=eps).build().reference(r, 0 * r)
        assert float((u - (1 - r + 0.5 * eps * torch.log(r))).abs().max()) < 0.2 * eps


def test_chaos_and_its_absence():
    """The finer grid changes the references by less than what training may reach."""
    for options, low, length, bound in (
        (KuramotoSivashinskyRegularProblem(), -1.0, 2.0, 1e-6),
        (KuramotoSivashinskyChaoticProblem(end=0.5), 0.0, 2 * math.pi, 1e-5),
    ):
        problem = options.build()
        end = float(problem.domain.bounds[1, 1])
        x = low + length / 384 * torch.arange(384, dtype=torch.float64)
        start = problem.reference(x, 0 * x)
        p = problem.equation
        fine = kuramoto_sivashinsky(start, end, p.alpha, p.beta, p.gamma, length=length, dt=1e-4)
        assert float((problem.reference(x, torch.full_like(x, end)) - fine).abs().max()) < bound


@pytest.mark.slow
def test_gray_scott_is_resolved():
    problem = GrayScottProblem(end=50.0).build()
    x, y = torch.meshgrid(*PeriodicGrid((256, 256), (2.0, 2.0)).points(-1.0), indexing="ij")
    start = problem.reference(x, y, 0 * x)
    fine = gray_scott(start["u"], start["v"], 50.0, diffusion=(2e-4, 1e-4), dt=1.0)
    found = problem.reference(x, y, torch.full_like(x, 50.0))
    assert float((found["u"] - fine[0]).abs().max()) < 1e-4
    assert float((found["v"] - fine[1]).abs().max()) < 1e-4


def test_torus_flow_is_resolved_and_starts_as_it_says():
    problem = NavierStokesTorusProblem().build()
    x, y = torch.meshgrid(*PeriodicGrid((96, 96), (2 * math.pi,) * 2).points(), indexing="ij")
    start = problem.reference(x, y, 0 * x)
    written = problem.conditions[0].values
    for name, value in start.items():
        assert float((value - written[name](x, y)).abs().max()) < 1e-10
    w = navier_stokes(start["w"], 0.01, 1.0, length=2 * math.pi, dt=1e-2)
    found = problem.reference(x, y, torch.ones_like(x))["w"]
    assert float((found - w).abs().max()) < 1e-4
    assert float((w - start["w"] * (w.norm() / start["w"].norm())).norm() / w.norm()) > 0.1, "the modes stir each other"


@pytest.mark.parametrize(
    ("make", "message"),
    [
        (lambda: Burgers2DProblem(nu=0.0), "problem.nu must be positive; got 0.0"),
        (lambda: EikonalProblem(viscosity=-1.0), "problem.viscosity must be positive"),
        (lambda: FokkerPlanckProblem(deviation=0.0), "problem.deviation must be positive"),
        (lambda: GinzburgLandauProblem(end=0.0), "problem.end must be positive"),
        (lambda: GrayScottProblem(end=-1.0), "problem.end must be positive"),
        (lambda: KuramotoSivashinskyChaoticProblem(end=0.0), "problem.end must be positive"),
        (lambda: KuramotoSivashinskyRegularProblem(gamma=0.0), "problem.gamma must be positive"),
        (lambda: NavierStokesLongTimeProblem(reynolds=0.0), "problem.reynolds must be positive"),
        (lambda: NavierStokesTorusProblem(end=0.0), "problem.reynolds and problem.end must be positive"),
        (lambda: SchrodingerProblem(half_length=0.0), "problem.half_length must be positive"),
        (lambda: Wave1DProblem(mode=0), "problem.mode must be at least 1; got 0"),
        (lambda: Wave1DProblem(speed=0.0), "problem.speed must be positive"),
        (lambda: Wave2DHeterogeneousProblem(contrast=1.0), r"problem.contrast must be in \[0, 1\); got 1.0"),
        (lambda: WaveLongTimeProblem(end=0.0), "problem.end must be positive"),
    ],
)
def test_values_out_of_range(make, message):
    with pytest.raises(ConfigError, match=message):
        make()
