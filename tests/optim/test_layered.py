"""Muon, Shampoo and PSGD on matrices, against their formulas and the invariances that set them apart from Adam."""

from __future__ import annotations

import math

import pytest
import torch

from kjet.errors import ConfigError
from kjet.optim import PSGD, Adam, GaussNewton, Muon, Shampoo
from kjet.optim.muon import orthogonalized

A = torch.randn(7, 20, generator=torch.Generator().manual_seed(0), dtype=torch.float64)
B = torch.randn(7, 20, generator=torch.Generator().manual_seed(1), dtype=torch.float64)
METHODS = {
    "muon": Muon(adam_rate=0.01),
    "shampoo": Shampoo(learning_rate=0.01, every=3),
    "psgd": PSGD(learning_rate=0.01),
}


def residual_of(weight, bias, scale):
    """One nonlinear layer and a factor; A holds inputs, B targets."""
    return (scale * torch.tanh(weight @ A + bias[:, None]) - 0.1 * B).reshape(-1)


def shaped(kit, function=residual_of, shapes=((7, 7), (7,), ()), dtype=torch.float64):
    shapes = tuple(torch.Size(s) for s in shapes)

    def flat(theta):
        parts = theta.split([s.numel() for s in shapes])
        return function(*(part.view(s) for part, s in zip(parts, shapes, strict=True)))

    objective = kit.Residuals(lambda theta: flat(theta.double()).to(dtype))
    objective.shapes = shapes
    theta = torch.randn(sum(s.numel() for s in shapes), generator=torch.Generator().manual_seed(2), dtype=torch.float64)
    return kit.Case(objective, (0.3 * theta).to(dtype))


@pytest.fixture(params=METHODS.values(), ids=METHODS.keys())
def method(request):
    return request.param


def test_loss_falls(kit, method):
    case = shaped(kit)
    least = kit.run(GaussNewton(), case, 60)[-1].loss
    losses = [step.loss for step in kit.run(method, case, 300)]
    assert losses[-1] - least < 0.2 * (losses[0] - least)


@pytest.mark.parametrize("dtype", [torch.float64, torch.float32])
def test_matrices_go_through_files_and_continue_bit_for_bit(kit, method, dtype):
    case = shaped(kit, dtype=dtype)
    step = kit.run(method, case, 7)[-1]
    theta, state, other, read = step.theta, step.state, step.theta.clone(), kit.through_files(step.state)
    for _ in range(6):
        step, again = method.step(case.objective, theta, state), method.step(case.objective, other, read)
        theta, state, other, read = step.theta, step.state, again.theta, again.state
        assert torch.equal(theta, other)
        assert theta.dtype == dtype
    assert "1.first" in state  # the bias takes Adam


def test_vectors_take_adam(kit, method):
    case = kit.tanh_regression()
    adam = Adam(learning_rate=0.01, betas=method.betas)
    for ours, theirs in zip(kit.run(method, case, 10), kit.run(adam, case, 10), strict=True):
        torch.testing.assert_close(ours.theta, theirs.theta, rtol=1e-10, atol=1e-12)


def test_rotated_weights_train_alike(kit, method):
    """Rotations of the inputs and of the outputs change no step of a method that sees matrices; they do of Adam."""
    q, p = (torch.linalg.qr(torch.randn(7, 7, generator=torch.Generator().manual_seed(s)).double()).Q for s in (3, 4))

    def plain(weight):
        return (weight @ A - 0.1 * B).reshape(-1)

    def rotated(weight):
        return plain(p @ weight @ q.T)

    cases = shaped(kit, plain, ((7, 7),)), shaped(kit, rotated, ((7, 7),))
    weight = p.T @ cases[0].theta.view(7, 7) @ q
    turned = kit.Case(cases[1].objective, weight.reshape(-1))
    # Shampoo's length is Adam's, and the triangular factors of PSGD turn with the basis as they converge: not exactly
    tolerance = {Muon: 1e-9, Shampoo: 0.2, PSGD: 0.1}[type(method)]
    for own, limit, same in ((method, tolerance, True), (Adam(learning_rate=0.05), 0.2, False)):
        losses = [torch.tensor([s.loss for s in kit.run(own, case, 60)]) for case in (cases[0], turned)]
        assert torch.allclose(losses[0], losses[1], rtol=limit) is same


@pytest.mark.parametrize("shape", [(5, 9), (9, 5), (6, 6)])
def test_orthogonalized(shape):
    matrix = torch.randn(*shape, generator=torch.Generator().manual_seed(0), dtype=torch.float64)
    found = orthogonalized(matrix)
    U, _, V = torch.linalg.svd(matrix, full_matrices=False)
    inner = U.T @ found @ V.T  # diagonal in the same singular vectors
    torch.testing.assert_close(inner, torch.diag(inner.diagonal()), rtol=0, atol=1e-10)
    # the interval of the quintic after five steps
    assert float(inner.diagonal().min()) > 0.65
    assert float(inner.diagonal().max()) < 1.25


def test_muon_steps(kit):
    case = shaped(kit, lambda w: (w @ A[:4]).reshape(-1), ((7, 4),))
    optimizer = Muon(learning_rate=0.01, schedule="constant", momentum=0.5)
    weight, average = case.theta.view(7, 4), torch.zeros(7, 4, dtype=torch.float64)
    theta, state = case.theta, optimizer.init(case.theta)
    for _ in range(4):
        gradient = case.objective.value_and_gradient(theta)[1].view(7, 4)
        average = 0.5 * average + 0.5 * gradient
        weight = weight - 0.01 * math.sqrt(7 / 4) * orthogonalized(0.5 * average + 0.5 * gradient)
        step = optimizer.step(case.objective, theta, state)
        theta, state = step.theta, step.state
        torch.testing.assert_close(theta.view(7, 4), weight, rtol=1e-12, atol=1e-14)


def test_shampoo_steps(kit):
    case = shaped(kit, lambda w: (torch.tanh(w @ A) - 0.1 * B[:5]).reshape(-1), ((5, 7),))
    optimizer = Shampoo(learning_rate=0.01, schedule="constant", every=1, memory=0.9, betas=(0.5, 0.9), eps=1e-300)
    theta, state = case.theta, optimizer.init(case.theta)
    L, R, M, V = (torch.zeros(*s, dtype=torch.float64) for s in ((5, 5), (7, 7), (5, 7), (5, 7)))
    for k in range(1, 9):
        G = case.objective.value_and_gradient(theta)[1].view(5, 7)
        L, R = 0.9 * L + 0.1 * G @ G.T, 0.9 * R + 0.1 * G.T @ G
        M, V = 0.5 * M + 0.5 * G, 0.9 * V + 0.1 * G.square()
        step = optimizer.step(case.objective, theta, state)
        if k > 1:  # before, R has no full rank
            roots = []
            for S in (L, R):
                values, vectors = torch.linalg.eigh(S)
                roots.append(vectors @ torch.diag(values**-0.25) @ vectors.T)
            D = roots[0] @ M @ roots[1]
            adam = (M / (1 - 0.5**k)) / (V / (1 - 0.9**k)).sqrt()
            expected = theta - 0.01 * (D * adam.norm() / D.norm()).reshape(-1)
            torch.testing.assert_close(step.theta, expected, rtol=1e-8, atol=1e-10)
        theta, state = step.theta, step.state


def test_psgd_whitens_gradients():
    """For gradients of a Kronecker covariance, ``P E[G G^T] P`` becomes the identity."""
    generator = torch.Generator().manual_seed(0)
    left, right = (torch.diag(torch.logspace(0, e, 4, dtype=torch.float64)) for e in (-2, 1))
    turn = torch.linalg.qr(torch.randn(4, 4, generator=generator, dtype=torch.float64)).Q
    left = turn @ left @ turn.T
    method, state = PSGD(momentum=0.0, factor_rate=0.05), {"steps": 0}
    for k in range(2000):
        gradient = left @ torch.randn(4, 4, generator=generator, dtype=torch.float64) @ right
        state["steps"] = k
        method._direction("0", gradient, state)
    Q, S = state["0.left"], state["0.right"]
    assert torch.equal(Q, Q.triu())
    white = torch.kron(Q.T @ Q @ left, S.T @ S @ right)
    singular = torch.linalg.svdvals(white)
    # a thousandfold spread of the covariance's roots in 16 directions, to what steps of 1/20 leave
    assert float(singular.max() / singular.min()) < 4.0
    assert float(torch.linalg.svdvals(torch.kron(left, right)).max() / 1e-2) > 500.0
    assert 0.5 < float(singular.log().mean().exp()) < 2.0


def test_long_sides_are_diagonal_or_not_whitened(kit):
    def wide(weight, bias):
        return residual_of(weight[:, :7], bias, 1.0) + weight[:, 7:].sum()

    case = shaped(kit, wide, ((7, 9), (7,)))
    state = kit.run(PSGD(max_size=7), case, 3)[-1].state
    assert (state["0.left"].shape, state["0.right"].shape) == ((7, 7), (9,))
    state = kit.run(Shampoo(max_size=7), case, 3)[-1].state
    assert "0.left" in state
    assert "0.right" not in state


def test_single_rows_and_arrays_of_three_axes(kit, method):
    case = shaped(kit, lambda a, b: torch.cat([a.reshape(-1) - 1.0, b.reshape(-1)]), ((1, 6), (2, 3, 4)))
    state = kit.run(method, case, 3)[-1].state
    assert "0.first" in state
    key = {Muon: "1.momentum", Shampoo: "1.left", PSGD: "1.left"}[type(method)]
    assert state[key].shape[0] == 2


def test_nothing_moves_without_a_gradient(kit, method):
    case = shaped(kit, lambda w: 0.0 * w.reshape(-1), ((4, 4),))
    step = kit.run(method, case, 3)[-1]
    assert torch.equal(step.theta, case.theta)


def test_state_of_another_model_is_refused(kit, method):
    case = shaped(kit)
    step = kit.run(method, case, 2)[-1]
    case.objective.shapes = (torch.Size((57,)),)
    with pytest.raises(ConfigError, match=r"is of 3 parameters, the model has 1"):
        method.step(case.objective, step.theta, step.state)


@pytest.mark.parametrize(
    ("kind", "name", "value"),
    [
        (Muon, "learning_rate", 0.0), (Muon, "adam_rate", 0.0), (Muon, "betas", (0.9, 1.0)), (Muon, "eps", 0.0),
        (Muon, "momentum", 1.0), (Muon, "iterations", 0), (Shampoo, "memory", 1.0), (Shampoo, "every", 0),
        (Shampoo, "max_size", 0), (PSGD, "momentum", 1.0), (PSGD, "factor_rate", 1.0), (PSGD, "max_size", 0),
    ],
)  # fmt: skip
def test_settings_out_of_range_are_named(kind, name, value):
    with pytest.raises(ConfigError, match=f"{kind.__name__}: {name} = .*expected"):
        kind(**{name: value})
