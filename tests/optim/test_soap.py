"""SOAP through flat parameters: against the library itself, and the invariance that sets it apart from Adam."""

from __future__ import annotations

import pytest
import pytorch_optimizer
import torch

from kjet.errors import ConfigError
from kjet.optim import SOAP, Adam

A = torch.randn(7, 20, generator=torch.Generator().manual_seed(0), dtype=torch.float64)
B = torch.randn(7, 20, generator=torch.Generator().manual_seed(1), dtype=torch.float64)


def residual_of(weight, bias, scale):
    """One nonlinear layer and a factor; A holds inputs, B targets."""
    return (scale * torch.tanh(weight @ A + bias[:, None]) - 0.1 * B).reshape(-1)


def shaped(kit, function=residual_of, shapes=((7, 7), (7,), ())):
    shapes = tuple(torch.Size(s) for s in shapes)

    def flat(theta):
        parts = theta.split([s.numel() for s in shapes])
        return function(*(part.view(s) for part, s in zip(parts, shapes, strict=True)))

    objective = kit.Residuals(flat)
    objective.shapes = shapes
    theta = torch.randn(sum(s.numel() for s in shapes), generator=torch.Generator().manual_seed(2), dtype=torch.float64)
    return kit.Case(objective, 0.3 * theta)


def test_steps_are_those_of_the_library(kit):
    case, method = shaped(kit), SOAP(learning_rate=0.01, every=3, schedule="constant")
    shapes, parts = case.objective.shapes, case.theta.split([49, 7, 1])
    parameters = [torch.nn.Parameter(p.view(s).clone()) for p, s in zip(parts, shapes, strict=True)]
    oracle = pytorch_optimizer.SOAP(parameters, lr=0.01, betas=(0.95, 0.95), weight_decay=0.0, precondition_frequency=3)
    theta, state = case.theta, method.init(case.theta)
    for _ in range(12):
        oracle.zero_grad()
        residual_of(*parameters).square().sum().backward()
        oracle.step()
        step = method.step(case.objective, theta, state)
        theta, state = step.theta, step.state
        expected = torch.cat([p.detach().reshape(-1) for p in parameters])
        assert torch.allclose(theta, expected, rtol=1e-12, atol=1e-14)


def test_rotated_weights_train_alike(kit):
    q, _ = torch.linalg.qr(torch.randn(7, 7, generator=torch.Generator().manual_seed(3), dtype=torch.float64))

    def rotated(weight, bias, scale):
        return residual_of(weight @ q.T, bias, scale)

    plain, turned = shaped(kit), shaped(kit, rotated)
    weight = plain.theta[:49].view(7, 7) @ q
    turned = kit.Case(turned.objective, torch.cat([weight.reshape(-1), plain.theta[49:]]))
    for method, same in ((SOAP(learning_rate=0.01, every=1), True), (Adam(learning_rate=0.01), False)):
        losses = [torch.tensor([step.loss for step in kit.run(method, case, 30)]) for case in (plain, turned)]
        assert torch.allclose(losses[0], losses[1], rtol=1e-3) is same


@pytest.mark.parametrize("dtype", [torch.float64, torch.float32])
def test_matrices_go_through_files_and_continue_bit_for_bit(kit, dtype):
    case = shaped(kit, lambda *parts: residual_of(*(part.double() for part in parts)).to(dtype))
    case = kit.Case(case.objective, case.theta.to(dtype))
    method = SOAP(learning_rate=0.01, every=2)
    step = kit.run(method, case, 7)[-1]
    read, theta = kit.through_files(step.state), step.theta.clone()
    state, other = step.state, read
    for _ in range(6):
        step = method.step(case.objective, step.theta, state)
        again = method.step(case.objective, theta, other)
        state, theta, other = step.state, again.theta, again.state
        assert torch.equal(step.theta, again.theta)
    assert {"0.GG.0", "0.Q.1", "1.exp_avg"} <= state.keys()


def test_long_sides_are_not_rotated(kit):
    def wide(weight, bias):
        return residual_of(weight[:, :7], bias, 1.0) + weight[:, 7:].sum()

    state = kit.run(SOAP(max_size=7), shaped(kit, wide, ((7, 9), (7,))), 2)[-1].state
    assert state["0.GG.0"].shape == (7, 7)
    assert state["0.GG.1.length"] == 0


def test_shapes_that_do_not_fill_the_vector_are_refused(kit):
    case = shaped(kit)
    case.objective.shapes = (torch.Size((7, 7)),)
    with pytest.raises(ConfigError, match=r"shapes \[\(7, 7\)\] hold 49 numbers; there are 57"):
        SOAP().step(case.objective, case.theta, SOAP().init(case.theta))


def test_state_of_another_model_is_refused(kit):
    case = shaped(kit)
    step = kit.run(SOAP(), case, 2)[-1]
    case.objective.shapes = (torch.Size((57,)),)
    with pytest.raises(ConfigError, match=r"is of 3 parameters, the model has 1"):
        SOAP().step(case.objective, step.theta, step.state)


@pytest.mark.parametrize(
    ("name", "value"),
    [("learning_rate", 0.0), ("betas", (0.9, 1.0)), ("eps", 0.0), ("every", 0), ("max_size", 0), ("decay_rate", 2.0)],
)
def test_settings_out_of_range_are_named(name, value):
    with pytest.raises(ConfigError, match=f"SOAP: {name} = .*expected"):
        SOAP(**{name: value})
