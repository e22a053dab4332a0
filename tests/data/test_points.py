import copy
import pickle
import re

import jaxtyping
import pytest
import torch

from kjet.data import Points, Rectangle
from kjet.data.points import Names
from kjet.errors import ConfigError


def refused(message: str):
    """Expect our error; where runtime type checks are switched on, theirs may come first."""
    checked = jaxtyping.TypeCheckError
    return pytest.raises((ConfigError, checked), check=lambda e: isinstance(e, checked) or re.search(message, str(e)))


def wall() -> Points:
    x = torch.tensor([[0.0, 0.1], [0.0, 0.4], [0.0, 0.9]], dtype=torch.float64)
    normals = torch.tensor([[-1.0, 0.0]], dtype=torch.float64).expand(3, 2)
    return Points(x, ("x", "y"), normals, torch.tensor([0.5, 0.25, 0.25], dtype=torch.float64), 1.0)


def test_columns_by_name():
    assert wall().column("y").tolist() == [0.1, 0.4, 0.9]
    with pytest.raises(ConfigError, match=r'unknown coordinate "z".*x, y'):
        wall().column("z")


@pytest.mark.parametrize(
    "index", [torch.tensor([2, 0]), torch.tensor([True, False, True]), slice(1, 3)], ids=["index", "mask", "slice"]
)
def test_selection_takes_rows_of_everything(index):
    points, chosen = wall(), wall()[index]
    assert torch.equal(chosen.x, points.x[index])
    assert torch.equal(chosen.normals, points.normals[index])
    assert torch.equal(chosen.weights, points.weights[index])
    assert chosen.measure == points.measure
    assert len(chosen) == 2


def test_to_converts_all_tensors_and_keeps_the_original():
    points = wall()
    converted = points.to(torch.float32, "cpu")
    assert {converted.x.dtype, converted.normals.dtype, converted.weights.dtype} == {torch.float32}
    assert points.x.dtype == torch.float64
    assert points.to().x.dtype == torch.float64


def test_concat_integrates_over_the_joint_region():
    """Walls of different length and density: the integral of x + y over the boundary of a 2 x 1 rectangle is 9."""
    generator = torch.Generator().manual_seed(0)
    rectangle = Rectangle(x=(0, 2), y=(0, 1))
    counts = {"left": 100, "right": 7, "bottom": 50, "top": 33}
    parts = [
        rectangle.boundary(n, part, sampler="grid", generator=generator, dtype=torch.float64)
        for part, n in counts.items()
    ]
    joint = Points.concat(parts)
    assert joint.measure == 6.0
    assert len(joint) == 190
    assert joint.normals.shape == (190, 2)
    # cell-centred points integrate linear functions exactly
    assert float((joint.weights * joint.x.sum(1)).sum()) == pytest.approx(9.0, rel=1e-12)


def test_concat_of_equal_density_needs_no_weights():
    a = Points(torch.zeros(2, 1), ("x",), measure=2.0)
    b = Points(torch.ones(3, 1), ("x",), measure=3.0)
    joint = Points.concat([a, b])
    assert joint.weights is None
    assert joint.normals is None
    assert joint.measure == 5.0


def test_concat_keeps_given_weights_and_drops_normals_that_not_all_have():
    joint = Points.concat([wall(), Points(torch.ones(2, 2, dtype=torch.float64), ("x", "y"), measure=4.0)])
    assert joint.weights.tolist() == [0.5, 0.25, 0.25, 2.0, 2.0]
    assert joint.normals is None


def test_names_are_checked_once():
    names = Names(("x", "y"))
    assert Names(names) is names
    assert names == ("x", "y")
    assert isinstance(names, tuple)
    points = Points(torch.zeros(3, 2), names)
    assert points.coords is names
    assert points[:1].coords is names
    assert [names.index(name) for name in names] == [0, 1]
    assert "x" in names
    assert "z" not in names
    for other in (
        copy.deepcopy(names),
        pickle.loads(pickle.dumps(names)),
        Points(torch.zeros(1, 2), ("x", "y")).coords,
    ):
        assert other == names
        assert other.index("y") == 1
    with pytest.raises(ValueError, match="not in tuple"):
        names.index("z")


def test_messages_do_not_list_thousands_of_names():
    with refused(r"x0, x1, .*, x99, \.\.\. \(3000 in all\)$"):
        Points(torch.zeros(3, 2), tuple(f"x{i}" for i in range(3000)))


@pytest.mark.parametrize(
    ("make", "message"),
    [
        (lambda: Points(torch.zeros(3, 2), ("x",)), r"shape \(3, 2\), expected \(n, 1\)"),
        (lambda: Points(torch.zeros(3, 2), ("x", "x")), "names must differ"),
        (lambda: Points(torch.zeros(3, 2), ("x", "y"), normals=torch.zeros(2, 2)), "normals have shape"),
        (lambda: Points(torch.zeros(3, 2), ("x", "y"), weights=torch.zeros(2)), "weights have shape"),
        (lambda: Points.concat([]), "no points"),
        (lambda: Points.concat([wall(), Points(torch.zeros(1, 1), ("x",))]), "cannot be joined"),
    ],
)
def test_inconsistent_points_are_refused(make, message):
    with refused(message):
        make()
