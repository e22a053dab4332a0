"""Control variates: the mean stays, the variance falls, the coefficient is the best one."""

import pytest
import torch

from kjet.jets import Biharmonic, Laplacian, Operator, Trace
from kjet.jets.estimators import STDE, ControlVariate, Hutchinson, Known, Quadratic, Weighted

H = torch.tensor([1.0, -2.0, 0.5, 3.0], dtype=torch.float64)


def near(x):
    """A quadratic and a little more."""
    return 0.5 * (H * x**2).sum(-1, keepdim=True) + 0.05 * torch.sin((x * H).sum(-1, keepdim=True))


def variance(estimator, f, x, operator, generator, draws=100):
    return torch.stack([estimator(f, x, operator, generator) for _ in range(draws)]).var(0).mean()


@pytest.mark.parametrize("estimator", [STDE(2), STDE(2, per_point=True)])
def test_variance_falls(estimator, x, generator):
    with_it = variance(ControlVariate(estimator, Quadratic(H)), near, x, Laplacian(), generator)
    assert with_it < 0.02 * variance(estimator, near, x, Laplacian(), generator)


def test_nothing_is_left_where_the_surrogate_is_the_function(x, generator):
    estimator = ControlVariate(STDE(1), Quadratic(H))
    found = estimator(lambda z: 0.5 * (H * z**2).sum(-1, keepdim=True), x, Laplacian(), generator)
    torch.testing.assert_close(found, torch.full((2, 1), float(H.sum()), dtype=torch.float64))


QUADRATIC = {
    "laplacian": Laplacian(),
    "axes": Laplacian(axes=(1, 3)),
    "trace": Trace(range(1, 3), 1),
    "biharmonic": Biharmonic(),
    "weight": Laplacian(torch.arange(16, dtype=torch.float64).reshape(4, 4)),
    "varying": Weighted(diagonal=torch.arange(8, dtype=torch.float64).reshape(2, 4)),
    "factor": Weighted(factor=torch.arange(8, dtype=torch.float64).reshape(4, 2)),
    "terms": Operator({(2, 0, 0, 0): 1.0, (0, 1, 0, 0): 2.0, (0, 0, 0, 0): 3.0}),
}


@pytest.mark.parametrize("name", QUADRATIC)
def test_quadratic_knows_its_operators(name, x, exact):
    g = Quadratic(H)
    torch.testing.assert_close(g.value(x, QUADRATIC[name]), exact(g, x, QUADRATIC[name]))


def test_known_surrogates(x, exact, generator):
    """Plane waves: the biharmonic operator of sin(a . x) is |a|^4 sin(a . x)."""
    wave = Known(
        lambda z: torch.sin((z * H).sum(-1, keepdim=True)), lambda z: H.square().sum() ** 2 * torch.sin(z @ H)[:, None]
    )
    estimator = ControlVariate(Hutchinson(1, "gaussian"), wave)
    found = estimator(wave.function, x, Biharmonic(), generator)
    torch.testing.assert_close(found, exact(wave.function, x, Biharmonic()))


def test_fitted_coefficients_are_the_best(x, generator):
    """u = 3 g for one field and -g/2 for the other, each with its own coefficient."""
    g = Quadratic(H)

    def f(z):
        return torch.cat([3 * g(z), -0.5 * g(z)], -1)

    fitted = ControlVariate(STDE(2), g).fit(f, x, Laplacian(), generator)
    assert fitted.coefficient == pytest.approx((3.0, -0.5))
    torch.testing.assert_close(
        fitted(f, x, Laplacian(), generator), 2 * H.sum() / 2 * torch.tensor([[3.0, -0.5]] * 2).double()
    )


def test_a_poor_surrogate_gets_a_small_coefficient(wavy, x, generator):
    """At its best coefficient a control variate never adds variance, at 1 it does."""
    poor = ControlVariate(STDE(2), Quadratic(20 * H))
    fitted = poor.fit(wavy, x, Laplacian(), generator, draws=32)
    plain = variance(STDE(2), wavy, x, Laplacian(), generator)
    assert (
        variance(fitted, wavy, x, Laplacian(), generator)
        < 1.1 * plain
        < variance(poor, wavy, x, Laplacian(), generator)
    )


def test_a_fitted_one_is_unbiased(wavy, x, exact, five_sigma, generator):
    fitted = ControlVariate(STDE(2), Quadratic(H)).fit(wavy, x, Laplacian(), generator)
    found = torch.stack([fitted(wavy, x, Laplacian(), generator) for _ in range(60)])
    five_sigma(found, exact(wavy, x, Laplacian()))


def test_nothing_to_gain_gives_zero(wavy, x, generator):
    """A surrogate whose estimate has no variance has no best coefficient."""
    fitted = ControlVariate(STDE(2), Quadratic(torch.ones(4).double())).fit(wavy, x, Laplacian(), generator)
    assert fitted.coefficient == (0.0, 0.0)
