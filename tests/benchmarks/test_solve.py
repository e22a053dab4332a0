"""The comparison with DeepXDE, at a size that takes seconds."""

import json

import numpy as np
import pytest

from benchmarks import solve


def test_the_task_holds_what_the_other_side_needs():
    task = solve.describe("burgers", seed=0, seconds=1.0, threads=1)
    assert task["inside"].shape == (2000, 2)
    assert task["hidden"].tolist() == [24, 24, 24]
    start = task["points_0"][:, 0]
    np.testing.assert_allclose(task["values_0"], -np.sin(np.pi * start), atol=1e-12)
    np.testing.assert_array_equal(task["values_1"], 0.0)
    assert np.isfinite(task["expected"]).all()


@pytest.mark.slow
@pytest.mark.parametrize("problem", solve.PROBLEMS)
def test_both_sides_run(tmp_path, problem):
    out = tmp_path / "solve.json"
    solve.main(["--problems", problem, "--seconds", "3", "--threads", "1", "--out", str(out)])
    content = json.loads(out.read_text())
    (run,) = content["runs"]
    for side in ("kjet", "deepxde"):
        seconds, errors = zip(*run["sides"][side]["curve"], strict=True)
        assert list(seconds) == sorted(seconds)
        assert all(np.isfinite(errors))
    assert out.with_suffix(".png").exists()
    assert {"command", "machine", "versions", "date"} <= content.keys()
