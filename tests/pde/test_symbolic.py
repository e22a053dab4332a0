"""Equations from SymPy against the same equations written by hand, on random networks."""

import sys

import pytest
import sympy
import torch

from kjet.pde import (
    BlackScholes,
    Burgers,
    Equation,
    KdV,
    NavierStokes2D,
    Plate,
    Poisson,
    Schrodinger,
    Unknown,
    bilap,
    from_sympy,
    lap,
    record,
    residual_of,
)
from kjet.pde.expression import Frame

X, Y, T, S, NU, RE, SIGMA, R = sympy.symbols("x y t s nu reynolds sigma r")
D = sympy.Derivative


def functions(names, *coords):
    return [sympy.Function(name)(*coords) for name in names.split()]


def burgers():
    (u,) = functions("u", X, T)
    return sympy.Eq(D(u, T) + u * D(u, X), NU * D(u, X, X)), {"nu": 0.3}, Burgers(nu=0.3)


def conservative_burgers():
    (u,) = functions("u", X, T)
    return D(u, T) + D(u**2 / 2, X) - NU * D(u, (X, 2)), {"nu": 0.3}, Burgers(nu=0.3)


def kdv():
    (u,) = functions("u", X, T)
    return u.diff(T) + 6 * u * u.diff(X) + sympy.Rational(1, 2) * u.diff(X, 3), {}, KdV(a=6.0, b=0.5)


def navier_stokes():
    u, v, p = functions("u v p", X, Y)

    def momentum(w, axis):
        return u * w.diff(X) + v * w.diff(Y) + p.diff(axis) - (w.diff(X, 2) + w.diff(Y, 2)) / RE

    system = {"momentum_x": momentum(u, X), "momentum_y": momentum(v, Y), "continuity": u.diff(X) + v.diff(Y)}
    return system, {"reynolds": 20.0}, NavierStokes2D(reynolds=20.0)


def plate():
    (w,) = functions("w", X, Y)

    def laplacian(f):
        return f.diff(X, 2) + f.diff(Y, 2)

    return sympy.expand(laplacian(laplacian(w))) - sympy.sin(X) * Y, {}, Plate(load=lambda x, y: torch.sin(x) * y)


def schrodinger():
    u, v = functions("u v", X, T)
    density = u**2 + v**2
    system = [-v.diff(T) + u.diff(X, 2) / 2 + density * u, u.diff(T) + v.diff(X, 2) / 2 + density * v]
    return system, {}, Schrodinger()


def black_scholes():
    (v,) = functions("v", S, T)
    equation = v.diff(T) + SIGMA**2 * S**2 * v.diff(S, 2) / 2 + R * S * v.diff(S) - R * v
    return equation, {"sigma": 0.3, "r": 0.05}, BlackScholes(rate=0.05, sigma=0.3)


def darcy():
    (u,) = functions("u", X, Y)
    k = sympy.Function("k")(X, Y)
    flux = D(k * D(u, X), X) + D(k * D(u, Y), Y)
    coefficient = lambda x, y: 1 + x**2 * y  # noqa: E731
    return sympy.Eq(-flux, 1), {"k": coefficient}, Poisson(coefficient=coefficient, source=1.0)


EQUATIONS = [burgers, conservative_burgers, kdv, navier_stokes, plate, schrodinger, black_scholes, darcy]


@pytest.mark.parametrize("make", EQUATIONS, ids=lambda make: make.__name__)
def test_equals_the_handwritten_equation(make, network, points, evaluate):
    expression, parameters, written = make()
    equation = from_sympy(expression, fields=written.fields, coords=written.coords, parameters=parameters)
    assert isinstance(equation, Equation)
    f, x = network(len(written.coords), len(written.fields)), points(7, len(written.coords))
    found = list(evaluate(equation.record(), f, x, equation.parameters()).values())
    expected = list(evaluate(written.record(), f, x, written.parameters()).values())
    assert len(found) == len(expected)
    for value, other in zip(found, expected, strict=True):
        assert float(other.detach().abs().max()) > 1e-3
        torch.testing.assert_close(value, other, rtol=1e-10, atol=1e-11)


def test_names_of_residuals():
    system, parameters, written = navier_stokes()
    assert from_sympy(system, parameters=parameters).record().names == written.record().names
    system, _, _ = schrodinger()
    assert from_sympy(system).record().names == ("residual_0", "residual_1")
    assert from_sympy(burgers()[0], parameters={"nu": 1.0}).record().names == ("residual",)


def test_names_are_found_in_the_expression():
    equation = from_sympy(navier_stokes()[0], parameters={"reynolds": 1.0})
    assert equation.fields == ("p", "u", "v")
    assert equation.coords == ("x", "y")
    u = sympy.Function("u")
    equation = from_sympy(u(T, X).diff(X), fields=[u], coords=[X, T])
    assert (equation.fields, equation.coords) == (("u",), ("x", "t"))
    assert from_sympy(u(X).diff(X), fields=[u(X)], coords=["x"]).fields == ("u",)
    # A coordinate that the expression mentions only as a derivative of nothing else still counts.
    assert from_sympy(u(X, T).diff(X)).coords == ("x", "t")


U = sympy.Function("u")(X, T)
CALLS = {
    "sin": (sympy.sin(U), torch.sin),
    "cos": (sympy.cos(U), torch.cos),
    "tan": (sympy.tan(U), torch.tan),
    "asin": (sympy.asin(U / 2), lambda u: torch.asin(u / 2)),
    "acos": (sympy.acos(U / 2), lambda u: torch.acos(u / 2)),
    "atan": (sympy.atan(U), torch.atan),
    "sinh": (sympy.sinh(U), torch.sinh),
    "cosh": (sympy.cosh(U), torch.cosh),
    "tanh": (sympy.tanh(U), torch.tanh),
    "asinh": (sympy.asinh(U), torch.asinh),
    "exp": (sympy.exp(-U), lambda u: torch.exp(-u)),
    "log": (sympy.log(3 + U), lambda u: torch.log(3 + u)),
    "sqrt": (sympy.sqrt(3 + U), lambda u: torch.sqrt(3 + u)),
    "erf": (sympy.erf(U), torch.erf),
    "abs": (sympy.Abs(U), torch.abs),
    "pi": (sympy.pi * U, lambda u: torch.pi * u),
    "e": (sympy.E * U + sympy.exp(2) * U, lambda u: (torch.e + torch.e**2) * u),
    "rational": (U / 3, lambda u: u / 3),
    "float": (sympy.Float("0.1") * U, lambda u: 0.1 * u),
    "cube": (U**3, lambda u: u**3),
    "inverse": (1 / (3 + U), lambda u: 1 / (3 + u)),
    "inverse_square": ((3 + U) ** -2, lambda u: (3 + u) ** -2.0),
    "real_power": ((3 + U) ** sympy.Rational(3, 2), lambda u: (3 + u) ** 1.5),
    "inverse_root": (1 / sympy.sqrt(3 + U), lambda u: (3 + u) ** -0.5),
    "power_of_two": (2**U, lambda u: 2.0**u),
    "power": ((3 + U) ** U, lambda u: (3 + u) ** u),
    "max": (sympy.Max(U, 0, -U / 2), lambda u: torch.maximum(u, -u / 2).clamp(min=0)),
    "min": (sympy.Min(U, U**2), lambda u: torch.minimum(u, u**2)),
    "piecewise": (
        sympy.Piecewise((U**2, sympy.Rational(1, 2) < U), (U, (U >= 0) & (U <= 1)), (-1, True)),
        lambda u: torch.where(u > 0.5, u**2, torch.where(u >= 0, u, torch.full_like(u, -1))),
    ),
    "logic": (
        sympy.Piecewise((1, (-sympy.Rational(1, 2) > U) | (sympy.Rational(1, 2) < U)), (sympy.Rational(1, 3), True)),
        lambda u: torch.where(u.abs() > 0.5, 1.0, torch.full_like(u, 1 / 3)),
    ),
}


@pytest.mark.parametrize("name", CALLS)
def test_function(name, points):
    expression, function = CALLS[name]
    x = points(9, 2)
    found = residual_of(from_sympy(expression), {"u": lambda x, t: x + 0.1 * t}, x)["residual"]
    torch.testing.assert_close(found, function(x[:, 0] + 0.1 * x[:, 1]), rtol=1e-14, atol=1e-14)


@pytest.mark.parametrize("name", ["tanh", "power", "piecewise", "sqrt"])
def test_derivative_of_a_function(name, points):
    expression, function = CALLS[name]
    x = points(9, 2).requires_grad_()
    found = residual_of(from_sympy(D(expression, X)), {"u": lambda x, t: x + 0.1 * t}, x.detach())["residual"]
    (slope,) = torch.autograd.grad(function(x[:, 0] + 0.1 * x[:, 1]).sum(), x)
    torch.testing.assert_close(found, slope[:, 0], rtol=1e-12, atol=1e-12)


def test_negated_condition(points):
    condition = sympy.Not(sympy.Or(U < 0, sympy.And(U > 1, X > 0), evaluate=False), evaluate=False)
    expression = sympy.Piecewise((U, condition), (0, True), evaluate=False)
    x = points(9, 2)
    found = residual_of(from_sympy(expression), {"u": lambda x: x}, x)["residual"]
    torch.testing.assert_close(found, x[:, 0].clamp(min=0))


def test_unknown_parameters():
    expression, _, _ = burgers()
    nu = Unknown(0.1, low=0.0)
    equation = from_sympy(expression, parameters={"nu": nu})
    assert equation.parameters() == {"nu": nu}
    assert equation.record(("x", "t", "nu")).parameters == ()


def test_laplacian_reads_the_same_leaves_as_by_hand():
    (u,) = functions("u", X, Y)
    frame = Frame(coords=("x", "y"), fields=("u",), space=("x", "y"))
    found = from_sympy(u.diff(X, 2) + u.diff(Y, 2)).record()
    assert {index for _, terms in found.leaves for index in terms.dense(2)} == {
        index for _, terms in record(lambda u: lap(u), frame).leaves for index in terms.dense(2)
    }
    assert record(lambda u: bilap(u), frame).order == 4


REFUSED = {
    "string": ("u(x, t).diff(x)", {}, r"strings are not parsed, build it from sympy.symbols"),
    "python": (3.0, {}, r"must be a SymPy expression or Eq; got 3.0"),
    "nothing": ([], {}, "at least one expression"),
    "no_field": (X + 1, {}, "contains no unknown function"),
    "symbol": (
        U.diff(X) - NU,
        {},
        r"the symbols nu are neither coordinates \(x, t\) nor parameters; pass parameters=\{'nu'",
    ),
    "function": (U - sympy.Function("g")(X), {"fields": ["u"]}, r'unknown function "g" of the equation; it has u'),
    "heaviside": (sympy.Heaviside(U), {}, r'unknown SymPy function "Heaviside".*Use Piecewise for a jump'),
    "gamma": (sympy.gamma(U), {}, r'unknown SymPy function "gamma"'),
    "complex": (sympy.I * U, {}, r'"I" is not a finite real number; split complex equations'),
    "infinite": (U + sympy.oo * X, {"coords": ["x", "t"]}, "not a finite real number"),
    "integral": (sympy.Integral(U, X), {}, r'unknown SymPy function "Integral"'),
    "delay": (
        U - sympy.Function("u")(X, T - 1),
        {},
        r"u\(x, t - 1\) must be a function of the coordinates x, t themselves",
    ),
    "boundary": (U - sympy.Function("u")(X, 0), {}, r"u\(x, 0\) must be a function of the coordinates"),
    "open_piecewise": (
        sympy.Piecewise((U, U > 0)),
        {},
        r"says nothing where no condition holds; end it with \(value, True\)",
    ),
    "equality": (sympy.Piecewise((U, sympy.Eq(X, 1)), (0, True)), {}, "must compare numbers"),
    "parameter_slope": (
        U.diff(X) + D(sympy.Function("k")(NU), NU),
        {"fields": ["u"], "parameters": {"nu": 1.0, "k": 2.0}},
        r"is a derivative in nu; the coordinates are x, t",
    ),
    "keyword": (U * sympy.Symbol("lambda"), {"parameters": {"lambda": 1.0}}, 'a parameter cannot be named "lambda"'),
    "reserved": (
        U * sympy.Symbol("residual"),
        {"parameters": {"residual": 1.0}},
        'a parameter cannot be named "residual"',
    ),
}


@pytest.mark.parametrize("name", REFUSED)
def test_what_has_no_counterpart(name):
    expression, options, message = REFUSED[name]
    with pytest.raises(ValueError, match=message):
        from_sympy(expression, **options).record()


def test_without_sympy(monkeypatch):
    monkeypatch.setitem(sys.modules, "sympy", None)
    with pytest.raises(ValueError, match=r"pip install kjet\[symbolic\]"):
        from_sympy(None)
