import math

import pytest
import torch

from kjet.errors import ConfigError
from kjet.operators import FourierConfig, FourierFeatures


def seeded(seed=0):
    return torch.Generator().manual_seed(seed)


def test_features_are_waves_of_the_frequencies():
    features = FourierFeatures(2, 3, generator=seeded(), dtype=torch.float64)
    b = features.frequencies / (2 * math.pi)
    x = torch.rand(4, 2, dtype=torch.float64, generator=seeded(1))
    angles = 2 * math.pi * (x[:, None] * b).sum(-1)
    torch.testing.assert_close(features(x), torch.cat([angles.sin(), angles.cos()], -1), rtol=1e-12, atol=1e-14)
    assert features(x).shape[-1] == features.out_features == 6


def test_features_have_the_spread_asked_for_each_coordinate():
    b = FourierFeatures(3, 20_000, sigma=[0.5, 4.0, 0.0], generator=seeded()).frequencies.double() / (2 * math.pi)
    # five standard errors of a standard deviation from 20,000 numbers
    assert b.std(0).tolist() == pytest.approx([0.5, 4.0, 0.0], rel=5 / math.sqrt(40_000))
    assert b.mean(0).abs().max() < 5 * 4.0 / math.sqrt(20_000)


def test_kernel_of_the_features_is_gaussian():
    """``E cos(2 pi b (x - y)) = exp(-2 pi^2 sigma^2 |x - y|^2)`` (Bochner); the mean of 200,000 has error 0.0016."""
    features = FourierFeatures(1, 200_000, sigma=0.7, generator=seeded(), dtype=torch.float64)
    x = torch.tensor([[0.0], [0.1], [0.3]], dtype=torch.float64)
    values = features(x)
    kernel = values @ values.T / 200_000
    expected = torch.exp(-2 * math.pi**2 * 0.49 * (x - x.T) ** 2)
    torch.testing.assert_close(kernel, expected, rtol=0, atol=0.008)


def test_frequencies_are_not_trained_but_saved():
    net = FourierConfig(features=4, width=6, depth=1).build(2, 1, generator=seeded())
    assert "features.frequencies" in net.state_dict()
    assert not any(parameter is net.features.frequencies for parameter in net.parameters())


def test_sigmas_take_the_place_of_sigma():
    net = FourierConfig(features=4, sigma=3.0, sigmas=[1.0, 0.0]).build(2, 1, generator=seeded())
    assert not net.features.frequencies[:, 1].any()
    assert net.features.frequencies[:, 0].all()


@pytest.mark.parametrize("change", [{"sigma": -1.0}, {"sigmas": [1.0, float("nan")]}, {"sigma": float("inf")}])
def test_config_refuses_a_sigma_out_of_range(change):
    with pytest.raises(ConfigError, match=r"FourierConfig: sigma = .* expected a finite number of at least 0"):
        FourierConfig(**change)


def test_sigma_and_features_have_to_fit():
    with pytest.raises(ConfigError, match=r"sigma = \[1.0, 2.0\]; expected one number, or one for each of 3 inputs"):
        FourierConfig(sigmas=[1.0, 2.0]).build(3, 1)
    with pytest.raises(ConfigError, match=r"features = 0"):
        FourierConfig(features=0)
