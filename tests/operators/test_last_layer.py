"""Least squares of the last layer, against the normal equations and functions that it can represent."""

import pytest
import torch

from kjet.errors import ConfigError
from kjet.operators import PirateNet, fit_last_layer, solve_last_layer


def seeded(seed=0):
    return torch.Generator().manual_seed(seed)


def make(m=2, dtype=torch.float64, **options):
    return PirateNet(2, m, width=12, depth=2, generator=seeded(), dtype=dtype, **options)


def points(n=80, dtype=torch.float64):
    return (2 * torch.rand(n, 2, generator=seeded(1), dtype=torch.float64) - 1).to(dtype)


def test_what_it_can_represent_is_found():
    teacher, student, x = make(alpha=0.2), make(alpha=0.2), points()
    with torch.no_grad():
        teacher.last.weight.normal_(generator=seeded(5))
        teacher.last.bias.normal_(generator=seeded(6))
    left = fit_last_layer(student, x, teacher(x))
    assert left < 1e-9
    other = points(20) * 0.9
    torch.testing.assert_close(student(other), teacher(other), rtol=1e-6, atol=1e-6)
    for (name, a), (_, b) in zip(student.named_parameters(), make(alpha=0.2).named_parameters(), strict=True):
        assert torch.equal(a, b) or name.startswith("last"), name


def test_least_squares():
    """The residual is orthogonal to the features, and its size is what is returned."""
    net, x = make(), points()
    values = torch.stack([torch.exp(x[:, 0]) * x[:, 1], torch.sign(x[:, 0])], 1)
    left = fit_last_layer(net, x, values)
    residual = (net(x) - values).detach()
    features = net.hidden(x).detach()
    assert float((features.T @ residual).abs().max()) < 1e-6
    assert float(residual.sum(0).abs().max()) < 1e-6
    assert left == pytest.approx(float(residual.square().mean().sqrt()), rel=1e-6)


def test_deterministic_and_in_double_precision():
    first, again, single = make(), make(), make(dtype=torch.float32)
    x, values = points(), torch.sin(3 * points())
    for net, dtype in ((first, torch.float64), (again, torch.float64), (single, torch.float32)):
        fit_last_layer(net, x.to(dtype), values.to(dtype), rcond=1e-4)
    assert torch.equal(first.last.weight, again.last.weight)
    torch.testing.assert_close(single(x.float()).double(), first(x), rtol=1e-3, atol=1e-3)


def test_shortest_solution_where_there_are_many():
    matrix, target = torch.randn(3, 8, generator=seeded(), dtype=torch.float64), torch.ones(3, 1, dtype=torch.float64)
    found = solve_last_layer(matrix, target, rcond=1e-12)
    torch.testing.assert_close(found, matrix.T @ torch.linalg.solve(matrix @ matrix.T, target))


def test_small_singular_values_are_left_out():
    matrix = torch.diag(torch.tensor([1.0, 1e-3, 1e-9], dtype=torch.float64))
    found = solve_last_layer(matrix, torch.ones(3, 1, dtype=torch.float64), rcond=1e-6)
    torch.testing.assert_close(found[:, 0], torch.tensor([1.0, 1e3, 0.0], dtype=torch.float64))


def test_errors():
    with pytest.raises(ConfigError, match=r"shape \(80, 1\); expected \(80, 2\)"):
        fit_last_layer(make(), points(), points()[:, :1])
    with pytest.raises(ConfigError, match="not finite"):
        fit_last_layer(make(), points(), points() / 0.0)
