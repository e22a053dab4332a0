"""Recording of residuals: names, arguments, parameters, and what is refused."""

import math

import pytest
import torch

from kjet.pde import Burgers, Equation, Field, Frame, GrayScott, Parameters, Poisson, Unknown, Values, Vector, record
from kjet.pde.recording import check_finite


class Decay(Equation):
    fields, coords = ("u",), ("t",)
    rate: float | Unknown = 2.0

    def residual(self, u, p):
        return u.t + p.rate * u


class Pair(Equation):
    fields, coords = ("u", "v"), ("x", "t")
    c: float = 1.0

    def residual(self, u, v, p):
        return {"first": u.t - p.c * v.x, "second": v.t - p.c * u.x}


FRAME = Frame(coords=("x", "t"), fields=("u", "v"), space=("x",), time="t", parameters=("a",))


def test_leaves_are_what_the_residual_reads():
    recorded = Burgers().record()
    indices = {index for _, terms in recorded.leaves for index in terms.dense(2)}
    assert indices == {(0, 0), (1, 0), (0, 1), (2, 0)}
    assert recorded.names == ("residual",)
    assert recorded.order == 2
    assert recorded.parameters == ("nu",)
    assert recorded.data == ()


def test_systems_name_their_residuals(network, points, nested, evaluate):
    recorded = Pair().record()
    assert recorded.names == ("first", "second")
    f, x = network(2, 2), points(5, 2)
    found = evaluate(recorded, f, x, {"c": 3.0})
    oracle = nested(f, x, ("x", "t"), ("u", "v"))
    u, v = oracle.fields["u"], oracle.fields["v"]
    torch.testing.assert_close(found["first"], oracle.d(u, "t") - 3 * oracle.d(v, "x"))
    torch.testing.assert_close(found["second"], oracle.d(v, "t") - 3 * oracle.d(u, "x"))


@pytest.mark.parametrize(
    ("result", "names"),
    [
        (lambda u, v: u, ("residual",)),
        (lambda u, v: (u, v), ("residual_0", "residual_1")),
        (lambda u, v: [u], ("residual",)),
        (lambda u, v: Vector((u, v)), ("residual_0", "residual_1")),
        (lambda u, v: (u, Vector((u, v))), ("residual_0", "residual_1", "residual_2")),
        (lambda u, v: {"a": u, 1: v}, ("a", "1")),
        (lambda u, v: {"w": Vector((u, v))}, ("w_0", "w_1")),
        (lambda u, v: {"w": Vector((u,))}, ("w_x",)),
        (lambda u, v: {"w": (u,)}, ("w_0",)),
    ],
)
def test_names_of_residuals(result, names):
    assert record(result, FRAME).names == names


@pytest.mark.parametrize(
    ("result", "message"),
    [
        (lambda u, v: (), "returned nothing"),
        (lambda u, v: {}, "returned nothing"),
        (lambda u, v: 1.0, r'"residual" does not depend on any field; got 1.0'),
        (lambda u, v: torch.ones(2), "does not depend on any field"),
        (lambda u, v: None, r'"residual" must be an expression of the fields; got NoneType'),
        (lambda u, v: {"first": u, "second": "v"}, r'"second" must be an expression of the fields; got str'),
        (lambda u, v, p, q: u, r"takes 4 arguments; expected the fields u, v and, optionally, the parameters p"),
        (lambda u: u, r"takes 1 arguments"),
        (lambda u, v, p: u * p.b, r'unknown parameter or coordinate "b" of this equation; it has a, t, x'),
        (lambda u, v, p: u.y, r'unknown derivative "y" of u'),
        (lambda u, v, p: u if u > 0 else v, r"cannot branch on the value of gt\(u, 0\)"),
        (lambda u, v, p: u * math.nan, r"not finite"),
        (lambda u, v, p: u * (1 / torch.zeros(())), r"not finite"),
    ],
)
def test_what_is_refused(result, message):
    with pytest.raises(ValueError, match=message):
        record(result, FRAME)


def test_nearest_names_are_offered():
    with pytest.raises(ValueError, match=r'Did you mean "rate"\?'):
        record(lambda u, p: u * p.rat, Decay().frame())
    with pytest.raises(ValueError, match=r'unknown coordinate "t" of the domain; it has t2, x. Did you mean "t2"\?'):
        Burgers().record(("x", "t2"))


def test_variadic_residuals_receive_the_parameters():
    recorded = record(lambda *arguments: arguments[0] * arguments[-1].a, FRAME)
    assert recorded.parameters == ("a",)


def test_residuals_may_leave_the_parameters_out():
    assert record(lambda u, v: u.x * v, FRAME).parameters == ()


def test_extra_expressions_go_by_keyword():
    recorded = record(lambda u, v, normal: normal * u.x, FRAME, {"normal": Field.of("v", FRAME)})
    assert len(recorded.leaves) == 2


def test_unread_fields_cost_nothing():
    recorded = record(lambda u, v: u.x, FRAME)
    assert [name for name, _ in recorded.leaves] == ["u"]


def test_parameters_become_keyword_arguments():
    assert Decay(rate=3.0).parameters() == {"rate": 3.0}
    unknown = Unknown(1.0, low=0.0)
    assert Decay(rate=unknown).parameters() == {"rate": unknown}
    assert repr(Decay()) == "Decay(rate=2.0)"
    with pytest.raises(TypeError, match="rat"):
        Decay(rat=3.0)


def test_tuples_of_parameters_are_vectors():
    equation = GrayScott(diffusion=(0.1, Unknown(0.2, low=0.0)))
    assert list(equation.parameters())[:2] == ["diffusion_0", "diffusion_1"]
    p = Parameters(equation.frame())
    assert str(p.diffusion) == "(diffusion_0, diffusion_1)"
    assert p.diffusion is p.diffusion


def test_functions_are_evaluated_at_the_points(network, points, nested, evaluate):
    class Reaction(Equation):
        fields, coords = ("u",), ("x",)
        scale: float = 2.0
        rate: object = 1.0
        direction: object = 0.0

        def residual(self, u, p):
            return u.x * p.direction[0] + p.rate * u + p.rate.x

    equation = Reaction(rate=lambda x, scale: scale * torch.sin(x), direction=lambda x: (x, 1.0))
    assert equation.parameters() == {"scale": 2.0}
    assert sorted(equation.functions()) == ["direction", "rate"]
    f, x = network(1, 1), points(6, 1)
    found = evaluate(equation.record(), f, x, {"scale": 3.0})["residual"]
    oracle = nested(f, x, ("x",), ("u",))
    u, column = oracle.fields["u"], oracle.points["x"]
    expected = oracle.d(u, "x") * column + 3 * torch.sin(column) * u + 3 * torch.cos(column)
    torch.testing.assert_close(found, expected)


def test_functions_name_their_arguments():
    with pytest.raises(
        ValueError, match=r'unknown argument "z" of a function of the coordinates; it has coefficient, x, y'
    ):
        Poisson(source=lambda z: z).record()


def test_parameters_as_coordinates_of_the_domain(network, points, nested, evaluate):
    recorded = Burgers().record(("x", "t", "nu"))
    assert recorded.parameters == ()
    assert recorded.frame.space == ("x",)
    f, x = network(3, 1), points(6, 3)
    found = evaluate(recorded, f, x)["residual"]
    oracle = nested(f, x, ("x", "t", "nu"), ("u",))
    u = oracle.fields["u"]
    expected = oracle.d(u, "t") + u * oracle.d(u, "x") - oracle.points["nu"] * oracle.d(u, "xx")
    torch.testing.assert_close(found, expected)


def test_coordinates_of_the_domain_in_any_order(network, points, nested, evaluate):
    f, x = network(2, 1), points(6, 2)
    found = evaluate(Burgers().record(("t", "x")), f, x, {"nu": 0.3})["residual"]
    oracle = nested(f, x, ("t", "x"), ("u",))
    u = oracle.fields["u"]
    torch.testing.assert_close(found, oracle.d(u, "t") + u * oracle.d(u, "x") - 0.3 * oracle.d(u, "xx"))


@pytest.mark.parametrize(
    ("coords", "message"),
    [
        (("x",), r'unknown coordinate "t" of the domain; it has x'),
        (
            ("x", "t", "y"),
            r'coordinate that the equation has not: unknown coordinate "y" of Burgers; it has nu, t, x',
        ),
    ],
)
def test_domains_that_do_not_fit(coords, message):
    with pytest.raises(ValueError, match=message):
        Burgers().frame(coords)


def test_coordinates_of_an_instance():
    assert Poisson(coords=("x", "y", "z")).frame().space == ("x", "y", "z")
    assert Poisson().coords == ("x", "y")
    with pytest.raises(TypeError, match="coords"):
        Burgers(coords=("x", "y"))


@pytest.mark.parametrize(
    ("coords", "message"),
    [
        ((), "must name its fields and coords"),
        ("xy", r"must be a tuple of names, such as \('x', 't'\); got 'xy'"),
        (("x", "x"), "must be different"),
        (("x", "2"), "must be a tuple of names"),
        (("x", 2), "must be a tuple of names"),
    ],
)
def test_coordinates_that_are_none(coords, message):
    with pytest.raises(ValueError, match=message):
        Poisson(coords=coords)


@pytest.mark.parametrize("value", [math.nan, math.inf, -math.inf])
def test_parameters_must_be_finite(value):
    with pytest.raises(ValueError, match="parameter nu of Burgers is not finite"):
        Burgers(nu=value)
    with pytest.raises(ValueError, match="parameter diffusion_1 of GrayScott is not finite"):
        GrayScott(diffusion=(1.0, value))


def test_an_equation_needs_fields_and_a_residual():
    class Nameless(Equation):
        coords = ("x",)

    class Empty(Equation):
        fields, coords = ("u",), ("x",)

    with pytest.raises(ValueError, match="must name its fields"):
        Nameless()
    with pytest.raises(NotImplementedError, match=r"Empty must define residual\(self, u, p\)"):
        Empty().record()


def test_time_may_have_another_name():
    class Late(Equation):
        fields, coords = ("u",), ("x", "tau")
        time = "tau"

        def residual(self, u):
            return u.tau - u.xx

    frame = Late().frame()
    assert (frame.time, frame.space) == ("tau", ("x",))
    assert Late().record().describe().splitlines()[0] == "residual: u_tau - u_xx = 0"


def test_constant_residuals_fill_a_column():
    """A residual without leaves has one value at each point all the same."""
    recorded = record(lambda u, v, p: p.a + 0 * u, FRAME)
    x = torch.zeros(3, 2)
    assert recorded(Values(x, {}, {"a": 2.0}))[0].tolist() == [2.0, 2.0, 2.0]
    assert recorded(Values(x, {}, {"a": torch.tensor(2.0)}))[0].tolist() == [2.0, 2.0, 2.0]


def test_trial_values_must_be_finite():
    check_finite([torch.ones(2)], ["first"])
    with pytest.raises(ValueError, match='residual "second" is not finite on trial points'):
        check_finite([torch.ones(2), torch.tensor([1.0, math.nan])], ["first", "second"])


def test_recorded_programs_map_over_points(network, points):
    """The recorded program is plain torch code: vmap over points gives what the batch gives."""
    recorded = Burgers().record()
    f, x = network(2, 1), points(4, 2)

    def residual(point):
        fields = recorded.field_values(recorded.plan(f, point.unsqueeze(0)))
        return recorded(Values(point.unsqueeze(0), fields, {"nu": 0.3}))[0][0]

    fields = recorded.field_values(recorded.plan(f, x))
    batch = recorded(Values(x, fields, {"nu": 0.3}))[0]
    torch.testing.assert_close(torch.func.vmap(residual)(x), batch)


def test_recorded_programs_trace_without_a_break(network, points):
    """Plan, network and residual become one graph, a composite and a jump among them."""
    source = lambda x: torch.where(x > 0.2, 1.0, 0.0)  # noqa: E731
    equation = Poisson(coefficient=lambda x, y: torch.exp(x * y), source=source)
    recorded, f, x = equation.record(), network(2, 1, width=3), points(3, 2)

    def loss(z):
        fields = recorded.field_values(recorded.plan(f, z))
        return recorded(Values(z, fields, {}))[0].square().sum()

    torch.compiler.reset()
    found, expected = torch.compile(loss, fullgraph=True, backend="aot_eager")(x), loss(x)
    torch.testing.assert_close(found, expected, rtol=1e-12, atol=1e-12)
    weights = [p for p in f.parameters() if p.shape != (1,)]  # the last bias reaches no derivative
    for value, other in zip(torch.autograd.grad(found, weights), torch.autograd.grad(expected, weights), strict=True):
        torch.testing.assert_close(value, other, rtol=1e-11, atol=1e-11)
