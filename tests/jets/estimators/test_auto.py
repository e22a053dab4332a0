"""The estimator that chooses: what it chooses, when it changes, that it can be resumed, that it can tell why."""

import json

import pytest
import torch

from kjet.errors import ConfigError
from kjet.jets import Biharmonic, Laplacian, Operator, Trace
from kjet.jets.estimators import STDE, Auto, Hutchinson

D = 10
X = torch.linspace(-1, 1, 40 * D, dtype=torch.float64).reshape(40, D)
UNEVEN = torch.arange(1, D + 1, dtype=torch.float64)


def separable(x):
    """No mixed derivatives, a diagonal that varies: signs have no variance."""
    return (UNEVEN * x**2).sum(-1, keepdim=True)


def flat(x):
    """Equal second derivatives, all mixed ones as large: sparse directions have no variance."""
    return x.sum(-1, keepdim=True) ** 2


def mixed(x, ratio):
    """A Hessian for which the variance of signs is ``ratio`` times that of two sparse samples."""
    off = (ratio * float(UNEVEN.var()) * 4 * D**2 * (1 - 2 / D) / (2 * D * (D - 1))) ** 0.5
    return (UNEVEN * x**2).sum(-1, keepdim=True) + 0.5 * off * (
        x.sum(-1, keepdim=True) ** 2 - (x**2).sum(-1, keepdim=True)
    )


def chosen(auto):
    return [record["chosen"] for record in auto.state_dict()["records"].values()]


@pytest.mark.parametrize(("f", "name"), [(separable, "rademacher"), (flat, "sparse")])
def test_the_better_one_is_chosen_at_once(f, name, generator):
    auto = Auto(3)
    auto(f, X, Laplacian(), generator)
    assert chosen(auto) == [name]
    auto = Auto(3)
    assert auto.probe(f, X, Laplacian(), generator) == (name != "sparse")  # which is in use before any comparison
    assert not auto.probe(f, X, Laplacian(), generator)
    assert chosen(auto) == [name]


@pytest.mark.parametrize("f", [separable, flat])
def test_no_variance_after_the_choice(f, exact, generator):
    found = Auto(3)(f, X, Laplacian(), generator)
    torch.testing.assert_close(found, exact(f, X, Laplacian()))


def test_the_choice_follows_the_function(generator):
    auto = Auto(3, every=2, decay=0.0)
    for f, name in ((separable, "rademacher"), (flat, "sparse"), (separable, "rademacher")):
        for _ in range(8):
            auto(f, X, Laplacian(), generator)
        assert chosen(auto) == [name]
    assert next(iter(auto.state_dict()["records"].values()))["switches"] == 3


@pytest.mark.parametrize(("margin", "name"), [(0.75, "sparse"), (1.0, "rademacher")])
def test_a_small_gain_changes_nothing(margin, name, generator):
    """Signs at 0.87 of the variance of sparse directions, averaged over many points with draws of their own."""
    auto = Auto(2, per_point=True, margin=margin, points=4000, every=1)
    many = X.repeat(100, 1)
    auto(flat, many, Laplacian(), generator)  # sparse
    for _ in range(25):
        auto(lambda z: mixed(z, 0.87), many, Laplacian(), generator)
    assert chosen(auto) == [name]


def test_estimated_variances_are_those_of_the_formulas(generator):
    auto = Auto(2, per_point=True, points=4000, every=1)
    for _ in range(3):
        auto(lambda z: mixed(z, 0.5), X.repeat(100, 1), Laplacian(), generator)
    record = next(iter(auto.state_dict()["records"].values()))
    variance = {name: record["totals"][name] / record["weights"][name] for name in record["totals"]}
    sparse = D**2 * float((2 * UNEVEN).var()) * (1 - 2 / D) / 2
    assert variance["sparse"] == pytest.approx(sparse, rel=0.05)
    assert variance["rademacher"] == pytest.approx(0.5 * sparse, rel=0.05)


def test_comparisons_cost_passes_only_now_and_then(generator):
    """Between two comparisons one pass for each call; at one, a pass more for each other candidate."""
    passes = []

    def counted(z):
        passes.append(tuple(z.shape))
        return separable(z)

    auto = Auto(3, every=4, points=8)
    counts = []
    for _ in range(9):
        before = len(passes)
        auto(counted, X, Laplacian(), generator)
        counts.append(len(passes) - before)
    assert counts == [3, 1, 1, 1, 2, 1, 1, 1, 2]
    assert sorted(set(passes)) == [(8, D), (40, D)]


def test_resumed_bit_for_bit(generator):
    def f(z):
        return torch.sin(z.cumsum(-1)).sum(-1, keepdim=True)

    auto = Auto(3, every=3)
    for _ in range(7):
        auto(f, X, Laplacian(), generator)
    state, numbers = json.loads(json.dumps(auto.state_dict())), generator.get_state()
    first = [auto(f, X, Laplacian(), generator) for _ in range(8)]
    resumed, other = Auto(3, every=3), torch.Generator()
    resumed.load_state_dict(state)
    other.set_state(numbers)
    second = [resumed(f, X, Laplacian(), other) for _ in range(8)]
    assert all(torch.equal(a, b) for a, b in zip(first, second, strict=True))
    assert auto.state_dict() == resumed.state_dict()
    assert state == json.loads(json.dumps(state))  # a copy: later calls have not touched it


def test_wrong_states():
    auto = Auto(3)
    with pytest.raises(ConfigError, match=r'unknown entry "recods".*Did you mean "records"'):
        auto.load_state_dict({"samples": 3, "recods": {}})
    with pytest.raises(ConfigError, match="4 samples; this one has 3"):
        auto.load_state_dict({"samples": 4, "records": {}})


def test_explain(generator):
    auto = Auto(3)
    assert "nothing compared yet" in auto.explain()
    auto(separable, X, Laplacian(), generator)
    auto(separable, X, Biharmonic(axes=(0, 2, 5, 7)), generator)
    auto(separable, X, Laplacian(torch.ones(D, D)), generator)
    lines = auto.explain().splitlines()
    assert lines[0] == "lap[0..9] of 10 coordinates: rademacher after 1 calls and 1 choices"
    assert lines[1].startswith("  rademacher: deviation 0.000e+00 from 3 directions")
    assert lines[2].startswith("  sparse: deviation")
    assert any(line.startswith("lap^2[0, 2, 5, 7] of 10 coordinates") for line in lines)
    assert any(line.startswith("weighted Laplacian, 1 squares, of 10 coordinates") for line in lines)


def test_families_follow_the_choice(generator):
    auto, trace = Auto(3), Trace(range(D), 1)
    before = auto.family(trace, D).draw(1, generator, X.dtype)
    assert type(before) is type(STDE(3).family(trace, D).draw(1, generator, X.dtype))
    auto.probe(separable, X, trace, generator)
    after = auto.family(trace, D).draw(1, generator, X.dtype)
    assert type(after) is type(Hutchinson(3).family(trace, D).draw(1, generator, X.dtype))


def test_as_many_samples_as_coordinates_are_exact(wavy, x, exact, generator):
    torch.testing.assert_close(Auto(7)(wavy, x, Laplacian(), generator), exact(wavy, x, Laplacian()))


def test_fourth_order_candidates(generator):
    auto = Auto(3)
    auto(separable, X, Biharmonic(), generator)
    auto(separable, X, Trace((0, 1, 2, 3, 4), 3), generator)
    second, third = auto.state_dict()["records"].values()
    assert sorted(second["directions"]) == ["gaussian", "rademacher", "sparse", "sphere"]
    assert sorted(third["directions"]) == ["gaussian", "sparse", "sphere"]
    # Cost counts: signs take as many axes as vectors, pairs four directions each.
    assert second["directions"] == {"gaussian": 3, "rademacher": 6, "sparse": 12, "sphere": 3}


def test_what_only_sparse_directions_can_do(wavy, x, exact, five_sigma, generator):
    operator = Operator({(3, 0, 0, 0): 1.0, (0, 0, 3, 0): 1.0, (1, 0, 0, 0): 1.0})
    auto = Auto(2)
    torch.testing.assert_close(auto(wavy, x, operator, generator), exact(wavy, x, operator))
    assert not auto.probe(wavy, x, operator, generator)


def test_gradients_pass_in_every_call(network, generator):
    net, auto = network(D, 1), Auto(3, every=2)
    for _ in range(3):
        value = auto(net, X, Laplacian(), generator).square().mean()
        gradients = torch.autograd.grad(value, list(net.parameters()), allow_unused=True)
        assert sum(float(g.abs().sum()) for g in gradients if g is not None) > 0


def test_a_step_that_is_not_finite_is_forgotten(generator):
    auto = Auto(3, every=1)
    auto(separable, X, Laplacian(), generator)
    auto(lambda z: separable(z) / torch.zeros(1, dtype=z.dtype), X, Laplacian(), generator)
    auto(separable, X, Laplacian(), generator)
    assert "nan" not in auto.explain()
    assert chosen(auto) == ["rademacher"]
