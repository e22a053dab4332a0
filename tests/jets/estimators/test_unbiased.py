"""Every estimator with every operator that it takes, as it is called: five sigma, reproducible, in both precisions."""

import pytest
import torch

from kjet.jets import Biharmonic, Laplacian, Plan, Trace, quantity
from kjet.jets.estimators import STDE, Auto, ControlVariate, Hutchinson, Quadratic

DRAWS = 32
SPARSE = {"shared": STDE(2), "replacement": STDE(2, replacement=True)}
DENSE = {law: Hutchinson(2, law) for law in ("rademacher", "gaussian", "sphere")}
OWN = {
    "sparse": STDE(2, per_point=True),
    "replacement": STDE(3, replacement=True, per_point=True),
    "rademacher": Hutchinson(2, per_point=True),
    "corrections": Hutchinson(2, per_point=True, corrections=1),
    "gaussian": Hutchinson(2, law="gaussian", per_point=True),
    "sphere": Hutchinson(1, law="sphere", per_point=True),
}


def many(estimator, f, x, operator, generator, draws=DRAWS):
    return torch.stack([estimator(f, x, operator, generator) for _ in range(draws)])


@pytest.mark.parametrize("name", SPARSE)
def test_sparse(name, sparse_operator, wavy, x, exact, five_sigma, generator):
    five_sigma(many(SPARSE[name], wavy, x, sparse_operator, generator), exact(wavy, x, sparse_operator))


@pytest.mark.parametrize("name", DENSE)
def test_dense(name, dense_operator, wavy, x, exact, five_sigma, generator):
    five_sigma(many(DENSE[name], wavy, x, dense_operator, generator), exact(wavy, x, dense_operator))


@pytest.mark.parametrize("name", OWN)
def test_directions_of_each_point(name, trace, wavy, x, exact, five_sigma, generator):
    """One call at 16,000 points of one place is as many draws: five sigma is some percent of the value."""
    found = OWN[name](wavy, x[:1].expand(16000, -1), trace, generator)
    wanted = exact(wavy, x[:1], trace)[0]
    five_sigma(found, wanted)
    assert bool(((found.mean(0) - wanted).abs() < 0.2 * wanted.abs() + 0.2).all())


@pytest.mark.parametrize("name", ["sparse", "rademacher", "sphere"])
def test_weights_and_directions_of_each_point(name, weighted, wavy, x, exact, five_sigma, generator):
    found = many(OWN[name], wavy, x, weighted, generator, 24)
    five_sigma(found, exact(wavy, x, weighted))


@pytest.mark.parametrize("per_point", [False, True])
def test_all_samples_are_exact(per_point, trace, wavy, x, exact):
    """R = d needs no generator and errs by rounding."""
    axes = range(4) if getattr(trace, "axes", None) is None else trace.axes
    estimator = STDE(len(axes), per_point=per_point)
    torch.testing.assert_close(estimator(wavy, x, trace), exact(wavy, x, trace), rtol=1e-12, atol=1e-11)


def test_all_samples_of_weights_are_exact(weighted, wavy, x, exact):
    torch.testing.assert_close(STDE(4)(wavy, x, weighted), exact(wavy, x, weighted), rtol=1e-11, atol=1e-11)


@pytest.mark.parametrize(
    "estimator",
    [STDE(2), STDE(2, per_point=True), Hutchinson(2), Hutchinson(2, "gaussian"), Hutchinson(1, "sphere", True)],
)
@pytest.mark.parametrize("operator", [Laplacian(), Biharmonic()])
def test_reproducible_from_the_generator(estimator, operator, wavy, x):
    def run(seed):
        return estimator(wavy, x, operator, torch.Generator().manual_seed(seed))

    state = torch.get_rng_state()
    assert torch.equal(run(3), run(3))
    assert not torch.equal(run(3), run(4))
    assert torch.equal(torch.get_rng_state(), state)


@pytest.mark.parametrize("estimator", [STDE(2), STDE(2, per_point=True), Hutchinson(2), Hutchinson(2, "sphere")])
def test_float32(estimator, trace, network, x):
    """Precision of the result is that of the points, and its error that of single precision."""
    net, single = network(4, 2), network(4, 2, dtype=torch.float32)
    family = estimator.family(trace, 4) if hasattr(trace, "power") else None
    found = estimator(single, x.float(), trace, torch.Generator().manual_seed(0))
    assert found.dtype == torch.float32
    if family is not None:
        wide = estimator(net, x, trace, torch.Generator().manual_seed(0))
        if not isinstance(estimator, Hutchinson) or estimator.law == "rademacher":  # the same draw in both
            torch.testing.assert_close(found.double(), wide, rtol=1e-4, atol=1e-4)


@pytest.mark.parametrize("estimator", [STDE(2), Hutchinson(2), Hutchinson(2, "sphere")])
def test_points_of_their_own_differ(estimator, wavy, x, generator):
    """Two equal points: equal values from shared directions, different ones from their own."""
    twice = x[:1].expand(2, -1)
    shared = estimator(wavy, twice, Laplacian(), generator)
    assert torch.equal(shared[0], shared[1])
    own = type(estimator)(**{**vars(estimator), "per_point": True})(wavy, twice, Laplacian(), generator)
    assert not torch.equal(own[0], own[1])


WRAPPED = {
    "auto": lambda: Auto(2, every=3),
    "auto_per_point": lambda: Auto(2, every=1, per_point=True),
    "control": lambda: ControlVariate(STDE(2), Quadratic(torch.tensor([1.0, -2.0, 0.5, 0.3]))),
    "control_of_auto": lambda: ControlVariate(Auto(3), Quadratic(torch.tensor([1.0, -2.0, 0.5, 0.3])), (0.5, -1.0)),
}


@pytest.mark.parametrize("name", WRAPPED)
def test_wrapped(name, some_operator, wavy, x, exact, five_sigma, generator):
    found = many(WRAPPED[name](), wavy, x, some_operator, generator, 32)
    five_sigma(found, exact(wavy, x, some_operator))


@pytest.mark.parametrize("estimator", [STDE(2), STDE(2, per_point=True), Hutchinson(2), Hutchinson(2, "sphere", True)])
def test_in_plans(estimator, wavy, x, exact, five_sigma, generator):
    """One pass for deterministic derivatives and estimates; the layout stays, only seeds are drawn anew."""
    whole = quantity({Trace(range(4)): -0.5, Trace((0, 1, 3), 2): 0.1, ((2, 1),): 2.0})
    first = quantity({((3, 1),): 1.0})
    plan = Plan.build([whole, first], 4, estimator)
    values = [plan(wavy, x, plan.draw(2, generator, x.dtype)) for _ in range(DRAWS)]
    five_sigma(torch.stack([v[whole] for v in values]), Plan.build([whole], 4)(wavy, x)[whole])
    torch.testing.assert_close(values[0][first], Plan.build([first], 4)(wavy, x)[first])


@pytest.mark.gpu
@pytest.mark.skipif(not torch.cuda.is_available(), reason="needs a CUDA device")
@pytest.mark.parametrize("device", ["cpu", "cuda"])
@pytest.mark.parametrize("estimator", [STDE(2), STDE(2, per_point=True), Hutchinson(2), Hutchinson(2, "sphere", True)])
def test_on_a_gpu_from_a_generator_on_either(estimator, device, wavy, x):
    for operator in (Laplacian(axes=(0, 1, 3)), Biharmonic(), Laplacian(torch.ones(4, 4).double())):
        found = estimator(wavy, x.cuda(), operator, torch.Generator(device).manual_seed(0))
        assert found.device.type == "cuda"
        if device == "cpu":
            torch.testing.assert_close(found.cpu(), estimator(wavy, x, operator, torch.Generator().manual_seed(0)))


def test_a_million_coordinates(generator):
    """Nothing of size d x s x n for axes: one of four million numbers would not matter, one of 64 million would."""
    d = 10**6
    x = torch.zeros(4, d)

    def f(z):
        return (z**2).sum(-1, keepdim=True)

    assert STDE(16)(f, x, Laplacian(), generator).tolist() == [[2.0 * d]] * 4
    assert STDE(16, per_point=True)(f, x, Laplacian(axes=range(1, d)), generator).tolist() == [[2.0 * (d - 1)]] * 4
    assert Hutchinson(2)(f, x, Laplacian(), generator).tolist() == [[2.0 * d]] * 4
