"""Where in a network derivatives stop being finite."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass, field
from typing import Any

import torch
from torch.overrides import TorchFunctionMode

from ..typing import Float, Tensor
from .api import jet
from .jet import Jet

__all__ = ["Finding", "Watch", "diagnose", "watch"]


@dataclass(frozen=True)
class Finding:
    """First coefficient that is not finite.

    Attributes:
        layer: Path of the submodule in whose own code it appears, such as ``"net.layers.2"``; empty for the function
            itself.
        kind: Class of that submodule, or name of the function.
        operation: The torch operation that returned it; empty if it was there before any.
        order: Lowest order that is not finite: 0 is the value itself.
        count: Number of points concerned: of entries along the first axis.
        total: Number of all points.
        point: Index of the first that is concerned.
        parameters: Names of that submodule's own parameters and buffers that are not finite themselves.
    """

    layer: str
    kind: str
    operation: str
    order: int
    count: int
    total: int
    point: int
    parameters: tuple[str, ...] = ()

    def __str__(self) -> str:
        place = f'layer "{self.layer}" ({self.kind})' if self.layer else self.kind
        what = "the value" if self.order == 0 else f"the derivative of order {self.order}"
        by = f", out of {self.operation}()" if self.operation else ", on entry"
        culprit = f"; not finite themselves: {', '.join(self.parameters)}" if self.parameters else ""
        return (
            f"{what} is not finite in {place}{by}, at {self.count} of {self.total} points, first {self.point}{culprit}"
        )


@dataclass
class Watch:
    """What a watched evaluation came upon.

    Attributes:
        first: The first coefficient that is not finite; None as long as all are finite.
    """

    first: Finding | None = None
    _path: list[tuple[str, Any]] = field(default_factory=list)

    def look(self, value: Any, operation: str) -> None:
        """Inspect what an operation or layer hands on."""
        if self.first is not None:
            return
        for item in _jets(value):
            for k, c in enumerate(item.coefficients):
                if c is not None and not torch.isfinite(c).all():
                    self.first = self._finding(item, k, c, operation)
                    return

    def _note(self, kind: Any, error: BaseException | None, trace: Any) -> None:
        """Say in an error in which layer it was raised."""
        layer, module = self._path[-1] if self._path else ("", None)
        if error is not None and layer:
            error.add_note(f'in layer "{layer}" ({type(module).__name__})')

    def _finding(self, x: Jet, k: int, c: Tensor, operation: str) -> Finding:
        bad = ~torch.isfinite(c if k == 0 else c.expand(c.shape[0], *x.shape).movedim(0, -1))
        points = bad.flatten(1).any(1) if bad.ndim > 1 else bad.reshape(-1)
        layer, module = self._path[-1] if self._path else ("", None)
        named = (
            [] if module is None else [*module.named_parameters(recurse=False), *module.named_buffers(recurse=False)]
        )
        broken = tuple(name for name, tensor in named if not torch.isfinite(tensor).all())
        kind = "the function" if module is None else type(module).__name__
        return Finding(layer, kind, operation, k, int(points.sum()), points.numel(), int(points.nonzero()[0]), broken)


def _jets(value: Any) -> Iterator[Jet]:
    if isinstance(value, Jet):
        yield value
    elif isinstance(value, list | tuple):
        for item in value:
            yield from _jets(item)


class _Mode(TorchFunctionMode):
    """See the result of every torch function that is applied to jets."""

    def __init__(self, found: Watch) -> None:
        super().__init__()
        self.found = found

    def __torch_function__(self, func: Any, types: Any, args: Any = (), kwargs: Any = None) -> Any:
        result = func(*args, **(kwargs or {}))
        self.found.look(result, getattr(func, "__name__", str(func)))
        return result


@contextmanager
def watch(function: Callable[..., Any]) -> Iterator[Watch]:
    """Watch the jets that pass through a module, or any function, for coefficients that are not finite.

    Hooks on its submodules tell where an evaluation is; they are removed on leaving. An error raised inside is given
    a note with the layer's path.

    Args:
        function: What will be evaluated; submodules are known of an ``nn.Module`` only.

    Cost: one reduction for each coefficient of each operation.

    >>> import torch
    >>> from kjet.jets import laplacian
    >>> net = torch.nn.Sequential(torch.nn.Linear(2, 3), torch.nn.Tanh())
    >>> with watch(net) as found:
    ...     u_xx = laplacian(net, torch.zeros(4, 2))
    >>> found.first is None
    True
    """
    found = Watch()
    modules = function.named_modules() if isinstance(function, torch.nn.Module) else ()
    with ExitStack() as stack:
        for name, module in modules:
            before, after = _hooks(found, name)
            stack.callback(module.register_forward_pre_hook(before, prepend=True, with_kwargs=True).remove)
            stack.callback(module.register_forward_hook(after).remove)
        stack.push(found._note)
        stack.enter_context(_Mode(found))
        yield found


def _hooks(found: Watch, name: str) -> tuple[Callable[..., None], Callable[..., None]]:
    """Keep the path of the modules that are being evaluated, and look at what they are given and return."""

    def enter(module: Any, args: Any, kwargs: Any) -> None:
        found.look([*args, *kwargs.values()], "")
        found._path.append((name, module))

    def leave(module: Any, args: Any, result: Any) -> None:
        found.look(result, "forward")
        found._path.pop()

    return enter, leave


def diagnose(
    function: Callable[..., Any],
    x: Float[Tensor, "n d"],
    order: int = 2,
    directions: Float[Tensor, "s d"] | Float[Tensor, "s n d"] | None = None,
) -> Finding | None:
    """Find the first layer, operation and order at which a derivative is not finite.

    Args:
        function: A module, or a function of points (n, d).
        x: Points.
        order: Highest order of derivative to look at, at least 1.
        directions: Of the derivatives; all axes by default.

    Returns:
        None if all are finite.

    Cost: one Taylor pass of the order, and one reduction for each coefficient of each operation.

    >>> import torch
    >>> class Root(torch.nn.Module):
    ...     def forward(self, x):
    ...         return torch.sqrt(x)
    >>> net = torch.nn.Sequential(torch.nn.Identity(), Root())
    >>> print(diagnose(net, torch.tensor([[1.0], [0.0]])))
    the derivative of order 1 is not finite in layer "1" (Root), out of sqrt(), at 1 of 2 points, first 1
    """
    along = torch.eye(x.shape[-1], dtype=x.dtype, device=x.device) if directions is None else directions
    with torch.no_grad(), watch(function) as found:
        jet(function, x, along, max(order, 1))
    return found.first
