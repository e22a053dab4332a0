"""Errors at test points: kept or drawn anew, they are the same; so are those of predictors without a network."""

from __future__ import annotations

import dataclasses
from types import SimpleNamespace

import pytest
import torch

from kjet.errors import ConfigError
from kjet.operators import MLPConfig
from kjet.pde import PointFunction, best_trivial_predictor
from kjet.problems import BurgersProblem, Poisson2DProblem, SineGordonHDProblem, SineGordonParabolicHDProblem
from kjet.training import ConstraintConfig, reference
from kjet.training.reference import ErrorMeter, measure_errors, reference_values
from kjet.training.setup import build_model


def meter(problem, count=None, dtype=torch.float64):
    generator = torch.Generator().manual_seed(0)
    model, _ = build_model(
        problem, MLPConfig(width=4, depth=1), ConstraintConfig(), generator=generator, dtype=dtype, device="cpu"
    )
    return ErrorMeter(problem, model, count, dtype, "cpu")


def test_errors_at_points_that_are_drawn_anew(monkeypatch):
    """In parts the points are others, but of one law: the errors are close; and every measurement is the same."""
    problem = SineGordonHDProblem(dim=40).build()
    whole = meter(problem, 4000)
    monkeypatch.setattr(reference, "_NUMBERS", 40 * 70)
    parts = meter(problem, 4000)
    sizes = [len(x) for x in parts._parts()]
    assert (sum(sizes), max(sizes), sizes[-1]) == (4000, 70, 10)
    assert parts._kept is None
    assert parts.expected["u"].shape == (4000,)
    assert parts() == parts() == pytest.approx(parts.errors()["u"]["rel_l2"], rel=1e-12)
    assert parts() == pytest.approx(whole(), rel=1e-2)
    for (name, error), (other, same) in [(parts.trivial(), whole.trivial())]:
        assert name == other
        assert error == pytest.approx(same, rel=0.1)


def test_the_reference_is_evaluated_where_the_model_is(monkeypatch):
    problem = SineGordonHDProblem(dim=40).build()
    monkeypatch.setattr(reference, "_NUMBERS", 40 * 7)
    found = meter(problem, 30, torch.float32)
    x = torch.cat(list(found._parts()))
    assert x.dtype == torch.float32
    torch.testing.assert_close(found.expected["u"], problem.reference.at(x.double()))
    with torch.no_grad():
        torch.testing.assert_close(found.found()["u"].float(), found.model(x)[:, 0])


def test_test_points_are_those_of_earlier_versions():
    """Results are compared across versions; the points are part of what is compared."""
    found = meter(Poisson2DProblem().build())
    x = found.problem.domain.interior(
        10000, sampler="uniform", generator=torch.Generator().manual_seed(20240229), dtype=torch.float64
    ).x
    assert torch.equal(found._kept, x)


@pytest.mark.parametrize(("d", "count"), [(2, 10000), (1000, 10000), (100_000, 1342), (10_000_000, 200)])
def test_fewer_points_in_many_dimensions(d, count):
    problem = SimpleNamespace(domain=SimpleNamespace(dim=d), reference=None, trivial=None)
    made = ErrorMeter(problem, None, None, torch.float32, "cpu")
    assert made.count == count
    assert ErrorMeter(problem, None, 17, torch.float32, "cpu").count == 17
    assert made() is None
    assert made.errors() == {}
    assert made.trivial() is None


@pytest.mark.parametrize("make", [SineGordonHDProblem, SineGordonParabolicHDProblem])
def test_the_best_predictor_without_a_network(make):
    problem = make(dim=15).build()
    found = meter(problem, 500)
    fit = problem.domain.interior(
        4000, sampler="uniform", generator=torch.Generator().manual_seed(20240301), dtype=torch.float64
    )
    time = problem.domain.time is not None
    expected = best_trivial_predictor(problem.reference.at, fit.x, found._kept, time=time)
    assert found.trivial() == (expected.name, pytest.approx(expected.error, rel=1e-9))


def test_predictors_of_the_wrong_shape():
    problem = dataclasses.replace(SineGordonHDProblem(dim=3).build(), trivial=lambda fit: {"bad": lambda x: x})
    with pytest.raises(ConfigError, match=r"has shape \(20, 3\) at 20 points; expected one number each"):
        meter(problem, 20).trivial()


def test_a_reference_of_all_coordinates_gets_the_points_as_they_are():
    problem = SineGordonHDProblem(dim=6).build()
    seen = []

    def value(x):
        seen.append(x)
        return x.sum(-1)

    x = torch.rand(5, 6, dtype=torch.float64)
    own = dataclasses.replace(problem, reference=PointFunction(value, problem.domain.coords))
    assert torch.equal(reference_values(own, x)["u"], x.sum(-1))
    assert seen == [x]
    other = dataclasses.replace(problem, reference=PointFunction(value, problem.domain.coords[::-1]))
    reference_values(other, x)
    assert torch.equal(seen[1], x.flip(1))


def test_columns_by_name_for_all_others():
    problem = BurgersProblem().build()
    x = torch.tensor([[0.3, 0.0]], dtype=torch.float64)
    assert float(reference_values(problem, x)["u"]) == pytest.approx(float(-torch.sin(torch.pi * x[0, 0])), abs=1e-8)
    with pytest.raises(ConfigError, match="no reference"):
        reference_values(dataclasses.replace(problem, reference=None), x)


def test_relative_errors():
    found = measure_errors({"u": torch.tensor([3.0, 0.0])}, {"u": torch.tensor([3.0, 4.0])})
    assert found == {"u": {"rel_l2": pytest.approx(0.8), "rel_linf": 1.0}}
