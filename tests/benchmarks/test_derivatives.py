"""The derivative benchmark at its smallest size."""

import json

import pytest

from benchmarks import derivatives


@pytest.mark.slow
# torch.func.jvp within jvp compiles a decomposition by torch.jit.script, which torch itself calls deprecated.
@pytest.mark.filterwarnings("ignore:.*torch.jit:DeprecationWarning")
def test_quick_run_stores_checked_ratios(tmp_path):
    out = tmp_path / "derivatives.json"
    derivatives.main(["--quick", "--cases", "burgers", "--no-compile", "--out", str(out)])
    content = json.loads(out.read_text())
    assert {"command", "machine", "versions", "date"} <= content.keys()
    assert content["machine"]["threads"] == 1
