"""Checkpoints: bit-for-bit round trips, and every fault that a disk or a kill can cause."""

import contextlib
import json
import logging
import resource
import shutil
import subprocess
import sys

import pytest
import torch

from kjet.errors import ConfigError, RunError
from kjet.training.checkpoint import load_checkpoint, pack_generator, save_checkpoint, unpack_generator


def bits(tensor):
    """The bytes of a tensor, so that NaN payloads and signed zeros count."""
    dense = tensor.detach().resolve_conj().resolve_neg().reshape(-1)
    return torch.cat([dense, dense[:0]]).view(torch.uint8).tolist()


def names(folder):
    return sorted(entry.name for entry in folder.iterdir())


def fill(folder, *steps, keep=10):
    return [save_checkpoint(folder, step, {"w": torch.full((64,), float(step))}, {}, keep=keep) for step in steps]


SHARED = torch.arange(12.0).reshape(3, 4)
NEGATED = torch.tensor([1 + 2j]).conj().imag  # contiguous, with the sign kept as a flag
TENSORS = {
    "bool": torch.tensor([True, False]),
    "uint8": torch.arange(256, dtype=torch.uint8),
    "int64": torch.tensor([-(2**63), 2**63 - 1]),
    "float64": torch.tensor([0.1, -0.0, float("nan"), float("inf"), 5e-324], dtype=torch.float64),
    "bfloat16": torch.tensor([1.5], dtype=torch.bfloat16),
    "complex64": torch.tensor([1 + 2j]),
    "complex128": torch.tensor([[1 + 2j, -0.0 + 1e-300j]], dtype=torch.complex128),
    "conjugated": torch.tensor([1 + 2j], dtype=torch.complex128).conj(),
    "negated": NEGATED,
    "complex scalar": torch.tensor(1j, dtype=torch.complex128),
    "scalar": torch.tensor(3),
    "empty": torch.empty(0, 5, dtype=torch.float64),
    "also empty": torch.empty(0),
    "parameter": torch.nn.Parameter(torch.ones(2)),
    "shared": SHARED,
    "shared again": SHARED,
    "shared row": SHARED[1],
    "transposed": SHARED.T,
    "strided": SHARED[:, ::2],
    "expanded": torch.ones(1).expand(3),
}


@pytest.mark.parametrize("name", TENSORS)
def test_each_tensor_returns_bit_for_bit(tmp_path, name):
    save_checkpoint(tmp_path, 3, TENSORS, {})
    loaded = load_checkpoint(tmp_path)
    original, copy = TENSORS[name], loaded.tensors[name]
    assert loaded.tensors.keys() == TENSORS.keys()
    assert (copy.dtype, copy.shape) == (original.dtype, original.shape)
    assert bits(copy) == bits(original)


def test_loaded_tensors_do_not_share_memory_or_the_file(tmp_path):
    path = save_checkpoint(tmp_path, 3, {"a": SHARED, "b": SHARED}, {})
    loaded = load_checkpoint(tmp_path).tensors
    (path / "state.safetensors").write_bytes(b"")
    loaded["a"].zero_()
    assert torch.equal(loaded["b"], SHARED)


def test_no_tensors_is_a_checkpoint(tmp_path):
    save_checkpoint(tmp_path, 0, {}, {"only": "meta"})
    assert load_checkpoint(tmp_path).meta == {"only": "meta"}


def test_meta_returns_exactly_and_the_manifest_is_strict_json(tmp_path):
    meta = {"best": float("inf"), "loss": 0.1, "deep": [{"x": [float("-inf"), None, True, "é", 2**70]}]}
    path = save_checkpoint(tmp_path, 12, {}, meta)
    loaded = load_checkpoint(path)
    assert (loaded.step, loaded.meta, loaded.path) == (12, meta, path)

    def refuse(constant):
        raise AssertionError(constant)

    manifest = json.loads((path / "manifest.json").read_text(), parse_constant=refuse)
    assert manifest["torch"] == torch.__version__
    assert manifest["schema"] == 1


@pytest.mark.parametrize("meta", [{"x": torch.ones(1)}, {"x": {1: 2}}, {"x": {1, 2}}, {"x": b"raw"}])
def test_meta_that_json_cannot_hold_is_refused(tmp_path, meta):
    with pytest.raises(ConfigError, match="meta"):
        save_checkpoint(tmp_path, 1, {}, meta)
    assert names(tmp_path) == []


@pytest.mark.parametrize("value", [torch.ones(2).to_sparse(), torch.ones(2, device="meta")])
def test_what_is_not_a_dense_tensor_is_refused_by_name(tmp_path, value):
    with pytest.raises(ConfigError, match='"odd"'):
        save_checkpoint(tmp_path, 1, {"odd": value}, {})


@pytest.mark.parametrize(
    "options", [{"step": -1}, {"keep": 0}, {"name": "../x"}, {"name": "step_1"}, {"name": "latest"}]
)
def test_arguments_out_of_range_are_refused(tmp_path, options):
    with pytest.raises(ConfigError):
        save_checkpoint(tmp_path / "c", **({"step": 1, "tensors": {}, "meta": {}} | options))
    assert names(tmp_path) == []


def test_generator_state_continues_the_sequence(tmp_path):
    generator = torch.Generator().manual_seed(5)
    torch.randn(7, generator=generator)
    save_checkpoint(tmp_path, 1, {"rng": pack_generator(generator)}, {})
    expected = torch.randn(9, generator=generator)
    other = torch.Generator()
    unpack_generator(other, load_checkpoint(tmp_path).tensors["rng"])
    assert torch.equal(torch.randn(9, generator=other), expected)


@pytest.mark.parametrize("state", [torch.zeros(3, dtype=torch.uint8), torch.zeros(5056)])
def test_foreign_generator_state_is_refused(state):
    with pytest.raises(RunError, match="random state"):
        unpack_generator(torch.Generator(), state)


def test_rotation_keeps_the_newest_and_the_best(tmp_path):
    save_checkpoint(tmp_path, 1, {}, {}, name="best")
    for step in (1, 2, 3, 100_000_000):
        save_checkpoint(tmp_path, step, {}, {})
    assert names(tmp_path) == ["best", "latest", "step_00000003", "step_100000000"]
    assert (tmp_path / "latest").read_text() == "step_100000000\n"
    assert load_checkpoint(tmp_path).step == 100_000_000
    assert load_checkpoint(tmp_path / "best").step == 1


def test_best_is_replaced(tmp_path):
    for step in (1, 5):
        save_checkpoint(tmp_path, step, {}, {}, name="best")
    assert load_checkpoint(tmp_path / "best").step == 5
    assert names(tmp_path) == ["best"]


def test_going_back_never_leaves_only_broken_checkpoints(tmp_path):
    fill(tmp_path, 10, 20)
    (tmp_path / "step_00000020" / "manifest.json").unlink()
    fill(tmp_path, 15, keep=1)
    assert names(tmp_path) == ["latest", "step_00000015"]
    assert load_checkpoint(tmp_path).step == 15


def test_a_broken_checkpoint_is_replaced_by_the_same_step(tmp_path):
    fill(tmp_path, 10, 20)
    (tmp_path / "step_00000020" / "state.safetensors").unlink()
    fill(tmp_path, 20)
    assert load_checkpoint(tmp_path).step == 20


def test_run_directory_folder_and_checkpoint_are_accepted(tmp_path):
    (path,) = fill(tmp_path / "run" / "checkpoints", 4)
    for given in (tmp_path / "run", path.parent, path):
        assert load_checkpoint(given).path == path
    assert load_checkpoint(str(path)).step == 4


def flip(path, position):
    data = bytearray(path.read_bytes())
    data[position] ^= 1
    path.write_bytes(bytes(data))


def empty(path):
    shutil.rmtree(path)
    path.mkdir()


def truncate(path):
    path.write_bytes(path.read_bytes()[:-5])


FAULTS = {
    "state truncated": lambda path: truncate(path / "state.safetensors"),
    "state emptied": lambda path: (path / "state.safetensors").write_bytes(b""),
    "state flipped": lambda path: flip(path / "state.safetensors", -3),
    "state missing": lambda path: (path / "state.safetensors").unlink(),
    "state is a folder": lambda path: ((path / "state.safetensors").unlink(), (path / "state.safetensors").mkdir()),
    "manifest truncated": lambda path: truncate(path / "manifest.json"),
    "manifest emptied": lambda path: (path / "manifest.json").write_bytes(b""),
    "manifest is a list": lambda path: (path / "manifest.json").write_bytes(b"[]"),
    "manifest is binary": lambda path: (path / "manifest.json").write_bytes(b"\xff\xfe\x00"),
    "manifest is deep": lambda path: (path / "manifest.json").write_bytes(b"[" * 100_000),
    "manifest changed": lambda path: (path / "manifest.json").write_text(
        (path / "manifest.json").read_text().replace('"step": 20', '"step": 21')
    ),
    "manifest missing": lambda path: (path / "manifest.json").unlink(),
    "folder emptied": empty,
}


@pytest.mark.parametrize("fault", FAULTS)
def test_a_broken_newest_falls_back_and_names_both(tmp_path, caplog, fault):
    _, newest = fill(tmp_path, 10, 20)
    FAULTS[fault](newest)
    with caplog.at_level(logging.WARNING):
        loaded = load_checkpoint(tmp_path)
    assert loaded.step == 10
    assert torch.equal(loaded.tensors["w"], torch.full((64,), 10.0))
    (record,) = caplog.records
    assert "step_00000010" in record.getMessage()
    assert "step_00000020" in record.getMessage()


@pytest.mark.parametrize("fault", FAULTS)
def test_a_broken_checkpoint_asked_for_by_name_is_an_error(tmp_path, fault):
    _, newest = fill(tmp_path, 10, 20)
    FAULTS[fault](newest)
    with pytest.raises(RunError, match="step_00000020") as caught:
        load_checkpoint(newest)
    assert "\n" not in str(caught.value)


def test_every_flipped_byte_of_the_tensors_is_found(tmp_path):
    (path,) = fill(tmp_path, 1)
    size = (path / "state.safetensors").stat().st_size
    for position in range(0, size, 7):
        flip(path / "state.safetensors", position)
        with pytest.raises(RunError, match="checksum"):
            load_checkpoint(path)
        flip(path / "state.safetensors", position)
    assert load_checkpoint(path).step == 1


def test_all_broken_is_one_line_with_every_reason(tmp_path):
    for path in fill(tmp_path, 10, 20):
        truncate(path / "state.safetensors")
    with pytest.raises(RunError, match=r"step_00000020.*step_00000010.*Start a new run") as caught:
        load_checkpoint(tmp_path)
    assert "\n" not in str(caught.value)


def test_best_is_the_last_resort(tmp_path):
    (path,) = fill(tmp_path, 10)
    save_checkpoint(tmp_path, 7, {}, {}, name="best")
    truncate(path / "state.safetensors")
    assert load_checkpoint(tmp_path).step == 7


def test_a_newer_schema_is_named_and_not_passed_over(tmp_path):
    _, newest = fill(tmp_path, 10, 20)
    manifest = json.loads((newest / "manifest.json").read_text())
    (newest / "manifest.json").write_text(json.dumps(manifest | {"schema": 99, "kjet": "9.9.9"}))
    with pytest.raises(RunError, match=r"schema 99.*kjet 9\.9\.9"):
        load_checkpoint(tmp_path)


def test_nothing_to_load_says_what_to_do(tmp_path):
    (tmp_path / "empty").mkdir()
    with pytest.raises(RunError, match="no checkpoint"):
        load_checkpoint(tmp_path / "empty")
    with pytest.raises(RunError, match="there is no"):
        load_checkpoint(tmp_path / "absent")


class _Payload:
    def __init__(self, marker):
        self.marker = marker

    def __reduce__(self):
        return open, (str(self.marker), "w")


def test_pickles_are_refused_and_not_run(tmp_path):
    marker, payload = tmp_path / "marker", tmp_path / "model.pt"
    torch.save(_Payload(marker), payload)
    with pytest.raises(RunError, match="never loaded"):
        load_checkpoint(payload)
    older, newest = fill(tmp_path / "c", 1, 2)
    shutil.copy(payload, newest / "state.safetensors")
    assert load_checkpoint(tmp_path / "c").path == older
    assert not marker.exists()


def test_a_huge_header_with_a_right_checksum_is_refused(tmp_path, monkeypatch):
    monkeypatch.setattr("safetensors.torch.save", lambda tensors: b"\xff" * 8 + b"{}")
    path = save_checkpoint(tmp_path, 1, {}, {})
    monkeypatch.undo()
    with pytest.raises(RunError, match="header"):
        load_checkpoint(path)


@contextlib.contextmanager
def largest_file(size):
    before = resource.getrlimit(resource.RLIMIT_FSIZE)
    resource.setrlimit(resource.RLIMIT_FSIZE, (size, before[1]))
    try:
        yield
    finally:
        resource.setrlimit(resource.RLIMIT_FSIZE, before)


@pytest.mark.parametrize("name", [None, "best"])
def test_a_full_disk_leaves_the_old_checkpoints(tmp_path, name):
    fill(tmp_path, 10)
    save_checkpoint(tmp_path, 10, {}, {}, name="best")
    before = names(tmp_path)
    with largest_file(10_000), pytest.raises(RunError, match="File too large"):
        save_checkpoint(tmp_path, 20, {"w": torch.zeros(100_000)}, {}, name=name)
    assert names(tmp_path) == before
    assert load_checkpoint(tmp_path).step == 10
    assert load_checkpoint(tmp_path / "best").step == 10
    fill(tmp_path, 20)


def test_a_file_in_place_of_the_folder_is_an_error(tmp_path):
    (tmp_path / "checkpoints").write_text("")
    with pytest.raises(RunError, match="cannot save"):
        fill(tmp_path / "checkpoints", 1)


def test_a_failing_rename_restores_what_was_there(tmp_path, monkeypatch):
    save_checkpoint(tmp_path, 10, {}, {}, name="best")
    rename = type(tmp_path).rename

    def fail(path, target):
        if path.name == ".best.tmp":
            raise OSError(28, "No space left on device")
        return rename(path, target)

    monkeypatch.setattr(type(tmp_path), "rename", fail)
    with pytest.raises(RunError, match="No space left"):
        save_checkpoint(tmp_path, 20, {}, {}, name="best")
    assert names(tmp_path) == ["best"]
    assert load_checkpoint(tmp_path / "best").step == 10


@pytest.mark.parametrize("name", ["best", "step_00000010"])
def test_a_replacement_cut_short_is_found_and_undone(tmp_path, name):
    save_checkpoint(tmp_path, 10, {}, {"old": True}, name=None if name.startswith("step") else name)
    # The state on the disk between the two renames of a replacement.
    (tmp_path / name).rename(tmp_path / f".{name}.old")
    (tmp_path / f".{name}.tmp").mkdir()
    assert load_checkpoint(tmp_path).meta == {"old": True}
    assert load_checkpoint(tmp_path / name).meta == {"old": True}
    fill(tmp_path, 20)
    assert names(tmp_path) == sorted(["latest", "step_00000020", name])


KILLER = """
import json, os, random, signal, sys, time
from pathlib import Path
import torch
from kjet.training.checkpoint import load_checkpoint, save_checkpoint

folder, results = Path(sys.argv[1]), []
random.seed(0)
torch.set_num_threads(1)  # a forked child cannot use the thread pool of its parent
for attempt in range(10):
    reader, writer = os.pipe()
    child = os.fork()
    if child == 0:
        for step in range(10_000):
            name = "best" if step % 3 == 2 else None
            save_checkpoint(folder, attempt * 10_000 + step, {"w": torch.full((200_000,), float(step))}, {}, name=name)
            os.write(writer, b"%09d" % step)
        os._exit(1)
    os.close(writer)
    first = os.read(reader, 9)
    time.sleep(random.uniform(0.0, 0.1))
    os.kill(child, signal.SIGKILL)
    os.waitpid(child, 0)
    announced = first
    while chunk := os.read(reader, 9):
        announced = chunk
    os.close(reader)
    loaded, best = load_checkpoint(folder), load_checkpoint(folder / "best") if int(announced) >= 2 else None
    right = all(bool((c.tensors["w"] == c.step % 10_000).all()) for c in (loaded, best) if c is not None)
    results.append([int(announced), loaded.step - attempt * 10_000, right])
print(json.dumps(results))
"""


def test_kill_while_saving_leaves_a_loadable_checkpoint(tmp_path):
    done = subprocess.run(
        [sys.executable, "-c", KILLER, str(tmp_path)], capture_output=True, text=True, timeout=120, check=False
    )
    assert done.returncode == 0, done.stderr
    results = json.loads(done.stdout)
    assert len(results) == 10
    for announced, loaded, right in results:
        assert right
        # A third of the saves are named "best": the last numbered one is at most one save behind.
        assert announced - 1 <= loaded <= announced + 1
    assert "warning" not in done.stderr
