"""Taylor rules of torch operations; importing this package registers them."""

from . import (  # noqa: F401
    activations,
    arithmetic,
    attention,
    elementwise,
    linalg,
    methods,
    normalise,
    pieces,
    piecewise,
    power,
    products,
    recurrent,
    scatter,
    select,
    shapes,
    special,
    structure,
)
