"""DeepXDE's side of the comparison, run as a process of its own: ``python -m benchmarks._deepxde task.npz out.json``.

Its documented recipe: Adam at 1e-3 for a third of the time, then L-BFGS, in float64, on points given from outside.
"""

from __future__ import annotations

import json
import math
import sys
import time
from pathlib import Path
from typing import Any

import numpy as np

ADAM_SHARE = 1 / 3
LEARNING_RATE = 1e-3


def equation(name: str, dde: Any, torch: Any, unknown: Any) -> Any:
    """Residual of a problem in DeepXDE's own terms; ``unknown`` is the diffusivity of heat_inverse."""

    def first(y: Any, x: Any, j: int, field: int = 0) -> Any:
        return dde.grad.jacobian(y, x, i=field, j=j)

    def second(y: Any, x: Any, i: int, field: int = 0) -> Any:
        return dde.grad.hessian(y, x, component=field, i=i, j=i)

    def flow(x: Any, y: Any) -> list[Any]:
        u, v = y[:, :1], y[:, 1:2]

        def momentum(field: int) -> Any:
            diffused = (second(y, x, 0, field) + second(y, x, 1, field)) / 100.0
            return u * first(y, x, 0, field) + v * first(y, x, 1, field) - diffused + first(y, x, field, 2)

        return [momentum(0), momentum(1), first(y, x, 0, 0) + first(y, x, 1, 1)]

    def sine(x: Any, a: float, b: float) -> Any:
        return torch.sin(a * math.pi * x[:, :1]) * torch.sin(b * math.pi * x[:, 1:2])

    residuals = {
        "cavity": flow,
        "heat_inverse": lambda x, y: first(y, x, 1) - unknown * second(y, x, 0),
        "burgers": lambda x, y: first(y, x, 1) + y * first(y, x, 0) - 0.01 / math.pi * second(y, x, 0),
        "allen_cahn": lambda x, y: first(y, x, 1) - 1e-4 * second(y, x, 0) - 5.0 * (y - y**3),
        "kdv": lambda x, y: (
            first(y, x, 1) + y * first(y, x, 0) + 0.0025 * dde.grad.jacobian(second(y, x, 0), x, i=0, j=0)
        ),
        "poisson2d": lambda x, y: second(y, x, 0) + second(y, x, 1) + 2 * math.pi**2 * sine(x, 1, 1),
        "helmholtz": lambda x, y: (
            second(y, x, 0) + second(y, x, 1) + y - (1 - 17 * math.pi**2) * sine(x, 1, 4)
        ),
        "poisson5d": lambda x, y: (
            sum(second(y, x, i) for i in range(5)) + math.pi**2 * torch.cos(math.pi * x).sum(1, keepdim=True)
        ),
    }  # fmt: skip
    return residuals[name]


def inputs(bounds: Any, periodic: bool, torch: Any) -> Any:
    """Map the box to [-1, 1]^d, with sine and cosine for a periodic first coordinate: what kjet's networks do."""
    low, high = (torch.as_tensor(side, dtype=torch.float64) for side in bounds.T)

    def transform(x: Any) -> Any:
        scaled = 2 * (x - low) / (high - low) - 1
        if not periodic:
            return scaled
        angle = math.pi * scaled[:, :1]
        return torch.cat([scaled[:, 1:], torch.sin(angle), torch.cos(angle)], 1)

    return transform


def main() -> None:
    """Train and write the error against seconds of training."""
    task = np.load(sys.argv[1])
    import torch

    torch.set_num_threads(int(task["threads"]))
    import deepxde as dde

    dde.config.set_default_float("float64")
    dde.config.set_random_seed(int(task["seed"]))
    bounds, inside, name = task["bounds"], task["inside"], str(task["problem"])
    count = sum(key.startswith("points_") for key in task.files)
    conditions = [
        dde.icbc.PointSetBC(task[f"points_{i}"], task[f"values_{i}"][:, None], component=int(task[f"field_{i}"]))
        for i in range(count)
    ]
    unknown = dde.Variable(1.0, dtype=torch.float64) if name == "heat_inverse" else None
    geometry = dde.geometry.Hypercube(bounds[:, 0], bounds[:, 1])
    pde = equation(name, dde, torch, unknown)
    data = dde.data.PDE(geometry, pde, conditions, num_domain=0, num_boundary=0, anchors=inside)
    periodic, outputs = bool(task["periodic"]), int(task["outputs"])
    net = dde.nn.FNN([bounds.shape[0] + periodic, *task["hidden"].tolist(), outputs], "tanh", "Glorot normal")
    net.apply_feature_transform(inputs(bounds, periodic, torch))
    model, limit = dde.Model(data, net), float(task["seconds"])
    weights = [1.0] * (3 if name == "cavity" else 1) + [float(task[f"weight_{i}"]) for i in range(count)]
    settings = {"loss_weights": weights, "external_trainable_variables": [] if unknown is None else [unknown]}

    class Watch(dde.callbacks.Callback):
        """Stop by time, and measure the error outside the clock."""

        seconds, mark, until, clock = 0.0, 0.0, 0.0, 0.0
        curve: list[tuple[float, float]] = []  # noqa: RUF012

        def on_train_begin(self) -> None:
            self.clock = time.perf_counter()

        def on_epoch_end(self) -> None:
            self.seconds += time.perf_counter() - self.clock
            if self.seconds >= self.mark:
                self.mark = self.seconds + limit / 60
                self.measure()
            if self.seconds >= self.until:
                self.model.stop_training = True
            self.clock = time.perf_counter()

        def measure(self) -> None:
            found = self.model.predict(task["test"])[:, task["tested"]]
            error = float(np.linalg.norm(found - task["expected"]) / np.linalg.norm(task["expected"]))
            self.curve.append((round(self.seconds, 3), error))

    watch = Watch()
    watch.until = ADAM_SHARE * limit
    model.compile("adam", lr=LEARNING_RATE, **settings)
    model.train(iterations=10**7, display_every=10**9, callbacks=[watch], verbose=0)
    watch.until = limit
    dde.optimizers.set_LBFGS_options(maxiter=10**7)
    # Between two looks at the clock; after each, DeepXDE evaluates its losses twice.
    dde.optimizers.LBFGS_options["iter_per_step"] = 50
    dde.optimizers.LBFGS_options["fun_per_step"] = 63
    model.compile("L-BFGS", **settings)
    model.train(callbacks=[watch], display_every=10**9, verbose=0)
    watch.measure()
    reason = "time" if watch.seconds >= limit else "L-BFGS stopped by itself"
    result = {"curve": watch.curve, "seconds": round(watch.seconds, 3), "ended": reason}
    found = {} if unknown is None else {"diffusivity": float(unknown)}
    steps = int(model.train_state.step)
    optimizer = f"Adam {LEARNING_RATE:g} for {ADAM_SHARE:.0%} of the time, then L-BFGS"
    text = json.dumps({**result, "found": found, "steps": steps, "optimizer": optimizer})
    Path(sys.argv[2]).write_text(text, encoding="utf-8")


if __name__ == "__main__":
    main()
