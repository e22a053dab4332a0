"""Every domain against an independent description: a membership test, boundary curves, measures in closed form."""

import math
import re
from collections.abc import Callable
from dataclasses import dataclass

import jaxtyping
import numpy as np
import pytest
import torch
from scipy import special, stats

from kjet.data import (
    SAMPLERS,
    Box,
    Cuboid,
    Difference,
    Disk,
    Domain,
    Ellipse,
    Interval,
    Parameters,
    Polygon,
    Rectangle,
    Sphere,
    Time,
)
from kjet.errors import ConfigError

Array = np.ndarray
RANDOM = [name for name in SAMPLERS if name != "grid"]


def refused(message: str):
    """Expect our error; where runtime type checks are switched on, theirs may come first."""
    checked = jaxtyping.TypeCheckError
    return pytest.raises((ConfigError, checked), check=lambda e: isinstance(e, checked) or re.search(message, str(e)))


def rng(seed: int = 0) -> torch.Generator:
    return torch.Generator().manual_seed(seed)


# independent descriptions


def segment(p, q):
    p, q = np.array(p, float), np.array(q, float)
    return math.dist(p, q), lambda s: p + s[:, None] * (q - p)


def closed(*corners):
    return [segment(p, q) for p, q in zip(corners, corners[1:] + corners[:1], strict=True)]


def circle(cx, cy, r):
    return 2 * math.pi * r, lambda s: np.stack(
        [cx + r * np.cos(2 * math.pi * s), cy + r * np.sin(2 * math.pi * s)], axis=1
    )


def ellipse(a, b, angle):
    theta = np.linspace(0, 2 * math.pi, 200_001)
    x, y = a * np.cos(theta), b * np.sin(theta)
    points = np.stack([x * np.cos(angle) - y * np.sin(angle), x * np.sin(angle) + y * np.cos(angle)], axis=1)
    arc = np.concatenate([[0.0], np.cumsum(np.linalg.norm(np.diff(points, axis=0), axis=1))])
    return arc[-1], lambda s: np.stack([np.interp(s * arc[-1], arc, points[:, i]) for i in range(2)], axis=1)


def on_curves(curves, survives=lambda x: np.ones(len(x), bool)):
    """Sample curves in proportion to length, keep what survives."""

    def draw(n: int, random: np.random.Generator) -> Array:
        lengths = np.array([length for length, _ in curves])
        counts = random.multinomial(n, lengths / lengths.sum())
        x = np.concatenate([curve(random.random(k)) for (_, curve), k in zip(curves, counts, strict=True)])
        return x[survives(x)]

    return draw


def on_cube(d, low=0.0, high=1.0):
    def draw(n: int, random: np.random.Generator) -> Array:
        x = random.uniform(low, high, (n, d))
        x[np.arange(n), random.integers(0, d, n)] = random.choice([low, high], n)
        return x

    return draw


def on_sphere(d, r):
    def draw(n: int, random: np.random.Generator) -> Array:
        x = random.normal(size=(n, d))
        return r * x / np.linalg.norm(x, axis=1, keepdims=True)

    return draw


def with_intervals(draw, *ranges):
    def drawn(n: int, random: np.random.Generator) -> Array:
        x = draw(n, random)
        return np.concatenate([x, *(random.uniform(a, b, (len(x), 1)) for a, b in ranges)], axis=1)

    return drawn


def disk(x, cx, cy, r):
    return (x[:, 0] - cx) ** 2 + (x[:, 1] - cy) ** 2 < r**2


def box(x, *ranges):
    return np.all([(x[:, i] > a) & (x[:, i] < b) for i, (a, b) in enumerate(ranges)], axis=0)


def in_ellipse(x, a, b, angle):
    p, q = x[:, 0] * np.cos(angle) + x[:, 1] * np.sin(angle), x[:, 1] * np.cos(angle) - x[:, 0] * np.sin(angle)
    return (p / a) ** 2 + (q / b) ** 2 < 1


@dataclass(frozen=True)
class Case:
    name: str
    domain: Domain
    inside: Callable[[Array], Array]
    boundary: Callable[[int, np.random.Generator], Array]
    measure: float
    perimeter: float
    tolerance: float = 1e-12  # relative, of both measures


unit = ((0, 1), (0, 1))
square = closed((0, 0), (1, 0), (1, 1), (0, 1))
ell = [(0, 0), (2, 0), (2, 1), (1, 1), (1, 2), (0, 2)]
comb = [(0, 0), (5, 0), (5, 2), (4, 2), (4, 1), (3, 1), (3, 2), (2, 2), (2, 1), (1, 1), (1, 2), (0, 2)]
lens = 2 * (math.pi / 3 - math.sqrt(3) / 4)  # two unit disks at distance one
annulus_cut = Rectangle(x=(0, 2), y=(0, 2)) - Disk((1, 1), 0.4) - Disk((2, 2), 0.5)

CASES = [
    Case(
        "interval",
        Interval(-1, 2),
        lambda x: box(x, (-1, 2)),
        lambda n, r: r.choice([-1.0, 2.0], (n, 1)),
        3,
        2,
    ),
    Case(
        "rectangle",
        Rectangle(x=(0, 2), y=(-1, 0)),
        lambda x: box(x, (0, 2), (-1, 0)),
        on_curves(closed((0, -1), (2, -1), (2, 0), (0, 0))),
        2,
        6,
    ),
    Case("cuboid", Cuboid(), lambda x: box(x, *[(0, 1)] * 3), on_cube(3), 1, 6),
    Case("box4", Box([(-1, 1)] * 4), lambda x: box(x, *[(-1, 1)] * 4), on_cube(4, -1, 1), 16, 64),
    Case("disk", Disk((1, 0), 2), lambda x: disk(x, 1, 0, 2), on_curves([circle(1, 0, 2)]), 4 * math.pi, 4 * math.pi),
    Case(
        "ellipse",
        Ellipse((0, 0), (2, 0.5), 0.6),
        lambda x: in_ellipse(x, 2, 0.5, 0.6),
        on_curves([ellipse(2, 0.5, 0.6)]),
        math.pi,
        8 * special.ellipe(1 - 1 / 16),
        1e-10,
    ),
    Case(
        "L",
        Polygon(ell),
        lambda x: box(x, (0, 2), (0, 2)) & ~box(x, (1, 3), (1, 3)),
        on_curves(closed(*ell)),
        3,
        8,
    ),
    Case(
        "clockwise triangle",
        Polygon([(0, 0), (0, 1), (2, 0)]),
        lambda x: (x[:, 0] > 0) & (x[:, 1] > 0) & (x[:, 0] + 2 * x[:, 1] < 2),
        on_curves(closed((0, 0), (0, 1), (2, 0))),
        1,
        3 + math.sqrt(5),
    ),
    Case(
        "comb",
        Polygon(comb),
        lambda x: box(x, (0, 5), (0, 2)) & ((x[:, 1] < 1) | (np.floor(x[:, 0]) % 2 == 0)),
        on_curves(closed(*comb)),
        8,
        18,
    ),
    Case(
        "sphere",
        Sphere((0, 0, 0), 2),
        lambda x: (x**2).sum(1) < 4,
        on_sphere(3, 2),
        32 * math.pi / 3,
        16 * math.pi,
    ),
    Case(
        "sphere5",
        Sphere([0.0] * 5, 1),
        lambda x: (x**2).sum(1) < 1,
        on_sphere(5, 1),
        8 * math.pi**2 / 15,
        8 * math.pi**2 / 3,
    ),
    Case(
        "union",
        Rectangle() | Disk((1, 0.5), 0.4),
        lambda x: box(x, *unit) | disk(x, 1, 0.5, 0.4),
        on_curves(
            [*square, circle(1, 0.5, 0.4)], lambda x: ~disk(x, 1, 0.5, 0.4 - 1e-9) & ~box(x, *[(1e-9, 1 - 1e-9)] * 2)
        ),
        1 + 0.08 * math.pi,
        3.2 + 0.4 * math.pi,
        2e-4,
    ),
    Case(
        "disjoint union",
        Rectangle() | Disk((3, 0.5), 0.5),
        lambda x: box(x, *unit) | disk(x, 3, 0.5, 0.5),
        on_curves([*square, circle(3, 0.5, 0.5)]),
        1 + 0.25 * math.pi,
        4 + math.pi,
    ),
    Case(
        "flush union",
        Rectangle() | Rectangle(x=(1, 3), y=(0, 0.5)),
        lambda x: box(x, *unit) | box(x, (0.5, 3), (0, 0.5)),
        on_curves(closed((0, 0), (3, 0), (3, 0.5), (1, 0.5), (1, 1), (0, 1))),
        2,
        8,
        1e-7,
    ),
    Case(
        "intersection",
        Disk((0, 0), 1) & Disk((1, 0), 1),
        lambda x: disk(x, 0, 0, 1) & disk(x, 1, 0, 1),
        on_curves([circle(0, 0, 1), circle(1, 0, 1)], lambda x: disk(x, 0, 0, 1 + 1e-9) & disk(x, 1, 0, 1 + 1e-9)),
        lens,
        4 * math.pi / 3,
        2e-4,
    ),
    Case(
        "plate with hole and cut corner",
        annulus_cut,
        lambda x: box(x, (0, 2), (0, 2)) & ~disk(x, 1, 1, 0.4) & ~disk(x, 2, 2, 0.5),
        on_curves(
            [*closed((0, 0), (2, 0), (2, 2), (0, 2)), circle(1, 1, 0.4), circle(2, 2, 0.5)],
            lambda x: ~disk(x, 2, 2, 0.5 - 1e-9) & ~disk(x, 1, 1, 0.4 - 1e-9) & (x.max(1) < 2 + 1e-9),
        ),
        4 - 0.16 * math.pi - math.pi / 16,
        8 - 1 + 0.8 * math.pi + math.pi / 4,
        2e-4,
    ),
    Case(
        "comb minus polygon",
        Polygon(comb) - Polygon([(-1, 0.25), (1.5, 0.25), (1.5, 0.75), (-1, 0.75)]),
        lambda x: (
            box(x, (0, 5), (0, 2))
            & ((x[:, 1] < 1) | (np.floor(x[:, 0]) % 2 == 0))
            & ~((x[:, 0] < 1.5) & (x[:, 1] > 0.25) & (x[:, 1] < 0.75))
        ),
        on_curves(
            [
                *closed(*comb)[:-1],
                segment((0, 2), (0, 0.75)),
                segment((0, 0.25), (0, 0)),
                segment((0, 0.25), (1.5, 0.25)),
                segment((1.5, 0.25), (1.5, 0.75)),
                segment((1.5, 0.75), (0, 0.75)),
            ]
        ),
        8 - 0.75,
        18 - 0.5 + 3.5,
        2e-4,
    ),
    Case(
        "interval x time",
        Interval(0, 1) * Time(1, 3),
        lambda x: box(x, (0, 1), (1, 3)),
        with_intervals(lambda n, r: r.choice([0.0, 1.0], (n, 1)), (1, 3)),
        2,
        4,
    ),
    Case(
        "disk x time x parameter",
        Disk((0, 0), 1) * Time(0, 1) * Parameters(nu=(1, 3)),
        lambda x: disk(x, 0, 0, 1) & (x[:, 2] > 0) & (x[:, 2] < 1) & (x[:, 3] > 1) & (x[:, 3] < 3),
        with_intervals(on_curves([circle(0, 0, 1)]), (0, 1), (1, 3)),
        2 * math.pi,
        4 * math.pi,
    ),
    Case(
        "plate x time",
        (Rectangle() - Disk((0.5, 0.5), 0.25)) * Time(0, 2),
        lambda x: box(x, *unit, (0, 2)) & ~disk(x, 0.5, 0.5, 0.25),
        with_intervals(on_curves([*square, circle(0.5, 0.5, 0.25)]), (0, 2)),
        2 * (1 - math.pi / 16),
        2 * (4 + math.pi / 2),
    ),
    Case(
        "cylinder",
        Disk((0, 0), 1) * Interval(0, 1, coord="z"),
        lambda x: disk(x, 0, 0, 1) & (x[:, 2] > 0) & (x[:, 2] < 1),
        lambda n, r: np.concatenate(
            [
                with_intervals(on_curves([circle(0, 0, 1)]), (0, 1))(n // 2, r),
                np.concatenate([inside_disk(n - n // 2, r), r.choice([0.0, 1.0], (n - n // 2, 1))], axis=1),
            ]
        ),
        math.pi,
        4 * math.pi,
    ),
]


def inside_disk(n, random):
    radius, angle = np.sqrt(random.random(n)), 2 * math.pi * random.random(n)
    return np.stack([radius * np.cos(angle), radius * np.sin(angle)], axis=1)


every_case = pytest.mark.parametrize("case", CASES, ids=lambda case: case.name)


def cells(x: Array, bounds: Array, per_axis: int) -> Array:
    """Number the boxes of a grid over the first three coordinates of the bounding box."""
    scaled = (x - bounds[:, 0]) / (bounds[:, 1] - bounds[:, 0])
    digits = np.clip((scaled[:, :3] * per_axis).astype(int), 0, per_axis - 1)
    return digits @ per_axis ** np.arange(digits.shape[1])


def same_distribution(x: Array, reference: Array, bounds: Array, per_axis: int) -> float:
    """Return the p-value of a chi-square test that two samples fall into the cells alike; thin cells are merged."""
    count = per_axis ** min(x.shape[1], 3)
    table = np.stack([np.bincount(cells(sample, bounds, per_axis), minlength=count) for sample in (x, reference)])
    thin = table[1] * len(x) / len(reference) < 5
    merged = np.concatenate([table[:, ~thin], table[:, thin].sum(1, keepdims=True)], axis=1)
    merged = merged[:, merged.sum(0) > 0]
    return stats.chi2_contingency(merged).pvalue if merged.shape[1] > 1 else 1.0


# points


@every_case
def test_membership(case):
    random = np.random.default_rng(0)
    low, high = case.domain.bounds.unbind(1)
    x = (low - 0.2 * (high - low)).numpy() + random.random((4000, case.domain.dim)) * 1.4 * (high - low).numpy()
    assert np.array_equal(case.domain.inside(torch.from_numpy(x)).numpy(), case.inside(x))


@every_case
@pytest.mark.parametrize("dtype", [torch.float32, torch.float64])
@pytest.mark.parametrize("sampler", SAMPLERS)
def test_interior_points_are_inside_and_distinct(case, sampler, dtype):
    points = case.domain.interior(200, sampler=sampler, generator=rng(), dtype=dtype)
    assert points.x.shape == (200, case.domain.dim)
    assert points.x.dtype == dtype
    assert points.coords == case.domain.coords
    assert points.normals is None
    assert points.measure == case.domain.measure
    assert case.inside(points.x.double().numpy()).all()
    assert len(torch.unique(points.x, dim=0)) == 200


@every_case
def test_interior_is_uniform(case):
    random, domain = np.random.default_rng(1), case.domain
    bounds = domain.bounds.numpy()
    candidates = bounds[:, 0] + random.random((200_000, domain.dim)) * (bounds[:, 1] - bounds[:, 0])
    reference = candidates[case.inside(candidates)]
    for sampler in ("uniform", "sobol"):
        x = domain.interior(3000, sampler=sampler, generator=rng(2), dtype=torch.float64).x.numpy()
        assert same_distribution(x, reference, bounds, 5) > 1e-4


@every_case
def test_boundary_is_uniform(case):
    bounds = case.domain.bounds.numpy()
    reference = case.boundary(100_000, np.random.default_rng(1))
    for sampler in ("uniform", "sobol"):
        x = case.domain.boundary(3000, sampler=sampler, generator=rng(2), dtype=torch.float64).x.numpy()
        assert same_distribution(x, reference, bounds, 7) > 1e-4


@every_case
@pytest.mark.parametrize("dtype", [torch.float32, torch.float64])
def test_boundary_points_and_normals(case, dtype):
    domain = case.domain
    points = domain.boundary(300, generator=rng(), dtype=dtype)
    assert points.x.dtype == points.normals.dtype == dtype
    assert points.measure == domain.part_measure()
    scale = float((domain.bounds[:, 1] - domain.bounds[:, 0]).max())
    x, normals = points.x.double(), points.normals.double()
    eps = 1e-6 if dtype == torch.float64 else 1e-4
    assert domain.distance(x).abs().max() < eps * scale
    torch.testing.assert_close(normals.norm(dim=1), torch.ones(300, dtype=torch.float64), rtol=eps, atol=0)
    # a step of eps may pass another wall close to a corner: allow what float32 rounds there
    allowed = 0 if dtype == torch.float64 else 3
    assert int(domain.inside(x + eps * scale * normals).sum()) <= allowed
    assert int((~domain.inside(x - eps * scale * normals)).sum()) <= allowed


@every_case
def test_normals_have_no_component_along_time_or_parameters(case):
    domain = case.domain
    points = domain.boundary(50, generator=rng())
    for name in set(domain.coords) - set(domain.space):
        assert not points.normals[:, domain.coords.index(name)].any()


@every_case
def test_measures(case):
    assert case.domain.measure == pytest.approx(case.measure, rel=case.tolerance)
    assert case.domain.part_measure() == pytest.approx(case.perimeter, rel=max(case.tolerance * 1e-3, 1e-8))
    total = sum(case.domain.part_measure(part) for part in case.domain.walls)
    assert total == pytest.approx(case.perimeter, rel=1e-6)


@every_case
@pytest.mark.parametrize("sampler", RANDOM)
def test_same_generator_state_same_points_and_next_call_others(case, sampler):
    for draw in (case.domain.interior, case.domain.boundary):
        generator = rng(3)
        first, second = (draw(64, sampler=sampler, generator=generator).x for _ in range(2))
        assert torch.equal(first, draw(64, sampler=sampler, generator=rng(3)).x)
        assert not torch.equal(first, second) or case.name == "interval"


@every_case
def test_boundary_points_are_distinct(case):
    if case.name != "interval":  # whose boundary is two points
        for sampler in RANDOM if case.name == "sphere5" else SAMPLERS:  # Grid's documented exception
            x = case.domain.boundary(500, sampler=sampler, generator=rng(), dtype=torch.float64).x
            assert len(torch.unique(x, dim=0)) == 500


# distances


@every_case
def test_distance_is_positive_exactly_inside(case):
    low, high = case.domain.bounds.unbind(1)
    x = low + (torch.rand(2000, case.domain.dim, generator=rng(), dtype=torch.float64) * 1.4 - 0.2) * (high - low)
    walled = [case.domain.coords.index(name) for name in case.domain.space]
    for i in set(range(case.domain.dim)) - set(walled):  # walls stand at all times and parameters
        x[:, i] = 0.5 * (low[i] + high[i])
    assert torch.equal(case.domain.distance(x) > 0, case.domain.inside(x))


@every_case
def test_part_distance_vanishes_on_its_part_alone(case):
    domain = case.domain
    parts = {
        part: domain.boundary(100, part, generator=rng(), dtype=torch.float64).x
        for part in domain.parts
        if domain.part_measure(part) > 0
    }
    interior = domain.interior(300, generator=rng(), dtype=torch.float64).x
    for part, x in parts.items():
        torch.testing.assert_close(domain.distance(x, part), torch.zeros(100, dtype=torch.float64), rtol=0, atol=1e-7)
        assert bool((domain.distance(interior, part) > 0).all())
        for other in parts.keys() - {part}:
            assert bool((domain.distance(parts[other], part) > 1e-12).all())


@every_case
def test_distance_of_several_parts_vanishes_on_each(case):
    domain = case.domain
    parts = [part for part in domain.parts if domain.part_measure(part) > 0][:3]
    for part in parts:
        x = domain.boundary(50, part, generator=rng(), dtype=torch.float64).x
        assert domain.distance(x, parts).abs().max() < 1e-7
    assert bool((domain.distance(domain.interior(100, generator=rng()).x.double(), parts) > 0).all())


@every_case
def test_distance_has_inward_unit_gradient_at_the_boundary(case):
    """Just inside, as trimmed functions have no gradient on the part itself; corners may spoil a few points."""
    domain = case.domain
    for part in (None, *(part for part in domain.parts if domain.part_measure(part) > 0)):
        points = domain.boundary(200, part, generator=rng(), dtype=torch.float64)
        x = (points.x - 1e-6 * points.normals).requires_grad_()
        (gradient,) = torch.autograd.grad(domain.distance(x, part).sum(), x)
        error = (gradient + points.normals).norm(dim=1)
        assert error.quantile(0.95) < 1e-3, part


@every_case
def test_distance_gradient_on_the_boundary_itself(case):
    """The whole boundary's function is smooth there, so that a condition with derivatives may be posed on it."""
    points = case.domain.boundary(200, generator=rng(), dtype=torch.float64)
    x = points.x.clone().requires_grad_()
    (gradient,) = torch.autograd.grad(case.domain.distance(x).sum(), x)
    assert bool(torch.isfinite(gradient).all())
    assert (gradient + points.normals).norm(dim=1).quantile(0.95) < 1e-6


class OnlyPlainOperations:
    """A tensor that allows nothing but what Taylor jets are promised."""

    def __init__(self, value):
        self.value = value

    @classmethod
    def __torch_function__(cls, function, types, args=(), kwargs=None):
        assert function in (torch.sqrt, torch.exp, torch.tanh, torch.square)
        return cls(function(*[getattr(a, "value", a) for a in args]))

    def __getitem__(self, index):
        if isinstance(index[1], int):
            return OnlyPlainOperations(self.value[index])
        assert isinstance(index[1], slice)
        return OnlyPlainOperations(self.value[index])

    def _with(self, other, operation):
        assert isinstance(other, (float, int, OnlyPlainOperations))
        return OnlyPlainOperations(operation(self.value, getattr(other, "value", other)))

    def __add__(self, other):
        return self._with(other, lambda a, b: a + b)

    def __sub__(self, other):
        return self._with(other, lambda a, b: a - b)

    def __rsub__(self, other):
        return self._with(other, lambda a, b: b - a)

    def __mul__(self, other):
        return self._with(other, lambda a, b: a * b)

    def __truediv__(self, other):
        return self._with(other, lambda a, b: a / b)

    def __neg__(self):
        return OnlyPlainOperations(-self.value)

    __radd__, __rmul__ = __add__, __mul__


@every_case
def test_distance_uses_plain_operations_only(case):
    x = case.domain.interior(20, generator=rng(), dtype=torch.float64).x
    for part in (None, *case.domain.parts):
        torch.testing.assert_close(
            case.domain.distance(OnlyPlainOperations(x), part).value, case.domain.distance(x, part)
        )


def directional(y, x, v, order):
    """Repeated reverse mode: y and its derivatives along v, up to the order."""
    derivatives = [y]
    for _ in range(order):
        (gradient,) = torch.autograd.grad(derivatives[-1].sum(), x, create_graph=True)
        derivatives.append((gradient * v).sum(-1, keepdim=True))
    return torch.stack(derivatives)


@pytest.mark.parametrize(
    "domain",
    [
        annulus_cut * Time(0, 1),
        Polygon(comb),
        Box([(0, 1 + i) for i in range(40)]),
        Sphere([0.1 * i for i in range(40)], 9),
    ],
    ids=["plate x time", "comb", "box40", "sphere40"],
)
def test_distance_takes_taylor_jets(domain):
    """Derivatives along a line to order three, against repeated reverse mode; also beyond 32 dimensions."""
    jets = pytest.importorskip("kjet.jets")
    x = domain.interior(4, sampler="uniform", generator=rng(), dtype=torch.float64).x
    v = torch.linspace(1, -0.5, domain.dim, dtype=torch.float64)[None]
    for part in (None, domain.parts[0]):

        def f(y, part=part):
            return domain.distance(y, part)[..., None]

        computed = jets.jet(f, x, v, 3)
        y = x.clone().requires_grad_()
        # a plane has no second derivative: the power of zero keeps the graph
        expected = directional(f(y) + 0.0 * y.pow(4).sum(), y, v, 3)
        torch.testing.assert_close(computed[:, 0], expected.detach(), rtol=1e-8, atol=1e-8)


# parts, names and particular shapes


def test_small_hole_in_a_large_plate_gets_its_share():
    plate = Rectangle(x=(-5, 5), y=(-5, 5)) - Disk((0, 0), 0.1)
    share = 0.2 * math.pi / (40 + 0.2 * math.pi)
    assert plate.part_measure("circle") / plate.part_measure() == pytest.approx(share, rel=1e-12)
    for sampler in SAMPLERS:
        points = plate.boundary(20_000, sampler=sampler, generator=rng(), dtype=torch.float64)
        hole = int((points.x.norm(dim=1) < 0.2).sum())
        assert stats.binomtest(hole, 20_000, share).pvalue > 1e-4
    inward = plate.boundary(100, "circle", generator=rng(), dtype=torch.float64)
    torch.testing.assert_close(inward.normals, -inward.x / 0.1)
    assert plate.measure == pytest.approx(100 - 0.01 * math.pi, rel=1e-14)


def test_time_parts():
    domain = Rectangle() * Time(1, 3)
    initial = domain.boundary(50, "initial", generator=rng(), dtype=torch.float64)
    final = domain.boundary(50, "final", generator=rng(), dtype=torch.float64)
    assert set(initial.column("t").tolist()) == {1.0}
    assert set(final.column("t").tolist()) == {3.0}
    assert set(initial.normals[:, 2].tolist()) == {-1.0}
    assert set(final.normals[:, 2].tolist()) == {1.0}
    assert initial.measure == 1.0
    assert domain.part_measure("left") == 2.0
    x = domain.interior(10, generator=rng()).x
    assert torch.equal(domain.distance(x, "initial"), x[:, 2] - 1.0)
    assert (domain.time, domain.space, domain.walls) == ("t", ("x", "y"), ("left", "right", "bottom", "top"))


def test_time_alone():
    time = Time(0, 2, coord="s")
    assert time.boundary(1, "initial", generator=rng()).x.tolist() == [[0.0]]
    assert time.interior(5, generator=rng()).coords == ("s",)
    assert time.time == "s"
    with pytest.raises(ConfigError, match="no spatial boundary; its parts are: initial, final"):
        time.boundary(3, generator=rng())
    with pytest.raises(ConfigError, match="no spatial boundary"):
        time.distance(torch.zeros(1, 1))


def test_order_of_factors_is_the_order_of_columns():
    domain = Time(0, 1) * Parameters(nu=(5, 6)) * Disk((0, 0), 1)
    assert domain.coords == ("t", "nu", "x", "y")
    assert domain.parameters == ("nu",)
    points = domain.boundary(20, "circle", generator=rng(), dtype=torch.float64)
    torch.testing.assert_close(points.x[:, 2:].norm(dim=1), torch.ones(20, dtype=torch.float64))
    torch.testing.assert_close(points.normals[:, 2:], points.x[:, 2:])
    assert domain.distance(points.x).abs().max() < 1e-12


def test_selected_part():
    channel = (Rectangle() * Time(0, 2)).with_part(
        "inlet", lambda x: (x[:, 0] == 0.0) & (x[:, 1] > 0.75), distance=lambda x: x[..., 0]
    )
    assert channel.part_measure("inlet") == pytest.approx(0.5, rel=1e-3)
    assert channel.parts[-1] == "inlet"
    assert "inlet" not in channel.walls
    inlet = channel.boundary(100, "inlet", generator=rng())
    assert bool(((inlet.x[:, 0] == 0) & (inlet.x[:, 1] > 0.75)).all())
    assert channel.part_measure() == 8.0
    assert channel.distance(inlet.x, "inlet").abs().max() == 0.0


def test_selected_part_survives_combination_and_product():
    plate = Rectangle().with_part("inlet", lambda x: (x[:, 0] == 0.0) & (x[:, 1] > 0.5)) - Disk((0, 0.5), 0.25)
    assert plate.part_measure("inlet") == pytest.approx(0.25, rel=1e-6)
    assert plate.part_measure() == pytest.approx(3.5 + 0.25 * math.pi, rel=1e-7)
    slab = plate * Time(0, 3)
    x = slab.boundary(50, "inlet", generator=rng()).x
    assert bool(((x[:, 0] == 0) & (x[:, 1] > 0.75)).all())
    with pytest.raises(ConfigError, match="selected by a predicate"):
        slab.distance(x, "inlet")


@pytest.mark.parametrize(
    ("domain", "coord"),
    [
        (Interval(-1, 1), "x"),
        (Rectangle(x=(0, 2), y=(1, 2)), "y"),
        (Cuboid(), "z"),
        (Box([(0, 1)] * 5), "x3"),
        (Interval(0, 2) * Time(0, 1) * Parameters(nu=(1, 2)), "x"),
    ],
    ids=str,
)
def test_periodic_pairs_match(domain, coord):
    low, high = domain.periodic_pairs(64, coord, generator=rng())
    i = domain.coords.index(coord)
    others = [j for j in range(domain.dim) if j != i]
    assert torch.equal(low.x[:, others], high.x[:, others])
    assert set(low.column(coord).tolist()) == {float(domain.bounds[i, 0])}
    assert set(high.column(coord).tolist()) == {float(domain.bounds[i, 1])}
    assert torch.equal(low.normals, -high.normals)
    assert set(high.normals[:, i].tolist()) == {1.0}


def test_shared_part_names_get_prefixes():
    a, b, c, d = (Disk((3.0 * i, 0), 1) for i in range(4))
    assert (a | b).parts == ("a.circle", "b.circle")
    chain = a | b | c | d
    assert len(set(chain.parts)) == 4
    assert chain.part_measure() == pytest.approx(8 * math.pi)
    assert Difference(Rectangle(), Disk((0.5, 0.5), 0.1), names=("plate", "hole")).parts[-1] == "hole.circle"
    assert (Rectangle() - Disk((0.5, 0.5), 0.1, part="cylinder")).parts[-1] == "cylinder"
    assert (Interval(0, 1) * Interval(0, 1, coord="y")).parts == ("x.left", "x.right", "y.left", "y.right")


def test_nested_holes_are_measured_exactly():
    """Eight holes in a convex plate, none touching: no estimate is needed."""
    plate = Rectangle(x=(0, 10), y=(0, 10))
    for k in range(8):
        plate = plate - Disk((1.2 * k + 0.8, 1.2 * k + 0.8), 0.3)
    assert plate.measure == pytest.approx(100 - 0.72 * math.pi, rel=1e-14)
    assert plate.part_measure() == pytest.approx(40 + 4.8 * math.pi, rel=1e-14)


@pytest.mark.parametrize(
    ("domain", "measure", "perimeter"),
    [
        (Rectangle(x=(0, 2), y=(0, 1)) | Rectangle(x=(1, 3), y=(0, 1)), 3, 8),
        (Rectangle(x=(0, 2), y=(0, 1)) & Rectangle(x=(1, 3), y=(0, 1)), 1, 4),
        (Rectangle(x=(0, 2), y=(0, 1)) - Rectangle(x=(1, 3), y=(0, 1)), 1, 4),
        (Rectangle(x=(0, 2), y=(0, 1)) - Rectangle(x=(2, 3), y=(0, 1)), 2, 6),
        (Rectangle(x=(0, 2), y=(0, 1)) | Rectangle(x=(2, 3), y=(0, 1)), 3, 8),
    ],
    ids=["union", "intersection", "difference", "touching difference", "touching union"],
)
def test_walls_that_operands_share_count_once(domain, measure, perimeter):
    assert domain.measure == pytest.approx(measure, rel=1e-4)
    assert domain.part_measure() == pytest.approx(perimeter, rel=1e-7)
    points = domain.boundary(4000, sampler="uniform", generator=rng(), dtype=torch.float64)
    low = int((points.x[:, 1] == 0).sum())
    assert stats.binomtest(low, 4000, (perimeter - 2) / 2 / perimeter).pvalue > 1e-4
    assert not domain.inside(points.x + 1e-6 * points.normals).any()
    assert domain.inside(points.x - 1e-6 * points.normals).all()


def test_rounded_points_stay_inside():
    """Between 1000 and 1000.001 lie 15 numbers of type float32: one rounding in 16 would end on a wall."""
    domain = Interval(1000.0, 1000.001) * Time(0, 1)
    x = domain.interior(1000, generator=rng(), dtype=torch.float32).x
    assert bool(domain.inside(x).all())
    assert len(torch.unique(x[:, 0])) > 10


def test_parts_cut_away_are_empty():
    half = Rectangle() - Rectangle(x=(0.5, 2), y=(-1, 2))
    assert half.part_measure("a.right") == 0.0
    assert half.part_measure("a.top") == pytest.approx(0.5, rel=1e-7)
    with pytest.raises(ConfigError, match=r'"a.right" of Difference.*empty'):
        half.boundary(3, "a.right", generator=rng())


def test_sphere_minus_corner_in_three_dimensions():
    """An octant cut from a ball: seven eighths of the volume and surface, three quarter disks of wall."""
    ball = Sphere((0, 0, 0), 1, coords=("x", "y", "z")) - Cuboid(x=(0, 2), y=(0, 2), z=(0, 2))
    assert ball.measure == pytest.approx(7 / 8 * 4 * math.pi / 3, rel=1e-3)
    assert ball.part_measure("sphere") == pytest.approx(7 / 8 * 4 * math.pi, rel=1e-3)
    assert ball.part_measure() == pytest.approx(3.5 * math.pi + 0.75 * math.pi, rel=1e-3)
    wall = ball.boundary(200, "left", generator=rng(), dtype=torch.float64)
    assert set(wall.normals[:, 0].tolist()) == {1.0}
    x = ball.boundary(500, generator=rng(), dtype=torch.float64).x
    assert ball.distance(x).abs().max() < 1e-12


@pytest.mark.parametrize("d", [100, 2000])
def test_high_dimensions(d):
    """Exact moments: E r = d / (d + 1) in the ball; coordinates of the sphere have variance 1 / d."""
    ball = Sphere([0.5] * d, 1.0) * Time(0, 1)
    x = ball.interior(200, generator=rng(), dtype=torch.float64).x[:, :d] - 0.5
    r = x.norm(dim=1)
    assert bool((r < 1).all())
    assert float(r.mean()) == pytest.approx(d / (d + 1), abs=2 / d)
    wall = ball.boundary(200, generator=rng(), dtype=torch.float64)
    assert ball.distance(wall.x).abs().max() < 1e-12
    assert float((wall.x[:, :d] - 0.5).square().mean()) == pytest.approx(1 / d, rel=1e-12)
    box = Box([(0, 2)] * d)
    faces = box.boundary(200, generator=rng(), dtype=torch.float64)
    assert torch.equal(((faces.x == 0) | (faces.x == 2)).sum(1), torch.ones(200, dtype=torch.long))
    assert torch.equal(faces.normals, (faces.x == 2).double() - (faces.x == 0).double())
    assert box.distance(faces.x).abs().max() < 1e-12


@pytest.mark.parametrize("radius", [1.0, 2.5])
@pytest.mark.parametrize("law", ["volume", "radius"])
def test_independent_points_in_many_dimensions(law, radius):
    """Drawn in their own type: uniform directions, and the right distances from the center."""
    d, n = 300, 4000
    ball = Sphere([0.0] * d, radius, law=law)
    points = ball.interior(n, sampler="uniform", generator=rng(), dtype=torch.float64)
    assert points.measure == (ball.measure if law == "volume" else 1.0)
    r = points.x.norm(dim=1) / radius
    assert stats.kstest((r**d if law == "volume" else r).numpy(), "uniform").pvalue > 1e-3
    directions = points.x / points.x.norm(dim=1, keepdim=True)
    assert float(directions.mean(0).abs().max()) < 5 / math.sqrt(n * d)
    covariance = directions.T @ directions / n * d
    assert float((covariance - torch.eye(d, dtype=torch.float64)).abs().max()) < 6 / math.sqrt(n)
    again = ball.interior(n, sampler="uniform", generator=rng(), dtype=torch.float64)
    assert torch.equal(points.x, again.x)


def test_single_precision_keeps_points_of_a_huge_ball_inside():
    """``1 - |x|^2`` is about 2e-5 here, a few hundred times the rounding of one number."""
    d = 100_000
    ball = Sphere([0.0] * d, 1.0)
    x = ball.interior(40, sampler="uniform", generator=rng()).x
    assert x.dtype == torch.float32
    gap = d * (1 - x.double().square().sum(1)) / 2  # exponentially distributed
    assert bool((gap > 0).all())
    assert stats.kstest(gap.numpy(), "expon").pvalue > 1e-3


def test_even_distances_at_low_dimension_and_in_products():
    ball = Sphere((0, 0, 0), 2.0, law="radius")
    for sampler in ("sobol", "uniform"):
        r = ball.interior(1000, sampler=sampler, generator=rng(), dtype=torch.float64).x.norm(dim=1) / 2
        assert stats.kstest(r.numpy(), "uniform").pvalue > 1e-3
    slab = Sphere([0.0] * 100, 1.0, law="radius") * Time(0, 3)
    points = slab.interior(1000, sampler="uniform", generator=rng(), dtype=torch.float64)
    assert not slab.even
    assert points.measure == 1.0
    assert stats.kstest(points.x[:, :100].norm(dim=1).numpy(), "uniform").pvalue > 1e-3
    assert stats.kstest((points.x[:, 100] / 3).numpy(), "uniform").pvalue > 1e-3
    assert bool(slab.inside(points.x).all())


def test_box_faces_are_chosen_in_proportion_to_their_area():
    box = Box([(0, 1), (0, 2), (0, 3), (0, 4)])
    points = box.boundary(8000, sampler="uniform", generator=rng(), dtype=torch.float64)
    area = [2 * 24.0 / side for side in (1, 2, 3, 4)]
    counts = points.normals.abs().sum(0).numpy()
    assert stats.chisquare(counts, 8000 * np.array(area) / sum(area)).pvalue > 1e-4
    for i in range(4):
        on_face = points.x[points.normals[:, i] != 0]
        for j in set(range(4)) - {i}:
            assert stats.kstest(on_face[:, j] / (j + 1), "uniform").pvalue > 1e-4


def spiral(turns=3, m=40, w=0.25):
    angle = np.arange(m) * 2 * math.pi * turns / m
    outer, inner = (
        [(r * math.cos(a), r * math.sin(a)) for a, r in zip(angle, 0.5 + angle / 6.3 + s, strict=True)] for s in (w, -w)
    )
    return outer + inner[::-1]


def star(m, seed):
    random = np.random.default_rng(seed)
    return [
        (r * math.cos(2 * math.pi * k / m), r * math.sin(2 * math.pi * k / m))
        for k, r in enumerate(0.3 + random.random(m))
    ]


POLYGONS = {
    "U": [(0, 0), (3, 0), (3, 2), (2, 2), (2, 1), (1, 1), (1, 2), (0, 2)],
    "dovetail": [(0, 0), (4, 0), (4, 2), (2.2, 2), (3.5, 0.5), (0.5, 0.5), (1.8, 2), (0, 2)],
    "W": [(0, 0), (4, 0), (4, 3), (3, 1), (2, 2.5), (1, 1), (0, 3)],
    "H": [(0, 0), (1, 0), (1, 1), (2, 1), (2, 0), (3, 0), (3, 3), (2, 3), (2, 2), (1, 2), (1, 3), (0, 3)],
    "square spiral": [(0, 0), (5, 0), (5, 5), (1, 5), (1, 2), (3, 2), (3, 3), (2, 3), (2, 4), (4, 4), (4, 1), (0, 1)],
    "points on straight sides": [(0, 0), (1, 0), (2, 0), (2, 1), (1, 1), (0, 1), (0, 0.5)],
    "spiral": spiral(),
    "star": star(15, 0),
    "wild star": star(30, 1),
}


@pytest.mark.parametrize("corners", POLYGONS.values(), ids=POLYGONS.keys())
@pytest.mark.parametrize("angle", [0.0, 1.2])
@pytest.mark.parametrize("step", [1, -1], ids=["given", "reversed"])
def test_polygon_distance_has_the_sign_that_parity_says(corners, angle, step):
    c, s = math.cos(angle), math.sin(angle)
    polygon = Polygon([(c * x - s * y, s * x + c * y) for x, y in corners][::step])
    low, high = polygon.bounds.unbind(1)
    far = torch.rand(2000, 2, generator=rng(), dtype=torch.float64) * 5 - 2
    near = torch.rand(2000, 2, generator=rng(1), dtype=torch.float64)
    x = low + torch.cat([far, near]) * (high - low)
    assert torch.equal(polygon.distance(x) > 0, polygon.inside(x))
    points = polygon.boundary(300, generator=rng(), dtype=torch.float64)
    on = points.x.clone().requires_grad_()
    (gradient,) = torch.autograd.grad(polygon.distance(on).sum(), on)
    assert (gradient + points.normals).norm(dim=1).quantile(0.9) < 1e-6


@pytest.mark.parametrize("axes", [(1.0, 1.0), (3.0, 1.0), (1.0, 50.0)])
def test_ellipse_points_are_equally_spaced_in_arc_length(axes):
    """Arc length between grid points, by scipy's incomplete elliptic integral."""
    a, b = axes
    shape = Ellipse((0, 0), axes)
    n = 97
    x = shape.boundary(n, sampler="grid", generator=rng(), dtype=torch.float64).x.numpy()
    theta = np.unwrap(np.arctan2(x[:, 1] / b, x[:, 0] / a))

    def arc(t):  # integral of sqrt(a^2 sin^2 + b^2 cos^2)
        return b * special.ellipeinc(t, 1 - (a / b) ** 2)

    total = arc(2 * math.pi)
    np.testing.assert_allclose(np.diff(arc(theta)), total / n, rtol=1e-7)
    assert shape.part_measure("ellipse") == pytest.approx(total, rel=1e-9)


@pytest.mark.parametrize(
    ("make", "message"),
    [
        (lambda: Interval(1, 1), "from a lower to a higher number"),
        (lambda: Interval(2, 1), r"got \(2.0, 1.0\)"),
        (lambda: Time(0, math.inf), "finite"),
        (lambda: Rectangle(x=(0, 1)), "Rectangle has 2 coordinates, got 1"),
        (lambda: Rectangle(x=(0, 1), y=(1, 0)), "y of Rectangle"),
        (lambda: Cuboid(x=(0, 1), y=(0, 1)), "Cuboid has 3 coordinates"),
        (lambda: Box([]), "at least one pair"),
        (lambda: Box([(0, 1), (0, 1)], coords=("x",)), "2 coordinates, got 1 names"),
        (lambda: Box([(0, 1), (0, 1)], coords=("x", "x")), "different"),
        (lambda: Box([(0, 1, 2)]), "must have 2 numbers"),
        (lambda: Parameters(), "at least one range"),
        (lambda: Disk((0, 0), 0), "radius of Disk .* above 0, got 0"),
        (lambda: Disk((0, 0), math.nan), "radius"),
        (lambda: Disk((0, 0, 0), 1), "center of Disk must have 2 numbers"),
        (lambda: Disk((0, 0), 1, part="boundary"), "cannot be named"),
        (lambda: Disk((1e30, 0), 1), "lost in rounding"),
        (lambda: Sphere((0.0,), 1), "at least 2 dimensions"),
        (lambda: Sphere((0, 0), 1, law="even"), r'unknown law "even" of Sphere; it has radius, volume'),
        (lambda: Sphere((0, math.inf), 1), "finite"),
        (lambda: Ellipse((0, 0), (1, -1)), "semi-axis"),
        (lambda: Polygon([(0, 0), (1, 0)]), "at least 3 vertices"),
        (lambda: Polygon([(0, 0), (1, 1), (1, 0), (0, 1)]), "edge0 and edge2 of Polygon cross"),
        (lambda: Polygon([(0, 0), (1, 0), (2, 0)]), "folds back"),
        (lambda: Polygon([(0, 0), (1, 0), (1, 1), (0, 0)]), "closes itself"),
        (lambda: Polygon([(0, 0), (1, 0), (1, 1), (1, 0), (0, 1)]), "vertices 1 and 3"),
        (lambda: Polygon([(0, 0), (2, 0), (2, 2), (1, 0), (0, 2)]), "cross or touch"),
        (lambda: Rectangle() & Disk((5, 5), 1), "empty: no common point"),
        (lambda: Rectangle() & Rectangle(x=(1, 2), y=(0, 1)), "empty: no common point"),
        (lambda: Disk((0, 0), 1) - Disk((0, 0), 2), "covers everything"),
        (lambda: Rectangle() - Rectangle(), "covers everything"),
        (lambda: Rectangle() | Cuboid(), "same coordinates"),
        (lambda: Rectangle() * Time(0, 1) - Disk((0, 0), 1) * Time(0, 1), "combine first"),
        (lambda: Sphere([0.0] * 1000, 1) - Sphere([0.0] * 1000, 0.5), "cannot compare"),
        (lambda: Rectangle() - 3, "combines two domains, got int"),
        (lambda: Rectangle() * 3, "only domains can be multiplied"),
        (lambda: Rectangle() * Interval(0, 1), "share the coordinates x"),
        (lambda: Time(0, 1) * Time(0, 1, coord="s"), "one time coordinate"),
        (lambda: Rectangle().boundary(3, "lft", generator=rng()), 'unknown boundary part "lft".*Did you mean "left"'),
        (lambda: Rectangle().distance(torch.zeros(1, 2), "lft"), "unknown boundary part"),
        (lambda: Rectangle().distance(torch.zeros(1, 2), []), "at least one"),
        (lambda: Rectangle().part_measure("lft"), "unknown boundary part"),
        (lambda: Rectangle().interior(0, generator=rng()), "at least 1, got 0"),
        (lambda: Rectangle().boundary(-1, generator=rng()), "at least 1, got -1"),
        (lambda: Rectangle().interior(3, sampler="random", generator=rng()), "unknown sampler"),
        (lambda: Rectangle().periodic_pairs(3, "z", generator=rng()), "unknown coordinate"),
        (lambda: Disk((0, 0), 1).periodic_pairs(3, "x", generator=rng()), 'no opposite faces along "x"'),
        (lambda: annulus_cut.periodic_pairs(3, "x", generator=rng()), "axis-aligned box"),
        (lambda: Rectangle().with_part("left", lambda x: x[:, 0] > 0), "already"),
        (lambda: Rectangle().with_part("in", lambda x: x[:, 0] > 3), "holds nowhere"),
        (lambda: Rectangle().with_part("in", lambda x: x[:, 0]), "expected a torch.bool tensor"),
        (lambda: Time(0, 1).with_part("in", lambda x: x[:, 0] > 0), "no spatial boundary"),
    ],
)
def test_refusals(make, message):
    with refused(message):
        make()
