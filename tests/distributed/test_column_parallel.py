"""Processes that hold some columns of a first layer each find what one finds that holds all of them."""

from __future__ import annotations

import copy
from pathlib import Path

import pytest
import torch
from torch import nn

from kjet.distributed import Axis, ColumnParallelLinear, Columns, Mesh, Share, reduce_gradients, replicated
from kjet.errors import ConfigError
from kjet.jets import Jet, Layout, OneHot, PerPoint, Seeds, Shared, laplacian
from kjet.jets.seeds import Stacked, start
from tests.distributed.columns_worker import MESHES, PROCESSES, D
from tests.distributed.launching import WARNINGS, launch

TOLERANCE = 1e-12  # float64: only the order of summation differs
WEIGHT = "first.weight"


@pytest.fixture(scope="module")
def outcomes(tmp_path_factory) -> dict[str, list[dict]]:
    """What every rank of every mesh found; one launch, since each takes four times the import of torch."""
    folder: Path = tmp_path_factory.mktemp("columns")
    ended = launch("tests.distributed.columns_worker", PROCESSES, "all", folder, *WARNINGS)
    assert [code for code, _ in ended] == [0] * PROCESSES, "\n".join(output for _, output in ended)
    sizes = {name: data * direction * column for name, (data, direction, column) in MESHES.items()}
    return {
        name: [torch.load(folder / f"{name}-{rank}.pt", weights_only=True) for rank in range(size)]
        for name, size in sizes.items()
    }


def far(found, expected) -> bool:
    return found.shape != expected.shape or bool(
        ((found - expected).abs() > TOLERANCE * expected.abs().max().clamp(min=1.0)).any()
    )


SEVERAL = [name for name in MESHES if name != "one"]


@pytest.mark.parametrize("name", SEVERAL)
def test_values_jets_gradients_and_a_step_are_those_of_one_process(outcomes, name):
    (one,), wrong = outcomes["one"], []
    for rank, outcome in enumerate(outcomes[name]):
        first, last = outcome["columns"]
        for case, expected in one["cases"].items():
            found, index = outcome["cases"][case], outcome["index"]
            pairs = {"loss": (found["loss"], expected["loss"])}
            pairs |= {key: (found[key], expected[key][index]) for key in ("operator", "value")}
            for kind in ("gradients", "trained"):
                assert found[kind].keys() == expected[kind].keys()
                for key, tensor in expected[kind].items():
                    own = tensor[:, first:last] if key == WEIGHT else tensor
                    pairs[f"{kind} of {key}"] = found[kind][key], own
            wrong += [f"{case}, rank {rank}: {what}" for what, pair in pairs.items() if far(*pair)]
    assert not wrong, "\n".join(wrong)


def test_the_weights_move(outcomes):
    (one,) = outcomes["one"]
    for found in one["cases"].values():
        assert all(bool(gradient.abs().max() > 1e-6) for gradient in found["gradients"].values())


def test_derivatives_by_own_coordinates_are_means_over_the_processes(outcomes):
    (one,), both = outcomes["one"], outcomes["columns"]
    for case, expected in one["cases"].items():
        if "local True" in case:
            found = torch.cat([outcome["cases"][case]["input"] for outcome in both], 1)
            assert not far(found / 2, expected["input"])  # as for parameters: times the number of processes


@pytest.mark.parametrize("name", SEVERAL)
def test_random_numbers_do_not_depend_on_the_processes(outcomes, name):
    (one,) = outcomes["one"]
    column = MESHES[name][2]
    for outcome in outcomes[name]:
        first, last = Axis(outcome["rank"][2], column).run(9001)
        found, expected = outcome["drawn"], one["drawn"]
        assert not far(found["ball"], expected["ball"][outcome["index"], first:last])
        assert not far(found["pairs"], expected["pairs"][outcome["index"]])
        assert torch.equal(found["normal"], expected["normal"][:, first:last])
        assert torch.equal(found["signs"], expected["signs"][:, first:last])
        assert torch.equal(found["next"], expected["next"])


def test_a_layer_talks_once_in_each_evaluation(outcomes):
    assert outcomes["one"][0]["exchanges"] == 0
    assert {outcome["exchanges"] for name in SEVERAL for outcome in outcomes[name]} == {1}


def test_a_drift_is_found(outcomes):
    assert outcomes["one"][0]["drift"] == ""
    for name in SEVERAL:
        assert all('"first.bias" differs' in outcome["drift"] for outcome in outcomes[name])


def test_places_in_the_box(outcomes):
    assert [o["rank"] for o in outcomes["points"]] == [(0, 0, 0, 0), (0, 0, 1, 0), (1, 0, 0, 1), (1, 0, 1, 1)]
    assert [o["rank"] for o in outcomes["directions"]] == [(0, 0, 0, 0), (0, 0, 1, 0), (0, 1, 0, 1), (0, 1, 1, 1)]


# --- one process -----------------------------------------------------------------------------------------------------


def generator(seed: int = 0) -> torch.Generator:
    return torch.Generator().manual_seed(seed)


def split(d: int, size: int) -> list[Columns]:
    return [Columns(d, Axis(rank, size)) for rank in range(size)]


def test_alone_it_is_a_linear_layer():
    layer = ColumnParallelLinear(Columns(D), 4, generator=generator(), dtype=torch.float64)
    plain = nn.Linear(D, 4).double()
    plain.weight.data, plain.bias.data = layer.weight.data, layer.bias.data.fill_(0.3)
    x = torch.rand(3, D, dtype=torch.float64, generator=generator(1))
    assert torch.equal(layer(x), plain(x))
    assert torch.equal(laplacian(lambda x: torch.tanh(layer(x)), x), laplacian(lambda x: torch.tanh(plain(x)), x))
    layer(x).square().sum().backward()
    expected = layer.weight.grad.clone()
    reduce_gradients(layer, Mesh())
    assert torch.equal(layer.weight.grad, expected)


@pytest.mark.parametrize("dtype", [torch.float32, torch.float64])
def test_weights_are_glorots_whatever_the_number_of_processes(dtype):
    d, h = 5000, 20
    whole = ColumnParallelLinear(Columns(d), h, generator=generator(), dtype=dtype)
    parts = [ColumnParallelLinear(columns, h, generator=generator(), dtype=dtype) for columns in split(d, 3)]
    assert torch.equal(torch.cat([part.weight for part in parts], 1), whole.weight)
    assert whole.weight.dtype == whole.bias.dtype == dtype
    assert not whole.bias.any()
    assert float(whole.weight.detach().double().std()) == pytest.approx((2 / (d + h)) ** 0.5, rel=0.02)
    blocks = whole.weight.detach()[:, :904], whole.weight.detach()[:, 4096:]  # of different generators
    assert abs(float(torch.corrcoef(torch.stack([b.flatten() for b in blocks]))[0, 1])) < 0.03
    precise = ColumnParallelLinear(Columns(d), h, generator=generator(), dtype=torch.float64)
    torch.testing.assert_close(whole.weight.double(), precise.weight, rtol=1e-6, atol=0.0)


def test_weights_from_torchs_own_generator():
    torch.manual_seed(7)
    layer = ColumnParallelLinear(Columns(4), 2, bias=False)
    torch.manual_seed(7)
    assert torch.equal(ColumnParallelLinear(Columns(4), 2).weight, layer.weight)
    assert layer.bias is None
    assert "columns=0:4" in repr(layer)


@pytest.mark.parametrize("law", ["radius", "volume"])
@pytest.mark.parametrize("dtype", [torch.float32, torch.float64])
def test_points_of_the_ball(law, dtype):
    n, d = 2000, 60
    x = Columns(d).ball(Share(torch.arange(n), n), generator(), dtype, law=law)
    assert x.dtype == dtype
    r = x.double().norm(dim=1)
    assert bool((r < 1).all())
    u = (r if law == "radius" else r**d).sort().values  # uniform
    assert float((u - torch.arange(n) / n).abs().max()) < 1.95 / n**0.5  # Kolmogorov, at 0.1 %
    directions = x.double() / r[:, None]
    covariance = d * directions.T @ directions / n
    assert float((covariance - torch.eye(d)).abs().max()) < 6 / n**0.5
    some = Columns(d).ball(Share(torch.tensor([5, 700]), n), generator(), dtype, law=law)
    torch.testing.assert_close(some, x[[5, 700]])


KINDS: dict[str, Seeds] = {
    "axes": OneHot(torch.tensor([4, 0, 6, 2])),
    "axes of each point": OneHot(torch.tensor([[4, 0, 6], [1, 5, 5]])),
    "shared": Shared(torch.randn(3, 7, dtype=torch.float64, generator=generator())),
    "per point": PerPoint(torch.randn(2, 3, 7, dtype=torch.float64, generator=generator())),
    "stacked": Stacked(
        (OneHot(torch.tensor([1])), OneHot(torch.tensor([6])), Shared(torch.ones(1, 7, dtype=torch.float64)))
    ),
}


@pytest.mark.parametrize("size", [2, 3])
@pytest.mark.parametrize("seeds", KINDS.values(), ids=KINDS.keys())
def test_own_directions_are_the_columns_of_all(seeds, size):
    x = torch.rand(3, 7, dtype=torch.float64, generator=generator(1))
    whole = seeds.dense(3, 7, x)
    own = [columns.seeds(seeds) for columns in split(7, size)]
    pieces = [part.dense(3, columns.width, x) for part, columns in zip(own, split(7, size), strict=True)]
    assert torch.equal(torch.cat(pieces, -1), whole)
    rows = (
        [part.rows(1, 2).dense(3, c.width, x) for part, c in zip(own, split(7, size), strict=True)]
        if len(whole) > 1
        else []
    )
    assert not rows or torch.equal(torch.cat(rows, -1), whole[1:2])
    index = torch.tensor([2, 0])
    some = [part.points(index).dense(2, c.width, x) for part, c in zip(own, split(7, size), strict=True)]
    assert torch.equal(torch.cat(some, -1), whole[:, index] if whole.shape[1] > 1 else whole)


@pytest.mark.parametrize("seeds", KINDS.values(), ids=KINDS.keys())
def test_sums_over_own_coordinates_add_up(seeds):
    """Functions of single coordinates, slices of them and what is dense, along directions that may be zero here."""
    x = torch.rand(3, 7, dtype=torch.float64, generator=generator(1)) + 0.5
    s = seeds.count
    layout = Layout((s, s, 0), (None, None, torch.ones(1, s, dtype=torch.float64)))

    def functions(z: Jet) -> list[Jet]:
        dense = torch.cumsum(torch.log(z), -1)
        return [(z**3).sum(-1), torch.sin(z).sum(-1), torch.exp(z * z)[..., :2].sum(-1), dense[..., -1]]

    whole = functions(start(x, seeds, layout))
    parts = [functions(start(columns.of(x), columns.seeds(seeds), layout)) for columns in split(7, 2)]
    cut = [functions(columns.of(start(x, seeds, layout))) for columns in split(7, 2)]
    for place in (0, 1, 3):
        for k in range(4):
            expected = whole[place].row(k)
            for found in (parts, cut):
                torch.testing.assert_close(sum(part[place].row(k) for part in found), expected, rtol=1e-12, atol=1e-12)
    for mine, other in zip(parts, cut, strict=True):
        for k in range(4):
            torch.testing.assert_close(mine[2].row(k), other[2].row(k), rtol=1e-12, atol=1e-12)


def test_a_state_of_other_columns_is_refused():
    first, second = (ColumnParallelLinear(columns, 2) for columns in split(6, 2))
    state = first.state_dict()
    assert set(state) == {"weight", "bias", "_extra_state"}
    assert state["_extra_state"].tolist() == [6, 0, 3]
    again = ColumnParallelLinear(split(6, 2)[0], 2)
    again.load_state_dict(state)
    assert torch.equal(again.weight, first.weight)
    with pytest.raises(ConfigError, match=r"columns 0 to 2 of 6, this process 3 to 5 of 6; load the file"):
        second.load_state_dict(state)


def test_a_copy_talks_through_the_same_group():
    axis = Axis(0, 2, object())  # what a process group is to copy: impossible
    assert copy.deepcopy(ColumnParallelLinear(Columns(6, axis), 2)).columns.axis is axis


def test_what_does_not_fit_is_said():
    with pytest.raises(ConfigError, match=r"5 coordinates cannot be split over 3 processes.*column=2 or fewer"):
        Columns(5, Axis(0, 3))
    with pytest.raises(ConfigError, match=r"points have 4 columns; expected all 6, or the 3 of this process, 3 to 5"):
        Columns(6, Axis(1, 2)).of(torch.zeros(1, 4))
    with pytest.raises(ConfigError, match='law "even"'):
        Columns(6).ball(Share(torch.arange(2), 2), generator(), law="even")
    with pytest.raises(ConfigError, match="out_features=0"):
        ColumnParallelLinear(Columns(6), 0)
    with pytest.raises(ConfigError, match=r"inside has shape \(1,\)"):
        OneHot(torch.tensor([0, 1]), torch.tensor([True]))
    network = ColumnParallelLinear(Columns(6), 2)
    with pytest.raises(ConfigError, match=r"2 column ranks.*use reduce_gradients\(network, mesh"):
        reduce_gradients(network.parameters(), Mesh(column=Axis(0, 2)))
    assert [name for name, _ in replicated(nn.Sequential(network, nn.Linear(2, 1)))] == ["0.bias", "1.weight", "1.bias"]


@pytest.mark.parametrize("shape", [(1, 1, 2), (None, 1, 0), (None, 2, 2)])
def test_a_mesh_needs_as_many_processes_as_places(shape):
    with pytest.raises(ConfigError, match="does not hold 1 connected processes"):
        Mesh.build(*shape)
