"""Regions of a domain and the interfaces between them."""

import math

import pytest
import torch

from kjet.data import Box, Disk, Ellipse, Interval, Partition, Polygon, Rectangle, Time
from kjet.errors import ConfigError

SQUARE = Rectangle(x=(-1.0, 1.0), y=(-1.0, 1.0))
DISK = Disk((0.1, 0.0), 0.5)


def seeded(seed=0):
    return torch.Generator().manual_seed(seed)


def interface(partition, n=200, **options):
    return partition.interface(n, generator=seeded(), dtype=torch.float64, **options)


@pytest.mark.parametrize(
    "shape",
    [
        DISK,
        Ellipse((0.1, 0.2), (0.7, 0.3)),
        Polygon([(-0.8, -0.8), (0.7, -0.5), (0.0, 0.0), (0.3, 0.9)]),
        Rectangle(x=(-0.5, 0.2), y=(-0.3, 0.7)),
        Rectangle(x=(-0.5, 0.5), y=(-0.5, 0.5)) - Disk((0.0, 0.0), 0.2),
        Disk((0.3, 0.0), 0.4) | Disk((-0.3, 0.0), 0.4),
        Disk((0.2, 0.0), 0.4) & Disk((-0.2, 0.0), 0.4),
    ],
    ids=lambda shape: type(shape).__name__,
)
def test_owner_is_the_shape_that_holds_the_point(shape):
    x = SQUARE.interior(4000, generator=seeded(), dtype=torch.float64).x
    parts = Partition(SQUARE, {"a": shape, "b": None})
    assert torch.equal(parts.within(x, "a"), shape.inside(x))
    assert torch.equal(parts.within(x, "b"), ~shape.inside(x))


def test_the_first_region_wins_where_shapes_overlap():
    parts = Partition(SQUARE, {"a": DISK, "b": Rectangle(x=(0.0, 2.0), y=(-2.0, 2.0)), "c": None})
    x = torch.tensor([[0.2, 0.0], [0.9, 0.0], [-0.9, 0.0], [-0.3, 0.0]])
    assert parts.owner(x).tolist() == [0, 1, 2, 0]


@pytest.mark.parametrize("dtype", [torch.float32, torch.float64])
def test_boundaries_of_the_domain_belong_to_the_region_beside_them(dtype):
    slab = Rectangle(x=(-1.0, 2.0), y=(0.1, 0.7)) * Time(0.0, 1.0)
    left = Rectangle(x=(-1.0, 1 / 3), y=(0.1, 0.7)) * Time(0.0, 1.0)
    parts = Partition(slab, {"left": left, "right": None})
    for part in (None, "initial", "final"):
        x = slab.boundary(500, part, generator=seeded(), dtype=dtype).x
        x = x[(x[:, 0] - 1 / 3).abs() > 1e-3]
        assert torch.equal(parts.owner(x) == 0, x[:, 0] < 1 / 3)


def test_circle_as_an_interface():
    parts = Partition(SQUARE, {"inner": DISK, "outer": None})
    points = interface(parts)
    offset = points.x - torch.tensor([0.1, 0.0], dtype=torch.float64)
    torch.testing.assert_close(offset.norm(dim=1), torch.full((200,), 0.5, dtype=torch.float64), rtol=1e-12, atol=0)
    torch.testing.assert_close(points.normals, offset / 0.5)
    assert points.measure == pytest.approx(math.pi, rel=1e-7)
    behind, before = parts.sides(points)
    assert not behind.any()
    assert before.all()
    single = points.to(torch.float32)
    assert [side.unique().tolist() for side in parts.sides(single)] == [[0], [1]]


def test_only_what_lies_inside_of_the_domain_is_an_interface():
    half = Partition(SQUARE, {"inner": Disk((-1.0, 0.0), 0.5), "outer": None})
    points = interface(half)
    assert points.measure == pytest.approx(0.5 * math.pi, rel=1e-6)
    assert (points.x[:, 0] > -1).all()
    cut = Partition(SQUARE, {"left": Rectangle(x=(-1.0, 0.0), y=(-1.0, 1.0)), "right": None})
    points = interface(cut)
    assert not points.x[:, 0].any()
    assert points.measure == pytest.approx(2.0)
    assert points.normals.tolist() == [[1.0, 0.0]] * 200


def test_several_interfaces_are_sampled_by_their_measure():
    shapes = {"a": Disk((-0.5, 0.0), 0.4), "b": Disk((0.6, 0.0), 0.1), "c": None}
    parts = Partition(SQUARE, shapes)
    points = interface(parts, 1000)
    assert points.measure == pytest.approx(math.pi, rel=1e-6)
    behind, before = parts.sides(points)
    assert (before == 2).all()
    assert (behind == 0).sum() / 1000 == pytest.approx(0.8, abs=0.01)
    only = interface(parts, between=("c", "b"))
    assert only.measure == pytest.approx(0.2 * math.pi, rel=1e-6)
    assert (only.x[:, 0] > 0.4).all()


def test_regions_that_touch_each_other():
    boxes = {f"r{i}{j}": Box([(x, x + 1.0), (y, y + 1.0)], ("x", "y")) for i, x in enumerate((-1.0, 0.0))
             for j, y in enumerate((-1.0, 0.0))}  # fmt: skip
    parts = Partition(SQUARE, boxes)
    points = interface(parts, 400)
    assert points.measure == pytest.approx(4.0)
    behind, before = parts.sides(points)
    assert sorted(set(zip(behind.tolist(), before.tolist(), strict=True))) == [(0, 1), (0, 2), (1, 3), (2, 3)]
    assert (points.x.abs().min(1).values == 0).all()
    assert (points.normals.sum(1) == 1).all()


def test_moving_with_time():
    parts = Partition(SQUARE * Time(0, 2), {"inner": DISK * Time(0, 2), "outer": None})
    points = interface(parts)
    assert points.measure == pytest.approx(2 * math.pi, rel=1e-2)
    assert not points.normals[:, 2].any()
    assert points.x[:, 2].std() > 0.4


def test_boxes_stay_in_the_domain():
    parts = Partition(SQUARE, {"inner": Disk((-0.8, 0.0), 0.5), "outer": None})
    assert parts.boxes.tolist() == [[[-1.0, pytest.approx(-0.3)], [-0.5, 0.5]], [[-1.0, 1.0], [-1.0, 1.0]]]


@pytest.mark.parametrize(
    ("make", "message"),
    [
        (lambda: Partition(SQUARE, {"a": DISK}), "needs at least two regions; got 1"),
        (lambda: Partition(SQUARE, {"a": None, "b": DISK}), 'region "a" needs a shape'),
        (lambda: Partition(SQUARE, {"a b": DISK, "c": None}), "named by an identifier"),
        (lambda: Partition(SQUARE * Time(0, 1), {"a": DISK, "c": None}), r"multiply the shape with what is missing"),
        (lambda: Partition(Interval(0, 1), {"a": Interval(0, 0.5), "b": None}).within(torch.zeros(1, 1), "c"),
         'unknown region "c"'),
        (lambda: interface(Partition(SQUARE, {"a": Disk((5.0, 5.0), 1.0), "b": None})), "share no boundary inside"),
        (lambda: interface(Partition(SQUARE, {"a": DISK, "b": None}), between=("a", "a")), "between two regions"),
    ],
)  # fmt: skip
def test_what_does_not_fit(make, message):
    with pytest.raises(ConfigError, match=message):
        make()
