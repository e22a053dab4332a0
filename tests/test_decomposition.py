"""Problems on regions, from their statement to the solution."""

import math

import pytest
import torch

import kjet
from kjet.constraints import Dirichlet, Initial
from kjet.data import Disk, Interval, Partition, Points, Rectangle, Time
from kjet.decomposition import RegionReference, coupled, decomposed
from kjet.errors import ConfigError, RunError
from kjet.operators import FBPINNConfig, MLPConfig, Regional
from kjet.pde import Heat, NavierStokes2D, Piecewise, Poisson, Unknown
from kjet.problem import Problem
from kjet.problems import (
    AdvectionProblem,
    BurgersProblem,
    InterfaceCircleProblem,
    KovasznayProblem,
    Poisson2DProblem,
    TwoMaterialsProblem,
)
from kjet.training import ConstraintConfig
from kjet.training.setup import build_model

SMALL = MLPConfig(width=10, depth=2)


def rods(**options):
    """A bar of two materials, whose temperature is a broken line."""
    line = Interval(-1.0, 1.0)
    return coupled(
        line,
        {"a": (Interval(-1.0, 0.0), Poisson(coords=("x",), coefficient=options.pop("first", 4.0))),
         "b": (None, Poisson(coords=("x",)))},
        [Dirichlet("left", u=0.0), Dirichlet("right", u=1.0)],
        reference=lambda x: torch.where(x < 0, 0.2 * (x + 1), 0.2 + 0.8 * x),
        **options,
    )  # fmt: skip


def test_each_region_has_a_network_of_its_own_on_its_own_box():
    generator = torch.Generator().manual_seed(0)
    options = {"generator": generator, "dtype": torch.float64, "device": "cpu"}
    model, soft = build_model(rods(), SMALL, ConstraintConfig("auto"), **options)
    assert isinstance(model.network, Regional)
    first, second = model.network.networks
    assert not {id(p) for p in first.parameters()} & {id(p) for p in second.parameters()}
    torch.testing.assert_close(first.rescale(torch.tensor([[-1.0], [0.0]]).double()).flatten().tolist(), [-1.0, 1.0])
    x = torch.linspace(-1, 1, 7, dtype=torch.float64)[:, None]
    assert torch.equal(model(x), torch.cat([first(x), second(x)], -1))
    assert [c.name for c in soft] == ["left", "right", "interface"]


def test_hard_conditions_stay_residuals_with_a_word(caplog):
    options = {"generator": torch.Generator().manual_seed(0), "dtype": torch.float64, "device": "cpu"}
    _, soft = build_model(rods(), SMALL, ConstraintConfig("hard"), **options)
    assert [c.name for c in soft] == ["left", "right", "interface"]
    assert "conditions of a problem with regions stay residuals" in caplog.text


@pytest.mark.slow
def test_a_kink_is_found_in_a_few_steps():
    solution = kjet.solve(rods(), network=SMALL, max_steps=60, progress=False)
    assert solution.fields == ("u",)
    assert solution.errors["u"]["rel_l2"] < 1e-3
    assert float(solution.predict({"x": [0.0]})["u"]) == pytest.approx(0.2, abs=2e-3)
    assert set(solution.residual({"x": [0.3]})) == {"residual"}


def test_prediction_is_chosen_by_region_and_survives_saving(tmp_path):
    problem = rods()
    solution = kjet.solve(problem, network=SMALL, max_steps=2, progress=False)
    x = torch.tensor([[-1.0], [-0.2], [0.0], [0.3], [1.0]], dtype=torch.float64)
    both = solution.model(x).detach()
    expected = torch.cat([both[:3, 0], both[3:, 1]])
    assert torch.equal(solution.predict(x)["u"], expected)
    assert torch.equal(solution.predict(Points(x, ("x",)))["u"], expected)
    path = solution.save(tmp_path / "rods")
    again = kjet.load(path, problem=problem)
    assert torch.equal(again.predict(x)["u"], expected)
    with pytest.raises(RunError, match="regions with fields of their own; load it with"):
        kjet.load(path)
    assert solution.plot() is not None


def test_a_run_is_resumed(tmp_path):
    options = {"network": SMALL, "progress": False, "optimizer": "gauss_newton"}
    whole = kjet.solve(rods(), max_steps=6, run_dir=tmp_path / "whole", **options)
    kjet.solve(rods(), max_steps=3, run_dir=tmp_path / "part", **options)
    again = kjet.solve(rods(), max_steps=6, run_dir=tmp_path / "part", resume=True, **options)
    assert torch.equal(whole.model.flat(), again.model.flat())


def test_an_unknown_coefficient_of_one_material():
    problem = rods(first=Unknown(1.0, low=0.1))
    assert set(problem.all_parameters) == {"coefficient_a", "coefficient_b", "source"}
    solution = kjet.solve(problem, network=SMALL, max_steps=3, progress=False)
    assert set(solution.parameters) == {"coefficient_a"}


def test_reference_by_region():
    problem = InterfaceCircleProblem(contrast=3.0).build()
    x = torch.tensor([0.0, 0.2, 0.9]), torch.tensor([0.0, 0.1, 0.4])
    found = problem.reference(x=x[0], y=x[1])
    expected = [0.0, 0.5 * 0.2, 0.9 * (1 - 0.5 * 0.25 / (0.81 + 0.16))]
    torch.testing.assert_close(found, torch.tensor(expected))
    halves = Partition(Interval(0, 1), {"a": Interval(0, 0.5), "b": None})
    with pytest.raises(ConfigError, match='region "b" has no reference'):
        RegionReference(halves, {"a": torch.sin})


@pytest.mark.parametrize(
    ("problem", "cuts", "names"),
    [
        (BurgersProblem().build(), {"x": [0.0]}, ["u", "u_n"]),
        (BurgersProblem().build(), {"t": [0.5]}, ["u"]),
        (Poisson2DProblem().build(), {"x": [0.3, 0.6], "y": [0.5]}, ["u", "u_n"]),
        (KovasznayProblem().build(), {"x": [0.2]}, ["u", "v", "p", "u_n", "v_n"]),
    ],
)
def test_smooth_coupling_has_what_the_order_leaves_free(problem, cuts, names):
    split = decomposed(problem, **cuts)
    count = math.prod(len(places) + 1 for places in cuts.values())
    assert len(split.fields) == count * len(problem.fields)
    assert split.outputs == problem.fields
    assert list(split.record()[f"interface_{'_'.join(cuts)}"].names) == names
    assert split.all_parameters == problem.all_parameters
    assert [c.name for c in split.conditions[:-1]] == [c.name for c in problem.conditions]


@pytest.mark.parametrize(("coupling", "last"), [("flux", "flux"), ("residual", "residual")])
def test_other_couplings(coupling, last):
    split = decomposed(Poisson2DProblem().build(), coupling=coupling, x=[0.5])
    assert list(split.record()["interface_x"].names) == ["u", last]


@pytest.mark.slow
def test_pieces_become_one_solution():
    split = decomposed(Poisson2DProblem().build(), x=[0.5])
    solution = kjet.solve(split, network=SMALL, max_steps=25, progress=False)
    assert solution.errors["u"]["rel_l2"] < 0.05
    near = [solution.predict({"x": [0.5 + side], "y": [0.4]})["u"] for side in (-1e-9, 1e-9)]
    assert float(near[0] - near[1]) == pytest.approx(0.0, abs=0.02)


def test_time_is_cut_like_any_other_coordinate():
    heat = Problem(Heat(diffusivity=0.1), Interval(0, 1) * Time(0, 1), [Dirichlet(u=0.0),
                   Initial(u=lambda x: torch.sin(math.pi * x))])  # fmt: skip
    split = decomposed(heat, t=[0.25, 0.5])
    assert isinstance(split.equation, Piecewise)
    boxes = split.equation.partition.boxes
    assert boxes[:, 1].tolist() == [[0.0, 0.25], [0.25, 0.5], [0.5, 1.0]]
    points = split.conditions[-1].equation.partition.interface(100, generator=torch.Generator().manual_seed(0))
    assert sorted(points.x[:, 1].unique().tolist()) == [0.25, 0.5]
    assert points.normals.tolist() == [[0.0, 1.0]] * 100


def test_any_network_may_serve_in_the_regions():
    network = FBPINNConfig(subdomains=[2], width=6, depth=1)
    solution = kjet.solve(rods(), network=network, max_steps=2, progress=False)
    assert solution.info["parameters"] == 2 * (2 * (6 + 6) + 2 * (6 + 1))


@pytest.mark.parametrize(
    ("make", "message"),
    [
        (lambda: decomposed(Poisson2DProblem().build()), "needs places to cut"),
        (lambda: decomposed(Poisson2DProblem().build(), z=[0.0]), 'unknown coordinate "z"'),
        (lambda: decomposed(Poisson2DProblem().build(), x=[1.0]), r"x=1\.0 is not inside of the domain"),
        (lambda: decomposed(Poisson2DProblem().build(), coupling="stiff", x=[0.5]), 'unknown coupling "stiff"'),
        (lambda: decomposed(rods(), x=[0.5]), "has regions already"),
        (lambda: coupled(Interval(0, 1), {"a": Interval(0, 0.5), "b": None}), 'region "a" is a pair'),
        (lambda: coupled(Rectangle(), {"a": (Disk((0.5, 0.5), 0.2), NavierStokes2D()), "b": (None, NavierStokes2D())}),
         "NavierStokes2D has no method flux"),
        (lambda: TwoMaterialsProblem(contrast=0.0), "problem.contrast must be positive; got 0.0"),
        (lambda: InterfaceCircleProblem(contrast=-1.0), "problem.contrast must be positive; got -1.0"),
    ],
)  # fmt: skip
def test_what_does_not_fit(make, message):
    with pytest.raises(ConfigError, match=message):
        make()


def test_scales_divide_residuals_and_fluxes():
    scaled, plain = rods(scales={"a": 4.0, "b": 9.0}).record(), rods().record()
    assert str(scaled["equation"].outputs["residual"]) == (
        "where(in_a(x), 0.25 (-coefficient_a u_a_xx - source), 0.111111 (-coefficient_b u_b_xx - source))"
    )
    assert str(scaled["interface"].outputs["flux"]) == f"0.166667 ({plain['interface'].outputs['flux']})"
    assert str(scaled["interface"].outputs["u"]) == str(plain["interface"].outputs["u"])
    with pytest.raises(ConfigError, match='the scale of region "a" must be a positive number'):
        rods(scales={"a": 0.0})


@pytest.mark.slow
@pytest.mark.parametrize("name", [TwoMaterialsProblem, InterfaceCircleProblem])
def test_materials_converge(name):
    solution = kjet.solve(name().build(), max_seconds=30, progress=False)
    assert solution.errors["u"]["rel_l2"] < 1e-3


def test_windows_of_time_are_not_suggested_for_regions():
    problem = AdvectionProblem().build()
    assert problem.windows > 1
    split = decomposed(problem, x=[float(problem.domain.bounds[0].mean())])
    settings = {"network": MLPConfig(width=4, depth=1), "optimizer": "adam", "max_steps": 1, "progress": False}
    assert kjet.solve(split, **settings).status == "completed"
