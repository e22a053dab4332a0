"""The compact form of L-BFGS against the two-loop recursion."""

from __future__ import annotations

import pytest
import torch

from kjet.errors import ConfigError
from kjet.optim import LBFGS


def _two_loop(pairs, gradient):
    q, alphas = gradient.clone(), []
    for s, y in reversed(pairs):
        alphas.append(float(s @ q) / float(s @ y))
        q = q - alphas[-1] * y
    if pairs:
        s, y = pairs[-1]
        q = q * (s @ y) / (y @ y)
    for (s, y), alpha in zip(pairs, reversed(alphas), strict=True):
        q = q + (alpha - float(y @ q) / float(s @ y)) * s
    return -q


@pytest.mark.parametrize("history", [1, 4, 50])
def test_direction_is_that_of_the_two_loop_recursion(kit, history):
    case, optimizer, pairs = kit.tanh_regression(), LBFGS(history=history), []
    theta, state = case.theta, optimizer.init(case.theta)
    for _ in range(15):
        step = optimizer.step(case.objective, theta, state)
        g0, g1 = (case.objective.value_and_gradient(x)[1] for x in (theta, step.theta))
        pairs = [*pairs, (step.theta - theta, g1 - g0)][-history:]
        theta, state = step.theta, step.state
        expected = _two_loop(pairs, g1)
        found = optimizer._direction(state, g1)
        torch.testing.assert_close(found, expected, rtol=1e-7, atol=1e-8 * float(expected.norm()))


@pytest.mark.parametrize("problem", ["rosenbrock", "tanh_regression"])
def test_converges(kit, problem):
    history = kit.run(LBFGS(), getattr(kit, problem)(), 400)
    assert history[-1].loss < 1e-6 * history[0].loss


def test_quadratic_in_about_p_steps(kit):
    p = 12
    history = kit.run(LBFGS(c1=1e-8, c2=1e-7), kit.linear(p, p), p + 4)
    assert history[-1].loss < 1e-12 * history[0].loss


def test_most_steps_take_one_evaluation(kit):
    history = kit.run(LBFGS(), kit.tanh_regression(), 200)
    assert sum(step.evaluations for step in history) < 1.25 * len(history)


def test_history_must_be_positive():
    with pytest.raises(ConfigError, match="LBFGS: history = 0; expected"):
        LBFGS(history=0)
