"""Chunks of directions against all at once, and the memory that they are held to."""

import pytest
import torch

from kjet.errors import ConfigError
from kjet.jets import jet
from kjet.jets.chunk import Memory, directional_sum, measure
from kjet.jets.seeds import OneHot, PerPoint, Shared, Stacked

N, D, S = 6, 5, 7


def normal(*shape, seed=0):
    return torch.randn(*shape, generator=torch.Generator().manual_seed(seed), dtype=torch.float64)


KINDS = {
    "axes": lambda n, s: OneHot(torch.arange(s) % D),
    "axes_per_point": lambda n, s: OneHot(torch.arange(s * n).reshape(s, n) % D),
    "shared": lambda n, s: Shared(normal(s, D)),
    "per_point": lambda n, s: PerPoint(normal(s, n, D)),
    "mixed": lambda n, s: Stacked((OneHot(torch.arange(s - 3) % D), Shared(normal(2, D)), PerPoint(normal(1, n, D)))),
}


def network_with_factor(network):
    return lambda x: (1 - (x**2).sum(-1, keepdim=True)) * network(x)


@pytest.mark.parametrize("order", [1, 2, 3, 4])
@pytest.mark.parametrize("kind", KINDS)
def test_equals_the_sum_of_directional_derivatives(kind, order, network, points):
    net, x, weights, seeds = network(D, 2), points(N, D).requires_grad_(), normal(S, seed=1), KINDS[kind](N, S)
    f = network_with_factor(net)
    vectors = seeds.dense(N, D, x)
    vectors = vectors if vectors.shape[1] == N else vectors[:, 0]
    expected = torch.einsum("s,snm->nm", weights, jet(f, x, vectors, order)[order])
    leaves = [x, *net.parameters()]
    slopes = torch.autograd.grad(expected.square().sum(), leaves, allow_unused=True, materialize_grads=True)
    for chunk in (1, 3, 4, 100):
        found = directional_sum(f, x, seeds, weights, order, chunk=chunk)
        torch.testing.assert_close(found, expected, rtol=1e-12, atol=1e-12)
        gradients = torch.autograd.grad(found.square().sum(), leaves, allow_unused=True, materialize_grads=True)
        for a, b in zip(gradients, slopes, strict=True):
            torch.testing.assert_close(a, b, rtol=1e-12, atol=1e-12 * float(b.abs().max()))


def test_passes_of_equal_size(network, points):
    """The number of directions in each pass, forward and again in the backward pass."""
    sizes = []
    net, x = network(D, 1), points(N, D)

    def f(z):
        sizes.append(z.layout.active(1))
        return net(z)

    value = directional_sum(f, x, KINDS["shared"](N, 10), torch.ones(10), 2, chunk=4)
    assert sizes == [3, 3, 4]
    value.sum().backward()
    assert sorted(sizes) == [3, 3, 3, 3, 4, 4]
    sizes.clear()
    with torch.no_grad():
        directional_sum(f, x, KINDS["shared"](N, 10), torch.ones(10), 2, chunk=4)
    assert sizes == [3, 3, 4]


def kept(run):
    """Bytes of the storages that autograd keeps until the backward pass."""
    sizes = {}

    def note(tensor):
        storage = tensor.untyped_storage()
        sizes[storage.data_ptr()] = storage.nbytes()
        return tensor

    with torch.autograd.graph.saved_tensors_hooks(note, lambda tensor: tensor):
        value = run()
    assert value.requires_grad
    return sum(sizes.values())


@pytest.mark.parametrize("kind", KINDS)
def test_measure_predicts_what_is_kept(kind, network, points):
    net, n = network(D, 1, width=32), 64
    f, x = network_with_factor(net), points(n, D)
    memory = measure(f, x, KINDS[kind](n, S), 3)
    few, many = KINDS[kind](n, 8), KINDS[kind](n, 24)
    growth = kept(lambda: directional_sum(f, x, many, torch.ones(24), 3)) - kept(
        lambda: directional_sum(f, x, few, torch.ones(8), 3)
    )
    # Besides what is kept, three arrays of the largest kind, here one of two layers: in all 2.5 times as much.
    assert growth / 16 <= memory.each <= 3.5 * growth / 16
    assert memory.fixed > 0


def test_budget_sets_the_chunk(network, points):
    sizes = []
    net, x, seeds = network(D, 1, width=32), points(64, D), KINDS["shared"](64, 32)

    def f(z):
        sizes.append(z.layout.active(1))
        return net(z)

    memory = measure(f, x, seeds, 2)
    sizes.clear()
    found = directional_sum(f, x, seeds, torch.ones(32), 2, budget=memory.fixed + 8.5 * memory.each)
    assert sizes[-4:] == [8, 8, 8, 8]
    torch.testing.assert_close(found, directional_sum(f, x, seeds, torch.ones(32), 2), rtol=1e-12, atol=1e-12)
    with pytest.raises(ConfigError, match=r"below the .* that a single direction needs"):
        directional_sum(f, x, seeds, torch.ones(32), 2, budget=0.5 * memory.each)


def test_measures_functions_without_parameters(points):
    memory = measure(lambda z: torch.sin(z).sum(-1, keepdim=True), points(64, D), KINDS["shared"](64, S), 3)
    assert memory.fixed + memory.each > 0


def test_what_does_not_grow_is_not_counted(points):
    """A function linear in x keeps its weight and the vectors: no bytes for a point, some for a direction."""
    weight = normal(3, D, seed=4).requires_grad_()
    memory = measure(lambda z: z @ weight.T, points(64, D), KINDS["axes"](64, S), 1)
    assert memory.directions(1e6) > 1000


def test_a_value_without_derivatives(points):
    x = points(N, D)
    zero = directional_sum(lambda z: torch.ones(N, 1), x, KINDS["axes"](N, S), torch.ones(S), 2, chunk=2)
    torch.testing.assert_close(zero, torch.zeros(N, 1))
    linear = directional_sum(lambda z: z.sum(-1, keepdim=True), x, KINDS["axes"](N, S), torch.ones(S), 2)
    torch.testing.assert_close(linear, torch.zeros(N, 1, dtype=torch.float64))


def test_under_transforms(network, points):
    """torch.func knows no recomputation: chunks are summed all the same."""
    net, x, seeds = network(D, 1), points(N, D), KINDS["shared"](N, S)

    def loss(parameters, chunk):
        f = lambda z: torch.func.functional_call(net, parameters, (z,))  # noqa: E731
        return directional_sum(f, x, seeds, torch.ones(S), 2, chunk=chunk).square().sum()

    parameters = {name: p.detach() for name, p in net.named_parameters()}
    found, expected = (torch.func.grad(loss)(parameters, chunk) for chunk in (3, S))
    for name in parameters:
        torch.testing.assert_close(found[name], expected[name], rtol=1e-11, atol=1e-12)


@pytest.mark.slow
@pytest.mark.filterwarnings("ignore::DeprecationWarning", "ignore::UserWarning", "ignore::FutureWarning")
def test_compiles(network, points):
    net, x, seeds, weights = network(D, 1), points(N, D), KINDS["shared"](N, S), normal(S, seed=1)

    def loss(x):
        return directional_sum(net, x, seeds, weights, 2, chunk=3).square().sum()

    found, expected = torch.compile(loss, fullgraph=True, backend="aot_eager")(x), loss(x)
    torch.testing.assert_close(found, expected, rtol=1e-12, atol=1e-12)
    gradients = (
        torch.autograd.grad(value, list(net.parameters()), allow_unused=True, materialize_grads=True)
        for value in (found, expected)
    )
    for a, b in zip(*gradients, strict=True):
        torch.testing.assert_close(a, b, rtol=1e-10, atol=1e-10)


BAD = {
    "weights": ({"weights": torch.ones(S + 1)}, r"weights have shape \(8,\); expected one for each of 7 seeds"),
    "weights that are trained": ({"weights": torch.ones(S).requires_grad_()}, "weights.detach"),
    "order": ({"order": 0}, "order must be at least 1; got 0"),
    "chunk": ({"chunk": 0}, "at least 1 direction"),
    "chunk and budget": ({"chunk": 1, "budget": 1e6}, "give a chunk of at least 1 direction, or a budget"),
    "budget": ({"budget": 0.0}, "positive number of bytes"),
    "columns": ({"seeds": OneHot(torch.full((S,), D)), "budget": 1e6}, "run from 5 to 5; x has columns 0 to 4"),
}


@pytest.mark.parametrize("name", BAD)
def test_bad_input(name, points):
    arguments, message = BAD[name]
    given = {"seeds": KINDS["axes"](N, S), "weights": torch.ones(S), "order": 2, **arguments}
    with pytest.raises(ConfigError, match=message):
        directional_sum(lambda z: z.sum(-1, keepdim=True), points(N, D), **given)


def test_memory_that_does_not_grow():
    assert Memory(10.0, 0.0).directions(11) > 10**9
