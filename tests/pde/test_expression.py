"""Recorded expressions against the same formulas on tensors, and the errors of names and values."""

import math

import numpy as np
import pytest
import torch

from kjet.jets import quantity
from kjet.pde import Data, Field, Frame, Parameters, Recorded, Values, Vector
from kjet.pde.expression import Number, as_expression, differentiate

FRAME = Frame(coords=("x", "t"), fields=("u", "v"), space=("x",), time="t", parameters=("a",))
EXPRESSIONS = {
    "add": lambda u, v, a: u + v,
    "radd": lambda u, v, a: 2 + u + 0,
    "sub": lambda u, v, a: u - v,
    "rsub": lambda u, v, a: 1 - u,
    "mul": lambda u, v, a: u * v * a,
    "rmul": lambda u, v, a: 3 * u * 1,
    "div": lambda u, v, a: u / (2 + v),
    "rdiv": lambda u, v, a: 1 / (2 + u),
    "div_number": lambda u, v, a: u / 4,
    "neg": lambda u, v, a: -u,
    "pos": lambda u, v, a: +u,
    "pow": lambda u, v, a: u**3,
    "pow_1": lambda u, v, a: u**1,
    "pow_half": lambda u, v, a: (2 + u) ** 0.5,
    "pow_expression": lambda u, v, a: (2 + u) ** v,
    "rpow": lambda u, v, a: 2.0**u,
    "abs": lambda u, v, a: abs(u),
    "torch_add": lambda u, v, a: torch.add(u, v),
    "torch_add_alpha": lambda u, v, a: torch.add(u, v, alpha=2),
    "torch_sub": lambda u, v, a: torch.sub(u, 1),
    "torch_rsub": lambda u, v, a: torch.rsub(u, v),
    "torch_mul": lambda u, v, a: torch.mul(u, v),
    "torch_div": lambda u, v, a: torch.div(u, 2 + v),
    "torch_neg": lambda u, v, a: torch.neg(u),
    "function": lambda u, v, a: torch.sin(u) * torch.exp(-v),
    "method": lambda u, v, a: u.sin() + v.clamp(-0.2, 0.2),
    "maximum": lambda u, v, a: torch.maximum(u, v),
    "where": lambda u, v, a: torch.where(u > v, u * v, torch.sin(v)),
    "where_ge": lambda u, v, a: torch.where(u >= 0.1, u, 0.0),
    "where_lt": lambda u, v, a: torch.where(u < v, 1 / 3, 0.25),
    "where_le": lambda u, v, a: torch.where(u <= 0, v, a * u),
    "logical": lambda u, v, a: torch.where(torch.logical_and(u > 0, v > 0), u, v),
    "tensor_left": lambda u, v, a: torch.tensor(2.0, dtype=torch.float64) * u,
    "tensor_minus": lambda u, v, a: torch.tensor(2.0, dtype=torch.float64) - u,
    "tensor_power": lambda u, v, a: torch.tensor(2.0, dtype=torch.float64) ** u,
    "numpy_number": lambda u, v, a: np.float64(1.5) * u + np.int64(2),
    "shared": lambda u, v, a: (lambda s: s * s + s)(u + v),
}


def symbols():
    return Field.of("u", FRAME), Field.of("v", FRAME), Parameters(FRAME).a


def run(node, u, v, a=0.7):
    """Evaluate on given values of the fields themselves."""
    recorded = Recorded({"r": node}, FRAME)
    value = quantity({(0, 0): 1.0})
    fields = {("u", value): u, ("v", value): v}
    x = torch.zeros(len(u), 2, dtype=u.dtype)
    return recorded(Values(x, fields, {"a": a}))[0]


@pytest.mark.parametrize("name", EXPRESSIONS)
@pytest.mark.parametrize("dtype", [torch.float32, torch.float64])
def test_evaluates_like_tensors(name, dtype):
    formula = EXPRESSIONS[name]
    u = torch.tensor([-0.6, 0.0, 0.3, 0.9], dtype=torch.float64)
    v = torch.tensor([0.2, -0.4, 0.3, 0.5], dtype=torch.float64)
    expected = formula(u, v, torch.tensor(0.7, dtype=torch.float64)).double()
    if name == "where_lt":  # torch turns two numbers into float32; kjet keeps the dtype of the points
        expected = torch.where(u < v, torch.tensor(1 / 3, dtype=torch.float64), 0.25)
    found = run(formula(*symbols()), u.to(dtype), v.to(dtype))
    eps = torch.finfo(dtype).eps
    torch.testing.assert_close(found.double(), expected.expand(4), rtol=8 * eps, atol=8 * eps)


@pytest.mark.parametrize("name", ["where_lt", "tensor_left", "function"])
def test_dtype_is_that_of_the_points(name):
    u = torch.tensor([0.5], dtype=torch.float64)
    assert run(EXPRESSIONS[name](*symbols()), u, u).dtype is torch.float64


@pytest.mark.parametrize("names", ["x", "t", "xx", "xt", "tx", "xxt", "ttx"])
def test_derivative_by_name(names):
    u, _, _ = symbols()
    index = (names.count("x"), names.count("t"))
    assert getattr(u, names)._terms == quantity({index: 1.0})


def test_longest_coordinate_name_first():
    frame = Frame(coords=("x", "x1", "theta", "t"), fields=("u",))
    u = Field.of("u", frame)
    assert u.x1x._terms == quantity({(1, 1, 0, 0): 1.0})
    assert u.thetat._terms == quantity({(0, 0, 1, 1): 1.0})


def test_derivative_of_constants_and_coordinates():
    p = Parameters(FRAME)
    assert str(differentiate(p.a, 0)) == "0"
    assert str(p.x.x) == "1"
    assert str(p.x.t) == "0"
    assert str((p.a * p.x).x) == "a"
    assert str(torch.sin(p.t).x) == "0"


@pytest.mark.parametrize(
    "jump",
    [
        lambda u: torch.where(u > 0, 1.0, 2.0),
        lambda u: torch.sign(u),
        lambda u: torch.floor(u),
        lambda u: u >= 1,
        lambda u: torch.logical_not(u > 0),
    ],
)
def test_piecewise_constants_have_zero_slope(jump):
    u = symbols()[0]
    value = torch.tensor([-0.5, 0.5], dtype=torch.float64)
    slope = jump(u).x
    fields = dict.fromkeys(Recorded({"r": slope}, FRAME).leaves, value)
    assert Recorded({"r": slope}, FRAME)(Values(torch.zeros(2, 2).double(), fields))[0].tolist() == [0.0, 0.0]


def test_derivatives_are_shared():
    u, v, _ = symbols()
    product = torch.sin(u * v)
    assert product.x is product.x
    assert product.xt is product.xt


def test_nested_composites_stay_small():
    """Remembered derivatives keep the graph of a deep composite far below the exponential number of paths to a leaf."""
    node = symbols()[0]
    for _ in range(8):
        node = torch.sin(node * node)
    assert len(Recorded({"r": node.xx}, FRAME)._order) < 3000


def test_display():
    u, v, a = symbols()
    assert str(u.t + u * u.x - a * u.xx) == "u_t + u u_x - a u_xx"
    assert str((u - v) * (u + v) / (1 + a)) == "(u - v) (u + v) / (1 + a)"
    assert str(u**2 + torch.sin(v)) == "u^2 + sin(v)"
    assert str((u + v) ** 2) == "(u + v)^2"
    assert str(u * -v) == "u (-v)"
    assert repr(-(u + v)) == "-(u + v)"
    assert str((u * torch.sin(u)).x) == "u_x sin(u) + u d_x[sin(u)]"


@pytest.mark.parametrize(
    ("action", "message"),
    [
        (lambda u: u.y, r'unknown derivative "y" of u; it has t, tt, x, xx'),
        (lambda u: u.xxy, r'unknown derivative "xxy"'),
        (lambda u: bool(u > 0), r"cannot branch on the value of gt\(u, 0\); use torch.where"),
        (lambda u: 1 if u else 0, r"cannot branch"),
        (lambda u: float(u), r"cannot become a float"),
        (lambda u: math.sin(u), r"cannot become a float"),
        (lambda u: max(u, 0 * u), r"cannot branch"),
        (lambda u: list(u), r"cannot be iterated"),
        (lambda u: np.sin(u), r"NumPy cannot act on u"),
        (lambda u: np.asarray(u), r"NumPy cannot act on u"),
        (lambda u: u * math.nan, r"not finite: nan"),
        (lambda u: u + math.inf, r"not finite: inf"),
        (lambda u: u / 0, r"divides u by zero"),
        (lambda u: u + "x", r"fields, coordinates, parameters and numbers; got 'x'"),
        (lambda u: u + torch.tensor(math.nan), r"not finite"),
        (lambda u: u.item(), r"has a value at each point"),
        (lambda u: torch.clamp(torch.zeros(1), max=u), r"pass them by position"),
        (lambda u: Data("n_x", FRAME).x, r'"n_x" is known at the points only and has no derivative'),
    ],
)
def test_errors(action, message):
    u, _, _ = symbols()
    with pytest.raises(ValueError, match=message):
        action(u)


def test_time_derivative_without_time():
    """``u.t`` must not fall through to the transpose of a tensor."""
    u = Field.of("u", Frame(coords=("x", "y"), fields=("u",)))
    with pytest.raises(ValueError, match=r'unknown derivative "t" of u'):
        u.t  # noqa: B018


def test_private_attributes_are_plain_errors():
    with pytest.raises(AttributeError):
        symbols()[0]._nothing  # noqa: B018


def test_vector_arithmetic():
    u, v, a = symbols()
    w = Vector((u, v))
    assert str(w + 1) == "(u + 1, v + 1)"
    assert str(1 + w) == "(1 + u, 1 + v)"
    assert str(w - Vector((v, u))) == "(u - v, v - u)"
    assert str(1 - w) == "(1 - u, 1 - v)"
    assert str(a * w) == str(w * a) == "(u a, v a)"
    assert str(w / 2) == "(u 0.5, v 0.5)"
    assert str(-w) == "(-u, -v)"
    assert str(w @ w) == "u u + v v"
    assert str(w + Vector((1, 2))) == "(u + 1, v + 2)"
    with pytest.raises(ValueError, match="a @ b for the dot product"):
        w * w
    with pytest.raises(ValueError, match="vectors of 2 and 3 components"):
        w + Vector((u, u, u))


def test_numbers_fold():
    two = Number(2.0, FRAME)
    assert (two * 3)._value == 6
    assert str(as_expression(1, FRAME) * symbols()[0]) == "u"
    assert str(0 * symbols()[0]) == "0"


def test_tensor_constants_broadcast_over_the_points():
    u = symbols()[0]
    column = torch.tensor([1.0, 2.0])
    value = torch.tensor([3.0, 5.0], dtype=torch.float64)
    assert run(u * column, value, value).tolist() == [3.0, 10.0]
