"""Operations in place: the jet takes on the result, and what cannot be seen through is refused."""

import pytest
import torch
import torch.nn.functional as F  # noqa: N812
from torch import nn

from kjet.errors import JetRuleError
from kjet.jets import Jet, Layout, jet, rules
from tests.jets.oracles import curves, rows_of, start

B = torch.tensor([0.5, -0.4, 1.3], dtype=torch.float64)
CASES = {
    "add_": lambda h: h.add_(B),
    "add_jet": lambda h: h.add_(h * h, alpha=2),
    "sub_": lambda h: h.sub_(B),
    "mul_": lambda h: h.mul_(B),
    "div_": lambda h: h.div_(1.5),
    "sigmoid_": torch.sigmoid_,
    "tanh_": lambda h: h.tanh_(),
    "exp_": torch.exp_,
    "square_": lambda h: h.square_(),
    "neg_": lambda h: h.neg_(),
    "pow_": lambda h: h.pow_(3),
    "clamp_": lambda h: h.clamp_(-0.2, 0.3),
    "addcmul_": lambda h: h.addcmul_(h, h, value=0.5),
    "lerp_": lambda h: h.lerp_(B, 0.25),
    "masked_fill_": lambda h: h.masked_fill_(h > 0.1, 2.0),
    "floor_": lambda h: h.floor_(),
    "index_add_": lambda h: h.index_add_(1, torch.tensor([0, 0, 2]), 2 * h),
    "index_fill_": lambda h: h.index_fill_(1, torch.tensor([0]), 1.0),
    "silu": lambda h: F.silu(h, inplace=True),
    "copy_": lambda h: h.copy_(B),
}


def features(x):
    return torch.sin(x @ torch.tensor([[1.0, 0.3, -0.7], [0.2, 1.5, 0.9]], dtype=torch.float64)) * 1.0


@pytest.mark.parametrize("name", CASES)
def test_the_jet_itself_takes_on_the_result(name):
    x = start(curves(order=3), 3)
    h = features(x)
    returned = CASES[name](h)
    assert returned is h
    value = features(x.primal)
    torch.testing.assert_close(h.primal, CASES[name](value), rtol=1e-13, atol=1e-13)


def test_later_uses_see_the_change():
    """A residual connection around an activation in place gives what torch gives."""

    class Block(nn.Module):
        def forward(self, x):
            h = features(x)
            y = F.silu(h, inplace=True)
            return h + y

    found = jet(Block(), curves()[0, 0], torch.ones(1, 2).double(), 2)
    expected = jet(lambda x: 2 * F.silu(features(x)), curves()[0, 0], torch.ones(1, 2).double(), 2)
    torch.testing.assert_close(found, expected, rtol=1e-13, atol=1e-13)


def test_gradients_pass_through():
    weight = torch.randn(3, 2, generator=torch.Generator().manual_seed(0), dtype=torch.float64, requires_grad=True)

    def loss(w, act):
        y = act(F.linear(start(curves(order=2), 2), w) * 1.0)
        return rows_of(y, 2).square().sum()

    (found,) = torch.autograd.grad(loss(weight, lambda h: h.tanh_().mul_(B)), weight)
    (expected,) = torch.autograd.grad(loss(weight, lambda h: torch.tanh(h) * B), weight)
    torch.testing.assert_close(found, expected, rtol=1e-13, atol=1e-13)


def test_accumulating_messages_in_a_loop():
    def network(x):
        h = torch.tanh(features(x))
        out = torch.zeros_like(h)
        for i in range(3):
            out.index_add_(1, torch.tensor([i]), h[:, i : i + 1] * h[:, :1])
            out += 0.5
        out[:, 1] = h[:, 2]
        return out

    path = curves(order=3)
    found = rows_of(network(start(path, 3)), 3)
    h = torch.tanh(features(start(path, 3)))
    same = h * h[:, :1] + 1.5
    expected = rows_of(torch.stack([same[:, 0], h[:, 2], same[:, 2]], 1), 3)
    torch.testing.assert_close(found, expected, rtol=1e-13, atol=1e-13)


def test_plain_tensors_take_in_no_jets():
    x = start(curves(order=1), 1)
    for write in (
        lambda t: t.add_(x),
        lambda t: t.index_add_(0, torch.tensor([0, 1, 2]), x),
        lambda t: t.scatter_add_(0, torch.zeros(3, 2).long(), x),
        lambda t: t.__setitem__(0, x[0]),
        lambda t: t.copy_(x),
    ):
        with pytest.raises(JetRuleError, match="new_zeros"):
            write(torch.zeros(3, 2).double())


def test_views_are_refused():
    h = features(start(curves(order=1), 1))
    for view in (h[:, :1], h.reshape(-1), h.chunk(3, 1)[0], torch.tanh(h).unsqueeze(0)):
        with pytest.raises(JetRuleError, match="view"):
            view.mul_(2.0)
    F.relu(h[:, :1].clone(), inplace=True)


@pytest.mark.filterwarnings("ignore::kjet.errors.NonSmoothWarning")
@pytest.mark.parametrize("bias", [True, False])
def test_convolutions_are_followed_by_activations_in_place(bias):
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(0)
        layers = [nn.Unflatten(1, (1, 2)), nn.Conv1d(1, 3, 2, padding=1, bias=bias), nn.Tanh()]
        layers += [nn.Conv1d(3, 3, 2, bias=bias), nn.ReLU(inplace=True), nn.Flatten(), nn.Linear(6, 4, bias=bias)]
    f = nn.Sequential(*layers, nn.SiLU(inplace=True)).double()
    assert torch.isfinite(jet(f, curves()[0, 0], torch.ones(1, 2).double(), 2)).all()


def test_result_of_another_shape_is_refused():
    x = Jet([torch.zeros(3), torch.ones(1, 3)], Layout.uniform(1, 1))
    with pytest.raises(JetRuleError, match="shape"):
        x.add_(torch.zeros(2, 3))


def test_every_method_in_place_has_a_rule_if_its_counterpart_has():
    known, missing = set(rules()), []
    for name in dir(torch.Tensor):
        if name.endswith("_") and not name.startswith("_") and getattr(torch.Tensor, name[:-1], None) in known:
            method = getattr(torch.Tensor, name)
            missing += [] if method in known else [name]
    shape = {"squeeze_", "swapaxes_", "swapdims_", "t_", "transpose_", "unsqueeze_", "detach_"}  # of the tensor itself
    truth = {name for name in missing if (torch.ones(2) == 1).dtype == _type_of(name)}
    assert set(missing) - shape - truth == set(), missing


def _type_of(name):
    """Type of what the operation returns, if it compares."""
    operation = getattr(torch.Tensor, name[:-1])
    try:
        return operation(torch.ones(2), torch.ones(2)).dtype
    except (TypeError, RuntimeError):
        return operation(torch.ones(2)).dtype if name == "logical_not_" else None
