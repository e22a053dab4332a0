"""Functions of all coordinates at once, as coefficients and references."""

import time

import pytest
import torch

from kjet.constraints import Dirichlet
from kjet.errors import ConfigError, JetRuleError
from kjet.jets import Jet, Layout, jet
from kjet.pde import Frame, Heat, Parameters, PointFunction, Poisson, d, record, residual_of

NAMES = ("x", "y", "z")


def bowl(x):
    return torch.exp(x[..., 0]) * (x * x).sum(-1)


def opaque(x):
    """The same, by an operation that no jet passes through."""
    return torch.stack([torch.exp(row[0]) * row.dot(row) for row in x])


def points(n=6, d=3):
    return torch.rand(n, d, generator=torch.Generator().manual_seed(0), dtype=torch.float64) - 0.5


def by_name(x):
    return {name: x[:, i] for i, name in enumerate(NAMES)}


def test_by_points_and_by_name():
    f, x = PointFunction(bowl, NAMES), points()
    assert torch.equal(f.at(x), bowl(x))
    assert torch.equal(f(**by_name(x), nu=3.0), bowl(x))
    assert torch.equal(f(x=x[:, 0], y=x[:, 1], z=0), bowl(x * torch.tensor([1.0, 1.0, 0.0])))
    assert float(f(x=0.0, y=2.0, z=0.0)) == 4.0


def test_as_a_source():
    f, x = PointFunction(bowl, NAMES, name="f"), points()
    equation = Poisson(coords=NAMES, source=f)
    assert equation.record().describe().splitlines()[0].endswith(" - f(x) = 0")
    named = Poisson(coords=NAMES, source=lambda x, y, z: torch.exp(x) * (x**2 + y**2 + z**2))
    found, expected = (residual_of(e, {"u": lambda x, z: x * z}, x)["residual"] for e in (equation, named))
    torch.testing.assert_close(found, expected)


@pytest.mark.parametrize("coords", [("x", "y", "t"), ("t", "y", "x"), ("y", "t", "x")])
def test_columns_follow_the_names(coords):
    """A source of x and y alone, in equations whose coordinates come in any order."""
    f = PointFunction(lambda x: x[..., 0] + 10 * x[..., 1], ("x", "y"))
    x = points()
    found = residual_of(Heat(coords=coords, source=f), {"u": 0.0}, x)["residual"]
    columns = dict(zip(coords, x.unbind(1), strict=True))
    torch.testing.assert_close(found, -columns["x"] - 10 * columns["y"])


@pytest.mark.parametrize(("function", "taylor"), [(bowl, True), (opaque, False)])
@pytest.mark.parametrize("names", ["x", "y", "xz", "xx"])
def test_derivatives(function, taylor, names):
    frame = Frame(NAMES, ("u",), NAMES)
    f = PointFunction(function, NAMES, taylor=taylor)

    def residual(u, p):
        return u - d(f(x=p.x, y=p.y, z=p.z), *names)

    x = points()
    recorded = record(residual, frame)
    from kjet.pde import Values

    zero = {leaf: torch.zeros(len(x), dtype=torch.float64) for leaf in recorded.leaves}
    (found,) = recorded(Values(x, zero))
    e, r = torch.exp(x[:, 0]), (x * x).sum(1)
    expected = {
        "x": e * (r + 2 * x[:, 0]), "y": 2 * e * x[:, 1], "xz": 2 * e * x[:, 2], "xx": e * (r + 4 * x[:, 0] + 2),
    }[names]  # fmt: skip
    torch.testing.assert_close(found, -expected, rtol=1e-12, atol=1e-12)


def test_series_by_reverse_mode():
    """Along curved lines, too: all coefficients of a jet against rules."""
    layout, x = Layout.uniform(2, 3), points()
    rows = [torch.randn(2, 6, 3, dtype=torch.float64, generator=torch.Generator().manual_seed(k)) for k in (1, 2)]
    argument = Jet([x, rows[0], None, rows[1]], layout)
    found = PointFunction(opaque, NAMES, taylor=False).at(argument)
    expected = PointFunction(bowl, NAMES).at(argument)
    for k in range(4):
        torch.testing.assert_close(found.row(k), expected.row(k), rtol=1e-12, atol=1e-12)


def test_a_constant_has_no_slope():
    f = PointFunction(lambda x: torch.ones(len(x), dtype=torch.float64), NAMES, taylor=False)
    values = jet(lambda x: f.at(x)[..., None], points(), torch.eye(3, dtype=torch.float64), 2)
    assert torch.equal(values[1:], torch.zeros_like(values[1:]))


def test_as_a_boundary_value():
    f = PointFunction(bowl, NAMES)
    condition = Dirichlet(u=f).expressions(Frame(NAMES, ("u",), NAMES))
    assert condition.leaves


@pytest.mark.parametrize("coords", [tuple(f"x{i}" for i in range(200_000))])
def test_recording_costs_nothing_in_many_dimensions(coords):
    frame = Frame(coords, ("u",), coords)
    p = Parameters(frame, {"source": PointFunction(lambda x: x.sum(-1), coords)})
    start = time.process_time()
    assert str(p.source) == "f(x)"
    assert time.process_time() - start < 5


def test_refusals():
    f = PointFunction(bowl, NAMES)
    with pytest.raises(ConfigError, match=r'unknown coordinate "y" of the function f'):
        f(x=torch.ones(1), z=torch.ones(1))
    with pytest.raises(ConfigError, match=r'unknown coordinate "z" of the equation'):
        f.record(Frame(("t", "x", "y"), ("u",)))
    p = Parameters(Frame(NAMES, ("u",)))
    with pytest.raises(ConfigError, match="takes the coordinate y itself"):
        f(x=p.x, y=p.x, z=p.z)
    summed = Layout((1, 0), (None, torch.ones(1, 1)))
    with pytest.raises(JetRuleError, match="without Taylor rules"):
        PointFunction(opaque, NAMES, taylor=False).at(Jet([points(), torch.ones(1, 1, 3), None], summed))
