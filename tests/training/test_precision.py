"""Lower precision is confined to the gradient of training, measured before it, and refused where it would mislead."""

from __future__ import annotations

import dataclasses
import logging
from typing import Any

import pytest
import torch
from torch import nn

import kjet
from kjet.constraints import Draw
from kjet.data import Uniform
from kjet.errors import ConfigError, RunError
from kjet.jets.estimators import STDE
from kjet.operators import MLPConfig
from kjet.optim import LBFGS, SOAP, Adam, Auto, GaussNewton, LevenbergMarquardt, SelfScaledBroyden
from kjet.pde import PointFunction, Poisson
from kjet.problems import BurgersProblem, HeatInverseProblem, SineGordonHDProblem
from kjet.training import ConstraintConfig, Model, SamplerConfig, Solution, TrainerConfig
from kjet.training.chunking import ChunkedGradient
from kjet.training.compiling import CompiledGradient
from kjet.training.estimation import Estimation
from kjet.training.precision import Accuracy, LoweredGradient, lowered, measure
from kjet.training.setup import build_model, build_objective

SMALL = MLPConfig(width=12, depth=2)
BALL = SineGordonHDProblem(dim=12).build()
CUDA = pytest.mark.skipif(not torch.cuda.is_available(), reason="needs a CUDA device")


def solve(problem: Any = BALL, **options: Any) -> Solution:
    settings = {"network": SMALL, "max_steps": 4, "progress": False, "test_points": 100, "estimator": STDE(4)}
    settings |= {"optimizer": Adam(), "sampler": SamplerConfig(points=40), "precision": "bf16"}
    return kjet.solve(problem, **settings | options)


def objective(problem: Any = BALL, source: Any = STDE(4), unbiased: bool = False, device: str = "cpu") -> Any:  # noqa: B008
    generator = torch.Generator(device=device).manual_seed(0)
    options: dict[str, Any] = {"generator": generator, "dtype": torch.float32, "device": device}
    model, soft = build_model(problem, SMALL, ConstraintConfig(), **options)
    draw = Draw(Uniform(), generator, torch.float32, device)
    sampler = SamplerConfig(points=50, boundary_points=10)
    return build_objective(problem, model, soft, sampler, draw, None, Estimation(source, unbiased))


def settings_of_torch() -> tuple[Any, ...]:
    matmul = torch.backends.cuda.matmul
    return (
        torch.get_float32_matmul_precision(), matmul.allow_tf32, matmul.fp32_precision,
        torch.is_autocast_enabled("cpu"), torch.is_autocast_enabled("cuda"),
        torch.backends.cudnn.allow_tf32, torch.backends.mkldnn.matmul.fp32_precision,
    )  # fmt: skip


# where it applies


def test_the_network_multiplies_in_bfloat16():
    layer = nn.Linear(3, 2)
    model = Model(layer, {}, ("u", "v"), ("x", "y", "z"))
    x = torch.rand(5, 3, generator=torch.Generator().manual_seed(0))
    with lowered("bf16", model):
        found = model(x)
    exact = x.bfloat16().double() @ layer.weight.bfloat16().double().t() + layer.bias.bfloat16().double()
    assert found.dtype == torch.float32
    torch.testing.assert_close(found.double(), exact, rtol=2.0**-8, atol=2.0**-9)  # one rounding of the result
    assert torch.equal(found, found.bfloat16().float())
    assert not torch.equal(model(x), found)


@pytest.mark.parametrize("name", ["full", "tf32", "bf16"])
def test_nothing_is_left_behind(name):
    model, before = Model(nn.Linear(1, 1), {}, ("u",), ("x",)), settings_of_torch()
    with lowered(name, model):
        assert (model.products is not None) == (name == "bf16")
        assert (torch.backends.cuda.matmul.fp32_precision == "tf32") == (name == "tf32")
        assert (torch.get_float32_matmul_precision() == "high") == (name == "tf32")
    with pytest.raises(ZeroDivisionError), lowered(name, model):
        raise ZeroDivisionError
    assert model.products is None
    assert settings_of_torch() == before


def test_tf32_of_the_user_stays():
    matmul = torch.backends.cuda.matmul
    before, model = matmul.fp32_precision, Model(nn.Linear(1, 1), {}, ("u",), ("x",))
    matmul.allow_tf32 = True
    try:
        with lowered("tf32", model):
            pass
        assert matmul.allow_tf32
    finally:
        matmul.allow_tf32 = False
        matmul.fp32_precision = before


def test_a_run_leaves_nothing_behind():
    before = settings_of_torch()
    made = solve()
    assert settings_of_torch() == before
    assert made.model.products is None
    assert {p.dtype for p in made.model.parameters()} == {torch.float32}


def test_the_equation_keeps_its_digits():
    """A source is data: in bfloat16 another problem would be solved."""
    seen = []

    def source(x: Any) -> Any:
        product = x @ torch.ones(12, 1)
        seen.append(product.dtype)
        return product[..., 0]

    equation = Poisson(coords=BALL.domain.coords, source=PointFunction(source, BALL.domain.coords, taylor=False))
    made = objective(dataclasses.replace(BALL, equation=equation))
    seen.clear()
    LoweredGradient("bf16")(made, made.model.flat())
    assert set(seen) == {torch.float32}


def test_errors_and_shares_are_those_of_full_precision():
    made = objective()
    theta, plain = made.model.flat(), made.parts(made.model.flat())
    loss, gradient = LoweredGradient("bf16")(made, theta)
    assert made.parts(theta) == plain
    assert loss.dtype == gradient.dtype == torch.float32
    assert float(made.loss(theta)) == pytest.approx(plain["equation"], rel=1e-6)
    assert float(loss) != plain["equation"]


# what it costs


@pytest.mark.parametrize(
    ("problem", "source", "unbiased"),
    [(BALL, STDE(4), False), (BALL, STDE(4), True), (HeatInverseProblem().build(), None, False)],
)
def test_what_is_measured(caplog, problem, source, unbiased):
    made = objective(problem, source, unbiased)
    plain, rounded = (LoweredGradient(name)(made, made.model.flat())[1] for name in ("full", "bf16"))
    with caplog.at_level(logging.INFO, "kjet"):
        found = measure("bf16", made)
    assert found.gradient == pytest.approx(float((rounded - plain).norm() / plain.norm()), rel=1e-6)
    assert 0 < found.residual < 0.1
    assert f"precision bf16: residual differs by {found.residual:.1e}, gradient by {found.gradient:.1e}" in caplog.text
    assert found.tolerance == 4 * max(2.0**-7, found.gradient)


def test_chunks_measure_the_same():
    made = objective()
    whole, parts = measure("bf16", made), measure("bf16", made, ChunkedGradient(points=7))
    assert 0.5 < parts.gradient / whole.gradient < 2  # products round anew where they are summed in another order
    assert parts.residual == whole.residual


def test_full_precision_measures_nothing():
    made = objective()
    made.rows = None  # would fail
    assert measure("full", made) == Accuracy("full", None, None)
    assert solve(precision="full").info["precision"] == {"name": "full"}


def test_a_great_difference_is_warned_of_and_an_infinite_one_refused(caplog):
    made = objective()
    theta = made.model.flat()

    def twice(objective: Any, theta: torch.Tensor) -> tuple[torch.Tensor, torch.Tensor]:
        factor = 1.0 if objective.model.products is None else scale
        return torch.zeros(()), factor * torch.ones_like(theta)

    scale = 1.5
    assert measure("bf16", made, twice).gradient == pytest.approx(0.5)
    assert "gradient is off by 50 % of its size; trainer.precision=full is safer" in caplog.text
    scale = float("inf")
    with pytest.raises(ConfigError, match=r"not finite at the start; use trainer\.precision=full"):
        measure("bf16", made, twice)
    assert torch.equal(made.model.flat(), theta)


# runs


def test_a_run_tells_what_it_costs(tmp_path):
    made = solve(run_dir=tmp_path / "run", max_steps=60, optimizer=Adam(learning_rate=1e-2))
    cost = made.summary()["precision"]
    assert cost["name"] == "bf16"
    assert 0 < cost["residual"] < 0.05
    assert 0 < cost["gradient"] < 0.1
    assert made.info["loss"] < 0.5 * made.history[0]["loss"]
    assert kjet.load(tmp_path / "run", BALL).info["precision"] == cost
    full = solve(precision="full", max_steps=60, optimizer=Adam(learning_rate=1e-2))
    assert made.errors["u"]["rel_l2"] == pytest.approx(full.errors["u"]["rel_l2"], rel=0.3)


@pytest.mark.parametrize("optimizer", [Adam(), SOAP(), Auto()])
@pytest.mark.parametrize("memory", [None, 0.05])
def test_methods_of_first_order(optimizer, memory):
    assert solve(optimizer=optimizer, memory_mb=memory).status == "completed"


def test_resuming_goes_on_bit_for_bit(tmp_path):
    whole = solve(max_steps=6)
    solve(max_steps=3, run_dir=tmp_path / "run")
    with pytest.raises(RunError, match=r"written with trainer\.precision=bf16, this run has full; resume with"):
        solve(max_steps=6, run_dir=tmp_path / "run", resume=True, precision="full")
    again = solve(max_steps=6, run_dir=tmp_path / "run", resume=True)
    assert torch.equal(again.model.flat(), whole.model.flat())


def test_what_is_traced_is_what_is_evaluated():
    made = objective()
    theta = made.model.flat()
    cost = measure("bf16", made)
    plain = made.value_and_gradient(theta)[1]
    traced = LoweredGradient("bf16", CompiledGradient("aot_eager", tolerance=cost.tolerance))
    for _ in range(2):  # the second one by the program alone
        found = traced(made, theta)[1]
        assert float((found - plain).norm() / plain.norm()) == pytest.approx(cost.gradient, rel=0.8)


@pytest.mark.slow
@pytest.mark.filterwarnings("ignore:.*torch.jit.script.*:DeprecationWarning")  # from within torch
def test_a_compiled_run():
    eager, compiled = solve(), solve(compile=True)
    assert compiled.info["loss"] == pytest.approx(eager.info["loss"], rel=0.02)


# mistakes


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ({"precision": "fp16"}, 'unknown precision "fp16"; it has bf16, full, tf32'),
        ({"precision": "bf16", "dtype": "float64"}, r"the dtype is float64; use trainer\.dtype=float32"),
        ({"precision": "tf32", "dtype": "float32"}, r'products of GPUs, but trainer\.device is "cpu"'),
    ],
)
def test_settings_that_do_not_fit(options, message):
    with pytest.raises(ConfigError, match=message):
        TrainerConfig(**options)


def test_a_suggested_type_does_not_fit_either():
    with pytest.raises(ConfigError, match="the dtype is float64"):
        solve(BurgersProblem().build(), estimator="exact")


def test_old_devices_are_refused(monkeypatch):
    monkeypatch.setattr(torch.cuda, "device_count", lambda: 1)
    monkeypatch.setattr(torch.cuda, "get_device_capability", lambda device: (7, 5))
    with pytest.raises(ConfigError, match=r'"tf32", which needs compute capability 8.0; cuda:0 has 7.5'):
        TrainerConfig(precision="tf32", device="cuda:0")
    monkeypatch.setattr(torch.cuda, "get_device_capability", lambda device: (9, 0))
    TrainerConfig(precision="tf32", device="cuda:0")


@pytest.mark.parametrize(
    ("optimizer", "name"),
    [
        (GaussNewton(), "GaussNewton, unlike adam and soap,"),
        (LevenbergMarquardt(), "LevenbergMarquardt"),
        (SelfScaledBroyden(), "SelfScaledBroyden"),
        (LBFGS(), "LBFGS"),
        (Auto(), "auto would choose a curvature method here, which"),
    ],
)
def test_curvature_works_in_full_precision_only(tmp_path, optimizer, name):
    with pytest.raises(ConfigError, match=f"{name}.*works in full precision only.*Use optimizer=adam or soap"):
        solve(optimizer=optimizer, estimator="exact", dtype="float32", run_dir=tmp_path / "run")
    assert not (tmp_path / "run").exists()


def test_auto_is_taken_where_it_uses_no_curvature():
    made = solve(optimizer=Auto(max_curvature=100), estimator="exact", dtype="float32")
    assert made.info["optimizer"].startswith("adam")


# GPUs


@pytest.mark.gpu
@CUDA
@pytest.mark.parametrize(("name", "most"), [("tf32", 1e-2), ("bf16", 0.1)])
def test_on_a_gpu(name, most):
    before = settings_of_torch()
    found = measure(name, objective(device="cuda"))
    assert 0 < found.residual < most
    assert 0 < found.gradient < most
    assert solve(precision=name, device="cuda").info["precision"]["name"] == name
    assert settings_of_torch() == before
