"""The mean over all outcomes of a draw, enumerated, is the exact value and gradient to rounding: no statistics."""

import itertools

import pytest
import torch

from kjet.errors import ConfigError
from kjet.jets import Laplacian, Trace, contract
from kjet.jets.estimators import STDE, Hutchinson, Weighted
from kjet.jets.estimators.evaluate import directional, summed
from kjet.jets.estimators.targets import target_of

TOLERANCE = {"rtol": 1e-11, "atol": 1e-11}  # orders 4 and 6 lose about two digits by polarisation


def outcomes(stratum, population, replacement=False):
    """All equally likely samples of a population."""
    if replacement:
        return itertools.product(range(population), repeat=stratum.samples)
    return itertools.combinations(range(population), stratum.samples)


def mean_of(f, x, family, numbers):
    """Average of the estimate over a list of random numbers."""
    seeds = [family.build(z, x.dtype, x.device) for z in numbers]
    return torch.stack([summed(f, x, family, each) for each in seeds]).mean(0)


def index_sets(family, populations, replacement=False):
    parts = [outcomes(s, p, replacement) for s, p in zip(family.strata, populations, strict=True)]
    return [[torch.tensor(part) for part in parts] for parts in itertools.product(*map(list, parts))]


@pytest.mark.parametrize("replacement", [False, True])
@pytest.mark.parametrize("samples", [1, 2, 3])
@pytest.mark.parametrize("axes", [range(4), (0, 1, 3), range(1, 4)], ids=str)
def test_sparse_laplacian(samples, replacement, axes, wavy, x, exact):
    family = STDE(samples, replacement).family(Trace(axes, 1), 4)
    sets = index_sets(family, [len(axes)], replacement)
    torch.testing.assert_close(mean_of(wavy, x, family, sets), exact(wavy, x, Trace(axes, 1)), **TOLERANCE)


@pytest.mark.parametrize("samples", [1, 2, 3])
def test_sparse_weights(weighted, samples, wavy, x, exact):
    blocks = target_of(weighted, 4)
    family = STDE(samples).family_of(blocks, 4)
    sets = index_sets(family, [block.columns.count for block in blocks])
    torch.testing.assert_close(mean_of(wavy, x, family, sets), exact(wavy, x, weighted), **TOLERANCE)


@pytest.mark.parametrize("replacement", [False, True])
@pytest.mark.parametrize(
    ("samples", "axes", "power", "population"),
    [
        (1, range(4), 2, 6),
        (2, range(4), 2, 6),
        (2, (0, 2, 3), 2, 3),
        (1, (1, 3), 2, 1),
        (1, range(4), 3, 4),
        (2, range(4), 3, 4),
    ],
    ids=str,
)
def test_sparse_powers(samples, axes, power, population, replacement, wavy, x, exact):
    trace = Trace(axes, power)
    family = STDE(samples, replacement).family(trace, 4)
    sets = [torch.tensor(numbers) for numbers in outcomes(family.strata[0], population, replacement)]
    torch.testing.assert_close(mean_of(wavy, x, family, sets), exact(wavy, x, trace), **TOLERANCE)


def test_sparse_sets_of_each_point(wavy, x, exact):
    """Two points with sets of their own: all pairs of outcomes."""
    family = STDE(2, per_point=True).family(Trace(range(4), 1), 4)
    sets = [torch.tensor(c) for c in itertools.combinations(range(4), 2)]
    pairs = [[torch.stack(pair, 1)] for pair in itertools.product(sets, sets)]
    torch.testing.assert_close(mean_of(wavy, x, family, pairs), exact(wavy, x, Laplacian()), **TOLERANCE)


def test_sparse_pairs_of_each_point(wavy, x, exact):
    family = STDE(1, per_point=True).family(Trace(range(4), 2), 4)
    pairs = [torch.tensor([pair]) for pair in itertools.product(range(6), repeat=2)]
    torch.testing.assert_close(mean_of(wavy, x, family, pairs), exact(wavy, x, Trace(range(4), 2)), **TOLERANCE)


def sign_vectors(count, samples):
    return [
        torch.tensor(z).double().reshape(samples, count) for z in itertools.product((1, -1), repeat=samples * count)
    ]


def test_rademacher_laplacian(wavy, x, exact):
    family = Hutchinson(2).family(Trace(range(4), 1), 4)
    numbers = [[z] for z in sign_vectors(4, 2)]
    torch.testing.assert_close(mean_of(wavy, x, family, numbers), exact(wavy, x, Laplacian()), **TOLERANCE)


def test_rademacher_weights(weighted, wavy, x, exact):
    blocks = target_of(weighted, 4)
    family = Hutchinson(1).family_of(blocks, 4)
    parts = [sign_vectors(block.columns.count, 1) for block in blocks]
    numbers = [list(z) for z in itertools.product(*parts)]
    torch.testing.assert_close(mean_of(wavy, x, family, numbers), exact(wavy, x, weighted), **TOLERANCE)


@pytest.mark.parametrize("corrections", [1, 2, 4, 9])
def test_rademacher_biharmonic_with_its_correction(corrections, wavy, x, exact):
    family = Hutchinson(1, corrections=corrections).family(Trace(range(4), 2), 4)
    axes = itertools.combinations(range(4), min(corrections, 4))
    numbers = [[z, torch.tensor(c)] for z, c in itertools.product(sign_vectors(4, 1), list(axes))]
    torch.testing.assert_close(mean_of(wavy, x, family, numbers), exact(wavy, x, Trace(range(4), 2)), **TOLERANCE)


def hermite(nodes):
    """Gauss-Hermite rule for the standard normal law, from the eigenvectors of its Jacobi matrix."""
    jacobi = torch.diag(torch.arange(1, nodes).double().sqrt(), 1)
    places, vectors = torch.linalg.eigh(jacobi + jacobi.T)
    return places, vectors[0] ** 2


@pytest.mark.parametrize("power", [1, 2, 3])
def test_gaussian_by_quadrature(power, wavy, x, exact):
    """Moments up to order 2 m of one vector: m + 1 nodes for each axis are exact."""
    trace = Trace((0, 2, 3), power)
    family = Hutchinson(1, law="gaussian").family(trace, 4)
    places, weights = hermite(power + 1)
    total = 0.0
    for chosen in itertools.product(range(power + 1), repeat=3):
        z = places[list(chosen)].reshape(1, 3)
        seeds = family.build([z], x.dtype, x.device)
        total = total + weights[list(chosen)].prod() * summed(wavy, x, family, seeds)
    torch.testing.assert_close(total, exact(wavy, x, trace), **TOLERANCE)


@pytest.mark.parametrize("power", [1, 2, 3])
def test_sphere_by_quadrature(power, wavy, x, exact):
    """On the circle, equally spaced angles are exact up to their number."""
    trace = Trace((1, 3), power)
    family = Hutchinson(1, law="sphere").family(trace, 4)
    angles = torch.arange(8).double() * (2 * torch.pi / 8)
    numbers = [[2**0.5 * torch.stack([a.cos(), a.sin()]).reshape(1, 2)] for a in angles]
    torch.testing.assert_close(mean_of(wavy, x, family, numbers), exact(wavy, x, trace), **TOLERANCE)


def test_sphere_of_three_axes_by_an_icosahedron(wavy, x, exact):
    """Its twelve vertices are a spherical 5-design."""
    trace, golden = Trace((0, 1, 3), 2), (1 + 5**0.5) / 2
    corners = [
        torch.roll(torch.tensor([0.0, a, b * golden], dtype=torch.float64), shift)
        for shift in range(3)
        for a in (1, -1)
        for b in (1, -1)
    ]
    numbers = [[(corner * (3**0.5 / corner.norm())).reshape(1, 3)] for corner in corners]
    family = Hutchinson(1, law="sphere").family(trace, 4)
    torch.testing.assert_close(mean_of(wavy, x, family, numbers), exact(wavy, x, trace), **TOLERANCE)


CASES = {
    "sparse": (STDE(2), 1, lambda f: index_sets(f, [4])),
    "sparse_pairs": (STDE(1), 2, lambda f: [torch.tensor([k]) for k in range(6)]),
    "signs": (Hutchinson(1), 1, lambda f: [[z] for z in sign_vectors(4, 1)]),
    "corrected_signs": (
        Hutchinson(1),
        2,
        lambda f: [[z, torch.tensor([k])] for z in sign_vectors(4, 1) for k in range(4)],
    ),
}


@pytest.mark.parametrize("name", CASES)
def test_gradients_to_parameters(name, network, x, exact):
    """Gradients of a linear functional of the estimate, averaged over all outcomes."""
    estimator, power, enumerate_ = CASES[name]
    net, trace = network(4, 2), Trace(range(4), power)
    family = estimator.family(trace, 4)
    numbers = enumerate_(family)

    def gradient(value):
        return torch.cat([g.flatten() for g in torch.autograd.grad(value.sum(), list(net.parameters())[:-1])])

    found = [gradient(summed(net, x, family, family.build(z, x.dtype, x.device))) for z in numbers]
    torch.testing.assert_close(torch.stack(found).mean(0), gradient(exact(net, x, trace)), **TOLERANCE)


def test_two_sample_loss_is_unbiased_and_the_square_is_not(wavy, x, exact):
    """Over all pairs of outcomes: E a b = (L u - f)^2, E a^2 = that and the variance."""
    family = STDE(2).family(Trace(range(4), 1), 4)
    sets = index_sets(family, [4])
    residuals = torch.stack([summed(wavy, x, family, family.build(z, x.dtype, x.device)) for z in sets]) - 0.7
    wanted = (exact(wavy, x, Laplacian()) - 0.7) ** 2
    products = (residuals.unsqueeze(0) * residuals.unsqueeze(1)).mean((0, 1))
    torch.testing.assert_close(products, wanted, **TOLERANCE)
    torch.testing.assert_close(residuals.square().mean(0), wanted + residuals.var(0, correction=0), **TOLERANCE)


@pytest.mark.parametrize(
    ("estimator", "power", "numbers"),
    [
        (STDE(2), 1, lambda f: index_sets(f, [4])),
        (STDE(3), 1, lambda f: index_sets(f, [4])),
        (STDE(2, replacement=True), 1, lambda f: index_sets(f, [4], replacement=True)),
        (STDE(3), 2, lambda f: [torch.tensor(c) for c in itertools.combinations(range(6), 3)]),
        (Hutchinson(2), 1, lambda f: [[z] for z in sign_vectors(4, 2)]),
    ],
    ids=["sparse2", "sparse3", "replacement", "pairs", "signs"],
)
def test_variance_from_one_draw_is_unbiased(estimator, power, numbers, wavy, x):
    """The mean of the estimated variance over all outcomes is the variance of the estimate over all outcomes."""
    check_variance(estimator.family(Trace(range(4), power), 4), numbers, wavy, x)


def test_variance_of_corrected_signs_is_unbiased(wavy, x):
    """Two strata, signs and axes, whose variances add."""

    def numbers(family):
        return [[z, torch.tensor(c)] for z in sign_vectors(2, 2) for c in itertools.combinations(range(2), 2)]

    check_variance(Hutchinson(2).family(Trace((0, 3), 2), 4), numbers, wavy, x)
    with_part = Hutchinson(2, corrections=2).family(Trace((0, 1, 3), 2), 4)
    pairs = list(itertools.combinations(range(3), 2))
    check_variance(with_part, lambda f: [[z, torch.tensor(c)] for z in sign_vectors(3, 2) for c in pairs], wavy, x)


def check_variance(family, numbers, f, x):
    estimates, variances = [], []
    for z in numbers(family):
        values = directional(f, x, family.order, family.build(z, x.dtype, x.device))
        estimates.append(torch.tensordot(family.weights, values, 1))
        variances.append(family.variance(values))
    true = torch.stack(estimates).var(0, correction=0)
    torch.testing.assert_close(torch.stack(variances).mean(0), true, rtol=1e-9, atol=1e-9)


def test_one_sample_has_no_variance(x):
    family = STDE(1).family(Trace(range(4), 1), 4)
    with pytest.raises(ConfigError, match="one sample tells nothing"):
        family.variance(torch.ones(1, 2))


def test_gradients_to_a_trained_weight(wavy, x):
    """Diffusivities that are trained get the gradient of the exact operator, in the mean over all outcomes."""
    factor = torch.tensor([[1.0, 0.5], [0.0, -1.0], [0.3, 0.2], [2.0, 0.1]], dtype=torch.float64, requires_grad=True)
    family = STDE(1).family_of(Weighted(factor=factor).blocks(), 4)
    value = mean_of(wavy, x, family, [[torch.tensor([k])] for k in range(2)]).sum()
    (found,) = torch.autograd.grad(value, factor)
    (wanted,) = torch.autograd.grad(contract(wavy, x, Weighted(factor=factor)).sum(), factor)
    torch.testing.assert_close(found, wanted, **TOLERANCE)
