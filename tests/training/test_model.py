"""The unknowns as one module and one flat vector."""

from __future__ import annotations

import math

import pytest
import torch
from torch import nn

from kjet.errors import ConfigError
from kjet.pde import Unknown
from kjet.training import Model

PARAMETERS = {"nu": 0.5, "a": Unknown(2.0), "b": Unknown(0.25, low=0.0, high=1.0), "c": Unknown(3.0, low=1.0)}


def model(network: nn.Module | None = None, **options) -> Model:
    fields, coords = options.pop("fields", ("u", "v")), options.pop("coords", ("x", "t"))
    core = nn.Sequential(nn.Linear(2, 3), nn.Tanh(), nn.Linear(3, 2)).double() if network is None else network
    return Model(core, options.pop("parameters", PARAMETERS), fields, coords).double()


def test_flat_vector_and_back():
    first = model()
    theta = first.flat()
    assert theta.shape == (3 * 3 + 4 * 2 + 3,)
    assert theta.dtype == torch.float64
    x = torch.rand(5, 2, dtype=torch.float64)
    second = model()
    second.load_flat(theta)
    torch.testing.assert_close(second(x), first(x), rtol=0, atol=0)
    assert torch.equal(second.flat(), theta)
    second.load_flat(theta + 1.0)
    assert torch.equal(second.flat(), theta + 1.0)
    assert torch.equal(first.flat(), theta)


def test_loaded_parameters_are_views():
    made = model()
    theta = made.flat()
    made.load_flat(theta)
    theta.zero_()
    assert all(not bool(p.any()) for p in made.trainable())


def test_frozen_parameters_are_not_in_the_vector():
    core = nn.Sequential(nn.Linear(2, 3), nn.Tanh(), nn.Linear(3, 2)).double()
    core[0].requires_grad_(False)
    made = model(core, parameters={})
    assert made.flat().shape == (8,)
    before = core[0].weight.clone()
    made.load_flat(torch.zeros(8, dtype=torch.float64))
    assert torch.equal(core[0].weight, before)


def test_parameters_start_at_their_guess():
    made = model()
    assert made.found() == pytest.approx({"a": 2.0, "b": 0.25, "c": 3.0}, rel=1e-14)
    values = made.parameter_values()
    assert set(values) == {"nu", "a", "b", "c"}
    assert values["nu"] == 0.5
    assert values["b"].requires_grad


def test_parameters_stay_in_their_bounds():
    made = model()
    for size in (-30.0, 30.0):
        made.load_flat(torch.full_like(made.flat(), size))
        found = made.found()
        assert 0.0 <= found["b"] <= 1.0
        assert found["c"] >= 1.0


def test_values_of_other_free_variables():
    made = model()
    free = {name: torch.zeros(4, dtype=torch.float64) for name in made.free}
    values = made.parameter_values(free)
    assert values["b"].tolist() == [0.5] * 4
    assert values["c"].tolist() == [2.0] * 4
    assert float(values["a"][0]) == 0.0
    assert math.isclose(made.found()["b"], 0.25)


@pytest.mark.parametrize(
    ("network", "message"),
    [
        (nn.Linear(2, 3), r"maps points of shape \(2, 2\) to \(2, 3\); the equation has 2 fields \(u, v\)"),
        (nn.Linear(2, 1), "build it with out_features=2"),
        (nn.Sequential(nn.Linear(2, 2), nn.Flatten(0)), r"to \(4,\)"),
        (nn.Linear(3, 2), r"does not take points of shape \(2, 2\), one column for each of the coordinates x, t"),
        (nn.Tanh(), "the network Tanh has no parameters"),
    ],
)
def test_networks_that_do_not_fit(network, message):
    with pytest.raises(ConfigError, match=message):
        model(network)
