"""Errors of published code and formulas that must not come back."""

import torch

from kjet.jets import Biharmonic, Laplacian, Operator, biharmonic
from kjet.jets.estimators import STDE, Hutchinson

D = 9


def point(n=1):
    return torch.linspace(-0.8, 0.9, D, dtype=torch.float64).expand(n, D)


def uneven(x):
    """Second derivatives that differ between axes, and mixed ones."""
    a = torch.arange(1, D + 1, dtype=torch.float64) / D
    return (a * x**4).sum(-1, keepdim=True) + torch.sin((a * x).sum(-1, keepdim=True)) + x[:, :1] ** 2 * x[:, 1:2] ** 2


def test_directions_on_sampled_coordinates_are_scaled_by_d_over_r(five_sigma, generator):
    """Random vectors on R of d coordinates without the factor d/R give R/d of the Laplacian."""
    wanted = (2.0 * torch.arange(1, D + 1)).sum().double()
    a = torch.arange(1, D + 1).double()
    found = STDE(2, per_point=True)(lambda x: (a * x**2).sum(-1, keepdim=True), point(20000), Laplacian(), generator)
    five_sigma(found[:, 0], wanted)
    assert abs(float(found.mean() / wanted) - 1) < 0.05  # 2/9 without the factor


def test_gaussian_biharmonic_is_divided_by_three_and_not_multiplied_by_d(generator):
    """``E (v . grad)^4 u / 3 = Delta^2 u``, in every dimension."""
    found = Hutchinson(4, "gaussian", per_point=True)(uneven, point(60000), Biharmonic(), generator)
    wanted = biharmonic(uneven, point())
    assert abs(float(found.mean() / wanted) - 1) < 0.05  # 9 with the factor
    error = (found.mean() - wanted).abs() / (found.std() / len(found) ** 0.5)
    assert float(error) < 5


def test_rademacher_biharmonic_is_corrected(five_sigma, generator):
    """Signs alone give ``3 Delta^2 - 2 sum_i d_i^4``, a third of the value for a sum of quartics."""
    x = point()
    found = Hutchinson(1, corrections=D)(lambda z: (z**4).sum(-1, keepdim=True), x, Biharmonic(), generator)
    torch.testing.assert_close(found.item(), 24.0 * D)
    many = Hutchinson(2, per_point=True)(uneven, point(40000), Biharmonic(), generator)
    five_sigma(many, biharmonic(uneven, x)[0])


def test_sphere_moments_are_not_gaussian_ones(five_sigma, generator):
    """On the sphere the fourth moment is 3 d / (d + 2), which is 2.45 for nine coordinates."""
    many = Hutchinson(2, "sphere", per_point=True)(uneven, point(40000), Biharmonic(), generator)
    wanted = biharmonic(uneven, point())
    five_sigma(many, wanted[0])
    assert abs(float(many.mean() / wanted) - 1) < 0.05  # 9/11 without it


def test_sparse_biharmonic_has_no_factor_too_many(five_sigma, generator):
    many = STDE(3, per_point=True)(uneven, point(20000), Biharmonic(), generator)
    five_sigma(many, biharmonic(uneven, point())[0])


def test_mixed_terms_carry_the_whole_symbol(wavy, x, exact):
    """``u_tx + u_xxxy + ...``: with all terms drawn, every jet must give its derivative and nothing beside it."""
    operator = Operator(
        {
            (0, 1, 0, 1): 1.0,
            (3, 1, 0, 0): 1.0,
            (1, 0, 2, 0): -1.0,
            (0, 2, 0, 0): 3.0,
            (1, 0, 0, 0): 2.0,
            (4, 0, 0, 0): 0.5,
        }
    )
    torch.testing.assert_close(STDE(2)(wavy, x, operator), exact(wavy, x, operator), rtol=1e-10, atol=1e-10)
