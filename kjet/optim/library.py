"""Methods of optimizer libraries, which change parameters of any shape in place, as methods of flat parameters."""

from __future__ import annotations

from abc import abstractmethod
from collections.abc import Iterator, MutableMapping, Sequence
from dataclasses import dataclass
from typing import Any

import torch
from torch import nn

from ..errors import ConfigError
from ..typing import Tensor
from .first_order import FirstOrder
from .objective import Objective, State

__all__ = ["LibraryMethod", "shapes_of"]

_NONE = "none"


@dataclass(frozen=True)
class LibraryMethod(FirstOrder):
    """A method that a ``torch.optim.Optimizer`` of a library carries out.

    It is made anew for each step on views of the flat parameters, given its state, asked for one step, and its state
    taken away again: tensors and numbers under names such as ``0.exp_avg`` and ``0.Q.1``, for the first parameter. So
    it is stored and resumed like any other.

    Matrices are preconditioned as such: the objective's ``shapes`` says how the flat vector is divided. Without it
    there is one vector.
    """

    def _start(self, theta: Tensor) -> State:
        return {"parts": 0}

    def _update(self, theta: Tensor, gradient: Tensor, state: State, rate: float, objective: Objective) -> State:
        shapes = shapes_of(objective, theta)
        if state.get("parts") not in (0, len(shapes)):
            raise ConfigError(
                f"the optimizer state is of {state.get('parts', 'no')} parameters, the model has {len(shapes)}; it has "
                f"{', '.join(sorted(state))}. Pass the state that this optimizer's init or last step returned."
            )
        parameters = []
        sizes = [shape.numel() for shape in shapes]
        for shape, part, slope in zip(shapes, theta.split(sizes), gradient.split(sizes), strict=True):
            parameter = nn.Parameter(part.view(shape))
            parameter.grad = slope.view(shape)
            parameters.append(parameter)
        method = self._make(parameters, rate)
        group = method.param_groups[0]
        if state["parts"]:
            for i, parameter in enumerate(parameters):
                method.state[parameter] = _taken(state, str(i))
            group["step"] = int(state["steps"])
        method.step()
        found: State = {"parts": len(parameters)}
        for i, parameter in enumerate(parameters):
            found.update(_named(str(i), method.state[parameter]))
        return found

    @abstractmethod
    def _make(self, parameters: Sequence[nn.Parameter], rate: float) -> torch.optim.Optimizer:
        """Make the library's optimizer."""


def shapes_of(objective: Objective, theta: Tensor) -> tuple[torch.Size, ...]:
    """Return the shapes of the parameters that make up the flat vector; one vector where the objective has none.

    Raises:
        ConfigError: If they do not fill the vector.

    >>> shapes_of(object(), torch.zeros(3))
    (torch.Size([3]),)
    """
    shapes = tuple(torch.Size(shape) for shape in getattr(objective, "shapes", (theta.shape,)))
    if sum(shape.numel() for shape in shapes) != theta.numel():
        raise ConfigError(
            f"the objective's shapes {[tuple(s) for s in shapes]} hold {sum(s.numel() for s in shapes)} numbers; there "
            f"are {theta.numel()} parameters"
        )
    return shapes


def _named(prefix: str, value: Any) -> Iterator[tuple[str, Any]]:
    """Give every leaf of nested dictionaries and lists a name."""
    if isinstance(value, MutableMapping):
        for key, inner in value.items():
            yield from _named(f"{prefix}.{key}", inner)
    elif isinstance(value, list | tuple):
        yield f"{prefix}.length", len(value)
        for i, inner in enumerate(value):
            yield from _named(f"{prefix}.{i}", inner)
    elif value is None:
        yield prefix, _NONE
    elif isinstance(value, Tensor):
        yield prefix, value.contiguous()  # as a file gives it back: products of other strides round differently
    else:
        yield prefix, value


def _taken(state: State, prefix: str) -> dict[str, Any]:
    """Put together what :func:`_named` took apart."""
    tree: dict[str, Any] = {}
    for name, value in state.items():
        keys = name.split(".")
        if keys[0] != prefix or len(keys) < 2:
            continue
        place = tree
        for key in keys[1:-1]:
            place = place.setdefault(key, {})
        place[keys[-1]] = None if isinstance(value, str) and value == _NONE else value
    return _listed(tree)


def _listed(tree: dict[str, Any]) -> Any:
    if "length" in tree:
        return [_listed_leaf(tree[str(i)]) for i in range(tree["length"])]
    return {key: _listed_leaf(value) for key, value in tree.items()}


def _listed_leaf(value: Any) -> Any:
    return _listed(value) if isinstance(value, dict) else value
