"""Directions in checkpoints, and plans that follow an adaptive estimator."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import Any

import pytest
import torch
from safetensors.torch import load, save

from kjet.constraints import Draw
from kjet.data import Uniform
from kjet.errors import RunError
from kjet.jets.estimators import STDE, Hutchinson
from kjet.jets.seeds import OneHot, PerPoint, Shared, Stacked
from kjet.operators import MLPConfig
from kjet.problems import SineGordonHDProblem
from kjet.training import ConstraintConfig, SamplerConfig
from kjet.training.directions import (
    Adaptive,
    Snapshot,
    adaptive_source,
    compared,
    pack_draws,
    pack_term,
    replanned,
    unpack_draws,
    unpack_term,
)
from kjet.training.estimation import Estimation, estimation
from kjet.training.setup import build_model, build_objective

PROBLEM = SineGordonHDProblem(dim=12).build()
CPU = torch.device("cpu")


def objective(estimator: Any, n: int = 6, dtype: torch.dtype = torch.float64) -> Any:
    generator = torch.Generator().manual_seed(0)
    model, soft = build_model(
        PROBLEM, MLPConfig(width=5, depth=2), ConstraintConfig(), generator=generator, dtype=dtype, device="cpu"
    )
    draw, sampler = Draw(Uniform(), generator, dtype), SamplerConfig(points=n)
    return build_objective(PROBLEM, model, soft, sampler, draw, None, estimator)


def vectors(*shape: int) -> torch.Tensor:
    return torch.randn(*shape, generator=torch.Generator().manual_seed(1), dtype=torch.float64)


DRAWS = {
    "axes": (OneHot(torch.tensor([2, 0])),),
    "axes_of_points": (OneHot(torch.tensor([[2, 0, 1], [1, 1, 0]])),),
    "shared": (Shared(vectors(2, 4)),),
    "per_point": (PerPoint(vectors(2, 3, 4)),),
    "several": (Shared(vectors(1, 4)), OneHot(torch.tensor([3]))),
    "mixed": (Stacked((Shared(vectors(2, 4)), OneHot(torch.tensor([3])))), OneHot(torch.tensor([1]))),
    "none": (),
}


@pytest.mark.parametrize("draws", DRAWS.values(), ids=DRAWS.keys())
def test_directions_survive_a_file(draws):
    packed = pack_draws(draws)
    again = unpack_draws(load(save(packed)) if packed else {})
    assert len(again) == len(draws)
    for seeds, other in zip(draws, again, strict=True):
        assert [type(part) for part in seeds.parts()] == [type(part) for part in other.parts()]
        like = torch.zeros(3, 4, dtype=torch.float64)
        assert torch.equal(seeds.dense(3, 4, like), other.dense(3, 4, like))


@pytest.mark.parametrize("unbiased", [False, True])
@pytest.mark.parametrize("source", [STDE(4), STDE(4, per_point=True), Hutchinson(3), None], ids=str)
def test_a_term_survives_a_file(source, unbiased):
    made = objective(Estimation(source, unbiased))
    theta = made.model.flat()
    other = objective(Estimation(source, unbiased)).drawn(torch.Generator().manual_seed(9))
    (term,), (changed,) = made.terms, other.terms
    if source is not None:
        assert float(other.loss(theta)) != float(made.loss(theta))
    back = unpack_term(changed, load(save(pack_term(term))), term.points.measure, CPU)
    assert (back.others is None) == (not unbiased or source is None)
    assert torch.equal(other.with_terms([back]).value_and_gradient(theta)[1], made.value_and_gradient(theta)[1])


def test_a_term_of_another_run():
    (term,) = objective(Estimation(STDE(4))).terms
    tensors = pack_term(term)
    with pytest.raises(RunError, match='the checkpoint has no points for "equation"'):
        unpack_term(term, {k: v for k, v in tensors.items() if not k.endswith(".x")}, 1.0, CPU)
    with pytest.raises(RunError, match=r"has directions for 0 sums of .*; resume with the estimator of the first run"):
        unpack_term(term, {k: v for k, v in tensors.items() if not k.startswith("draws")}, 1.0, CPU)


@dataclass(eq=False)
class Fickle:
    """An adaptive estimator that is told when to change its mind."""

    every: int = 1
    answers: list[bool] = field(default_factory=list)
    dense: bool = False
    asked: list[Any] = field(default_factory=list)

    def family(self, trace: Any, d: int) -> Any:
        return (Hutchinson(3) if self.dense else STDE(4)).family(trace, d)

    def probe(self, f: Any, x: torch.Tensor, operator: Any, generator: torch.Generator) -> bool:
        self.asked.append((f, x, operator))
        changed = self.answers.pop(0)
        self.dense ^= changed
        return changed

    def explain(self) -> str:
        return "dense" if self.dense else "sparse"

    def state_dict(self) -> dict[str, Any]:
        return {"dense": self.dense}

    def load_state_dict(self, state: Any) -> None:
        self.dense = state["dense"]


def test_plans_follow_an_adaptive_estimator():
    fickle = Fickle(answers=[False, True])
    assert isinstance(fickle, Adaptive)
    first = objective(estimation(fickle))
    assert adaptive_source(first) is fickle
    generator = torch.Generator().manual_seed(5)
    assert compared(first, generator) is first
    (f, x, operator), *_ = fickle.asked
    assert f is first.model
    assert x is first.terms[0].points.x
    assert operator.terms(12)[(2, *(0,) * 11)] == 1.0
    second = compared(first, generator)
    (before,), (after,) = first.terms, second.terms
    assert isinstance(before.draws[0], OneHot)
    assert isinstance(after.draws[0], Shared)
    assert after.recorded.estimator == Snapshot(fickle, 1)
    assert torch.isfinite(second.loss(second.model.flat()))


def test_an_estimate_by_another_kind_has_the_same_mean():
    fickle, generator = Fickle(), torch.Generator().manual_seed(3)
    sparse = objective(estimation(fickle))
    exact = objective(Estimation()).with_points({"equation": sparse.terms[0].points})
    theta = sparse.model.flat()
    fickle.dense = True
    dense = replanned(sparse)
    for each in (sparse, dense):
        values = torch.stack([each.drawn(generator).residual(theta) for _ in range(3000)])
        error = values.mean(0) - exact.residual(theta)
        assert float((error / (values.std(0) / 3000**0.5)).abs().max()) < 5.0


def test_without_an_adaptive_estimator_nothing_is_compared():
    made = objective(Estimation(STDE(4)))
    assert adaptive_source(made) is None
    assert compared(made, torch.Generator()) is made
