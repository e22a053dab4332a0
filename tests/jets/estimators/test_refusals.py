"""What an estimator cannot do without bias, or at all, is refused with the reason."""

import pytest
import torch

from kjet.errors import ConfigError
from kjet.jets import Biharmonic, Laplacian, Operator, Trace
from kjet.jets.estimators import (
    STDE,
    Auto,
    ControlVariate,
    EstimatorError,
    Family,
    Hutchinson,
    Quadratic,
    Stratum,
    Weighted,
)

G = torch.Generator().manual_seed(0)
X = torch.zeros(2, 4)


def f(x):
    return x.sum(-1, keepdim=True) ** 2


THIRD = Operator({(3, 0, 0, 0): 1.0})
REFUSED = {
    "samples_above_d": (
        lambda: STDE(5)(f, X, Laplacian(), G),
        "5 samples without replacement, but the operator has 4 coordinates; take at most 4",
    ),
    "samples_above_axes": (lambda: STDE(3)(f, X, Laplacian(axes=(0, 1)), G), "has 2 coordinates"),
    "samples_above_d_of_pairs": (lambda: STDE(5)(f, X, Biharmonic(), G), "has 4 coordinates"),
    "samples_above_d_weighted": (lambda: STDE(5)(f, X, Laplacian(torch.eye(4)), G), "has 4 coordinates"),
    "samples_above_terms": (lambda: STDE(2)(f, X, THIRD, G), "has 1 terms of one order"),
    "terms_per_point": (
        lambda: STDE(1, per_point=True)(f, X, Operator({(3, 0, 0, 0): 1.0, (0, 1, 2, 0): 1.0}), G),
        "cannot be drawn for each point",
    ),
    "odd_order": (lambda: Hutchinson(2)(f, X, THIRD, G), "odd order 3: the odd moments of a symmetric law are zero"),
    "not_isotropic": (
        lambda: Hutchinson(2, "gaussian")(f, X, Operator({(4, 0, 0, 0): 1.0, (2, 2, 0, 0): 1.0}), G),
        "no multiple of a power of the Laplacian",
    ),
    "fourth_varying": (
        lambda: Hutchinson(2, "gaussian")(f, X, Operator({(4, 0, 0, 0): torch.ones(2)}), G),
        "no multiple of a power of the Laplacian",
    ),
    "rademacher_power_3": (
        lambda: Hutchinson(2)(f, X, Trace(range(4), 3), G),
        "biased for power 3 of the Laplacian: their moments of order 6 are not isotropic",
    ),
    "nonlinear": (lambda: STDE(2)(f, X, lambda u: u**2, G), "A nonlinear function of an estimate is biased"),
    "nonlinear_dense": (lambda: Hutchinson(2)(f, X, "laplacian", G), "only a linear differential operator"),
    "nonlinear_auto": (lambda: Auto(2)(f, X, torch.sin, G), "only a linear differential operator"),
    "control_in_plans": (
        lambda: ControlVariate(STDE(2), Quadratic(torch.ones(4))).family(Trace(range(4), 1), 4),
        "leave a control variate out",
    ),
}
WRONG = {
    "no_generator": (lambda: STDE(2)(f, X, Laplacian()), "needs a generator; pass torch.Generator"),
    "no_generator_dense": (lambda: Hutchinson(2)(f, X, Laplacian()), "needs a generator"),
    "no_generator_terms": (
        lambda: STDE(1)(f, X, Operator({(3, 0, 0, 0): 1.0, (0, 3, 0, 0): 1.0})),
        "needs a generator",
    ),
    "no_generator_auto": (lambda: Auto(2)(f, X, Laplacian()), "needs a generator"),
    "no_samples": (lambda: STDE(0), "samples must be at least 1; got 0"),
    "no_samples_dense": (lambda: Hutchinson(0), "must be at least 1"),
    "no_corrections": (lambda: Hutchinson(1, corrections=0), "must be at least 1"),
    "one_sample_auto": (lambda: Auto(1), "Auto needs at least 2 samples"),
    "margin": (lambda: Auto(2, margin=1.5), "margin=1.5"),
    "law": (lambda: Hutchinson(2, law="gausian"), 'unknown law "gausian".*Did you mean "gaussian"'),
    "points": (
        lambda: STDE(2)(f, torch.zeros(4), Laplacian(), G),
        r"shape \(n, d\), d >= 1; got torch.float32 of \(4,\)",
    ),
    "integers": (lambda: Hutchinson(2)(f, X.long(), Laplacian(), G), "must be floating point"),
    "axes": (lambda: STDE(2)(f, X, Laplacian(axes=(0, 4)), G), "different columns of x, from 0 to 3"),
    "range": (
        lambda: STDE(2)(f, X, Trace(range(2, 6), 1), G),
        r"axes of lap\[2..5\] must be different columns of x, from 0 to 3",
    ),
    "power": (lambda: STDE(2)(f, X, Trace(range(4), 0), G), "power of the Laplacian must be at least 1; got 0"),
    "weight": (lambda: STDE(2)(f, X, Laplacian(torch.eye(3)), G), r"expected \(4, 4\)"),
    "weighted": (
        lambda: STDE(2)(f, X, Weighted(diagonal=torch.ones(3)), G),
        "weight is for 3 coordinates, but x has 4",
    ),
    "weight_of_points": (
        lambda: STDE(2)(f, X, Weighted(diagonal=torch.ones(3, 4)), G),
        "weight is given at 3 points, but x has 2",
    ),
    "weight_of_points_dense": (lambda: Hutchinson(2)(f, X, Weighted(weight=torch.ones(3, 4, 4)), G), "at 3 points"),
    "coefficient": (
        lambda: Hutchinson(2)(f, X, Operator({(1, 1, 0, 0): torch.ones(3)}), G),
        "expected one for each of 2 points",
    ),
    "two_weights": (
        lambda: Weighted(weight=torch.eye(2), diagonal=torch.ones(2)),
        "one of weight, diagonal and factor; got weight, diagonal",
    ),
    "no_weight": (lambda: Weighted(), "got none"),
    "shape": (lambda: Weighted(weight=torch.ones(2, 3)), r"\(d, d\) or \(n, d, d\); got \(2, 3\)"),
    "not_finite": (lambda: Weighted(diagonal=torch.tensor([1.0, float("nan")])), "not finite"),
    "signs": (lambda: Weighted(factor=torch.ones(2, 3), signs=(1, 2, 1)), "signs must be 1 or -1, one for each column"),
    "signs_alone": (lambda: Weighted(diagonal=torch.ones(2), signs=(1, 1)), "signs must be 1 or -1"),
    "pilot": (
        lambda: ControlVariate(STDE(2), Quadratic(torch.ones(4))).fit(f, X, Laplacian(), G, draws=1),
        "at least two draws; got 1",
    ),
    "family": (
        lambda: Family(2, torch.ones(3), (Stratum(2),), lambda *a: None, lambda *a: None),
        "2 directions need as many weights",
    ),
}


@pytest.mark.parametrize("name", REFUSED)
def test_refused(name):
    action, message = REFUSED[name]
    with pytest.raises(ConfigError, match=message) as caught:
        action()
    if not name.startswith("samples"):
        assert isinstance(caught.value, EstimatorError)


@pytest.mark.parametrize("name", WRONG)
def test_wrong(name):
    action, message = WRONG[name]
    with pytest.raises(ConfigError, match=message):
        action()


def test_replacement_lifts_the_limit():
    found = STDE(50, replacement=True)(f, X, Laplacian(), G)
    torch.testing.assert_close(found, torch.full((2, 1), 8.0))
