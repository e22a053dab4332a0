"""A method on balanced terms: what it is given, what it keeps, what it refuses."""

from __future__ import annotations

import pytest
import torch

import kjet
from kjet.errors import ConfigError
from kjet.optim import SOAP, Adam, Auto, FirstOrder, GaussNewton, Optimizer
from kjet.optim.balance import NTK, BalancedMethod, ConFIG, Unbalanced, balanced, conflict_free
from kjet.problems import Poisson2DProblem
from tests.optim.balance.conftest import stored


class Terms:
    """Two or more terms, sums of squares of linear forms."""

    def __init__(self, theta, matrices, counter):
        self.theta = theta.detach().requires_grad_()
        self.losses = torch.stack([(m @ self.theta - 1).square().sum() for m in matrices])
        self.counter = counter

    @property
    def values(self):
        return self.losses.detach()

    def gradients(self, which=None):
        chosen = range(len(self.losses)) if which is None else which
        self.counter["gradients"] += len(chosen)
        return torch.stack([self._gradient(self.losses[i]) for i in chosen])

    def gradient(self, weights):
        return self._gradient(self.losses @ weights)

    def _gradient(self, loss):
        return torch.autograd.grad(loss, self.theta, retain_graph=True)[0]


class Split:
    """An objective of the terms above."""

    sizes = (3, 2)

    def __init__(self):
        generator = torch.Generator().manual_seed(0)
        self.matrices = [torch.randn(n, 4, generator=generator, dtype=torch.float64) for n in self.sizes]
        self.counter = {"gradients": 0, "jacobian": 0}

    def loss_terms(self, theta):
        return Terms(theta, self.matrices, self.counter)

    def residual_and_jacobian(self, theta):
        self.counter["jacobian"] += 1
        return torch.cat([m @ theta - 1 for m in self.matrices]), torch.cat(self.matrices)


START = torch.ones(4, dtype=torch.float64)


def run(method, steps, objective=None, theta=START, state=None):
    objective, state = objective or Split(), method.init(theta) if state is None else state
    for _ in range(steps):
        step = method.step(objective, theta, state)
        theta, state = step.theta, step.state
    return step


@pytest.mark.parametrize("method", [Adam(learning_rate=0.03), SOAP(learning_rate=0.03)])
def test_goes_on_bit_for_bit_from_a_file(balance, method):
    joint = BalancedMethod(method, balance)
    assert isinstance(joint, Optimizer)
    whole = run(joint, 13)
    first = run(joint, 1)
    half = run(joint, 5, theta=first.theta, state=stored(first.state))
    again = run(joint, 7, theta=half.theta, state=stored(half.state))
    assert torch.equal(again.theta, whole.theta)
    assert stored(whole.state).keys() == again.state.keys()


def test_losses_fall_and_are_those_without_weights(balance):
    objective = Split()
    step = run(BalancedMethod(Adam(learning_rate=0.03), balance), 300, objective)
    start = float(objective.loss_terms(START).values.sum())
    before = run(BalancedMethod(Adam(learning_rate=0.03), balance), 299, Split()).theta
    assert step.loss == pytest.approx(float(objective.loss_terms(before).values.sum()), rel=1e-12)
    assert step.loss < 0.2 * start


class Descent(FirstOrder):
    """``theta - rate g``, to see the gradient."""

    def _start(self, theta):
        return {}

    def _update(self, theta, gradient, state, rate, objective):
        theta.sub_(gradient, alpha=rate)
        return {}


def test_the_direction_takes_the_place_of_the_gradient():
    method = BalancedMethod(Descent(learning_rate=0.01, schedule="constant"), ConFIG())
    expected = START - 0.01 * conflict_free(Split().loss_terms(START).gradients())
    torch.testing.assert_close(run(method, 1).theta, expected, rtol=1e-12, atol=0)


def test_weights_stay_for_the_steps_that_the_balance_says():
    objective = Split()
    joint = BalancedMethod(Adam(), NTK(decay=0.0))
    first = run(joint, 1, objective)
    weights = first.state["weights"]
    last = run(joint, 100, objective)
    assert objective.counter["jacobian"] == 2  # once for each of the two runs
    assert torch.equal(last.state["weights"], weights)
    traces = torch.stack([m.square().sum() for m in objective.matrices])
    torch.testing.assert_close(weights, traces.sum() / traces)
    assert last.info["weight_1"] == pytest.approx(float(weights[1]))


def test_what_cannot_be_balanced_is_refused():
    for method in (GaussNewton(), Auto()):
        with pytest.raises(ConfigError, match=r"cannot be balanced: .* optimizer=soap or adam, or balance=none"):
            balanced(method, ConFIG())
        assert balanced(method, Unbalanced()) is method
    with pytest.raises(ConfigError, match=r"balance is 3; give one of kjet\.optim\.balance"):
        balanced(Adam(), 3)
    with pytest.raises(ConfigError, match="does not tell the terms of its loss"):
        BalancedMethod(Adam(), ConFIG()).step(object(), START, {"looks": 0})


@pytest.mark.parametrize("name", ["config", "jacobian_descent", "ntk", "grad_norm", "relobralo", "momentum_config"])
def test_solve_balances_by_name(name):
    problem = Poisson2DProblem().build()
    made = kjet.solve(problem, optimizer="adam", balance=name, constraint="soft", max_steps=4, progress=False)
    assert made.summary()["optimizer"].startswith("Adam balanced by ")


def test_a_single_term_is_refused():
    with pytest.raises(ConfigError, match=r"balancing needs at least two terms; ConFIG got 1"):
        kjet.solve(
            Poisson2DProblem().build(),
            optimizer="adam",
            balance="config",
            constraint="hard",
            max_steps=4,
            progress=False,
        )


def test_other_means_to_the_gradient_are_refused():
    with pytest.raises(ConfigError, match=r"evaluates the sum of all terms, which a balance takes apart"):
        kjet.solve(
            Poisson2DProblem().build(), optimizer="adam", balance="config", constraint="soft", memory_mb=100.0,
            max_steps=4, progress=False,
        )  # fmt: skip
