"""Estimates in pieces under a memory budget: the value and the gradients of one pass, and less memory."""

import pytest
import torch

from kjet.errors import ConfigError
from kjet.jets import Derivative, GradientProducts, Plan, Trace, Varying, quantity
from kjet.jets.chunk import measure
from kjet.jets.estimators import STDE, Hutchinson

D = 9
LAP, PRODUCTS = {Trace(range(8)): 1.0}, GradientProducts(range(8))
SUMS = {
    "laplacian": [LAP],
    "heat": [{Trace(range(8)): -0.5, ((8, 1),): 1.0}, {(): 1.0}],
    "two orders": [{Trace(range(8), 2): 0.1, Trace(range(8)): 2.0}, LAP],
    "derivative of a laplacian": [{Derivative(((8, 1),), (Trace(range(8)),)): 1.0}, LAP],
    "products": [PRODUCTS],
    "products and laplacian": [LAP, PRODUCTS, {((0, 1),): 1.0}],
    "varying": [Varying(range(8), 2, torch.square, positive=True), Varying(range(8), 1, torch.sin), PRODUCTS],
    "both signs": [Varying(range(8), 2, torch.sin), LAP],
}
ESTIMATORS = {
    "sparse": STDE(6),
    "per point": STDE(5, per_point=True),
    "gaussian": Hutchinson(7, "gaussian"),
    "dense per point": Hutchinson(4, "sphere", per_point=True),
}


def names_of(parts):
    return [quantity(part) if isinstance(part, dict) else part for part in parts]


class Counted(torch.nn.Module):
    def __init__(self, net):
        super().__init__()
        self.net, self.calls = net, 0

    def forward(self, x):
        self.calls += 1
        return self.net(x)


def both(plan, net, x, draws):
    values = list(plan(net, x, draws).values())
    loss = sum(value.square().sum() for value in values)
    return values, torch.autograd.grad(loss, list(net.parameters()), allow_unused=True, materialize_grads=True)


@pytest.mark.parametrize("estimator", ESTIMATORS)
@pytest.mark.parametrize("name", SUMS)
def test_pieces_make_the_whole(name, estimator, network, points):
    names, x, net = names_of(SUMS[name]), points(5, D), Counted(network(D, 2))
    whole = Plan.build(names, D, ESTIMATORS[estimator])
    draws = whole.draw(len(x), torch.Generator().manual_seed(3), x.dtype)
    wanted = both(whole, net, x, draws)
    one = max(sum(measure(net, x, seeds.rows(0, 1), 4).__dict__.values()) for seeds in draws)
    for budget, least in ((1.3 * one, 2), (1e9, 1)):
        plan = Plan.build(names, D, ESTIMATORS[estimator], budget=budget)
        assert plan.outer
        net.calls = 0
        found = both(plan, net, x, draws)
        assert net.calls >= least * len(plan.outer)
        for a, b in zip([*found[0], *found[1]], [*wanted[0], *wanted[1]], strict=True):
            torch.testing.assert_close(a, b, rtol=1e-12, atol=1e-12)


def test_memory(network, points):
    """What autograd keeps is that of the points and one piece, not of all directions."""
    x, net, names = (
        points(40, 30),
        network(30, 1, width=32),
        [quantity({Trace(range(30)): 1.0}), GradientProducts(range(30))],
    )
    kept = {}
    for budget in (None, 4e5):
        plan = Plan.build(names, 30, Hutchinson(64), budget=budget)
        draws = plan.draw(len(x), torch.Generator().manual_seed(0), x.dtype)
        sizes = {}

        def note(tensor, sizes=sizes):
            sizes[tensor.untyped_storage().data_ptr()] = tensor.untyped_storage().nbytes()
            return tensor

        with torch.autograd.graph.saved_tensors_hooks(note, lambda tensor: tensor):
            values = plan(net, x, draws)
        kept[budget] = sum(sizes.values())
        assert all(value.requires_grad for value in values.values())
    assert kept[4e5] < 0.2 * kept[None]


def test_a_budget_below_one_direction_is_refused(network, points):
    plan = Plan.build([quantity(LAP)], D, STDE(3), budget=10.0)
    x = points(5, D)
    with pytest.raises(ConfigError, match="a single direction"):
        plan(network(D, 1), x, plan.draw(5, torch.Generator(), x.dtype))
