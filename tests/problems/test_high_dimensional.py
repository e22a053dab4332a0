"""Problems in many dimensions, and those with solitons: options, sources, the way through the recorded equation."""

from __future__ import annotations

import math

import pytest
import torch

from kjet.errors import ConfigError
from kjet.pde import best_trivial_predictor, residual_of
from kjet.problems import (
    AllenCahnHDProblem,
    AllenCahnParabolicHDProblem,
    BBMSolitonProblem,
    BiharmonicProblem,
    BlackScholesBarenblattProblem,
    GKdVSolitonProblem,
    HJBProblem,
    KdV2DProblem,
    KdVSolitonProblem,
    KPProblem,
    KuramotoSivashinskyProblem,
    PoissonHDProblem,
    SemilinearHeatHDProblem,
    SineGordonHDProblem,
    SineGordonParabolicHDProblem,
)

STEADY = [PoissonHDProblem, AllenCahnHDProblem, SineGordonHDProblem]
PARABOLIC = [SemilinearHeatHDProblem, AllenCahnParabolicHDProblem, SineGordonParabolicHDProblem]


def interior(problem, n=20, seed=0, dtype=torch.float64):
    generator = torch.Generator().manual_seed(seed)
    return problem.domain.interior(n, sampler="uniform", generator=generator, dtype=dtype).x


def residual(problem, x):
    (value,) = residual_of(problem.equation, {problem.fields[0]: problem.reference}, x).values()
    return value


@pytest.mark.parametrize("options", [*STEADY, *PARABOLIC])
@pytest.mark.parametrize("interaction", ["two_body", "three_body", "zero_mean", "low_rank"])
def test_every_interaction_solves_every_equation(options, interaction):
    """Through one Taylor pass and the recorded program, as networks are."""
    problem = options(dim=7, interaction=interaction, seed=2).build()
    x = interior(problem)
    assert float(residual(problem, x).abs().max()) < 1e-10
    other = options(dim=7, interaction=interaction, seed=3).build()
    (wrong,) = residual_of(problem.equation, {"u": other.reference}, x).values()
    assert float(wrong.abs().max()) > 1e-2


@pytest.mark.parametrize("interaction", ["two_body", "three_body", "zero_mean", "low_rank"])
def test_biharmonic(interaction):
    problem = BiharmonicProblem(dim=4, interaction=interaction).build()
    scale = float(problem.equation.source.at(interior(problem)).abs().max())
    assert float(residual(problem, interior(problem)).abs().max()) < 1e-12 * scale


@pytest.mark.parametrize(
    "options",
    [
        KdVSolitonProblem(solitons=1),
        KdVSolitonProblem(k1=1.3, k2=0.8),
        GKdVSolitonProblem(power=2.0),
        GKdVSolitonProblem(power=1.5, speed=0.7),
        BBMSolitonProblem(speed=1.5),
        KPProblem(solitons=1),
        KdV2DProblem(solitons=1),
        KuramotoSivashinskyProblem(speed=-0.5),
        HJBProblem(dim=5, mu=0.5, seed=1),
        BlackScholesBarenblattProblem(dim=3, rate=0.1, sigma=0.2),
    ],
    ids=repr,
)
def test_options_reach_the_equation_and_the_reference(options):
    problem = options.build()
    assert float(residual(problem, interior(problem)).abs().max()) < 1e-11


def test_waves_stay_inside():
    """Else values at the ends would have to be more than the reference's."""
    for options in (KdVSolitonProblem(), GKdVSolitonProblem(), BBMSolitonProblem()):
        problem = options.build()
        t = torch.linspace(0, float(problem.domain.bounds[1, 1]), 50, dtype=torch.float64)
        peak = max(float(problem.reference(x, t).max()) for x in torch.linspace(-10, 10, 81, dtype=torch.float64))
        for end in problem.domain.bounds[0]:
            assert float(problem.reference(end, t).max()) < 0.05 * peak


def test_the_fast_soliton_overtakes_the_slow_one():
    problem = KdVSolitonProblem().build()
    x = torch.linspace(-10, 10, 2001, dtype=torch.float64)

    def peaks(t):
        u = problem.reference(x, torch.full_like(x, t))
        return [float(x[i]) for i in range(1, 2000) if u[i] > max(u[i - 1], u[i + 1]) and u[i] > 0.2]

    first, last = peaks(0.0), peaks(4.0)
    assert first == pytest.approx([-6.0, -1.0], abs=0.05)
    assert len(last) == 2
    assert last[1] > 5.0 > 1.0 > last[0]


def test_hjb_varies():
    """Soft minimum of costs of several slopes: far from linear in x, and in t."""
    problem = HJBProblem(dim=50).build()
    x = interior(problem, 2000)
    u = problem.reference.at(x)
    basis = torch.cat([torch.ones(2000, 1, dtype=torch.float64), x], 1)
    left = u - basis @ torch.linalg.lstsq(basis, u[:, None]).solution[:, 0]
    assert float(left.std()) > 0.2 * float(u.std())
    assert 0.1 < float(u.std()) < 10


def test_points_by_volume_and_by_radius():
    for law, expected in (("volume", 200 / 201), ("radius", 0.5)):
        r = interior(SineGordonHDProblem(dim=200, law=law).build(), 500).norm(dim=1)
        assert float(r.mean()) == pytest.approx(expected, abs=0.05)


@pytest.mark.parametrize("interaction", ["zero_mean", "low_rank"])
def test_hard_problems_have_no_trivial_solution(interaction):
    problem = SineGordonHDProblem(dim=60, interaction=interaction).build()
    found = best_trivial_predictor(problem.reference.at, interior(problem, 1000), interior(problem, 500, seed=1))
    assert found.error > 0.5


def test_black_scholes_barenblatt_is_the_published_one_scaled():
    problem = BlackScholesBarenblattProblem(dim=100).build()
    z = torch.full((1, 101), 1.0, dtype=torch.float64)
    z[0, -1] = 0.0
    assert float(problem.reference.at(z)) == pytest.approx(math.exp(0.05 + 0.16))


@pytest.mark.parametrize(
    ("make", "message"),
    [
        (lambda: PoissonHDProblem(dim=1), "problem.dim must be at least 2; got 1"),
        (lambda: PoissonHDProblem(interaction="pair").build(), r'unknown interaction "pair"'),
        (lambda: PoissonHDProblem(law="uniform").build(), r'unknown law "uniform"'),
        (lambda: HJBProblem(mu=0.0), "problem.mu must be positive; got 0.0"),
        (lambda: HJBProblem(dim=0), "problem.dim must be at least 2; got 0"),
        (lambda: BlackScholesBarenblattProblem(dim=0), "problem.dim must be at least 1; got 0"),
        (lambda: KPProblem(solitons=3), "problem.solitons must be 1 or 2; got 3"),
        (lambda: KdV2DProblem(solitons=0), "problem.solitons must be 1 or 2; got 0"),
        (lambda: KdVSolitonProblem(k1=1.0, k2=1.0), "problem.k1 must exceed problem.k2"),
        (lambda: KdVSolitonProblem(solitons=5), "problem.solitons must be 1 or 2; got 5"),
        (lambda: BBMSolitonProblem(speed=1.0).build(), "speed must exceed 1.0"),
    ],
)
def test_values_out_of_range(make, message):
    with pytest.raises(ConfigError, match=message):
        make()
