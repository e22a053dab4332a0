"""Functions with known derivatives, operators of every kind, and statistics that the estimators' tests share."""

import math

import pytest
import torch

from kjet.jets import Biharmonic, Derivative, Laplacian, Operator, Trace, contract
from kjet.jets.estimators import Weighted

D = 4
POINTS = torch.tensor([[0.3, -0.5, 0.2, 0.7], [-0.1, 0.4, 0.9, -0.6]], dtype=torch.float64)


def random_matrix(*shape, seed=3):
    return torch.randn(shape, generator=torch.Generator().manual_seed(seed), dtype=torch.float64)


def wavy(x):
    """Two fields whose derivatives of all orders mix all coordinates and differ much between axes."""
    a, b = (torch.tensor(v, dtype=x.dtype, device=x.device) for v in ((1.0, -0.7, 0.4, 1.3), (0.2, 0.9, -1.1, 0.5)))
    first = torch.sin((a * x).sum(-1, keepdim=True)) + (x**4 * b).sum(-1, keepdim=True)
    second = torch.exp(0.5 * (b * x).sum(-1, keepdim=True)) + (x**2 * a).sum(-1, keepdim=True) ** 2
    return torch.cat([first, second], -1)


VARYING = random_matrix(2, D, D)
FACTOR = random_matrix(2, D, 3, seed=4)
NU = torch.tensor([0.5, 2.0], dtype=torch.float64)

TRACES = {
    "laplacian": Laplacian(),
    "some_axes": Laplacian(axes=(3, 0, 1)),
    "trace": Trace(range(1, 4), 1),
    "biharmonic": Biharmonic(),
    "biharmonic_plane": Biharmonic(axes=(0, 2)),
    "trace_biharmonic": Trace((0, 1, 3), 2),
}
"""Operators that every estimator takes."""

HIGHER = {"power_3": Trace(range(D), 3)}

WEIGHTED = {
    "diagonal": Laplacian(torch.diag(torch.tensor([1.0, 3.0, 0.5, 2.0], dtype=torch.float64))),
    "indefinite_diagonal": Weighted(diagonal=torch.tensor([1.0, -3.0, 0.0, 2.0], dtype=torch.float64)),
    "definite": Laplacian(VARYING[0] @ VARYING[0].T),
    "indefinite": Laplacian(VARYING[0]),
    "low_rank": Weighted(factor=FACTOR[0]),
    "signed": Weighted(factor=FACTOR[0], signs=(1, -1, 1)),
    "varying_diagonal": Weighted(diagonal=random_matrix(2, D, seed=7)),
    "varying_definite": Weighted(weight=VARYING @ VARYING.mT),
    "varying_indefinite": Weighted(weight=VARYING),
    "varying_factor": Weighted(factor=FACTOR),
    "varying_signed": Weighted(factor=FACTOR, signs=(1, -1, 1)),
}
"""Second-order operators with weights."""

SUMS = {
    "heat": Operator({(0, 0, 0, 1): 1.0, (2, 0, 0, 0): -0.5, (0, 2, 0, 0): -0.5, (0, 0, 2, 0): -0.5}),
    "second_order": Operator({(2, 0, 0, 0): 1.0, (0, 1, 1, 0): -2.0, (0, 0, 0, 2): 0.5, (0, 0, 0, 0): 3.0}),
    "varying_terms": Operator({(2, 0, 0, 0): NU, (0, 2, 0, 0): 1.0, (0, 1, 0, 1): -NU, (1, 0, 0, 0): NU}),
    "trained": Operator({(2, 0, 0, 0): NU, (0, 2, 0, 0): NU, (0, 0, 0, 0): 1.0}),
    "traced": Operator({Trace(range(3)): -0.5, (0, 0, 0, 1): 1.0, (0, 0, 0, 0): 2.0}),
    "traced_varying": Operator({Trace((0, 1, 3)): NU, Trace((0, 2), 2): NU, (1, 0, 0, 0): NU}),
    "product": Operator({Derivative(((3, 1),), (Trace(range(3)),)): 1.0, (0, 0, 2, 0): 1.0}),
    "kuramoto": Operator(
        {(4, 0, 0, 0): 1.0, (2, 2, 0, 0): 2.0, (0, 4, 0, 0): 1.0, (2, 0, 0, 0): 1.0, (0, 2, 0, 0): 1.0}
    ),
}
"""Sums of terms that dense directions take, too."""

TERMS = {
    "third_order": Operator({(3, 0, 0, 0): 1.0, (1, 2, 0, 0): -1.0, (0, 0, 1, 2): 2.0, (1, 0, 0, 0): 1.0}),
    "mixed_fourth": Operator({(4, 0, 0, 0): 1.0, (0, 2, 2, 0): 0.5, (0, 0, 1, 3): -1.0, (0, 2, 0, 0): 1.0}),
}
"""Sums of terms that only sparse directions take."""


SOME = ["some_axes", "biharmonic", "definite", "indefinite", "varying_indefinite", "varying_signed", "heat",
        "traced_varying", "product", "kuramoto"]  # fmt: skip
"""A few of every kind."""


def exact(f, x, operator):
    """Value by the exact planner, which has tests of its own against nested autograd."""
    return contract(f, x, Operator({operator: 1.0}) if isinstance(operator, Trace) else operator)


def five_sigma(samples, wanted, axis=0):
    """Mean of independent samples against the truth, at five standard errors and not below rounding."""
    count = samples.shape[axis]
    error = (samples.mean(axis) - wanted).abs()
    bound = 5 * samples.std(axis) / math.sqrt(count) + 1e-10 * (1 + wanted.abs())
    assert bool((error <= bound).all()), f"error {error.tolist()} above {bound.tolist()}"


@pytest.fixture(name="wavy")
def _wavy():
    return wavy


@pytest.fixture(name="exact")
def _exact():
    return exact


@pytest.fixture(name="five_sigma")
def _five_sigma():
    return five_sigma


@pytest.fixture
def x():
    return POINTS.clone()


@pytest.fixture
def generator():
    return torch.Generator().manual_seed(20)


def pytest_generate_tests(metafunc):
    tables = {
        "trace": TRACES,
        "weighted": WEIGHTED,
        "sparse_operator": {**TRACES, **HIGHER, **WEIGHTED, **SUMS, **TERMS},
        "dense_operator": {**TRACES, **WEIGHTED, **SUMS},
        "some_operator": {key: {**TRACES, **WEIGHTED, **SUMS}[key] for key in SOME},
    }
    for name, table in tables.items():
        if name in metafunc.fixturenames:
            metafunc.parametrize(name, list(table.values()), ids=list(table))
