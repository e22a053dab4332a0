"""Predictors without a network, and the solutions on which they fail."""

import pytest
import torch

from kjet.data import Sphere
from kjet.errors import ConfigError
from kjet.pde import ball_solution, best_trivial_predictor


def points(n, d, seed, law="radius"):
    ball = Sphere([0.0] * d, 1.0, law=law)
    generator = torch.Generator().manual_seed(seed)
    return ball.interior(n, sampler="uniform", generator=generator, dtype=torch.float64).x


def errors(name, d, seed=0, law="radius", fit=1000):
    u = ball_solution(d, name, seed=seed)
    return best_trivial_predictor(u.value, points(fit, d, 1, law), points(1000, d, 2, law))


@pytest.mark.parametrize("seed", [0, 1, 2])
@pytest.mark.parametrize("law", ["radius", "volume"])
@pytest.mark.parametrize(("name", "d"), [("zero_mean", 50), ("zero_mean", 400), ("low_rank", 50), ("low_rank", 400)])
def test_hard_solutions_have_no_trivial_predictor(name, d, law, seed):
    found = errors(name, d, seed, law)
    assert found.error > 0.5
    assert found.error == min(found.errors.values()) == found.errors[found.name]
    assert found.errors["constant"] > 0.95


def test_published_solutions_have_one():
    """The reason to look: errors of the size that networks are reported with."""
    assert errors("two_body", 1000).errors["tangent"] < 0.05
    assert errors("three_body", 1000).error < 1e-3


def test_linear_predictor_is_exact_where_the_solution_is_linear():
    slope = torch.randn(30, generator=torch.Generator().manual_seed(0), dtype=torch.float64)

    def solution(x):
        return (1 - x.square().sum(1)) * (0.3 + x @ slope)

    found = best_trivial_predictor(solution, points(200, 30, 1), points(100, 30, 2))
    assert found.errors["linear"] < 1e-10
    assert found.errors["tangent"] < 1e-10
    assert found.errors["constant"] > 0.1


def test_fewer_points_than_coordinates():
    """Least norm: exact at the points of the fit, no worse than nothing elsewhere."""
    u, x = ball_solution(100, "two_body"), points(40, 100, 1)
    assert best_trivial_predictor(u.value, x, x).errors["linear"] < 1e-9
    assert best_trivial_predictor(u.value, x, points(500, 100, 2)).errors["linear"] < 0.5


def test_with_time():
    """``exp(-t)`` is nearly a parabola on a short interval; the tangent is taken at the time of each point."""
    u = ball_solution(20, "two_body")
    generator = torch.Generator().manual_seed(3)

    def drawn(n, seed):
        return torch.cat([points(n, 20, seed), 0.3 * torch.rand(n, 1, generator=generator, dtype=torch.float64)], 1)

    def decaying(z):
        return torch.exp(-z[:, -1]) * u.value(z[:, :-1])

    found = best_trivial_predictor(decaying, drawn(800, 1), drawn(500, 2), time=True)
    plain = best_trivial_predictor(u.value, points(800, 20, 1), points(500, 20, 2))
    for name in ("constant", "tangent"):
        assert found.errors[name] == pytest.approx(plain.errors[name], rel=0.1)


def test_refusals():
    u = ball_solution(5)
    with pytest.raises(ConfigError, match="points of 5 and of 6 columns"):
        best_trivial_predictor(u.value, torch.zeros(3, 5), torch.zeros(3, 6))
    with pytest.raises(ConfigError, match="zero at all test points"):
        best_trivial_predictor(lambda x: 0 * x.sum(1), torch.zeros(3, 5), torch.zeros(3, 5))
