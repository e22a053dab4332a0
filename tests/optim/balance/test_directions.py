"""ConFIG and JacobianDescent against their definitions, and against independent solvers."""

from __future__ import annotations

import importlib.util
from pathlib import Path

import numpy as np
import pytest
import torch
from scipy.optimize import nnls

from kjet.errors import ConfigError, DivergenceError
from kjet.optim.balance import (
    ConFIG,
    Evidence,
    JacobianDescent,
    MomentumConFIG,
    conflict_free,
    unconflicting_projection,
)
from kjet.optim.balance._cone import nonnegative, project_on_dual_cone

_SPEC = importlib.util.spec_from_file_location("balance_cases", Path(__file__).with_name("conftest.py"))
cases = importlib.util.module_from_spec(_SPEC)
_SPEC.loader.exec_module(cases)

SIZES = [(2, 2), (2, 7), (3, 40), (5, 3), (16, 60), (16, 4), (4, 1)]


def unit(rows: torch.Tensor) -> torch.Tensor:
    norms = rows.norm(dim=1, keepdim=True)
    return rows / torch.where(norms > 0, norms, 1.0)


@pytest.mark.parametrize(("k", "p"), [(2, 2), (2, 7), (3, 40), (16, 60)])
@pytest.mark.parametrize("seed", range(3))
def test_config_agrees_equally_with_all(k, p, seed):
    rows = cases.gradients("random", k, p, seed)
    direction = conflict_free(rows)
    cosines = unit(rows) @ direction / direction.norm()
    assert float(cosines.min()) > 0
    torch.testing.assert_close(cosines, cosines[:1].expand(k), rtol=1e-10, atol=0)
    # its length is that of all projections together
    assert float(direction.norm()) == pytest.approx(float((rows @ direction).sum() / direction.norm()), rel=1e-10)


@pytest.mark.parametrize(("k", "p"), SIZES)
@pytest.mark.parametrize("kind", ["random", "twice", "dependent", "zero"])
def test_config_is_the_pseudo_inverse(k, p, kind):
    rows = cases.gradients(kind, k, p)
    v = np.linalg.pinv(unit(rows).numpy()) @ np.ones(k)
    size = np.linalg.norm(v)
    u = v / size if size > 1e-12 else 0 * v
    expected = (rows.numpy() @ u).sum() * u
    np.testing.assert_allclose(conflict_free(rows).numpy(), expected, rtol=1e-8, atol=1e-10 * np.abs(expected).max())


def test_config_between_opposite_gradients():
    rows = cases.gradients("opposite", 2, 9)
    assert torch.equal(conflict_free(rows), torch.zeros(9, dtype=torch.float64))
    assert torch.equal(conflict_free(torch.zeros(3, 4)), torch.zeros(4))


def test_config_does_not_look_at_duplicates_twice():
    rows = cases.gradients("twice", 2, 9)
    torch.testing.assert_close(conflict_free(rows), 2 * rows[0], rtol=1e-12, atol=0)


def test_config_keeps_its_direction_whatever_the_lengths():
    rows = cases.gradients("random", 3, 20)
    scaled = rows * torch.tensor([[1e-160], [1.0], [1e150]], dtype=torch.float64)
    torch.testing.assert_close(
        unit(conflict_free(scaled)[None]), unit(conflict_free(rows)[None]), rtol=1e-10, atol=1e-12
    )
    torch.testing.assert_close(conflict_free(5 * rows), 5 * conflict_free(rows), rtol=1e-12, atol=0)


@pytest.mark.parametrize(("k", "p"), SIZES)
@pytest.mark.parametrize("kind", cases.KINDS)
@pytest.mark.parametrize("seed", range(2))
def test_upgrad_raises_no_loss(k, p, kind, seed):
    rows = cases.gradients(kind, k, p, seed)
    direction, weights = unconflicting_projection(rows)
    largest = float(rows.norm(dim=1).max())
    assert float((unit(rows) @ direction).min()) >= -1e-13 * k * largest
    torch.testing.assert_close(weights @ rows, direction, rtol=0, atol=1e-10 * largest)
    assert float(weights.min()) >= 1 / k


@pytest.mark.parametrize(("k", "p"), SIZES)
@pytest.mark.parametrize("kind", cases.KINDS)
def test_upgrad_is_the_mean_of_projections(k, p, kind):
    """Each by another solver, from the rows themselves."""
    rows = cases.gradients(kind, k, p)
    units, norms = unit(rows).numpy(), rows.norm(dim=1).numpy()
    expected = np.zeros(p)
    for g, norm in zip(units, norms, strict=True):
        w, _ = nnls(units.T, -g)
        expected += norm * (g + w @ units) / k
    found = unconflicting_projection(rows)[0].numpy()
    np.testing.assert_allclose(found, expected, rtol=0, atol=1e-10 * norms.max())


@pytest.mark.parametrize("seed", range(5))
def test_projections_meet_the_optimality_conditions(seed):
    units = unit(cases.gradients("random", 16, 10, seed))
    target = units[0] - units[1] + 0.3 * units[2]
    x, w = project_on_dual_cone(units, target)
    slopes = units @ x
    assert float(w.min()) >= 0
    assert float(slopes.min()) > -1e-13
    assert float((w * slopes).abs().max()) < 1e-13
    torch.testing.assert_close(x - target, w @ units, rtol=0, atol=1e-12)


def test_nonnegative_least_squares_by_hand():
    a = torch.tensor([[1.0, 0.0], [0.0, 1.0]], dtype=torch.float64)
    assert nonnegative(a, torch.tensor([2.0, -1.0], dtype=torch.float64)).tolist() == [2.0, 0.0]
    assert nonnegative(a, torch.zeros(2, dtype=torch.float64)).tolist() == [0.0, 0.0]
    assert nonnegative(torch.zeros(2, 3, dtype=torch.float64), torch.ones(2, dtype=torch.float64)).tolist() == [0.0] * 3


def test_upgrad_without_conflict_is_the_mean():
    rows = cases.gradients("random", 3, 8).abs()
    direction, weights = unconflicting_projection(rows)
    torch.testing.assert_close(direction, rows.mean(0), rtol=1e-12, atol=0)
    assert weights.tolist() == [1 / 3] * 3


def test_upgrad_is_linear_in_each_length():
    """Of projections that do not depend on lengths: doubling one gradient adds its projection once more."""
    rows = cases.gradients("random", 3, 8)
    one, two, three = (
        unconflicting_projection(rows * torch.tensor([[factor], [1.0], [1.0]]).double())[0] for factor in (1, 2, 3)
    )
    torch.testing.assert_close(two - one, three - two, rtol=0, atol=1e-12 * float(rows.norm()))


def test_upgrad_between_opposite_gradients():
    rows = cases.gradients("opposite", 2, 9)
    assert float(unconflicting_projection(rows)[0].norm()) < 1e-13 * float(rows.norm())


@pytest.mark.parametrize("function", [conflict_free, lambda rows: unconflicting_projection(rows)[0]])
def test_order_and_type(function):
    rows = cases.gradients("random", 4, 12)
    torch.testing.assert_close(function(rows[[2, 0, 3, 1]]), function(rows), rtol=1e-10, atol=1e-10)
    single = function(rows.float())
    assert single.dtype == torch.float32
    torch.testing.assert_close(single.double(), function(rows), rtol=1e-4, atol=1e-5 * float(rows.norm()))


@pytest.mark.parametrize("rule", [ConFIG(), JacobianDescent(), MomentumConFIG()])
def test_gradients_that_are_missing_or_infinite(rule):
    state = rule.init(2, torch.zeros(3))
    with pytest.raises(ConfigError, match="needs"):
        rule.step(Evidence(losses=torch.ones(2)), state)
    with pytest.raises(ConfigError, match="needs"):
        rule.step(Evidence(gradients=torch.ones(3, 3)), state)
    with pytest.raises(DivergenceError, match="3 of 6 entries of the gradients are not finite"):
        rule.step(Evidence(gradients=torch.tensor([[1.0] * 3, [float("nan")] * 3])), state)


# momenta


def test_momenta_of_one_step_are_the_signs_of_config():
    """After one gradient of each term, corrected, Adam's step is d / |d|: that of the pseudo gradient d."""
    rows, rule = cases.gradients("random", 2, 6), MomentumConFIG()
    done = rule.step(Evidence(gradients=rows), rule.init(2, torch.zeros(6, dtype=torch.float64)))
    torch.testing.assert_close(done.direction, conflict_free(rows).sign(), rtol=1e-5, atol=0)


def test_constant_gradients_give_config_with_adams_denominator():
    """Once every term is known, momenta of constant gradients are these, whatever the decay."""
    rows, rule = cases.gradients("random", 3, 6), MomentumConFIG(betas=(0.5, 0.0))
    state = rule.init(3, torch.zeros(6, dtype=torch.float64))
    for _ in range(120):
        (turn,) = rule.wanted(state)
        done = rule.step(Evidence(gradients=rows[turn][None], terms=(turn,)), state)
        state = done.state
    torch.testing.assert_close(done.direction, conflict_free(rows).sign(), rtol=1e-6, atol=0)


def test_momenta_step_by_step():
    """The recurrence of the paper with moving gradients, in NumPy."""
    b1, b2, eps, k, p = 0.9, 0.99, 1e-8, 3, 5
    rule, rng = MomentumConFIG(betas=(b1, b2), eps=eps), np.random.default_rng(0)
    state = rule.init(k, torch.zeros(p, dtype=torch.float64))
    momenta, counts, before, second = np.zeros((k, p)), np.zeros(k), np.zeros(p), np.zeros(p)
    for t in range(1, 12):
        turn, gradient = (t - 1) % k, rng.normal(size=p)
        momenta[turn] = b1 * momenta[turn] + (1 - b1) * gradient
        counts[turn] += 1
        known = counts > 0
        rows = momenta[known] / (1 - b1 ** counts[known])[:, None]
        v = np.linalg.pinv(rows / np.linalg.norm(rows, axis=1, keepdims=True)) @ np.ones(len(rows))
        u = v / np.linalg.norm(v)
        combined = (rows @ u).sum() * u
        first = combined * (1 - b1**t)
        second = b2 * second + (1 - b2) * ((first - b1 * before) / (1 - b1)) ** 2
        before = first
        done = rule.step(Evidence(gradients=torch.from_numpy(gradient)[None], terms=rule.wanted(state)), state)
        state = done.state
        expected = combined / (np.sqrt(second / (1 - b2**t)) + eps)
        np.testing.assert_allclose(done.direction.numpy(), expected, rtol=1e-9, atol=1e-12)


def test_terms_take_turns():
    rule = MomentumConFIG()
    state = rule.init(3, torch.zeros(2))
    turns = []
    for _ in range(7):
        turns += rule.wanted(state)
        state = rule.step(Evidence(gradients=torch.ones(1, 2), terms=rule.wanted(state)), state).state
    assert turns == [0, 1, 2, 0, 1, 2, 0]
    assert state["seen"].tolist() == [3, 2, 2]


def test_momentum_descends_two_losses_that_pull_apart():
    """Both are least at the same point; their valleys are narrow in other directions."""
    scales = torch.tensor([[100.0, 1.0], [1.0, 50.0]], dtype=torch.float64)
    theta, rule = torch.tensor([1.0, -2.0], dtype=torch.float64), MomentumConFIG()
    state = rule.init(2, theta)
    for step in range(2000):
        (turn,) = rule.wanted(state)
        gradient = scales[turn] * theta
        done = rule.step(Evidence(gradients=gradient[None], terms=(turn,)), state)
        theta, state = theta - 0.05 * 0.995**step * done.direction, done.state
    assert float(theta.norm()) < 1e-3


@pytest.mark.parametrize("options", [{"betas": (1.0, 0.9)}, {"eps": 0.0}])
def test_momenta_out_of_range(options):
    with pytest.raises(ConfigError, match=r"MomentumConFIG: .* expected"):
        MomentumConFIG(**options)


@pytest.mark.gpu
@pytest.mark.skipif(not torch.cuda.is_available(), reason="needs a CUDA device")
def test_on_a_gpu():
    rows = cases.gradients("random", 4, 30)
    for function in (conflict_free, lambda rows: unconflicting_projection(rows)[0]):
        torch.testing.assert_close(function(rows.cuda()).cpu(), function(rows), rtol=1e-10, atol=1e-10)
