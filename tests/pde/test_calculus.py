"""Vector calculus: identities, and derivatives of composites against nested autograd."""

import pytest
import torch

from kjet.pde import Field, Frame, Parameters, Vector, bilap, curl, d, diffusion, div, dt, grad, lap, record

SPACE = Frame(coords=("x", "y", "z"), fields=("u", "v", "w"), space=("x", "y", "z"), parameters=("a",))
PLANE = Frame(coords=("x", "y", "t"), fields=("u", "v"), space=("x", "y"), time="t", parameters=("a",))
PARAMETERS = {"a": 0.7}


def residuals(function, frame, network, points, evaluate, n=6, seed=0):
    recorded = record(function, frame)
    f = network(frame.d, len(frame.fields), seed)
    return list(evaluate(recorded, f, points(n, frame.d), PARAMETERS).values())


IDENTITIES = {
    "div_curl": (SPACE, lambda u, v, w: div(curl(Vector((u, v, w))))),
    "div_curl_composite": (SPACE, lambda u, v, w, p: div(curl(Vector((torch.sin(u) * v, p.x * w, torch.exp(v)))))),
    "curl_grad": (SPACE, lambda u, v, w: curl(grad(u)) + grad(0 * v)),
    "curl_grad_composite": (SPACE, lambda u, v, w, p: curl(grad(torch.sin(u * v) * p.y))),
    "lap_is_div_grad": (SPACE, lambda u, v, w: lap(u) - div(grad(u))),
    "lap_of_product": (SPACE, lambda u, v, w: lap(u * v) - (u * lap(v) + 2 * grad(u) @ grad(v) + v * lap(u))),
    "grad_of_product": (SPACE, lambda u, v, w: grad(u * v) - (u * grad(v) + v * grad(u))),
    "div_of_product": (SPACE, lambda u, v, w: div(u * grad(v)) - (u * lap(v) + grad(u) @ grad(v))),
    "chain_rule": (SPACE, lambda u, v, w: lap(torch.exp(u)) - torch.exp(u) * (lap(u) + grad(u) @ grad(u))),
    "curl_curl": (
        SPACE,
        lambda u, v, w: curl(curl(Vector((u, v, w)))) - (grad(div(Vector((u, v, w)))) - lap(Vector((u, v, w)))),
    ),
    "div_of_matrix": (SPACE, lambda u, v, w: div(grad(Vector((u, v, w)))) - lap(Vector((u, v, w)))),
    "bilap_is_lap_lap": (PLANE, lambda u, v: bilap(u) - div(grad(lap(u)))),
    "stream_function": (PLANE, lambda u, v: div(curl(u)) + 0 * v),
    "vorticity": (PLANE, lambda u, v: curl(curl(u)) + lap(u) + 0 * v),
    "curl_grad_plane": (PLANE, lambda u, v: curl(grad(u * torch.cos(v)))),
    "dt_commutes": (PLANE, lambda u, v: dt(lap(u * v)) - lap(dt(u * v))),
    "mixed": (PLANE, lambda u, v: d(torch.tanh(u * v), "x", "y") - d(torch.tanh(u * v), "y", "x")),
    "powers": (PLANE, lambda u, v: d(u**3, "x") - 3 * u**2 * u.x),
    "quotient": (PLANE, lambda u, v: d(u / (2 + v), "x") - (u.x * (2 + v) - u * v.x) / (2 + v) ** 2),
    "diffusion": (PLANE, lambda u, v, p: diffusion(1 + p.x**2, u) - div((1 + p.x**2) * grad(u))),
    "diffusion_nonlinear": (PLANE, lambda u, v: diffusion(u**2, u) - div(u**2 * grad(u))),
    "diffusion_number": (PLANE, lambda u, v: diffusion(2, u) - 2 * lap(u)),
    "dt_of_vector": (PLANE, lambda u, v: dt(Vector((u, v))) - Vector((u.t, v.t))),
}


@pytest.mark.parametrize("name", IDENTITIES)
def test_identity(name, network, points, evaluate):
    frame, function = IDENTITIES[name]
    for value in residuals(function, frame, network, points, evaluate):
        # Both sides are of order one to a hundred.
        torch.testing.assert_close(value, torch.zeros_like(value), rtol=0, atol=1e-11)


COMPOSITES = {
    "product": (lambda u, v, x: u * v * v, ["x", "xy", "xxt"]),
    "sine": (lambda u, v, x: torch.sin(u * v + x), ["y", "xx", "xyt"]),
    "exponential": (lambda u, v, x: torch.exp(-u * u) / (2 + torch.cos(v)), ["t", "yy", "xxyy"]),
    "power": (lambda u, v, x: (2 + u) ** 1.5, ["xx", "xt"]),
    "power_of_two": (lambda u, v, x: (2 + u) ** v, ["x", "xy"]),
    "where": (lambda u, v, x: torch.where(v > 0, u * u, torch.sin(u)), ["x", "xy"]),
    "root": (lambda u, v, x: torch.sqrt(1 + u * u), ["xxx"]),
    "nested": (lambda u, v, x: torch.tanh(torch.sin(u) * torch.exp(v)), ["xx", "xyt"]),
    "coordinate": (lambda u, v, x: torch.sin(3 * x) * u, ["x", "xxx"]),
    "derivative_inside": (None, ["x", "xy"]),
}


@pytest.mark.parametrize("name", COMPOSITES)
def test_composite_matches_nested_autograd(name, network, points, nested, evaluate):
    function, derivatives = COMPOSITES[name]
    f = network(3, 2)
    x = points(5, 3)

    def recorded_part(u, v, p):
        inner = torch.sin(u.xx * v.y) if function is None else function(u, v, p.x)
        return {names: d(inner, *names) for names in derivatives}

    found = evaluate(record(recorded_part, PLANE), f, x, PARAMETERS)
    oracle = nested(f, x, PLANE.coords, PLANE.fields)
    u, v = oracle.fields["u"], oracle.fields["v"]
    inside = torch.sin(oracle.d(u, "xx") * oracle.d(v, "y"))
    inner = inside if function is None else function(u, v, oracle.points["x"])
    for names in derivatives:
        torch.testing.assert_close(found[names], oracle.d(inner, names), rtol=1e-9, atol=1e-10)


def test_composites_carry_gradients_to_the_network(network, points, nested, evaluate):
    f, x = network(3, 2), points(4, 3)
    found = evaluate(record(lambda u, v: lap(torch.sin(u * v)), PLANE), f, x)["residual"]
    oracle = nested(f, x, PLANE.coords, PLANE.fields)
    expected = oracle.lap(torch.sin(oracle.fields["u"] * oracle.fields["v"]), "xy")
    weights = list(f.parameters())
    for value, other in zip(
        torch.autograd.grad((found**2).sum(), weights), torch.autograd.grad((expected**2).sum(), weights), strict=True
    ):
        torch.testing.assert_close(value, other, rtol=1e-9, atol=1e-10)


def test_parameters_are_differentiated_through(network, points, evaluate):
    a = torch.tensor(0.7, dtype=torch.float64, requires_grad=True)
    recorded = record(lambda u, v, p: lap(torch.exp(p.a * u)), PLANE)
    value = evaluate(recorded, network(3, 2), points(4, 3), {"a": a})["residual"].sum()
    (slope,) = torch.autograd.grad(value, a)

    def at(number):
        return evaluate(recorded, network(3, 2), points(4, 3), {"a": number})["residual"].sum()

    # Central difference: error h^2 and rounding eps / h.
    torch.testing.assert_close(slope, (at(0.7 + 1e-6) - at(0.7 - 1e-6)) / 2e-6, rtol=1e-7, atol=1e-7)


def test_gradient_of_a_vector_is_the_matrix_of_its_slopes():
    u, v = Field.of("u", PLANE), Field.of("v", PLANE)
    assert str(grad(Vector((u, v)))) == "((u_x, u_y), (v_x, v_y))"
    assert str(curl(Vector((u, v)))) == "v_x - u_y"
    assert str(curl(u)) == "(u_y, -u_x)"
    assert str(lap(u)) == "(u_xx + u_yy)"
    assert str(bilap(u)) == "(u_xxxx + 2 u_xxyy + u_yyyy)"


def test_operators_of_one_field_are_one_sum():
    u = Field.of("u", SPACE)
    assert isinstance(lap(u), Field)
    assert isinstance(bilap(u), Field)
    assert isinstance(lap(u.x), Field)


@pytest.mark.parametrize(
    ("action", "message"),
    [
        (lambda u, p: lap(3.0), r"lap\(\) takes a field or an expression of fields; got 3.0"),
        (lambda u, p: grad("u"), r"grad\(\) takes"),
        (lambda u, p: d(u, "z"), r'unknown coordinate "z" of this problem; it has t, x, y'),
        (lambda u, p: div(Vector((u, u, u))), r"div\(\) takes 2 components \(coordinates \('x', 'y'\)\); got 3"),
        (lambda u, p: curl(Vector((u, u, u))), r"curl\(\) takes 2 or 3 components in as many coordinates; got 3"),
        (lambda u, p: div(Vector((1.0, 2.0))), r"must contain fields or coordinates; got numbers only"),
    ],
)
def test_errors(action, message):
    with pytest.raises(ValueError, match=message):
        action(Field.of("u", PLANE), Parameters(PLANE))


def test_errors_of_the_frame():
    line = Frame(coords=("x",), fields=("u",), space=("x",))
    with pytest.raises(ValueError, match="needs two spatial coordinates"):
        curl(Field.of("u", line))
    with pytest.raises(ValueError, match="needs a time coordinate"):
        dt(Field.of("u", line))
    instant = Frame(coords=("t",), fields=("u",), time="t")
    with pytest.raises(ValueError, match="no spatial coordinates"):
        lap(Field.of("u", instant))
