"""Methods that solve by products, by layers, by parts or to second order, beside dense formulas."""

from __future__ import annotations

import itertools

import pytest
import torch

from kjet.errors import ConfigError
from kjet.optim import (
    GaussNewton,
    GaussNewtonBlock,
    GaussNewtonCG,
    GaussNewtonNystrom,
    NysNewtonCG,
    StochasticGaussNewton,
)
from kjet.optim.gauss_newton_block import blocks_of
from kjet.optim.gram import Gram
from kjet.optim.line_search import Outcome, backtracking

EXACT = {
    "cg": GaussNewtonCG(damping=1e-13, damping_floor=1e-13, forcing=1e-13, max_iterations=500),
    "cg_nystrom": GaussNewtonCG(damping=1e-13, damping_floor=1e-13, forcing=1e-13, rank=30),
    "nystrom": GaussNewtonNystrom(damping=1e-13, damping_floor=1e-13, accuracy=1e-13, rank=5, iterations=500),
    "sketch_of_full_rank": GaussNewtonNystrom(damping=1e-13, damping_floor=1e-13, iterations=1),
    "block_of_all": GaussNewtonBlock(damping=1e-13, damping_floor=1e-13),
    "stochastic": StochasticGaussNewton(damping=1e-13, damping_floor=1e-13),
    "stochastic_fixed": StochasticGaussNewton(damping=1e-13, damping_floor=1e-13, line_search=False),
    # the preconditioner raises rounding where there is no curvature, by one over the damping
    "nncg": NysNewtonCG(damping=1e-9, damping_floor=1e-9, accuracy=1e-13, rank=30, max_iterations=500),
}
LEAST_SQUARES = [GaussNewtonCG, GaussNewtonNystrom, GaussNewtonBlock, StochasticGaussNewton]


@pytest.mark.parametrize(("r", "p"), [(30, 6), (6, 30), (8, 8)])
@pytest.mark.parametrize("optimizer", EXACT.values(), ids=EXACT.keys())
def test_linear_problem_takes_one_step(kit, optimizer, r, p):
    case = kit.linear(r, p)
    first = optimizer.step(case.objective, case.theta, optimizer.init(case.theta))
    J = torch.func.jacrev(case.objective.function)(case.theta)
    expected = case.theta - torch.linalg.pinv(J) @ case.objective.residual(case.theta)
    # the Gram matrix squares the condition number, about 100 here; 1e-9 is the damping of one method
    torch.testing.assert_close(first.theta, expected, rtol=1e-6, atol=1e-6)


@pytest.mark.parametrize(("points", "width"), [(40, 8), (15, 12)])
@pytest.mark.parametrize(
    "optimizer",
    [
        GaussNewtonCG(forcing=1e-12, max_iterations=500, acceleration=False),
        GaussNewtonCG(forcing=1e-12, rank=12, acceleration=False),
        GaussNewtonNystrom(rank=6, accuracy=1e-12, iterations=500, acceleration=False),
        StochasticGaussNewton(acceleration=False),
    ],
    ids=["cg", "cg_nystrom", "nystrom", "stochastic"],
)
def test_directions_are_those_of_the_dense_system(kit, optimizer, points, width):
    case = kit.tanh_regression(points=points, width=width)
    state = optimizer.init(case.theta) | {"damping": 1e-3}
    step = optimizer.step(case.objective, case.theta, state)
    r, J = case.objective.residual_and_jacobian(case.theta)
    gram = Gram.build(J)
    # the matrix-free method knows the mean eigenvalue from a few random vectors only
    damping = step.info["lambda"] / gram.scale if "lambda" in step.info else step.info["damping"]
    expected = gram.solve(r, damping)
    # accuracy of the iterations times the root of the condition number, 1e3 and 30
    torch.testing.assert_close(
        (case.theta - step.theta) / step.info["step_length"], expected.vector, rtol=1e-7, atol=1e-7
    )
    if "predicted_decrease" in step.info:
        assert step.info["predicted_decrease"] == pytest.approx(expected.decrease, rel=1e-8)


@pytest.mark.parametrize(
    "optimizer",
    [
        GaussNewtonNystrom(rank=6, accuracy=1e-13, iterations=500),
        StochasticGaussNewton(),
    ],
)
def test_curved_steps_are_those_of_gauss_newton(kit, optimizer):
    case = kit.tanh_regression()
    dense = GaussNewton(damping=1e-3)
    expected = dense.step(case.objective, case.theta, dense.init(case.theta))
    step = optimizer.step(case.objective, case.theta, optimizer.init(case.theta) | {"damping": 1e-3})
    if step.info["step_length"] != expected.info["step_length"]:  # backtracking takes the first step, not the best
        pytest.skip("other step lengths")
    torch.testing.assert_close(step.theta, expected.theta, rtol=1e-7, atol=1e-7)


def test_mean_eigenvalue_is_estimated_without_bias(kit):
    case = kit.tanh_regression()
    exact = Gram.build(case.objective.residual_and_jacobian(case.theta)[1]).scale
    steps = (
        GaussNewtonCG(seed=seed).step(case.objective, case.theta, GaussNewtonCG().init(case.theta))
        for seed in range(60)
    )
    found = torch.tensor([step.info["lambda"] / step.info["damping"] for step in steps], dtype=torch.float64)
    assert abs(float(found.mean()) - exact) < 4.0 * float(found.std()) / len(found) ** 0.5
    assert float(found.std()) < 0.6 * exact


def test_dense_nystrom_has_the_scale_of_gauss_newton(kit):
    case = kit.tanh_regression()
    optimizer = GaussNewtonNystrom()
    step = optimizer.step(case.objective, case.theta, optimizer.init(case.theta))
    exact = Gram.build(case.objective.residual_and_jacobian(case.theta)[1]).scale
    assert step.info["lambda"] == pytest.approx(optimizer.damping * exact, rel=1e-12)


def test_newton_direction_is_that_of_the_dense_hessian(kit):
    case = kit.tanh_regression(noise=0.3)
    # to where the Hessian is positive definite but not that of Gauss-Newton: the noise stays
    theta = kit.run(GaussNewton(), case, 60)[-1].theta
    theta = theta + 1e-3 * torch.randn(len(theta), generator=torch.Generator().manual_seed(0), dtype=theta.dtype)
    gradient = torch.func.grad(lambda x: case.objective.function(x).square().sum())
    optimizer = NysNewtonCG(damping=10.0, rank=25, accuracy=1e-12, max_iterations=500)
    step = optimizer.step(case.objective, theta, optimizer.init(theta))
    H = torch.func.jacrev(gradient)(theta) + step.info["mu"] * torch.eye(len(theta), dtype=theta.dtype)
    assert step.info["negative_curvature"] == 0.0
    expected = torch.linalg.solve(H, gradient(theta))
    torch.testing.assert_close((theta - step.theta) / step.info["step_length"], expected, rtol=1e-6, atol=1e-9)


def test_newton_descends_where_the_curvature_is_negative(kit):
    objective = kit.Residuals(lambda x: torch.stack([x[0].square() - 4.0, 0.5 * x[1]]))
    theta = torch.tensor([0.1, 1.0], dtype=torch.float64)  # a ridge: second derivative -16
    optimizer = NysNewtonCG()
    first = optimizer.step(objective, theta, optimizer.init(theta))
    assert first.info["negative_curvature"] == 1.0
    assert first.loss < float(objective.loss(theta))
    assert kit.run(optimizer, kit.Case(objective, theta), 60)[-1].loss < 1e-12


def test_newton_converges_quadratically_where_residuals_stay(kit):
    case = kit.linear(6, 3)
    bent = kit.Residuals(lambda x: case.objective.function(x + 0.3 * x.square()))
    start = kit.run(NysNewtonCG(), kit.Case(bent, 0.1 * case.theta), 12)[-1].theta
    optimizer = NysNewtonCG(damping=1e-12, damping_floor=1e-12, accuracy=1e-12)
    gradient = torch.func.grad(lambda x: bent.function(x).square().sum())
    sizes, theta, state = [], start + 1e-2, optimizer.init(start)
    for _ in range(3):
        sizes.append(float(gradient(theta).norm()))
        step = optimizer.step(bent, theta, state)
        theta, state = step.theta, step.state
    # 1/40 measured at both steps; the third gradient is near what the loss resolves
    assert sizes[1] < 0.1 * sizes[0] ** 2
    assert sizes[2] < 0.1 * sizes[1] ** 2


@pytest.mark.parametrize(
    "optimizer", [GaussNewtonCG(rank=20, sketch_every=3), GaussNewtonNystrom(rank=8), StochasticGaussNewton()]
)
@pytest.mark.parametrize("problem", ["rosenbrock", "tanh_regression"])
def test_converges(kit, optimizer, problem):
    history = kit.run(optimizer, getattr(kit, problem)(), 120)
    assert history[-1].loss < 1e-7 * history[0].loss


@pytest.mark.parametrize("kind", [*LEAST_SQUARES, NysNewtonCG])
def test_singular_systems(kit, kind):
    """Parameters that nothing depends on, a residual twice, and one that is constant."""

    def function(x):
        return torch.stack([x[0] - 1.0, x[0] - 1.0, x[1] + x[0], x.new_tensor(0.5)])

    case = kit.Case(kit.Residuals(function), torch.zeros(5, dtype=torch.float64))
    last = kit.run(kind(), case, 40)[-1]
    assert last.loss == pytest.approx(0.25, rel=1e-9)
    # rounding over the damping
    torch.testing.assert_close(last.theta[2:], case.theta[2:], rtol=0, atol=1e-9)


@pytest.mark.parametrize("kind", [*LEAST_SQUARES, NysNewtonCG])
def test_scalar_losses_are_refused_with_what_to_use(kind):
    class Scalar:
        def loss(self, theta):
            return theta.square().sum()

        def value_and_gradient(self, theta):
            return self.loss(theta), 2.0 * theta

    theta = torch.ones(3)
    with pytest.raises(ConfigError, match=rf"{kind.__name__} needs a residual vector .* use lbfgs, ssbroyden or adam"):
        kind().step(Scalar(), theta, kind().init(theta))


@pytest.mark.parametrize(
    ("optimizer", "missing"),
    [
        (GaussNewtonCG(), r"products with the Jacobian; Plain has no method products. Use gauss_newton"),
        (NysNewtonCG(), r"products with the Hessian; Plain has no method hessian. Use ssbroyden"),
        (StochasticGaussNewton(fraction=0.5), r"random parts of the residuals; Plain has no method subset. Use frac"),
    ],
)
def test_objectives_without_products_are_refused_with_what_to_use(kit, optimizer, missing):
    class Plain:
        def residual_and_jacobian(self, theta):
            return theta, torch.eye(3)

        def loss(self, theta):
            return theta.square().sum()

    with pytest.raises(ConfigError, match=missing):
        optimizer.step(Plain(), torch.ones(3), optimizer.init(torch.ones(3)))


class Divisible:
    """Linear residuals of which a random part can be taken."""

    def __init__(self, kit, A, c):
        self.kit, self.A, self.c = kit, A, c
        whole = kit.Residuals(lambda x: (A @ x - c) / len(c) ** 0.5)
        self.loss, self.residual = whole.loss, whole.residual
        self.residual_and_jacobian = whole.residual_and_jacobian

    def subset(self, fraction, generator):
        rows = torch.randperm(len(self.c), generator=generator)[: round(fraction * len(self.c))]
        return Divisible(self.kit, self.A[rows], self.c[rows])


def regression(kit, noise):
    generator = torch.Generator().manual_seed(0)
    A, x = (torch.randn(*s, generator=generator, dtype=torch.float64) for s in ((400, 10), (10,)))
    c = A @ x + noise * torch.randn(400, generator=generator, dtype=torch.float64)
    return Divisible(kit, A, c), x


@pytest.mark.parametrize("line_search", [True, False])
def test_random_parts_find_the_common_solution(kit, line_search):
    objective, x = regression(kit, 0.0)
    optimizer = StochasticGaussNewton(fraction=0.1, line_search=line_search, momentum=0.5)
    last = kit.run(optimizer, kit.Case(objective, torch.zeros_like(x)), 60)[-1]
    assert last.info["residuals"] == 40
    assert float((last.theta - x).norm()) < 1e-5


def test_momentum_averages_the_noise_of_small_parts(kit):
    objective, x = regression(kit, 1.0)
    errors = []
    for mu in (0.0, 0.9):
        optimizer = StochasticGaussNewton(fraction=0.1, momentum=mu, adaptive=False, line_search=False, tolerance=0.0)
        theta, state, found = torch.zeros_like(x), optimizer.init(x), []
        for _ in range(300):
            step = optimizer.step(objective, theta, state)
            theta, state = step.theta, step.state
            found.append(float((theta - x).norm()))
        errors.append(sum(found[100:]) / 200)
    # heavy ball of step 1 - mu = 1/10 on a quadratic: the variance is 0.51 of that of independent solutions
    assert 0.5 * errors[0] < errors[1] < 0.85 * errors[0]


def test_parts_resume_bit_for_bit(kit):
    objective, x = regression(kit, 1.0)
    optimizer = StochasticGaussNewton(fraction=0.1, momentum=0.5, seed=3)
    theta, state = torch.zeros_like(x), optimizer.init(x)
    for _ in range(4):
        step = optimizer.step(objective, theta, state)
        theta, state = step.theta, step.state
    other, read = theta.clone(), kit.through_files(state)
    for _ in range(4):
        step, again = optimizer.step(objective, theta, state), optimizer.step(objective, other, read)
        theta, state, other, read = step.theta, step.state, again.theta, again.state
        assert torch.equal(theta, other)


def shaped(kit, shapes=((5, 3), (5,), (2, 5), (2,))):
    """A small network with layers, and its residuals."""
    shapes = tuple(torch.Size(s) for s in shapes)
    generator = torch.Generator().manual_seed(0)
    x = torch.randn(3, 30, generator=generator, dtype=torch.float64)

    def function(theta):
        W, a, V, b = (p.view(s) for p, s in zip(theta.split([s.numel() for s in shapes]), shapes, strict=True))
        y = V @ torch.tanh(W @ x + a[:, None]) + b[:, None]
        return (y - torch.stack([torch.sin(x[0]), x[1] * x[2]])).reshape(-1) / 30**0.5

    objective = kit.Residuals(function)
    objective.shapes = shapes
    size = sum(s.numel() for s in shapes)
    return kit.Case(objective, 0.5 * torch.randn(size, generator=generator, dtype=torch.float64))


def test_layers_are_solved_one_after_the_other(kit):
    case = shaped(kit)
    optimizer = GaussNewtonBlock(damping=1e-12, damping_floor=1e-13)
    step = optimizer.step(case.objective, case.theta, optimizer.init(case.theta))
    assert step.info["blocks"] == 2.0
    # the last layer is linear: after its turn the loss is the least over its parameters
    r, J = case.objective.residual_and_jacobian(step.theta)
    assert float((J[:, 20:].T @ r).norm()) < 1e-7 * float(J.norm() * r.norm())
    losses = [s.loss for s in kit.run(GaussNewtonBlock(), case, 40)]
    assert losses == sorted(losses, reverse=True)
    assert losses[-1] < 0.2 * losses[0]


def test_columns_are_asked_for_where_the_objective_has_them(kit):
    case, asked = shaped(kit), []
    plain = kit.run(GaussNewtonBlock(largest=12), case, 3)[-1]

    def columns(theta, first, last):
        asked.append((first, last))
        residual, jacobian = whole(theta)
        return residual, jacobian[:, first:last]

    whole = case.objective.residual_and_jacobian
    case.objective.residual_and_columns = columns
    again = kit.run(GaussNewtonBlock(largest=12), case, 3)[-1]
    assert torch.equal(plain.theta, again.theta)
    assert asked[:5] == [(0, 12), (12, 15), (15, 20), (20, 32), (0, 12)]


@pytest.mark.parametrize("largest", [1, 2, 7, 16, 1000])
def test_blocks_cover_everything_once(largest):
    shapes = tuple(torch.Size(s) for s in ((), (4, 3), (4,), (2, 2, 4), (2,), (3,)))
    blocks = blocks_of(shapes, largest)
    assert blocks[0][0] == 0
    assert blocks[-1][1] == sum(s.numel() for s in shapes)
    assert all(a[1] == b[0] for a, b in itertools.pairwise(blocks))
    assert all(0 < last - first <= largest for first, last in blocks)


def test_backtracking():
    found = backtracking(lambda t: (t - 0.1) ** 2, f0=0.01, slope=-0.2)
    # t = 1/8 is the first with (t - 0.1)^2 below 0.01 - 2e-5 t
    assert (found.step, found.evaluations, found.outcome) == (0.125, 4, Outcome.DECREASE)
    assert backtracking(lambda t: t, f0=0.0, slope=1.0).outcome is Outcome.NOT_DESCENT
    assert backtracking(lambda t: t, f0=0.0, slope=-1.0).outcome is Outcome.NO_DECREASE
    assert backtracking(lambda t: float("nan"), f0=0.0, slope=-1.0).outcome is Outcome.NOT_FINITE
    # a decrease that is less than the slope promises: the best of what lowers the value
    assert backtracking(lambda t: 1.0 - 1e-9 * t, f0=1.0, slope=-1.0).step == 1.0


@pytest.mark.parametrize(
    ("kind", "name", "value"),
    [
        (GaussNewtonCG, "damping", 0.0), (GaussNewtonCG, "damping_floor", 1.0), (GaussNewtonCG, "halvings", 51),
        (GaussNewtonCG, "tolerance", -1.0), (GaussNewtonCG, "patience", 0), (GaussNewtonCG, "forcing", 1.0),
        (GaussNewtonCG, "max_iterations", 0), (GaussNewtonCG, "rank", -1), (GaussNewtonCG, "sketch_every", 0),
        (GaussNewtonCG, "seed", -1), (GaussNewtonNystrom, "rank", 0), (GaussNewtonNystrom, "iterations", 0),
        (GaussNewtonNystrom, "accuracy", 0.0), (GaussNewtonNystrom, "seed", -1), (NysNewtonCG, "rank", 0),
        (NysNewtonCG, "sketch_every", 0), (NysNewtonCG, "max_iterations", 0), (NysNewtonCG, "accuracy", 1.0),
        (NysNewtonCG, "armijo", 0.5), (NysNewtonCG, "seed", -1), (StochasticGaussNewton, "fraction", 0.0),
        (StochasticGaussNewton, "momentum", 1.0), (StochasticGaussNewton, "learning_rate", 1.5),
        (StochasticGaussNewton, "seed", -1), (GaussNewtonBlock, "largest", 0), (GaussNewtonBlock, "damping", 0.0),
        (GaussNewtonBlock, "damping_floor", 1.0), (GaussNewtonBlock, "space", "both"),
        (GaussNewtonBlock, "halvings", -1), (GaussNewtonBlock, "tolerance", -1.0), (GaussNewtonBlock, "patience", 0),
    ],
)  # fmt: skip
def test_settings_out_of_range_are_named(kind, name, value):
    with pytest.raises(ConfigError, match=f"{kind.__name__}: {name} = .*expected"):
        kind(**{name: value})
