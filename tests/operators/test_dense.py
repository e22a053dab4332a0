import math

import pytest
import torch

from kjet.errors import ConfigError
from kjet.operators import MLPConfig, MLPHDConfig, Rescale
from kjet.operators.dense import dense, glorot, normal, rescale, uniform


def seeded(seed=0):
    return torch.Generator().manual_seed(seed)


def test_glorot_has_the_variance_it_states_and_zero_biases():
    layer = glorot(300, 500, generator=seeded(), dtype=torch.float64)
    weight, variance, count = layer.weight, 2 / 800, 150_000
    # five standard errors of mean and variance of `count` normal numbers
    assert abs(float(weight.detach().mean())) < 5 * (variance / count) ** 0.5
    assert abs(float(weight.detach().var()) / variance - 1) < 5 * (2 / count) ** 0.5
    assert float((weight.detach().abs() > 3 * variance**0.5).double().mean()) == pytest.approx(0.0027, abs=0.0007)
    assert not layer.bias.any()
    assert layer.weight.requires_grad
    assert layer.bias.requires_grad


def test_types_share_their_weights_up_to_rounding():
    double, single = (glorot(4, 3, generator=seeded(), dtype=t).weight for t in (torch.float64, torch.float32))
    assert torch.equal(double.float(), single)


def test_uniform_fills_its_interval():
    values = uniform(20_000, bound=0.3, generator=seeded())
    assert values.abs().max() <= 0.3
    counts = torch.histc(values, 10, -0.3, 0.3)
    assert float(((counts - 2000) ** 2 / 2000).sum()) < 27.9  # chi-square, 9 degrees of freedom, 0.1 %
    assert normal(2, 3, generator=seeded()).dtype == torch.float64


def test_dense_copies_values():
    weight, bias = normal(3, 2, generator=seeded()), normal(3, generator=seeded(1))
    layer, x = dense(weight, bias, dtype=torch.float64), normal(5, 2, generator=seeded(2))
    torch.testing.assert_close(layer(x), x @ weight.T + bias)
    with torch.no_grad():
        layer.weight.zero_()
    assert weight.all()


def test_rescale_maps_corners_to_corners():
    box = torch.tensor([[1e6, 1e6 + 2], [-3.0, -1e-3]], dtype=torch.float64)
    mapped = Rescale(box, dtype=torch.float64)(box.T)
    torch.testing.assert_close(
        mapped, torch.tensor([[-1.0, -1.0], [1.0, 1.0]], dtype=torch.float64), rtol=1e-14, atol=0
    )
    assert not list(Rescale(box).parameters())


def test_rescale_is_left_out_where_it_does_nothing():
    assert isinstance(rescale(torch.tensor([[-1, 1], [-1, 1]]), 2), torch.nn.Identity)
    assert isinstance(rescale(torch.tensor([[-1, 1], [-1, 2]]), 2), Rescale)


@pytest.mark.parametrize(
    ("box", "message"),
    [
        (torch.zeros(3), r"shape \(3,\); expected \(d, 2\)"),
        (torch.tensor([[0.0, 1.0], [2.0, 2.0]]), r"input 1 is \[2.0, 2.0\]; expected finite bounds with low < high"),
        (torch.tensor([[0.0, float("inf")]]), r"input 0 .* expected finite bounds"),
        (torch.tensor([[float("nan"), 1.0]]), r"input 0 .* expected finite bounds"),
    ],
)
def test_rescale_refuses_bad_boxes(box, message):
    with pytest.raises(ConfigError, match=message):
        Rescale(box)


@pytest.mark.parametrize("box", [None, torch.tensor([[-1.0, 1.0], [2.0, 6.0]])])
def test_the_unit_box_is_stretched(box):
    stretched, plain = rescale(box, 2, scale=3.0), rescale(box, 2)
    x = torch.tensor([[0.5, 3.0], [-1.0, 6.0]])
    torch.testing.assert_close(stretched(x), 3.0 * plain(x))


@pytest.mark.parametrize("scale", [0.0, -1.0, math.inf, math.nan])
def test_scales_that_are_not_positive_numbers_are_refused(scale):
    with pytest.raises(ConfigError, match=r"input_scale = .*; expected a positive number"):
        rescale(None, 2, scale=scale)
    with pytest.raises(ConfigError, match=r"input_scale = .*; expected a positive number"):
        MLPConfig(input_scale=scale)
    with pytest.raises(ConfigError, match=r"output_scale = .*; expected a positive number"):
        MLPHDConfig(output_scale=scale)
