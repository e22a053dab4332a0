"""Colour maps of values over a rectangle, with limits that survive constant and missing values."""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass
from functools import partial
from typing import TYPE_CHECKING

import numpy as np

from ._canvas import GREY, TINY, plain
from ._samples import Array, Sample, centres, lattice, nodes
from .view import View

if TYPE_CHECKING:
    import torch
    from matplotlib.axes import Axes
    from matplotlib.image import AxesImage

__all__ = [
    "Plane",
    "Scale",
    "draw_bar",
    "draw_map",
    "draw_triple",
    "error_scale",
    "field_scale",
    "log_scale",
    "similar",
]

_DECADES = 5
_MAX_STRETCH = 8.0  # a rectangle longer than this is drawn out of proportion


@dataclass(frozen=True)
class Scale:
    """What the colours mean.

    Args:
        low: Value of the first colour.
        high: Value of the last colour.
        colours: Name of the colour map.
        log: Whether the colours follow the logarithm.
        extend: Where values lie beyond the colours: ``"neither"`` or ``"min"``.
    """

    low: float
    high: float
    colours: str = "viridis"
    log: bool = False
    extend: str = "neither"


@dataclass(frozen=True, eq=False)
class Plane:
    """A rectangle of two coordinates in the box of a view.

    Args:
        view: The view.
        across: Coordinate along the horizontal axis.
        up: Coordinate along the vertical axis.
        resolution: Pixels along the side of a square of the same area.
        true: Whether to keep the proportions, where that does not make a strip of it.
    """

    view: View
    across: str
    up: str
    resolution: int
    true: bool = True

    @property
    def extent(self) -> tuple[float, float, float, float]:
        """Ends of both axes, as matplotlib orders them."""
        return (*self.view.range(self.across), *self.view.range(self.up))

    @property
    def ratio(self) -> float | None:
        """Height over width where the proportions are kept, None where they are not."""
        left, right, bottom, top = self.extent
        ratio = (top - bottom) / (right - left)
        return ratio if self.true and 1 / _MAX_STRETCH <= ratio <= _MAX_STRETCH else None

    @property
    def shape(self) -> tuple[int, int]:
        """Pixels across and up."""
        stretch = math.sqrt(self.ratio or 1.0)  # square pixels, the same number of them for every shape
        return max(2, round(self.resolution / stretch)), max(2, round(self.resolution * stretch))

    def points(self, at: dict[str, float] | None = None) -> torch.Tensor:
        """Return the centres of the pixels (n, d), with some other coordinates `at` given values."""
        n, k = self.shape
        axes = {self.across: centres(self.view, self.across, n), self.up: centres(self.view, self.up, k)}
        for name, value in (at or {}).items():
            axes[name] = nodes(self.view, name, 1).fill_(value)
        return lattice(self.view, axes)


def field_scale(*values: Array) -> Scale:
    """Return one scale for a field and its reference; a constant gets colours on either side of it.

    >>> field_scale(np.array([1.0, np.nan, 3.0]))
    Scale(low=1.0, high=3.0, colours='viridis', log=False, extend='neither')
    >>> field_scale(np.array([2.0, 2.0]))
    Scale(low=1.8, high=2.2, colours='viridis', log=False, extend='neither')
    """
    finite = _finite(*values)
    if not finite.size:
        return Scale(0.0, 1.0)
    low, high = float(finite.min()), float(finite.max())
    size = max(abs(low), abs(high))
    if size <= TINY:
        return Scale(-1.0, 1.0)
    if high - low <= 1e-6 * size:  # rounding noise of float32 about a constant
        low, high = low - 0.1 * size, high + 0.1 * size
    return Scale(low, high)


def error_scale(*values: Array) -> Scale:
    """Return a scale from zero to the greatest error."""
    finite = _finite(*values)
    high = float(finite.max()) if finite.size else 0.0
    return Scale(0.0, high if high > TINY else 1.0, "cividis")


def log_scale(*values: Array) -> Scale:
    """Return a logarithmic scale for values >= 0, of one to five decades; a linear one if all are zero.

    >>> log_scale(np.array([0.0, 1e-9, 1e-3, 1.0]))
    Scale(low=1e-05, high=1.0, colours='viridis', log=True, extend='min')
    """
    finite = _finite(*values)
    positive = finite[finite > TINY]
    if not positive.size:
        return Scale(0.0, 1.0)
    high = float(positive.max())
    # A few points where the value passes through zero must not take up most of the colours.
    low = float(np.quantile(positive, 0.02, method="lower"))
    low = min(max(low, high * 10.0**-_DECADES), high / 10)
    return Scale(low, high, log=True, extend="min" if finite.min() < low else "neither")


def draw_map(axes: Axes, plane: Plane, values: Array, inside: Array, scale: Scale, title: str = "") -> AxesImage:
    """Draw values of shape (across, up); outside the domain stays white, what is not finite becomes grey."""
    from matplotlib.colors import ListedColormap, LogNorm, Normalize

    norm = LogNorm(scale.low, scale.high) if scale.log else Normalize(scale.low, scale.high)
    shown = np.maximum(values, scale.low) if scale.log else values
    draw = partial(
        axes.imshow,
        extent=plane.extent,
        origin="lower",
        aspect="auto" if plane.ratio is None else "equal",
        interpolation="nearest",
    )
    image = draw(np.ma.masked_invalid(shown).T, norm=norm, cmap=scale.colours)
    missing = inside & ~np.isfinite(values)
    if missing.any():
        grey = np.ma.masked_where(~missing, np.ones(values.shape)).T
        draw(grey, cmap=ListedColormap([GREY]), vmin=0, vmax=1)
        title = f"{title}\n(grey: no value)"
    if not inside.any():
        title = f"{title}\n(no point in the domain)"
    axes.set_title(title, fontsize="medium", loc="left")
    axes.set_xlabel(plain(plane.across))
    axes.set_ylabel(plain(plane.up))
    axes.locator_params(nbins=5)
    return image


def draw_bar(axes: Axes, image: AxesImage, scale: Scale, label: str = "") -> None:
    """Draw the colour bar beside axes, exactly as high as they are."""
    from matplotlib.ticker import NullFormatter

    inch = axes.figure.dpi / axes.bbox.width  # of the axes' width, before the layout moves it a little
    beside = axes.inset_axes((1 + 0.1 * inch, 0.0, 0.14 * inch, 1.0))
    bar = axes.figure.colorbar(image, cax=beside, extend=scale.extend, label=label)
    bar.outline.set_visible(False)  # type: ignore[operator]
    if scale.log:
        bar.ax.yaxis.set_minor_formatter(NullFormatter())  # a decade at least, so a power of ten is on the bar
    else:
        bar.formatter.set_powerlimits((-3, 4))  # type: ignore[attr-defined]


def draw_triple(row: Sequence[Axes], plane: Plane, values: Sample, field: str) -> None:
    """Draw solution, reference on the same scale, and absolute error; without a reference only the first."""
    solution, reference = values.solution[field], values.reference.get(field)
    scale = field_scale(solution) if reference is None else field_scale(solution, reference)
    layers = [("solution", solution, scale)]
    if reference is not None:
        error = values.error(field)
        layers += [("reference", reference, scale), ("absolute error", error, error_scale(error))]
    for axes, (title, shown, colours) in zip(row, layers, strict=False):
        draw_bar(axes, draw_map(axes, plane, shown, values.inside, colours, title), colours)
    for axes in row[len(layers) :]:
        axes.set_visible(False)


def similar(parts: Sequence[Array]) -> bool:
    """Tell whether arrays have ranges near enough for one colour scale to show them all."""
    spans = [float(np.ptp(_finite(part))) if _finite(part).size else 0.0 for part in parts]
    return min(spans) > 0.05 * max(spans)


def _finite(*values: Array) -> Array:
    joined = np.concatenate([value.reshape(-1) for value in values]) if values else np.empty(0)
    return joined[np.isfinite(joined)]
