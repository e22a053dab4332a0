"""Windows: a partition of unity, smooth, each zero outside of its box."""

import itertools

import pytest
import torch

from kjet.errors import ConfigError
from kjet.jets import partials, reference
from kjet.operators import Windows
from kjet.operators.windows import subdomain_boxes

GRIDS = [([4], 0.9), ([1], 0.5), ([3, 2], 1.0), ([2, 1, 3], 0.3), ([5, 4], 0.01)]


def windows(counts, overlap, smoothness=4):
    return Windows(counts, overlap, smoothness, dtype=torch.float64)


def points(d, n=2000, seed=0):
    return 2 * torch.rand(n, d, dtype=torch.float64, generator=torch.Generator().manual_seed(seed)) - 1


grids = pytest.mark.parametrize(("counts", "overlap"), GRIDS)


@grids
def test_sum_is_one_to_rounding(counts, overlap):
    found = windows(counts, overlap)(points(len(counts)))
    assert found.shape == (2000, windows(counts, overlap).count)
    assert (found.sum(-1) - 1).abs().max() < 1e-14
    assert found.min() >= -1e-15
    assert found.max() <= 1 + 1e-15


@grids
def test_each_window_is_exactly_zero_outside_of_its_box(counts, overlap):
    x = points(len(counts))
    found, boxes = windows(counts, overlap)(x), subdomain_boxes(counts, overlap)
    inside = ((x[:, None] > boxes[..., 0]) & (x[:, None] < boxes[..., 1])).all(-1)
    assert not found[~inside].any()
    assert inside.sum(-1).max() <= 2 ** len(counts)
    well = ((x[:, None] > boxes[..., 0] + 0.02) & (x[:, None] < boxes[..., 1] - 0.02)).all(-1)
    assert (found[well] > 0).all()


def test_boxes_cover_the_square_and_overlap_by_what_is_asked():
    boxes = subdomain_boxes([4, 2], 0.5)
    assert boxes.shape == (8, 2, 2)
    # cells are 1/2 wide along x: strips are 1/4 wide, an eighth on either side
    assert boxes[0].tolist() == [[-1.125, -0.375], [-1.25, 0.25]]
    assert boxes[-1].tolist() == [[0.375, 1.125], [-0.25, 1.25]]


def test_derivatives_of_the_sum_vanish_to_order_four():
    f, x = windows([3, 2], 0.8), points(2, 100)
    for index in itertools.product(range(5), repeat=2):
        if 0 < sum(index) <= 4:
            each = partials(f, x, [index])[index]
            assert float(each.abs().max()) > 1
            assert float(each.sum(-1).abs().max()) < 1e-11 * float(each.abs().max())


@pytest.mark.parametrize("smoothness", [1, 2, 4])
def test_derivatives_are_continuous_up_to_the_order_asked_for(smoothness):
    """Just beside the end of a strip a derivative is of the size of the distance, and the first that jumps is not."""
    f = windows([2], 0.5, smoothness)
    x = torch.tensor([[-0.25 + 1e-7], [0.25 - 1e-7]], dtype=torch.float64)
    for order in range(1, smoothness + 2):
        size = float(reference.partials(f, x, [(order,)])[order,].abs().max())
        assert (size < 0.1) == (order <= smoothness)


def test_jets_agree_with_nested_differentiation():
    f, x = windows([3, 2], 0.7), points(2, 50)
    indices = [(2, 0), (1, 1), (2, 2), (0, 4)]
    found, expected = partials(f, x, indices), reference.partials(f, x, indices)
    for index in indices:
        torch.testing.assert_close(
            found[index], expected[index], rtol=0, atol=1e-11 * float(expected[index].abs().max())
        )


@pytest.mark.parametrize(
    ("options", "message"),
    [
        (([0], 0.5), r"subdomains = \[0\]; expected positive integers"),
        (([], 0.5), r"subdomains = \[\]; expected positive integers"),
        (([2], 0.0), "overlap = 0.0; expected a number above 0 and at most 1"),
        (([2], 1.5), "overlap = 1.5"),
        (([2], 0.5, 0), "smoothness = 0; expected a positive integer"),
    ],
)
def test_values_out_of_range(options, message):
    with pytest.raises(ConfigError, match=message):
        Windows(*options)
