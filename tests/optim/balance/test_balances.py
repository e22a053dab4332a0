"""What holds for every balance: two terms at least, states that are stored, nothing of the graph."""

from __future__ import annotations

import importlib.util
from pathlib import Path

import pytest
import torch

from kjet.errors import ConfigError
from kjet.optim.balance import Balance, Evidence

_SPEC = importlib.util.spec_from_file_location("balance_cases", Path(__file__).with_name("conftest.py"))
cases = importlib.util.module_from_spec(_SPEC)
_SPEC.loader.exec_module(cases)

K, P = 3, 10


def run(balance, state, generator, steps, dtype=torch.float64):
    """The outcomes of some steps."""
    found = []
    for step in steps:
        done = balance.step(cases.evidence(balance, state, K, P, step, dtype), state, generator)
        state = done.state
        found.append(done)
    return found


def test_is_a_balance(balance):
    assert isinstance(balance, Balance)
    assert set(balance.needs) < {"losses", "gradients", "traces"}


def test_one_term_is_refused(balance):
    with pytest.raises(ConfigError, match=r"balancing needs at least two terms; .* got 1"):
        balance.init(1, torch.zeros(P))


@pytest.mark.parametrize("dtype", [torch.float32, torch.float64])
def test_shapes_and_types(balance, dtype):
    state = balance.init(K, torch.zeros(P, dtype=dtype))
    for done in run(balance, state, torch.Generator().manual_seed(0), range(4), dtype):
        assert done.weights is not None or done.direction is not None
        for value, shape in ((done.weights, (K,)), (done.direction, (P,))):
            assert value is None or (value.shape == shape and value.dtype == dtype and bool(value.isfinite().all()))
        assert done.weights is None or bool((done.weights > 0).all())


def test_resuming_goes_on_bit_for_bit(balance):
    start, generator = balance.init(K, torch.zeros(P, dtype=torch.float64)), torch.Generator().manual_seed(1)
    whole = run(balance, start, generator, range(8))
    generator.manual_seed(1)
    half = run(balance, start, generator, range(4))
    again = run(balance, cases.stored(half[-1].state), generator, range(4, 8))
    for a, b in zip(again, whole[4:], strict=True):
        for x, y in ((a.weights, b.weights), (a.direction, b.direction)):
            assert (x is None and y is None) or torch.equal(x, y)


def test_states_are_not_changed(balance):
    state = balance.init(K, torch.zeros(P, dtype=torch.float64))
    before = cases.stored(state)
    run(balance, state, torch.Generator().manual_seed(0), range(1))
    assert state.keys() == before.keys()
    for key, value in before.items():
        assert torch.equal(state[key], value) if isinstance(value, torch.Tensor) else state[key] == value


def test_no_graph(balance):
    state = balance.init(K, torch.zeros(P, dtype=torch.float64))
    known = cases.evidence(balance, state, K, P, 0)
    traced = Evidence(
        known.losses.requires_grad_(), known.gradients.requires_grad_(), known.terms, known.traces.requires_grad_()
    )
    done = balance.step(traced, state, torch.Generator().manual_seed(0))
    for value in (done.weights, done.direction, *done.state.values()):
        assert not isinstance(value, torch.Tensor) or not value.requires_grad
