"""Every rule against nested forward mode to order 4 and, where functions are smooth, a polynomial fit to order 8.

The curves have coefficients of all orders, so that every term of a recurrence counts.
"""

import math

import pytest
import torch
import torch.nn.functional as F  # noqa: N812

from kjet.errors import JetRuleError, NonSmoothWarning
from kjet.jets import Jet, Layout, jet, rule, rules
from tests.jets.cases import CASES, PIECEWISE, SMOOTH, mix, weights
from tests.jets.oracles import ORDER, POINTS, by_fit, by_forward_mode, curves, rows_of, start

# No nested forward mode in torch, or a wrong one from the second derivative on (solves, determinants, instance_norm),
# or one of nine digits (the gamma family, by torch.polygamma).
NO_FORWARD = {
    "glu", "cdist", "grid_sample", "scatter_reduce_add", "hardsigmoid", "instance_norm", "solve", "solve_vectors",
    "solve_shared", "solve_one", "solve_right", "det", "slogdet", "logdet", "lgamma", "digamma",
    "polygamma",
}  # fmt: skip
quiet = pytest.mark.filterwarnings("ignore::kjet.errors.NonSmoothWarning")


FORWARD = [
    pytest.param(name, marks=() if name in PIECEWISE else pytest.mark.slow) for name in CASES if name not in NO_FORWARD
]


@quiet
@pytest.mark.parametrize("name", FORWARD)
def test_rule_matches_nested_forward_mode(name):
    f, path, order = CASES[name], curves(), 4
    found = rows_of(f(start(path, order)), order)[:, 1]
    expected = by_forward_mode(f, path, 1, order)
    scale = expected.abs().amax(dim=tuple(range(1, expected.ndim)), keepdim=True).clamp(min=1.0)
    # Rounding of float64 through four nested passes, relative to the largest entry of each order.
    torch.testing.assert_close(found / scale, expected / scale, rtol=0, atol=1e-11)


@pytest.mark.parametrize("name", SMOOTH)
def test_rule_matches_a_fit_to_order_8(name):
    f, path, radius = CASES[name], curves(), 0.3
    found = rows_of(f(start(path)))
    factors = radius ** torch.arange(ORDER + 1.0).double().reshape(-1, *(1,) * (found.ndim - 2))
    for row in range(path.shape[1]):
        expected = by_fit(f, path, row, ORDER, radius)
        scale = float(expected[0].abs().max().clamp(min=1.0))
        # Rounding of the values, 1e-16, times 20^8 / 8!, and the tail of the series.
        torch.testing.assert_close(found[:, row] * factors / scale, expected / scale, rtol=0, atol=2e-9)


FUNCTIONS = (
    torch.tanh, torch.sin, torch.sigmoid, F.silu, F.gelu, F.softplus, F.mish, torch.erf, torch.atan, torch.asinh,
    torch.sinc, lambda h: torch.exp(0.3 * h), lambda h: torch.sqrt(2 + h * h), lambda h: h / (2 + h * h),
    lambda h: F.softmax(h, -1), lambda h: F.layer_norm(h, (5,), eps=0.1), lambda h: torch.log1p(h * h),
    lambda h: torch.cumsum(h, -1) / 3, lambda h: torch.fft.irfft(torch.fft.rfft(h) ** 2, n=5) / 5,
    lambda h: torch.linalg.vector_norm(h, dim=-1, keepdim=True) + h.flip(-1), lambda h: h * h.roll(1, -1),
    lambda h: torch.einsum("ni,nj,nj->ni", h, torch.cos(h), h) / 5, lambda h: torch.logaddexp(h, -h),
)  # fmt: skip


@pytest.mark.parametrize("seed", range(12))
def test_random_networks_match_a_fit_to_order_8(seed):
    """Five functions drawn at random, with dense layers between them."""
    generator, radius = torch.Generator().manual_seed(seed), 0.2
    picked = torch.randint(len(FUNCTIONS), (5,), generator=generator).tolist()
    layers = [torch.randn(5, n, generator=generator, dtype=torch.float64) / n**0.5 for n in (2, 5, 5, 5, 5)]
    bias = torch.randn(5, 5, generator=generator, dtype=torch.float64) / 2

    def f(h):
        for weight, b, i in zip(layers, bias, picked, strict=True):
            h = FUNCTIONS[i](F.linear(h, weight, b))
        return h

    path = curves(seed=seed)
    found = rows_of(f(start(path)))[:, 0]
    expected = by_fit(f, path, 0, ORDER, radius, degree=24)
    factors = radius ** torch.arange(ORDER + 1.0).double().reshape(-1, 1, 1)
    scale = float(expected.abs().max())
    torch.testing.assert_close(found * factors / scale, expected / scale, rtol=0, atol=2e-8)


@pytest.mark.parametrize(
    "f", [torch.exp, torch.sin, torch.cosh, torch.tanh, torch.sigmoid, torch.abs, lambda z: z / (3 + z)]
)
def test_gradients_through_complex_functions(f):
    """Autograd wants conjugates where it passes complex numbers."""
    path = curves(count=1, order=3)

    def coefficients(w):
        y = f(1 + 0.5 * torch.complex(start(path, 3) @ w, torch.sin(start(path, 3)) @ w))
        return tuple(c for row in y.coefficients for c in ((row.real, row.imag) if row.is_complex() else (row,)))

    assert torch.autograd.gradcheck(coefficients, (0.5 * weights(2, 2).clone().requires_grad_(),))


@quiet
@pytest.mark.parametrize("name", CASES)
def test_summed_rows_equal_the_sum_of_kept_ones(name):
    """A layout that sums directions where they end gives the weighted sum of the rows of one that keeps them."""
    f, path, order = CASES[name], curves(count=4, order=5), 5
    rows = rows_of(f(start(path, order)), order).detach()
    # Directions 0 and 1 end at order 5 in two sums, 2 at order 3 in one, and 3 at order 1 beside the others.
    sums = {3: torch.tensor([[0.5]]).double(), 5: torch.tensor([[2.0, -1.0], [1.0, 3.0]]).double()}
    layout = Layout((4, 3, 2, 2, 0), tuple(sums.get(k) for k in range(1, order + 1)))
    y = f(Jet([path[0, 0], *(summed(path[k], k, layout) for k in range(1, order + 1))], layout))
    for k in range(1, order + 1):
        expected, found = summed(rows[k], k, layout), y.row(k)
        found = torch.zeros_like(expected) if found is None else found.detach()
        torch.testing.assert_close(found, expected, rtol=1e-10, atol=1e-11 * float(rows.abs().max() + 1))


def summed(rows, k, layout):
    return layout.reduce(k, rows[: layout.active(k)])


def test_hardsigmoid():
    def same(t):
        return torch.clamp(5 * t / 6 + 0.5, 0.0, 1.0)

    path = curves(order=4)
    with pytest.warns(NonSmoothWarning):
        found = rows_of(CASES["hardsigmoid"](start(path, 4)), 4)
    torch.testing.assert_close(found, rows_of(same(mix(start(path, 4))), 4), rtol=1e-13, atol=1e-13)


# --- at points where formulas are singular, or nearly ---------------------------------------------------------------


def along(f, x, order=4):
    """Coefficients along the unit direction at one number."""
    point = torch.tensor([[x]], dtype=torch.float64)
    values = jet(f, point, torch.ones(1, 1, dtype=torch.float64), order).flatten().tolist()
    return [value / math.factorial(k) for k, value in enumerate(values)]


@pytest.mark.parametrize("exponent", [3, 3.0, torch.tensor(3), torch.tensor(3.0), torch.tensor([[3.0]])])
def test_whole_powers_are_regular_at_zero(exponent):
    assert along(lambda t: t**exponent, 0.0) == [0, 0, 0, 1, 0]
    assert along(lambda t: t**exponent, -2.0) == [-8, 12, -6, 1, 0]


@pytest.mark.parametrize("exponent", [2.5, torch.tensor(2.5)])
def test_broken_powers_have_the_derivatives_that_exist_at_zero(exponent):
    values = along(lambda t: t**exponent, 0.0)
    assert values[:3] == [0, 0, 0]
    assert not math.isfinite(values[3])


@pytest.mark.parametrize("norm", [lambda t: t.norm(dim=-1), lambda t: torch.hypot(t, t), lambda t: F.normalize(t)])
def test_norms_have_finite_derivatives_at_zero(norm):
    f = lambda x: norm(x.expand(-1, 2)).reshape(-1, norm(x.expand(-1, 2)).shape[-1])[:, :1]  # noqa: E731
    values = jet(f, torch.zeros(1, 1), torch.ones(1, 1), 3)
    assert torch.isfinite(values).all()


mp = pytest.importorskip("mpmath")
CLOSED = {
    "tanh": (torch.tanh, mp.tanh, (-3.0, 0.1, 2.0)),
    "sigmoid": (torch.sigmoid, lambda t: 1 / (1 + mp.exp(-t)), (-3.0, 0.1, 4.0)),
    "silu": (F.silu, lambda t: t / (1 + mp.exp(-t)), (-3.0, 0.1, 4.0)),
    "gelu": (F.gelu, lambda t: t * mp.erfc(-t / mp.sqrt(2)) / 2, (-4.0, 0.0, 1.3)),
    "softplus": (F.softplus, lambda t: mp.log1p(mp.exp(t)), (-4.0, 0.0, 1.3)),
    "mish": (F.mish, lambda t: t * mp.tanh(mp.log1p(mp.exp(t))), (-2.0, 0.0, 1.3)),
    "logsigmoid": (F.logsigmoid, lambda t: -mp.log1p(mp.exp(-t)), (-4.0, 0.0, 3.0)),
    "tanhshrink": (F.tanhshrink, lambda t: t - mp.tanh(t), (-2.0, 1e-3, 1.3)),
    "erf": (torch.erf, mp.erf, (-2.0, 0.0, 1.0)),
    "erfc": (torch.erfc, mp.erfc, (0.3, 5.0)),
    "erfinv": (torch.erfinv, mp.erfinv, (-0.9, 0.0, 0.5)),
    "ndtr": (torch.special.ndtr, mp.ncdf, (-5.0, 0.4)),
    "lgamma": (torch.lgamma, mp.loggamma, (0.5, 1.0, 7.5)),
    "digamma": (torch.digamma, mp.digamma, (0.5, 1.0, 7.5)),
    "sinc": (torch.sinc, mp.sincpi, (0.0, 1e-9, 0.05, 0.2, -0.4, 1.0, 1.59, 1.6, 20.0)),
    "atan": (torch.atan, mp.atan, (-2.0, 0.0, 10.0)),
    "asinh": (torch.asinh, mp.asinh, (-2.0, 0.0, 10.0)),
    "atanh": (torch.atanh, mp.atanh, (-0.9, 0.0, 0.5)),
    "acosh": (torch.acosh, mp.acosh, (1.1, 4.0)),
    "logit": (torch.logit, lambda t: mp.log(t / (1 - t)), (0.1, 0.5, 0.99)),
    "log1p": (torch.log1p, mp.log1p, (-0.9, 1e-9, 3.0)),
    "rsqrt": (torch.rsqrt, lambda t: t**-0.5, (0.01, 1.0, 40.0)),
    "power": (lambda t: t**1.3, lambda t: t ** mp.mpf(1.3), (0.01, 1.0, 40.0)),
}


@pytest.mark.parametrize("name", CLOSED)
def test_derivatives_have_the_digits_of_float64(name):
    """Against series in 40 digits, to order 8, each coefficient relative to itself or to the largest around it."""
    function, exact, points = CLOSED[name]
    for x in points:
        with mp.workdps(40):
            expected = [float(c) for c in mp.taylor(exact, mp.mpf(x), ORDER)]
        for k, (value, wanted) in enumerate(zip(along(function, x, ORDER), expected, strict=True)):
            near = max(abs(c) for c in expected[max(k - 1, 0) : k + 2])
            # Rounding through eight orders of recurrences, and of float64 special functions themselves.
            assert abs(value - wanted) <= 2e-12 * near + 1e-15, (x, k, value, wanted)


# --- what has no rule, and rules of users ---------------------------------------------------------------------------


def unregistered(x):
    return Jet.__torch_function__(unregistered, (Jet,), (x,))


MISSING = {
    "torch.i0": torch.i0,
    "torch.unique": torch.unique,
    "torch.special.i0": torch.special.i0,
    "torch.linalg.eigvals": torch.linalg.eigvals,
    "torch.nn.functional.fractional_max_pool2d": lambda x: F.fractional_max_pool2d(x, 2, output_size=1),
    "torch.Tensor.i0": lambda x: x.i0(),
    "torch.ops.aten.i0": torch.ops.aten.i0,
    f"{unregistered.__module__}.unregistered": unregistered,
}


@pytest.mark.parametrize("name", MISSING)
def test_missing_rule_names_the_operation_as_it_is_written_and_the_remedy(name):
    with pytest.raises(NotImplementedError) as caught:
        jet(MISSING[name], torch.ones(1, 1), torch.ones(1, 1), 1)
    assert f'operation "{name}";' in str(caught.value)
    assert f"@kjet.jets.rule({name})" in str(caught.value)


def test_unknown_attribute():
    x = Jet([torch.ones(2), None], Layout.uniform(1, 1))
    with pytest.raises(AttributeError, match="nosuch"):
        x.nosuch  # noqa: B018


def test_registered_rule_is_used(monkeypatch):
    from importlib import import_module

    module = import_module("kjet.jets._registry")
    monkeypatch.setattr(module, "_RULES", dict(module._RULES))

    def doubled(x):
        return Jet.__torch_function__(doubled, (), (x,)) if isinstance(x, Jet) else 2 * x

    @rule(doubled)
    def _doubled(x):
        return x + x

    assert jet(doubled, torch.ones(1, 1), torch.ones(1, 1), 1).flatten().tolist() == [2.0, 2.0]
    assert doubled in rules()


def test_rule_refuses_what_is_no_operation():
    with pytest.raises(TypeError, match="torch operations"):
        rule("tanh")


X = torch.zeros(3, 4)
REFUSED = {
    "random": (lambda x: F.rrelu(x, training=True), "eval"),
    "batch statistics": (lambda x: F.batch_norm(x, None, None, training=True), "mixes the points"),
    "attention dropout": (lambda x: F.scaled_dot_product_attention(x, x, x, dropout_p=0.1), "dropout_p"),
    "causal and mask": (
        lambda x: F.scaled_dot_product_attention(x, x, x, torch.ones(3, 3), is_causal=True),
        "not both",
    ),
    "index": (lambda x: torch.ones(3)[x], "index cannot be a jet"),
    "gather": (lambda x: torch.gather(x, 1, x), "first argument"),
    "scatter index": (lambda x: torch.scatter_add(x, 1, x, x), "must be integers"),
    "scatter product": (lambda x: torch.scatter_reduce(x, 1, torch.zeros(3, 4).long(), x, "prod"), "prod"),
    "scatter multiply": (lambda x: torch.scatter(x, 1, torch.zeros(3, 4).long(), x, reduce="multiply"), "multiply"),
    "singular values": (lambda x: torch.linalg.matrix_norm(x, 2), "singular"),
    "embedding": (lambda x: F.embedding(x, x), "integers"),
}


@pytest.mark.parametrize("name", REFUSED)
def test_what_has_no_derivative_is_refused_with_the_reason(name):
    f, reason = REFUSED[name]
    with pytest.raises(JetRuleError, match=reason):
        f(Jet([X, torch.ones(1, 3, 4)], Layout.uniform(1, 1)))


def test_active_dropout_is_refused():
    with pytest.raises(ValueError, match="eval"):
        F.dropout(Jet([X, None], Layout.uniform(1, 1)), training=True)


# --- kinks ----------------------------------------------------------------------------------------------------------

LINEAR_PIECES = (
    "relu", "torch_relu", "leaky_relu", "prelu", "rrelu", "relu6", "hardtanh", "hardsigmoid", "hardshrink",
    "softshrink", "threshold",
)  # fmt: skip
SMOOTH_TO = {"elu": 1, "celu": 1, "softsign": 1, "elu_alpha": 0, "selu": 0, "hardswish": 0}


@pytest.mark.parametrize("name", LINEAR_PIECES)
def test_piecewise_linear_functions_warn_once_at_order_2(name, recwarn):
    f = PIECEWISE[name]
    jet(f, POINTS.repeat(1, 2), torch.ones(1, 4).double(), 1)
    assert not recwarn.list
    with pytest.warns(NonSmoothWarning, match="zero almost everywhere") as caught:
        values = jet(lambda x: f(f(x)), POINTS.repeat(1, 2), torch.ones(1, 4).double(), 3)
    assert len(caught) == 1
    assert not values[2:].any()


@pytest.mark.parametrize("name", SMOOTH_TO)
def test_functions_with_a_kink_in_a_derivative_warn_above_it(name, recwarn):
    f, continuous = PIECEWISE[name], SMOOTH_TO[name]
    jet(f, POINTS, torch.ones(1, 2).double(), continuous + 1)
    assert not recwarn.list
    with pytest.warns(NonSmoothWarning, match=f"order {continuous + 1} jumps"):
        jet(f, POINTS, torch.ones(1, 2).double(), continuous + 2)


def test_relu_has_no_curvature():
    with pytest.warns(NonSmoothWarning, match="relu"):
        values = jet(F.relu, torch.tensor([[-1.0], [2.0]]), torch.ones(1, 1), 3)
    assert values[:, 0, :, 0].tolist() == [[0.0, 2.0], [0.0, 1.0], [0.0, 0.0], [0.0, 0.0]]


# --- functions of the value alone ------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    "f", [torch.sign, torch.floor, torch.round, lambda x: x > 0.2, lambda x: torch.argmax(x, 1), lambda x: x.isfinite(),
          lambda x: x.long(), lambda x: torch.eq(x, 0.31), lambda x: torch.div(x, 0.2, rounding_mode="floor")],
)  # fmt: skip
def test_functions_that_are_constant_between_jumps_return_plain_tensors(f):
    found = f(start(curves()))
    assert isinstance(found, torch.Tensor)
    assert torch.equal(found, f(POINTS))


def test_what_is_made_in_the_likeness_of_a_jet_takes_in_jets():
    x = start(curves())
    for made in (x.new_zeros(2, 3), torch.zeros_like(x), torch.ones_like(x), x.new_full((2,), 1.5)):
        assert isinstance(made, Jet)
        assert all(c is None for c in made.coefficients[1:])
    assert isinstance(x.new_zeros(2, dtype=torch.long), torch.Tensor)
