"""Weights of terms against their formulas, term by term."""

from __future__ import annotations

import math

import pytest
import torch

from kjet.errors import ConfigError, DivergenceError
from kjet.optim.balance import (
    NTK,
    Evidence,
    GradNorm,
    LearningRateAnnealing,
    ReLoBRaLo,
    SoftAdapt,
    ntk_traces,
)

THETA = torch.zeros(4, dtype=torch.float64)


def numbers(*values: float) -> torch.Tensor:
    return torch.tensor(values, dtype=torch.float64)


def weights(rule, *evidence: Evidence, generator=None) -> list[list[float]]:
    state, found = rule.init(2, THETA), []
    for known in evidence:
        done = rule.step(known, state, generator)
        state = done.state
        found.append(done.weights.tolist())
    return found


# NTK


def test_ntk_weights_against_the_kernel():
    """The kernel is formed from Jacobians by autograd; its blocks have the traces, and w_i tr K_ii are equal."""
    generator = torch.Generator().manual_seed(0)
    x, y = (torch.rand(n, 2, generator=generator, dtype=torch.float64) for n in (7, 3))
    theta = torch.randn(9, generator=generator, dtype=torch.float64)

    def u(theta: torch.Tensor, x: torch.Tensor) -> torch.Tensor:
        return torch.tanh(x @ theta[:6].view(2, 3)) @ theta[6:]

    def residual(theta: torch.Tensor) -> torch.Tensor:
        return torch.cat([(u(theta, x) ** 2 - 1) / math.sqrt(7), 5 * u(theta, y) / math.sqrt(3)])

    jacobian = torch.func.jacrev(residual)(theta)
    kernel = jacobian @ jacobian.t()
    traces = ntk_traces(jacobian, [7, 3])
    expected = torch.stack([kernel[:7, :7].trace(), kernel[7:, 7:].trace()])
    torch.testing.assert_close(traces, expected, rtol=1e-12, atol=0)
    found = NTK().step(Evidence(traces=traces), NTK().init(2, theta)).weights
    torch.testing.assert_close(found * expected, kernel.trace().expand(2), rtol=1e-12, atol=0)


def test_ntk_weights_are_averaged():
    found = weights(NTK(decay=0.75), *[Evidence(traces=numbers(6, 2))] * 2)
    assert found[0] == pytest.approx([0.75 + 0.25 * 4 / 3, 0.75 + 0.25 * 4])
    assert found[1] == pytest.approx([0.75 * w + 0.25 * t for w, t in zip(found[0], (4 / 3, 4), strict=True)])


def test_sizes_that_do_not_fit():
    with pytest.raises(ConfigError, match=r"the Jacobian has 3 rows; the terms have \[2, 2\]"):
        ntk_traces(torch.ones(3, 2), [2, 2])


# gradients


def test_annealing():
    rows = torch.tensor([[4.0, -8.0, 0.0, 1.0], [1.0, -1.0, 0.0, 2.0]], dtype=torch.float64)
    assert weights(LearningRateAnnealing(decay=0.0), Evidence(gradients=rows)) == [[1.0, 8.0]]
    assert weights(LearningRateAnnealing(decay=0.0, reference=1), Evidence(gradients=rows)) == [[2 / 3.25, 1.0]]
    found = weights(LearningRateAnnealing(decay=0.9), *[Evidence(gradients=rows)] * 2)
    assert found[1] == pytest.approx([1.0, 0.9 * (0.9 + 0.1 * 8) + 0.1 * 8])


def test_gradient_norms_become_equal():
    rows = torch.tensor([[3.0, 4.0, 0.0, 0.0], [0.0, 0.0, 0.0, 0.5]], dtype=torch.float64)
    (found,) = weights(GradNorm(decay=0.0), Evidence(gradients=rows))
    assert found == pytest.approx([5.5 / 5, 5.5 / 0.5])
    assert found[0] * 5 == pytest.approx(found[1] * 0.5)


@pytest.mark.parametrize("rule", [LearningRateAnnealing(decay=0.0), GradNorm(decay=0.0)])
def test_a_common_factor_has_no_say(rule):
    rows = torch.tensor([[3.0, 4.0, 0.0, 0.0], [0.0, 0.0, 0.0, 0.5]], dtype=torch.float64)
    a, b = (weights(rule, Evidence(gradients=factor * rows)) for factor in (1.0, 1e-6))
    assert a[0] == pytest.approx(b[0], rel=1e-12)


@pytest.mark.parametrize(
    ("rule", "known"),
    [
        (NTK(), Evidence(traces=numbers(2, 0))),
        (LearningRateAnnealing(), Evidence(gradients=torch.tensor([[1.0] * 4, [0.0] * 4]).double())),
        (GradNorm(), Evidence(gradients=torch.tensor([[1.0] * 4, [0.0] * 4]).double())),
    ],
)
def test_a_term_that_vanishes_keeps_one(rule, known):
    assert weights(rule, known)[0][1] == 1.0


# losses


def softmax(*values: float) -> list[float]:
    total = sum(math.exp(v) for v in values)
    return [math.exp(v) / total for v in values]


@pytest.mark.parametrize("kept", [0.0, 1.0])
def test_relobralo(kept):
    a, hot, losses = 0.8, 0.5, [(4.0, 2.0), (2.0, 2.0), (1.0, 1.5)]
    found = weights(ReLoBRaLo(a, hot, kept), *[Evidence(losses=numbers(*pair)) for pair in losses])
    expected = [1.0, 1.0]
    assert found[0] == expected
    for t in (1, 2):
        start, last = (
            [2 * s for s in softmax(*(x / (hot * y) for x, y in zip(losses[t], losses[before], strict=True)))]
            for before in (0, t - 1)
        )
        past = expected if kept else start
        expected = [a * x + (1 - a) * y for x, y in zip(past, last, strict=True)]
        assert found[t] == pytest.approx(expected, rel=1e-12)
        assert sum(found[t]) == pytest.approx(2.0)


def test_relobralo_draws_from_its_generator():
    rule = ReLoBRaLo(decay=0.9, kept=0.5)
    known = [Evidence(losses=numbers(1.0 / (i + 1), 1.0)) for i in range(12)]
    runs = [weights(rule, *known, generator=torch.Generator().manual_seed(seed)) for seed in (0, 0, 1)]
    assert runs[0] == runs[1] != runs[2]
    with pytest.raises(ConfigError, match="needs a generator"):
        weights(rule, *known)


@pytest.mark.parametrize("normalized", [True, False])
@pytest.mark.parametrize("loss_weighted", [True, False])
def test_softadapt(normalized, loss_weighted):
    rule = SoftAdapt(beta=0.7, normalized=normalized, loss_weighted=loss_weighted)
    found = weights(rule, Evidence(losses=numbers(4.0, 2.0)), Evidence(losses=numbers(1.0, 2.5)))
    size = 3.5 if normalized else 1.0
    share = softmax(0.7 * -3.0 / size, 0.7 * 0.5 / size)
    share = [s * x for s, x in zip(share, (1.0, 2.5), strict=True)] if loss_weighted else share
    assert found == [[1.0, 1.0], pytest.approx([2 * s / sum(share) for s in share], rel=1e-12)]


def test_softadapt_without_sharpness_or_change():
    pair = [Evidence(losses=numbers(4.0, 2.0)), Evidence(losses=numbers(1.0, 2.5))]
    assert weights(SoftAdapt(beta=0.0), *pair)[1] == [1.0, 1.0]
    assert weights(SoftAdapt(beta=5.0), pair[0], pair[0])[1] == [1.0, 1.0]


@pytest.mark.parametrize("rule", [ReLoBRaLo(kept=1.0), SoftAdapt()])
def test_losses_that_do_not_fit(rule):
    with pytest.raises(ConfigError, match=r"needs the losses of all 2 terms, of shape \(2,\); got \(3,\)"):
        weights(rule, Evidence(losses=numbers(1, 2, 3)))
    with pytest.raises(ConfigError, match="not all numbers from 0; the unbiased loss"):
        weights(rule, Evidence(losses=numbers(1, -2)))
    with pytest.raises(DivergenceError, match="1 of 2 entries of the losses"):
        weights(rule, Evidence(losses=numbers(1, math.inf)))


@pytest.mark.parametrize(
    "make",
    [
        lambda: NTK(decay=1.0),
        lambda: GradNorm(decay=-0.1),
        lambda: LearningRateAnnealing(reference=-1),
        lambda: LearningRateAnnealing(reference=2).init(2, THETA),
        lambda: ReLoBRaLo(temperature=0.0),
        lambda: ReLoBRaLo(kept=1.1),
        lambda: SoftAdapt(beta=math.nan),
    ],
)
def test_values_out_of_range(make):
    with pytest.raises(ConfigError):
        make()
