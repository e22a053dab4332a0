"""Where derivatives stop being finite: the layer, the operation and the order."""

import importlib

import pytest
import torch
from torch import nn

from kjet.errors import JetRuleError
from kjet.jets import Plan, laplacian, quantity

module = importlib.import_module("kjet.jets.diagnose")
diagnose, watch = module.diagnose, module.watch

LAPLACIAN = quantity({(2, 0): 1.0, (0, 2): 1.0})


class Power(nn.Module):
    """``|x|^p``, which has no derivative of order above p at zero."""

    def __init__(self, exponent):
        super().__init__()
        self.exponent = exponent

    def forward(self, h):
        return torch.pow(h, self.exponent)


class Net(nn.Module):
    def __init__(self, inner, head=False):
        super().__init__()
        self.layers = nn.Sequential(nn.Linear(2, 3), nn.Tanh(), inner, nn.Linear(3, 3), nn.Tanh())
        self.head = head

    def forward(self, x):
        y = self.layers(x)
        return torch.log(y - y) if self.head else y


class Outer(nn.Module):
    def __init__(self, *args, **kwargs):
        super().__init__()
        self.net = Net(*args, **kwargs)

    def forward(self, x):
        return self.net(2 * x)


@pytest.fixture
def points():
    return torch.tensor([[0.3, 0.4], [0.0, 0.0], [0.1, -0.2]], dtype=torch.float64)


def through_zero(f):
    """Make the features vanish at the origin alone."""
    f = f.double()
    with torch.no_grad():
        f.net.layers[0].bias.zero_()
    return f


def hooks(f):
    return sum(len(m._forward_hooks) + len(m._forward_pre_hooks) for m in f.modules())


@pytest.mark.parametrize(("exponent", "order"), [(-1.5, 0), (0.5, 1), (1.5, 2), (2.5, 3)])
def test_names_layer_operation_and_order(exponent, order, points):
    class Even(Power):
        def forward(self, h):
            return super().forward(h * h if exponent < 1 else h.abs())

    f = through_zero(Outer(Even(exponent if exponent > 1 else exponent / 2)))
    found = diagnose(f, points, order=3)
    assert (found.layer, found.kind, found.order) == ("net.layers.2", "Even", order)
    assert found.operation == "pow"
    assert (found.count, found.total, found.point) == (1, 3, 1)
    assert 'layer "net.layers.2" (Even), out of pow()' in str(found)
    assert hooks(f) == 0


def test_finite_derivatives_are_no_finding(points):
    f = Outer(nn.Tanh()).double()
    assert diagnose(f, points, order=4) is None
    assert hooks(f) == 0


def test_names_the_container_for_its_own_code(points):
    found = diagnose(Outer(nn.Tanh(), head=True).double(), points)
    assert (found.layer, found.operation, found.order) == ("net", "log", 0)


def test_names_parameters_that_are_not_finite(points):
    f = Outer(nn.Tanh()).double()
    with torch.no_grad():
        f.net.layers[3].bias[1] = torch.nan
    found = diagnose(f, points)
    assert (found.layer, found.kind, found.operation, found.parameters) == (
        "net.layers.3",
        "Linear",
        "linear",
        ("bias",),
    )
    assert "bias" in str(found)


def test_points_that_are_not_finite(points):
    points[2, 0] = torch.inf
    found = diagnose(Outer(nn.Tanh()).double(), points)
    assert (found.layer, found.order, found.point) == ("", 0, 2)
    assert "on entry" in str(found)


def test_functions_without_layers(points):
    found = diagnose(lambda x: torch.sqrt((x * x).sum(-1, keepdim=True)), points, order=1)
    assert (found.layer, found.operation, found.order, found.point) == ("", "sqrt", 1, 1)


def test_directions(points):
    """Along the second axis alone the singular root of the first coordinate is not differentiated."""
    f = lambda x: torch.sqrt(x[:, :1].abs()) + x[:, 1:]  # noqa: E731
    along_second = torch.tensor([[0.0, 1.0]], dtype=torch.float64)
    assert diagnose(f, points[:1], directions=along_second) is None
    assert diagnose(f, points, directions=torch.eye(2).double()).operation == "sqrt"


def test_watches_any_evaluation(points):
    f, plan = through_zero(Outer(Power(1.5))), Plan.build([LAPLACIAN], 2)
    f.net.layers[2].forward = lambda h: torch.pow(h.abs(), 1.5)
    with watch(f) as found:
        values = plan(f, points)
    assert not torch.isfinite(values[LAPLACIAN]).all()
    assert (found.first.layer, found.first.order) == ("net.layers.2", 2)
    assert hooks(f) == 0


def test_watching_changes_nothing(points):
    f = Outer(nn.SiLU()).double()
    expected = laplacian(f, points)
    with watch(f) as found:
        values = laplacian(f, points)
    assert torch.equal(values, expected)
    assert found.first is None


def test_errors_are_given_the_layer(points):
    class Bessel(nn.Module):
        def forward(self, h):
            return torch.special.i0(h)

    f = Outer(Bessel()).double()
    with pytest.raises(JetRuleError, match=r"torch\.special\.i0") as caught:
        diagnose(f, points)
    assert 'in layer "net.layers.2" (Bessel)' in caught.value.__notes__
    assert hooks(f) == 0
    with pytest.raises(JetRuleError, match=r"torch\.special\.i0"), watch(f):
        laplacian(f, points)
