"""Curvature methods on residuals that are spread over processes take the steps of one process."""

from __future__ import annotations

import torch

from kjet.distributed import Axis
from kjet.training.sharding import ShardedObjective
from tests.distributed.curvature_worker import METHODS, PROCESSES, objective, run
from tests.distributed.launching import WARNINGS, launch


def test_two_processes_take_the_steps_of_one(tmp_path):
    ended = launch("tests.distributed.curvature_worker", PROCESSES, "steps", tmp_path, *WARNINGS)
    assert [code for code, _ in ended] == [0] * PROCESSES, "\n".join(output for _, output in ended)
    first, second = (torch.load(tmp_path / f"{rank}.pt", weights_only=True) for rank in range(PROCESSES))
    one = run(Axis())
    for name in METHODS:
        for what in ("theta", "losses"):
            key = f"{name}.{what}"
            assert torch.equal(first[key], second[key]), f"{key} differs between the processes"
            torch.testing.assert_close(first[key], one[key], rtol=1e-7, atol=1e-9, msg=key)
        assert one[f"{name}.losses"][-1] < 0.7 * one[f"{name}.losses"][0]


def test_the_parts_make_the_whole():
    whole = objective()
    theta = whole.model.flat()
    parts = [ShardedObjective(whole, Axis(rank, 3)) for rank in range(3)]
    loss, gradient = whole.value_and_gradient(theta)
    found = [part.value_and_gradient(theta) for part in parts]
    torch.testing.assert_close(sum(part for part, _ in found), loss, rtol=1e-13, atol=0.0)
    torch.testing.assert_close(sum(part for _, part in found), gradient, rtol=1e-11, atol=1e-13)
    rows = torch.cat([part.residual_and_jacobian(theta)[1] for part in parts])
    torch.testing.assert_close(rows.T @ rows, (lambda J: J.T @ J)(whole.residual_and_jacobian(theta)[1]))


def test_more_processes_than_points():
    whole = objective()
    theta = whole.model.flat()
    parts = [ShardedObjective(whole, Axis(rank, 60)) for rank in range(60)]
    assert sum(len(part.residual(theta)) for part in parts) == whole.size
    losses = torch.stack([part.loss(theta) for part in parts])
    torch.testing.assert_close(losses.sum(), whole.loss(theta))
