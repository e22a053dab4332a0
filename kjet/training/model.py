"""The unknowns of a problem as one module and one flat vector."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import torch
from torch import nn

from ..errors import ConfigError, listed
from ..pde import Unknown
from ..typing import Float, Tensor

__all__ = ["Model"]


class Model(nn.Module):
    """A network for the fields, and the parameters of the problem, known or to be found.

    Args:
        network: Maps points (n, d) to fields (n, m).
        parameters: Numbers and :class:`Unknown` by name.
        fields: Names of the network's outputs.
        coords: Names of its inputs.

    Attributes:
        products: Type in which the network multiplies matrices; None for that of its parameters. See
            :func:`kjet.training.precision.lowered`, which sets it for a time.

    Raises:
        ConfigError: If the network has no parameters, or does not map the coordinates to the fields.
    """

    def __init__(
        self,
        network: nn.Module,
        parameters: Mapping[str, float | Unknown],
        fields: tuple[str, ...],
        coords: tuple[str, ...],
    ) -> None:
        super().__init__()
        self.network, self.fields, self.coords = network, fields, coords
        self.products: torch.dtype | None = None
        like = next(network.parameters(), None)
        if like is None:
            raise ConfigError(f"the network {type(network).__name__} has no parameters; there is nothing to train")
        self.unknowns: dict[str, Unknown] = {k: v for k, v in parameters.items() if isinstance(v, Unknown)}
        self.known: dict[str, float] = {k: float(v) for k, v in parameters.items() if not isinstance(v, Unknown)}
        self.free = nn.ParameterDict({k: nn.Parameter(v.start().to(like)) for k, v in self.unknowns.items()})
        self._check(torch.zeros(2, len(coords), dtype=like.dtype, device=like.device))
        self._trainable = [p for p in self.parameters() if p.requires_grad]

    def _check(self, points: Float[Tensor, "n d"]) -> None:
        names, m = ", ".join(self.fields), len(self.fields)
        try:
            with torch.no_grad():
                output = self.network(points)
        except RuntimeError as error:
            raise ConfigError(
                f"the network does not take points of shape {tuple(points.shape)}, one column for each of the "
                f"coordinates {listed(self.coords)}: {error}"
            ) from error
        if output.shape != (len(points), m):
            raise ConfigError(
                f"the network maps points of shape {tuple(points.shape)} to {tuple(output.shape)}; the equation has "
                f"{m} fields ({names}), so build it with out_features={m}"
            )

    def forward(self, x: Any) -> Any:
        """Evaluate the fields at points (n, d)."""
        if self.products is None:
            return self.network(x)
        with torch.autocast(x.device.type, self.products):
            y = self.network(x)
        return y.to(x.dtype)

    def parameter_values(self, free: Mapping[str, Tensor] | None = None) -> dict[str, Any]:
        """Values of all parameters, differentiable with respect to the free variables."""
        variables = self.free if free is None else free
        return {**self.known, **{name: unknown.value(variables[name]) for name, unknown in self.unknowns.items()}}

    def found(self) -> dict[str, float]:
        """Present values of the unknown parameters."""
        with torch.no_grad():
            return {name: float(unknown.value(self.free[name])) for name, unknown in self.unknowns.items()}

    def flat(self) -> Float[Tensor, " p"]:
        """Copy all trainable values into one vector."""
        return torch.cat([p.detach().reshape(-1) for p in self.trainable()])

    def trainable(self) -> list[nn.Parameter]:
        """Parameters that are trained, in the order of :meth:`flat`: those that require gradients at the start."""
        return self._trainable

    def load_flat(self, theta: Float[Tensor, " p"]) -> None:
        """Make the trainable parameters views of a vector; later changes of it change the model."""
        start = 0
        for p in self.trainable():
            p.data = theta[start : start + p.numel()].view(p.shape)
            start += p.numel()
