"""Several processes find what one finds."""

from __future__ import annotations

from pathlib import Path

import pytest
import torch
import torch.distributed as dist

from kjet.distributed import Axis, Mesh, check_replicas, connected, reduce_gradients
from kjet.errors import ConfigError
from tests.distributed.launching import WARNINGS, launch
from tests.distributed.worker import MESHES, PROCESSES, N

WORKER = "tests.distributed.worker"
TOLERANCE = 1e-12  # float64: only the order of summation differs


def load(folder: Path, name: str) -> list[dict]:
    data, direction = MESHES[name]
    return [torch.load(folder / f"{name}-{rank}.pt", weights_only=True) for rank in range(data * direction)]


def far(found, expected) -> bool:
    return bool((found - expected).abs().max() > TOLERANCE * expected.abs().max().clamp(min=1.0))


# One test, since each launch takes four times the import of torch.
def test_every_mesh_finds_what_one_process_finds(tmp_path):
    ended = launch(WORKER, PROCESSES, "all", tmp_path, *WARNINGS)
    report = "\n".join(output for _, output in ended)
    for name in MESHES:
        assert (tmp_path / f"{name}-0.pt").exists(), report
    (one,) = load(tmp_path, "one")
    wrong = []
    for name, (data, direction) in MESHES.items():
        outcomes = load(tmp_path, name)
        for rank, outcome in enumerate(outcomes):
            wrong += [f"{name}, rank {rank}: {what}" for what in differing(outcome, one)]
        wrong += [f"{name}: {what}" for what in unfaithful(outcomes, data, direction)]
    assert not wrong, "\n".join(wrong)
    silent = torch.load(tmp_path / "silent.pt", weights_only=True)
    assert silent["error"], "a process that says nothing ends the others"
    assert silent["seconds"] < 30
    codes = [code for code, _ in ended]
    assert codes[0] == codes[1] == 0, report
    assert codes[2] != 0, "a process that ends, ends the others"
    assert codes[3] == 1, report
    assert "gives up" in ended[3][1]


@pytest.mark.slow
def test_a_compiled_loss_is_the_same(tmp_path):
    ended = launch(WORKER, PROCESSES, "compile", tmp_path)  # the compiler warns of itself
    assert [code for code, _ in ended] == [0] * PROCESSES, "\n".join(output for _, output in ended)
    for rank in range(2):
        found = torch.load(tmp_path / f"compiled-{rank}.pt", weights_only=True)
        eager, compiled = found["eager"], found["compiled"]
        assert not far(compiled["loss"], eager["loss"])
        assert eager["gradients"].keys() == compiled["gradients"].keys()
        assert not any(far(compiled["gradients"][name], gradient) for name, gradient in eager["gradients"].items())


def differing(outcome, one) -> list[str]:
    """What is not as one process finds it."""
    found = []
    for equation, expected in one["equations"].items():
        own = outcome["equations"][equation]
        if far(own["loss"], expected["loss"]):
            found.append(f"loss of {equation}")
        if far(own["values"], expected["values"][own["index"]]):
            found.append(f"values of {equation}")
        if own["gradients"].keys() != expected["gradients"].keys():
            found.append(f"parameters with gradients of {equation}")
        found += [
            f"gradient of {name} in {equation}"
            for name, gradient in expected["gradients"].items()
            if far(own["gradients"][name], gradient)
        ]
    return found + [f"{name} after training" for name, p in one["trained"].items() if far(outcome["trained"][name], p)]


def unfaithful(outcomes, data: int, direction: int) -> list[str]:
    """What is not shared, guarded or transformed as it should be."""
    found = []
    for equation in outcomes[0]["equations"]:
        places = torch.cat([outcome["equations"][equation]["index"] for outcome in outcomes])
        if places.bincount().tolist() != [direction] * N:
            found.append(f"points of {equation}")
    last = data * direction - 1
    for outcome in outcomes if last else []:
        drift = outcome["drift"]
        named = {"value": "layers.2.weight", "order": "w", "type": "a"}
        found += [f"guard: {k}" for k, name in named.items() if f'"{name}" differs: rank {last} of' not in drift[k]]
        found += [] if "differs" in drift["missing"] else ["guard: a missing tensor"]
        found += ["guard: replicas that agree"] if drift["same"] else []
    x = torch.arange(1.0, 4.0, dtype=torch.float64)
    times = sum(range(1, direction + 1))
    for outcome in outcomes if direction > 1 else []:
        got = outcome["transforms"]
        expected = {
            "jvp": (times * x**2, 2 * times * x),
            "vmap": (torch.stack([times * x**2, 4 * times * x**2]),),
            "reduce": (torch.tensor(2.0 * data), data * 1j * x, torch.full((2, 2), float(sum(range(1, data + 1))))),
            "vjp": (data * 2 * times * x,),
            "forward over reverse": (data * torch.diag(12 * times**2 * x**2),),
            "reverse over reverse": (data * torch.diag(12 * times**2 * x**2),),
            "slope": (2 * times * x,),
            "curvature": (data * 16 * times**3 * x**3,),
        }
        for k, values in expected.items():
            result = got[k] if isinstance(got[k], list | tuple) else (got[k],)
            found += [k for a, b in zip(result, values, strict=True) if far(a, b)]
    return found


def test_the_comparison_can_fail():
    tensor = torch.ones(N, 3, dtype=torch.float64)
    assert not far(tensor, tensor)
    assert far(tensor + 3e-12, tensor)


@pytest.mark.parametrize("shape", [(2, 2), (0, 1), (1, 0), (None, 2)])
def test_a_mesh_needs_as_many_processes_as_places(shape):
    with pytest.raises(ConfigError, match="does not hold 1 connected processes"):
        Mesh.build(*shape)


def test_one_process_needs_no_connection():
    with connected("cpu", environment={}) as device:
        assert device == torch.device("cpu")
        assert not dist.is_initialized()
        mesh = Mesh.build()
    assert (mesh.data.size, mesh.direction.size, mesh.world.group) == (1, 1, None)
    weight = torch.ones(2, requires_grad=True)
    idle = torch.ones(2, requires_grad=True)
    (loss := (3 * weight).sum()).backward()
    (found,) = reduce_gradients([weight, idle], mesh, loss)
    assert found == 6.0
    assert not found.requires_grad
    assert weight.grad.tolist() == [3.0, 3.0]
    assert idle.grad is None
    check_replicas([("weight", weight)], mesh.world)


def test_what_is_missing_is_named():
    with pytest.raises(ConfigError, match=r"MASTER_ADDR, MASTER_PORT is not set; start with torchrun"):
        connected(environment={"WORLD_SIZE": "2", "RANK": "0"}).__enter__()
    with pytest.raises(ConfigError, match="no tensors to compare"):
        check_replicas([], Axis())
