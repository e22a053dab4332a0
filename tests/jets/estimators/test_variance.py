"""Formulas for variances: against all outcomes, and against the estimators within ten percent."""

import itertools

import pytest
import torch

from kjet.errors import ConfigError
from kjet.jets import Biharmonic, Laplacian, reference
from kjet.jets.estimators import (
    STDE,
    Hutchinson,
    Weighted,
    fourth_gaussian,
    fourth_rademacher,
    fourth_sparse,
    fourth_sphere,
    variance_gaussian,
    variance_rademacher,
    variance_sparse,
    variance_sphere,
)

N = 12000
SECOND = {
    "sparse1": (STDE(1, per_point=True), lambda h: variance_sparse(h.diagonal(), 1)),
    "sparse3": (STDE(3, per_point=True), lambda h: variance_sparse(h.diagonal(), 3)),
    "replacement": (STDE(3, True, True), lambda h: variance_sparse(h.diagonal(), 3, replacement=True)),
    "rademacher": (Hutchinson(2, per_point=True), lambda h: variance_rademacher(h, 2)),
    "gaussian": (Hutchinson(2, "gaussian", True), lambda h: variance_gaussian(h, 2)),
    "sphere": (Hutchinson(2, "sphere", True), lambda h: variance_sphere(h, 2)),
}
FOURTH = {
    "sparse": (STDE(2, per_point=True), lambda t: fourth_sparse(torch.einsum("iijj->ij", t), 2)),
    "replacement": (STDE(3, True, True), lambda t: fourth_sparse(torch.einsum("iijj->ij", t), 3, replacement=True)),
    "rademacher": (Hutchinson(2, per_point=True), lambda t: fourth_rademacher(t, 2, 2)),
    "rademacher_exact": (Hutchinson(2, per_point=True, corrections=4), lambda t: fourth_rademacher(t, 2, 4)),
    "gaussian": (Hutchinson(4, "gaussian", True), lambda t: fourth_gaussian(t, 4)),
    "sphere": (Hutchinson(4, "sphere", True), lambda t: fourth_sphere(t, 4)),
}


def tensor_of(f, x, order):
    """All derivatives of one order of the first field at one point, by nested reverse mode."""
    d = x.shape[1]
    places = list(itertools.product(range(d), repeat=order))
    indices = [tuple(place.count(i) for i in range(d)) for place in places]
    values = reference.partials(f, x, set(indices))
    return torch.stack([values[index][0, 0] for index in indices]).reshape((d,) * order)


@pytest.mark.parametrize("name", SECOND)
def test_second_order_within_ten_percent(name, wavy, x, generator):
    estimator, formula = SECOND[name]
    found = estimator(wavy, x[:1].expand(N, -1), Laplacian(), generator)[:, 0].var()
    torch.testing.assert_close(found, formula(tensor_of(wavy, x[:1], 2)), rtol=0.1, atol=0)


@pytest.mark.parametrize("name", FOURTH)
def test_fourth_order_within_ten_percent(name, wavy, x, generator):
    estimator, formula = FOURTH[name]
    found = estimator(wavy, x[:1].expand(3 * N, -1), Biharmonic(), generator)[:, 0].var()
    torch.testing.assert_close(found, formula(tensor_of(wavy, x[:1], 4)), rtol=0.1, atol=0)


def test_weights_transform_the_hessian(wavy, x, generator):
    factor = torch.randn(4, 3, generator=generator, dtype=torch.float64)
    found = Hutchinson(2, per_point=True)(wavy, x[:1].expand(N, -1), Weighted(factor=factor), generator)[:, 0].var()
    hessian = factor.T @ tensor_of(wavy, x[:1], 2) @ factor
    torch.testing.assert_close(found, variance_rademacher(hessian, 2), rtol=0.1, atol=0)


def symmetric(d, order, generator):
    tensor = torch.randn((d,) * order, generator=generator, dtype=torch.float64)
    axes = list(itertools.permutations(range(order)))
    return torch.stack([tensor.permute(p) for p in axes]).mean(0)


@pytest.mark.parametrize("samples", [1, 2, 5])
def test_sparse_over_all_outcomes(samples, generator):
    h = torch.randn(5, generator=generator, dtype=torch.float64)
    sets = torch.tensor(list(itertools.combinations(range(5), samples)))
    found = (5 * h[sets].mean(1)).var(correction=0)
    torch.testing.assert_close(variance_sparse(h, samples), found, rtol=1e-12, atol=1e-12)


def test_rademacher_over_all_outcomes(generator):
    h = symmetric(4, 2, generator)
    z = torch.tensor(list(itertools.product((1.0, -1.0), repeat=4)), dtype=torch.float64)
    found = torch.einsum("zi,ij,zj->z", z, h, z).var(correction=0)
    torch.testing.assert_close(variance_rademacher(h, 1), found)


def test_fourth_order_rademacher_over_all_outcomes(generator):
    t = symmetric(5, 4, generator)
    z = torch.tensor(list(itertools.product((1.0, -1.0), repeat=5)), dtype=torch.float64)
    quartic = torch.einsum("zi,zj,zk,zl,ijkl->z", z, z, z, z, t) / 3
    torch.testing.assert_close(fourth_rademacher(t, 1, 5), quartic.var(correction=0))
    # Axes drawn two at a time add the variance of 2/3 of their sum.
    pure = torch.einsum("iiii->i", t)
    sets = torch.tensor(list(itertools.combinations(range(5), 2)))
    added = (2 / 3 * 5 * pure[sets].mean(1)).var(correction=0)
    torch.testing.assert_close(fourth_rademacher(t, 1, 2), quartic.var(correction=0) + added)


def test_fourth_order_gaussian_in_one_dimension():
    """``u_xxxx v^4 / 3``: variance (E v^8 - (E v^4)^2) / 9 = (105 - 9) / 9."""
    assert fourth_gaussian(torch.ones(1, 1, 1, 1), 1).item() == pytest.approx(96 / 9)
    assert fourth_sphere(torch.ones(1, 1, 1, 1), 1).item() == pytest.approx(0, abs=1e-6)


def test_no_variance_where_the_form_is_isotropic():
    eye = torch.eye(3, dtype=torch.float64)
    pairs = torch.einsum("ij,kl->ijkl", eye, eye)
    isotropic = (pairs + pairs.transpose(1, 2) + pairs.transpose(1, 3)) / 3
    assert fourth_sphere(isotropic, 1).item() == pytest.approx(0, abs=1e-12)
    assert variance_sphere(eye, 1).item() == pytest.approx(0, abs=1e-12)
    assert variance_rademacher(eye, 1).item() == 0


def test_gaussian_is_never_better(generator):
    h = torch.stack([symmetric(4, 2, generator) for _ in range(20)])
    assert bool((variance_rademacher(h, 1) <= variance_gaussian(h, 1)).all())
    assert bool((variance_sphere(h, 1) <= variance_gaussian(h, 1)).all())


def test_more_samples_than_numbers():
    with pytest.raises(ConfigError, match="4 samples of 3 numbers"):
        variance_sparse(torch.ones(3), 4)
