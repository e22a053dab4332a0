"""Some problems as DeepXDE's users write them, to see what reading recorded residuals costs DeepXDE.

``python -m benchmarks._zoo_by_hand '{"threads": 1, "repetitions": 30}' result.json`` takes a step of each in turn.
"""

from __future__ import annotations

import json
import math
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any

import torch

from ._timing import alternate, ratio, spread
from ._zoo_deepxde import LEARNING_RATE, library, model_of
from ._zoo_task import Task, threads

__all__ = ["RESIDUALS", "compare", "written"]


def _burgers(grad: Any, x: Any, y: Any) -> Any:
    u_x, u_t = grad.jacobian(y, x, i=0, j=0), grad.jacobian(y, x, i=0, j=1)
    return u_t + y * u_x - 0.01 / math.pi * grad.hessian(y, x, i=0, j=0)


def _poisson2d(grad: Any, x: Any, y: Any) -> Any:
    u_xx, u_yy = grad.hessian(y, x, i=0, j=0), grad.hessian(y, x, i=1, j=1)
    source = 2 * math.pi**2 * torch.sin(math.pi * x[:, :1]) * torch.sin(math.pi * x[:, 1:])
    return -u_xx - u_yy - source


def _cavity(grad: Any, x: Any, y: Any) -> Any:
    u, v = y[:, :1], y[:, 1:2]

    def momentum(i: int) -> Any:
        w_x, w_y = grad.jacobian(y, x, i=i, j=0), grad.jacobian(y, x, i=i, j=1)
        w_xx = grad.hessian(y, x, component=i, i=0, j=0)
        w_yy = grad.hessian(y, x, component=i, i=1, j=1)
        return u * w_x + v * w_y + grad.jacobian(y, x, i=2, j=i) - 1 / 100.0 * (w_xx + w_yy)

    return [momentum(0), momentum(1), grad.jacobian(y, x, i=0, j=0) + grad.jacobian(y, x, i=1, j=1)]


RESIDUALS: dict[str, Callable[[Any, Any, Any], Any]] = {"burgers": _burgers, "poisson2d": _poisson2d, "cavity": _cavity}


def written(name: str, task: Task) -> Any:
    """Make DeepXDE's model by its own parts: PDE, PointSetBC, FNN with a map of the inputs; weights as the task's."""
    dde = library()
    equation, *others = task.terms
    conditions = []
    for term in others:
        columns = {coord: term.points.column(coord) for coord in term.points.coords}
        for field, value in term.condition.values.items():  # type: ignore[union-attr]
            wanted = {key: columns[key] for key in (value.__code__.co_varnames if callable(value) else ())}
            given = torch.as_tensor(value(**wanted) if callable(value) else value, dtype=torch.float64)
            target = given.expand(len(term.points))[:, None].numpy()
            conditions.append(dde.icbc.PointSetBC(term.points.x.numpy(), target, task.problem.fields.index(field)))
    low, high = task.problem.domain.bounds.T
    geometry = dde.geometry.Hypercube(low.numpy(), high.numpy())
    data = dde.data.PDE(
        geometry, lambda x, y: RESIDUALS[name](dde.grad, x, y), conditions, anchors=equation.points.x.numpy()
    )
    layers = task.model.network.layers
    sizes = [layers[0].in_features, *(layer.out_features for layer in layers)]  # type: ignore[index,union-attr]
    net = dde.nn.FNN(sizes, "tanh", "Glorot normal")
    net.apply_feature_transform(lambda x: 2 * (x - low) / (high - low) - 1)
    for mine, given in zip(net.linears, layers, strict=True):  # type: ignore[arg-type]
        mine.load_state_dict(given.state_dict())
    model = dde.Model(data, net)
    model.compile("adam", lr=LEARNING_RATE, loss_weights=task.weights, verbose=0)
    return model


def compare(name: str, repetitions: int) -> dict[str, Any]:
    """Take steps of Adam on both in turn, from the same weights, and compare losses and CPU time."""
    task = Task.of(name, 0)
    sides = {"by hand": written(name, task), "recorded": model_of(task)}  # the first has a copy of the weights
    for model in sides.values():
        model.train_state.set_data_train(*model.data.train_next_batch())
    first, second = (m.outputs_losses_train(m.train_state.X_train, None, None)[1].sum().item() for m in sides.values())
    steps = {
        key: lambda m=model: m._train_step(m.train_state.X_train, m.train_state.y_train, None)
        for key, model in sides.items()
    }
    taken = alternate(steps, repetitions)
    return {
        "problem": name,
        "loss_difference": abs(second / first - 1),
        "ms": {key: spread(values) for key, values in taken.items()},
        "ratio": ratio(taken["recorded"], taken["by hand"]),
    }


def main() -> None:
    """Compare all of them."""
    asked = json.loads(sys.argv[1])
    threads(asked["threads"])
    found = [compare(name, asked["repetitions"]) for name in RESIDUALS]
    Path(sys.argv[2]).write_text(json.dumps(found), encoding="utf-8")


if __name__ == "__main__":
    main()
