"""Plans in words: the formulas are evaluated, not only compared with what was printed before."""

import re
from fractions import Fraction

import pytest
import torch

from kjet.jets import STDE, Hutchinson, Plan, Trace, jet, quantity
from kjet.jets._explain import nested_passes

TERM = re.compile(r"(?P<weight>-?[\d./e-]+ )?D(\^(?P<order>\d+))?(?P<direction>\([-\d, ]+\))(?P<carried> carried)?")


def evaluate(formula, f, x):
    """Sum of the directional derivatives that a formula names, each from a jet of its own."""
    total = torch.zeros_like(f(x))
    for match in TERM.finditer(formula.replace("- ", "+ -").replace("-D", "-1 D")):
        weight = float(Fraction(match["weight"].strip())) if match["weight"] else 1.0
        vector = x.new_tensor([float(e) for e in match["direction"].strip("()").split(",") if e.strip()])
        order = int(match["order"] or 1)
        total = total + weight * jet(f, x, vector[None], order)[order, 0]
    if formula.endswith("u"):
        head = formula.rsplit("+", 1)[-1].split()
        total = total + (float(Fraction(head[0])) if len(head) > 1 else 1.0) * f(x)
    return total


PLANS = [
    [{(1, 1): 1.0}],
    [{(2, 2): 3.0, (0, 1): 0.5, (0, 0): 2.0}, {(1, 0): 1.0}],
    [{(2, 0): -0.25, (0, 1): 1.0}, {(1, 0): 1.0}],
    [{(3, 1): 1.0}, {(4, 0): 1.0, (0, 4): -1.0}],
    [{Trace(range(2), 3): 1.0, (0, 0): 1.0}],
]


@pytest.mark.parametrize("terms", PLANS, ids=str)
def test_formulas_say_what_is_computed(terms, network, points):
    f, x = network(2, 1), points(3, 2)
    names = [quantity(part) for part in terms]
    plan = Plan.build(names, 2)
    lines = plan.explain().splitlines()
    values = plan(f, x)
    for name, line in zip(names, lines[1:], strict=False):
        left, formula = line.split(" = ")
        assert left == str(name)
        torch.testing.assert_close(evaluate(formula, f, x), values[name], rtol=1e-10, atol=1e-10)


def test_estimators_are_named_with_their_variance():
    names = [quantity({Trace(range(99)): -0.5, ((99, 1),): 1.0}), quantity({(): 1.0})]
    text = Plan.build(names, 100, STDE(samples=16)).explain()
    assert "= -1/2 sum_r w_r D^2(v_r)[lap[0..98]] + D(e99) carried" in text
    assert "16 drawn directions v_r of order 2 by STDE(samples=16" in text
    assert "variance (sparse): 16 of 99 without replacement, 16 (1 - 16/99) S^2" in text
    assert text.splitlines()[0].startswith("2 derivatives from 18 channels, order 2; nested reverse mode takes 100 ")
    assert "variance (gaussian): 4 independent samples, 4 S^2" in (
        Plan.build(names, 100, Hutchinson(4, law="gaussian")).explain()
    )
    assert "all 99, no variance" in Plan.build(names, 100, STDE(samples=99)).explain()


def test_passes_of_their_own_are_named():
    text = Plan.build([quantity({Trace(range(1000)): 1.0})], 1000).explain()
    assert "lap[0..999]: 1000 directions of order 2 in passes of their own" in text


def test_long_formulas_are_cut():
    text = Plan.build([quantity({Trace(range(4), 3): 1.0})], 4).explain()
    assert re.search(r"\+ \.\.\. \(\d+ terms\)", text)
    assert max(len(line) for line in text.splitlines()) < 1000


@pytest.mark.parametrize(
    ("terms", "count"),
    [
        ([{(0, 0): 1.0}], 0),
        ([{(1, 0): 1.0}, {(0, 1): 1.0}], 1),
        ([{(2, 0): 1.0}], 2),
        ([{(2, 0): 1.0, (0, 2): 1.0}], 3),
        ([{(2, 0): 1.0}, {(1, 1): 1.0}], 2),  # u_x is differentiated once for both
        ([{(2, 2): 1.0}], 4),
        ([{((0, 2),): 1.0, ((7, 2),): 1.0}], 3),
        ([{Trace(range(10**4)): 1.0}], 10**4 + 1),
        ([{Trace(range(100), 2): 1.0}], 1 + 100 + 100 + 5050),
    ],
)
def test_passes_of_nested_reverse_mode(terms, count):
    assert nested_passes([quantity(part) for part in terms]) == count


def test_a_table_for_notebooks():
    markup = Plan.build([quantity({(1, 1): 1.0})], 2)._repr_html_()
    assert markup.startswith("<table>")
    assert "<td>d0 d1</td><td>1/4 D^2(1, 1) - 1/4 D^2(1, -1)</td>" in markup
    assert markup.count("<table>") == markup.count("</table>") == 1
