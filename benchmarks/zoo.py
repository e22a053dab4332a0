"""Error against time on every problem of the zoo: kjet's default beside DeepXDE and jinns.

    python -m benchmarks.zoo --quick                                   # one seed, 20 minutes in all
    python -m benchmarks.zoo --threads 2                               # three seeds; goes on where it was stopped
    python -m benchmarks.zoo --problems burgers cavity --sides kjet deepxde --seconds 60
    python -m benchmarks.zoo --table                                   # write docs/zoo.md and the figure anew
    python -m benchmarks.zoo --check                                   # compare docs/zoo.md with what is stored
    python -m benchmarks.zoo --overhead                                # DeepXDE's step, recorded and by hand

Every side starts from the same loss: residuals, points, targets, weights, network, map of the inputs, exact conditions
and first weights. Each run has a process of its own, one after the other, and its error is measured outside of its
clock. Runs that are stored for the same time and threads are not repeated.
"""

from __future__ import annotations

import argparse
import json
import os
import re
import subprocess
import sys
import tempfile
from collections.abc import Iterator
from pathlib import Path
from typing import Any

from kjet.errors import unknown
from kjet.registry import names

from . import _record
from ._zoo_table import check, draw, inserted, key, table, unequal
from ._zoo_task import build, measured, statement, title

ROOT = Path(__file__).resolve().parent.parent
RESULTS, PAGE = ROOT / "benchmarks" / "results" / "zoo.json", ROOT / "docs" / "zoo.md"
SIDES = ("kjet", "deepxde", "jinns")
CAP = 120.0  # seconds of a run where none are given
QUICK = 20 * 60.0
STARTING = {"kjet": 6.0, "deepxde": 7.0, "jinns": 40.0}  # seconds of a run beside training: imports, reference, XLA
SHORTEST = 2.0
GRACE = 600.0  # and after which it is taken for stuck


def main(arguments: list[str] | None = None) -> None:
    """Run what is not stored yet, or do what else is asked for."""
    typed = sys.argv[1:] if arguments is None else arguments
    options = _options(typed)
    stored = json.loads(options.out.read_text(encoding="utf-8")) if options.out.exists() else None
    if options.check:
        wrong = check(options.page.read_text(encoding="utf-8"), stored)
        if wrong:
            raise SystemExit("\n".join(wrong))
        return
    if not options.table:
        stored = _overhead(stored, options, typed) if options.overhead else _run(stored, options, typed)
    if stored and stored["runs"]:
        if unequal(stored["runs"]):
            raise SystemExit("\n".join(unequal(stored["runs"])))
        draw(stored, options.out.with_suffix(".png"))
    page = options.page.read_text(encoding="utf-8")
    options.page.write_text(inserted(page, table(stored)), encoding="utf-8")


def _options(typed: list[str]) -> argparse.Namespace:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--problems", nargs="+", default=None, help="all by default")
    parser.add_argument(
        "--sides", nargs="+", choices=SIDES, default=None, help="all by default, without jinns if quick"
    )
    parser.add_argument("--seeds", nargs="+", type=int, default=None, help="0 1 2 by default, 0 with --quick")
    parser.add_argument("--seconds", type=float, default=None, help=f"by default the problem's own, at most {CAP:g}")
    parser.add_argument("--threads", type=int, default=2)
    parser.add_argument("--quick", action="store_true", help="one seed, everything within 20 minutes")
    parser.add_argument("--jinns", default=sys.executable, help="Python in whose environment jinns is installed")
    parser.add_argument("--out", type=Path, default=RESULTS)
    parser.add_argument("--page", type=Path, default=PAGE)
    for name in ("table", "check", "overhead"):
        parser.add_argument(f"--{name}", action="store_true")
    options = parser.parse_args(typed)
    for name in options.problems or ():
        if name not in names("problem"):
            parser.error(unknown("problem", name, names("problem"), "the zoo"))
    if not (options.table or options.check or options.overhead):
        options.problems = measured(options.problems or names("problem"))
    options.sides = options.sides or list(SIDES[:2] if options.quick else SIDES)
    options.seeds = options.seeds or ([0] if options.quick else [0, 1, 2])
    return options


def _run(stored: dict[str, Any] | None, options: argparse.Namespace, typed: list[str]) -> dict[str, Any]:
    content = _continued(stored, options, typed)
    sides = [side for side in options.sides if _installed(side, options)]
    quick = _quick(len(options.problems) * len(options.seeds), sides) if options.quick else None
    for name, side, seed in _order(options, sides):
        seconds = options.seconds or quick or _own(name)
        about = {"problem": name, "side": side, "seed": seed, "seconds": seconds, "threads": options.threads}
        if any(about.items() <= run.items() for run in content["runs"]):
            continue
        run = {**about, "title": title(name), "statement": statement(name), **_measured(about, options)}
        content["runs"] = sorted([r for r in content["runs"] if key(r) != key(run)] + [run], key=key)
        _record.write(options.out, content)
        last = run.get("failed") or f"{run['curve'][-1][1]}, {run['steps']} steps, {run['ended']}"
        print(f"{name} {side} seed {seed}, {seconds:g} s: {last}", flush=True)
    return content


def _order(options: argparse.Namespace, sides: list[str]) -> Iterator[tuple[str, str, int]]:
    """Whole problems first, so that a run that is stopped leaves sides that can be compared."""
    for seed in options.seeds:
        for name in options.problems:
            for side in sides:
                yield name, side, seed


def _quick(problems: int, sides: list[str]) -> float:
    """Seconds of each run, with which all of them take 20 minutes.

    >>> _quick(40, ["kjet", "deepxde"]), _quick(2000, ["kjet"])
    (8.5, 2.0)
    """
    return max(SHORTEST, round((QUICK / problems - sum(STARTING[side] for side in sides)) / len(sides), 1))


def _own(name: str) -> float:
    return min(build(name).seconds, CAP)


def _continued(stored: dict[str, Any] | None, options: argparse.Namespace, typed: list[str]) -> dict[str, Any]:
    """Take up stored results, if they come from this machine."""
    content = _record.document("zoo", typed, options.threads, "deepxde") | {"runs": []}
    if stored is None:
        return content
    cpus = stored["machine"]["cpu"], content["machine"]["cpu"]
    if stored["runs"] and cpus[0] != cpus[1]:
        raise SystemExit(f"{options.out} was measured on {cpus[0]}, this is {cpus[1]}; give another file by --out")
    return {**stored, **{name: content[name] for name in ("command", "date", "machine", "versions")}}


def _installed(side: str, options: argparse.Namespace) -> bool:
    words = [
        _python(side, options),
        "-c",
        f"import importlib.util as u; raise SystemExit(u.find_spec({side!r}) is None)",
    ]
    missing = side != "kjet" and subprocess.run(words, check=False, cwd=ROOT).returncode != 0
    if missing:
        print(f"{side} is not installed for {words[0]}; left out (benchmarks/README.md says how to install it)")
    return not missing


def _python(side: str, options: argparse.Namespace) -> str:
    return options.jinns if side == "jinns" else sys.executable


def _measured(about: dict[str, Any], options: argparse.Namespace) -> dict[str, Any]:
    """Run one side of one problem."""
    asked = {name: about[name] for name in ("side", "problem", "seed", "seconds", "threads")}
    limit = 2 * about["seconds"] + GRACE
    return _process("benchmarks._zoo_worker", asked, limit, _python(about["side"], options))


def _process(module: str, asked: dict[str, Any], limit: float, python: str) -> Any:
    """Run a module in a process of its own, and read the JSON that it writes; what it fails with is a result, too."""
    with tempfile.TemporaryDirectory() as folder:
        result, threads = Path(folder) / "result.json", str(asked["threads"])
        environment = os.environ | {
            "OMP_NUM_THREADS": threads, "MKL_NUM_THREADS": threads,
            "DDE_BACKEND": "pytorch", "HOME": folder,  # where DeepXDE writes a configuration when it is imported
        }  # fmt: skip
        words = [python, "-m", module, json.dumps(asked), str(result)]
        try:
            done = subprocess.run(
                words, env=environment, cwd=ROOT, capture_output=True, text=True, check=False, timeout=limit
            )
        except subprocess.TimeoutExpired:
            return {"failed": f"took longer than {limit:g} s"}
        if done.returncode:
            lines = [
                line for line in done.stderr.splitlines() if re.match(r"[\w.]+(Error|Exception|Interrupt)\b", line)
            ]
            return {"failed": lines[-1][:300] if lines else f"ended with {done.returncode}"}
        return json.loads(result.read_text(encoding="utf-8"))


def _overhead(stored: dict[str, Any] | None, options: argparse.Namespace, typed: list[str]) -> dict[str, Any]:
    """Compare DeepXDE's step on recorded residuals with that on residuals written by hand."""
    content = _continued(stored, options, typed)
    asked = {"threads": 1, "repetitions": 50}
    found = _process("benchmarks._zoo_by_hand", asked, GRACE, sys.executable)
    content["overhead"] = found
    _record.write(options.out, content)
    for case in found if isinstance(found, list) else ():
        print(case["problem"], f"recorded / by hand {case['ratio']['median']:.2f}", flush=True)
    return content


if __name__ == "__main__":
    main()
