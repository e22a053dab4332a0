"""A diagnosis as words, as a table and as plain data."""

from __future__ import annotations

import dataclasses
import html
from dataclasses import dataclass, field
from typing import Any

import torch

from ..causality import Causality
from .advice import Advice
from .balance import TermBalance
from .fitting import Fit
from .gradients import Gradients
from .indicator import Indicator
from .magnitudes import Magnitudes
from .spectrum import Spectrum
from .trivial import Triviality

__all__ = ["Diagnosis"]


@dataclass
class Diagnosis:
    """What was measured of a solution; None where something was not measured, with the reason in `skipped`.

    Attributes:
        problem: Name of the problem.
        dtype: Floating type of the solution.
        weight: Weight of the conditions.
        counts: Points of each term.
        fixed_points: Whether points were never drawn anew.
        can_march: Whether the time can be divided into windows, and is not yet.
        width: Width of the network, where it has one.
        output_scale: Factor of its outputs, where it has one.
        magnitudes: Sizes of coordinates and fields.
        balance: Sizes of the parts of the equation's residuals.
        gradients: Gradients of the terms of the loss.
        spectrum: Tangent kernel.
        fit: Residuals at points of training and fresh ones.
        causality: Residuals in order of time, where there is time.
        noise: Change of each term's residual by rounding to float32.
        trivial: Comparison with constants.
        indicator: Estimated error.
        advice: Changes that may help.
        skipped: What was not measured, and why.
        seconds: Time that it took.
    """

    problem: str
    dtype: str
    weight: float | None = None
    counts: dict[str, int] = field(default_factory=dict)
    fixed_points: bool = False
    can_march: bool = False
    width: int | None = None
    output_scale: float | None = None
    magnitudes: Magnitudes | None = None
    balance: dict[str, TermBalance] | None = None
    gradients: Gradients | None = None
    spectrum: Spectrum | None = None
    fit: dict[str, Fit] | None = None
    causality: Causality | None = None
    noise: dict[str, float] | None = None
    trivial: Triviality | None = None
    indicator: Indicator | None = None
    advice: tuple[Advice, ...] = ()
    skipped: dict[str, str] = field(default_factory=dict)
    seconds: float = 0.0

    @property
    def warnings(self) -> tuple[str, ...]:
        """What is likely to be wrong."""
        trivial = None if self.trivial is None else self.trivial.warning
        late = self.causality.explain() if self.causality is not None and self.causality.lost else None
        return tuple(text for text in (trivial, late) if text is not None)

    def plain(self) -> dict[str, Any]:
        """Return numbers, text, lists and dictionaries only, as JSON holds them."""
        values = {f.name: _plain(getattr(self, f.name)) for f in dataclasses.fields(self)}
        return {"warnings": list(self.warnings), **{k: v for k, v in values.items() if v not in (None, {}, [])}}

    def __str__(self) -> str:
        blocks = [f"diagnosis of {self.problem}, {self.seconds:.1f} s"]
        for title, rows in self.tables().items():
            width = max(len(name) for name, _ in rows)
            blocks.append("\n".join([title, *(f"  {name:<{width}}  {value}" for name, value in rows)]))
        return "\n".join(blocks)

    def _repr_html_(self) -> str:
        parts = [f"<p>diagnosis of {html.escape(self.problem)}</p>"]
        for title, rows in self.tables().items():
            cells = "".join(
                f"<tr><td>{html.escape(name)}</td><td>{html.escape(value)}</td></tr>" for name, value in rows
            )
            parts.append(f"<table><caption>{html.escape(title)}</caption>{cells}</table>")
        return "".join(parts)

    def tables(self) -> dict[str, list[tuple[str, str]]]:
        """Rows of name and text under a title each."""
        made = {
            "warnings": [("!", text) for text in self.warnings],
            "advice": [(advice.setting, advice.reason) for advice in self.advice],
            "estimated error": self._error_rows(),
            "parts of the equation (root mean square)": self._balance_rows(),
            "residual: training points, fresh points": [
                (name, f"{fit.training:.2e}  {fit.fresh:.2e}  (x {fit.ratio:.2g})")
                for name, fit in (self.fit or {}).items()
            ],
            "squared residual over time, relative to the time derivative": self._time_rows(),
            "float32 noise of the residual": [(name, f"{value:.1e}") for name, value in (self.noise or {}).items()],
            "gradients of the terms": self._gradient_rows(),
            "tangent kernel": self._spectrum_rows(),
            "sizes": self._size_rows(),
            "not measured": list(self.skipped.items()),
        }
        return {title: rows for title, rows in made.items() if rows}

    def _error_rows(self) -> list[tuple[str, str]]:
        if self.indicator is None:
            return []
        rows = [(name, f"{value:.1e} (relative L2)") for name, value in self.indicator.relative.items()]
        return [*rows, ("explained", f"{self.indicator.explained:.0%} of the squared residual at points held out")]

    def _balance_rows(self) -> list[tuple[str, str]]:
        rows = []
        for name, balance in (self.balance or {}).items():
            rows += [(text, f"{value:.2e}") for text, value in balance.parts.items()]
            rows.append((name, f"{balance.residual:.2e} = {balance.relative:.1e} of the largest part"))
        return rows

    def _time_rows(self) -> list[tuple[str, str]]:
        if self.causality is None:
            return []
        return [("early ... late", "  ".join(f"{loss:.0e}" for loss in self.causality.losses))]

    def _gradient_rows(self) -> list[tuple[str, str]]:
        found = self.gradients
        if found is None:
            return []
        rows = [(name, f"norm {norm:.1e}, loss {found.losses[name]:.1e}") for name, norm in found.norms.items()]
        return [*rows, *((pair, f"cosine {cosine:+.2f}") for pair, cosine in found.cosines.items())]

    def _spectrum_rows(self) -> list[tuple[str, str]]:
        found = self.spectrum
        if found is None:
            return []
        rows = [(f"rate of {name}", f"{rate:.2e}") for name, rate in found.rates.items()]
        size = f"{found.effective_rank:.1f} of {min(found.rows, found.parameters)}"
        return [*rows, ("condition", f"{found.condition:.1e}"), ("effective rank", size)]

    def _size_rows(self) -> list[tuple[str, str]]:
        if self.magnitudes is None:
            return []
        rows = [(name, f"{low:g} to {high:g}") for name, (low, high) in self.magnitudes.coords.items()]
        for name, size in self.magnitudes.fields.items():
            rows.append((name, f"mean {size.mean:.2g}, deviation {size.deviation:.2g}, largest {size.largest:.2g}"))
        return rows


def _plain(value: Any) -> Any:
    """Turn dataclasses and tuples into dictionaries and lists; arrays over points are left out."""
    if dataclasses.is_dataclass(value) and not isinstance(value, type):
        names = [f.name for f in dataclasses.fields(value) if not isinstance(getattr(value, f.name), torch.Tensor)]
        return {name: _plain(getattr(value, name)) for name in names}
    if isinstance(value, dict):
        return {str(key): _plain(entry) for key, entry in value.items()}
    if isinstance(value, list | tuple):
        return [_plain(entry) for entry in value]
    return value
