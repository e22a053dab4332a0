"""Losses of estimated residuals."""

import pytest
import torch

from kjet.errors import ConfigError
from kjet.jets import Laplacian
from kjet.jets.estimators import STDE, bias_report, squared_loss, two_sample_loss

N = 20000


def residuals(f, x, generator):
    return [STDE(1, per_point=True)(f, x[:1].expand(N, -1), Laplacian(), generator) + 1.0 for _ in range(2)]


def test_unreduced(generator):
    a, b = torch.randn(2, 5, 3, generator=generator)
    assert torch.equal(two_sample_loss(a, b), a * b)
    assert torch.equal(squared_loss(a), a**2)


def test_two_samples_are_unbiased_and_the_square_is_off_by_the_variance(wavy, x, exact, five_sigma, generator):
    a, b = residuals(wavy, x, generator)
    wanted = (exact(wavy, x, Laplacian())[0] + 1.0) ** 2
    five_sigma(two_sample_loss(a, b), wanted)
    biased = squared_loss(a).mean(0) - wanted
    torch.testing.assert_close(biased, a.var(0), rtol=0.1, atol=0)


def test_bias_report(wavy, x, generator):
    a, b = residuals(wavy, x, generator)
    report = bias_report(a, b)
    assert report.variance == pytest.approx(float(a.var(0).mean()), rel=0.05)
    assert report.squared == pytest.approx(report.unbiased + report.variance)
    assert report.unbiased == pytest.approx(float((a * b).mean()), rel=1e-9)
    assert "variance" in str(report)
    assert str(bias_report(torch.zeros(2), torch.zeros(2))).endswith("(0%)")


def test_gradients_reach_both(generator):
    a, b = (torch.randn(4, generator=generator).requires_grad_() for _ in range(2))
    two_sample_loss(a, b).sum().backward()
    assert torch.equal(a.grad, b.detach())
    assert torch.equal(b.grad, a.detach())


@pytest.mark.parametrize("function", [two_sample_loss, bias_report])
def test_shapes_must_agree(function):
    with pytest.raises(ConfigError, match=r"one shape; got \(2,\) and \(2, 1\)"):
        function(torch.ones(2), torch.ones(2, 1))
