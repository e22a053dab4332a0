"""Gathering and scattering with repeated places, compiled: gradients of the generated code against the plain ones."""

from __future__ import annotations

import pytest
import torch

from kjet.jets import jet

NODES, EDGES, WIDTH = 40, 200, 16


def _places(seed: int) -> torch.Tensor:
    places = torch.randint(0, NODES, (EDGES,), generator=torch.Generator().manual_seed(seed))
    places[:50] = 3  # many messages into one node
    return places


SENDERS, RECEIVERS = _places(0), _places(1)
WIDE = RECEIVERS[:, None].expand(EDGES, WIDTH)


def _messages(h):
    return torch.tanh(h[SENDERS] - 2 * h[RECEIVERS])


CASES = {
    "index_add": lambda h: h.new_zeros(NODES, WIDTH).index_add(0, RECEIVERS, _messages(h)),
    "index_add_": lambda h: h.new_zeros(NODES, WIDTH).index_add_(0, RECEIVERS, _messages(h)),
    "scatter_add": lambda h: h.new_zeros(NODES, WIDTH).scatter_add(0, WIDE, _messages(h)),
    "scatter_mean": lambda h: torch.scatter_reduce(h.new_zeros(NODES, WIDTH), 0, WIDE, _messages(h), "mean"),
    "index_put": lambda h: h.new_zeros(NODES, WIDTH).index_put((RECEIVERS,), _messages(h), accumulate=True),
    "gather": lambda h: torch.gather(torch.tanh(h), 0, WIDE).square(),
    "index_select": lambda h: torch.index_select(torch.tanh(h), 0, RECEIVERS).square(),
    "columns": lambda h: torch.tanh(h)[:, torch.tensor([0, 0, 1, 1, 1, 3, 5, 5] * 2)],
}


# Inductor's own generated code raises such warnings when it is imported; they are not ours.
@pytest.mark.filterwarnings("ignore::DeprecationWarning", "ignore::UserWarning", "ignore::ResourceWarning")
@pytest.mark.slow
@pytest.mark.parametrize("order", [1, 2, 3])
@pytest.mark.parametrize("name", CASES)
def test_gradients_of_compiled_code(name, order):
    generator = torch.Generator().manual_seed(2)

    def normal(*shape):
        return torch.randn(*shape, generator=generator, dtype=torch.float64)

    weights = [normal(WIDTH, 3).requires_grad_(), normal(WIDTH).requires_grad_(), normal(1, WIDTH).requires_grad_()]
    x, v = normal(NODES, 3), normal(4, NODES, 3)

    def loss(x, v):
        def network(z):
            h = torch.nn.functional.linear(z, weights[0], weights[1])
            return torch.nn.functional.linear(CASES[name](h), weights[2])

        return torch.stack([c.square().mean() for c in jet(network, x, v, order)]).sum()

    torch.compiler.reset()
    compiled = torch.compile(loss, fullgraph=True, dynamic=False)
    values, expected = compiled(x, v), loss(x, v)
    torch.testing.assert_close(values, expected, rtol=1e-12, atol=0)
    pairs = zip(torch.autograd.grad(values, weights), torch.autograd.grad(expected, weights), strict=True)
    for found, wanted in pairs:
        assert float(wanted.abs().max()) > 1e-8
        torch.testing.assert_close(found, wanted, rtol=1e-10, atol=1e-12 * float(wanted.abs().max()))
