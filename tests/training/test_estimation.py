"""What a user may give as an estimator, and what becomes of it."""

from __future__ import annotations

from dataclasses import dataclass

import pytest

from kjet.errors import ConfigError
from kjet.jets import Exact
from kjet.jets.estimators import STDE, Auto, Hutchinson
from kjet.registry import _COMPONENTS, names, register
from kjet.training import AutoEstimatorConfig, ExactConfig, HutchinsonConfig, STDEConfig
from kjet.training.directions import Snapshot
from kjet.training.estimation import describe_estimator, estimation, estimation_of


@pytest.mark.parametrize(
    ("given", "source", "unbiased"),
    [
        (None, None, False),
        ("exact", None, False),
        (Exact(), None, False),
        (ExactConfig(), None, False),
        ("stde", STDE(16), False),
        (STDE(3, per_point=True), STDE(3, per_point=True), False),
        (STDEConfig(3, replacement=True, unbiased=True), STDE(3, replacement=True), True),
        ("hutchinson", Hutchinson(16), False),
        (HutchinsonConfig(4, "sphere", corrections=2), Hutchinson(4, "sphere", corrections=2), False),
        (Hutchinson(4, "gaussian"), Hutchinson(4, "gaussian"), False),
    ],
)
def test_names_configurations_and_estimators(given, source, unbiased):
    found = estimation(given)
    assert (found.source, found.unbiased) == (source, unbiased)
    again = estimation_of(found.plain)
    assert (again.source, again.unbiased, again.plain) == (source, unbiased, found.plain)


@pytest.mark.parametrize("given", ["auto", AutoEstimatorConfig(8, every=5, unbiased=True), Auto(8, margin=0.5)])
def test_an_adaptive_estimator_is_used_through_snapshots(given):
    found = estimation(given)
    assert isinstance(found.source, Snapshot)
    assert isinstance(found.source.source, Auto)
    again = estimation_of(found.plain)
    for name in ("samples", "per_point", "every", "margin", "decay", "points"):
        assert getattr(again.source.source, name) == getattr(found.source.source, name) == found.plain[name]
    assert again.unbiased == found.unbiased == found.plain["unbiased"]


@pytest.mark.parametrize("name", names("estimator"))
def test_every_registered_one_has_defaults(name):
    assert estimation(name).plain["name"] == name


def test_one_of_your_own():
    @register("estimator", "few_example")
    @dataclass(frozen=True)
    class Few:
        samples: int = 2

        def family(self, trace, d):
            return STDE(self.samples).family(trace, d)

    try:
        found = estimation(Few(3))
        assert found.source == Few(3)
        assert estimation_of(found.plain).source == Few(3)
        assert estimation("few_example").source == Few()
    finally:
        _COMPONENTS["estimator"].pop("few_example")
    assert describe_estimator(Few(3)) == {"name": "Few"}
    with pytest.raises(ConfigError, match='unknown estimator "Few"'):
        estimation_of(describe_estimator(Few(3)))


@pytest.mark.parametrize(
    ("given", "message"),
    [
        ("sdte", r'unknown estimator "sdte"; it has auto, exact, hutchinson, stde\. Did you mean "stde"\?'),
        (16, r"estimator is 16; give one of auto, exact, hutchinson, stde or an estimator such as STDE\(16\)"),
        (STDE, r"give one of .* or an estimator such as STDE\(16\)"),
    ],
)
def test_what_is_no_estimator(given, message):
    with pytest.raises(ConfigError, match=message):
        estimation(given)


@pytest.mark.parametrize(
    ("make", "message"),
    [
        (lambda: STDEConfig(samples=0), "samples must be at least 1; got 0"),
        (lambda: HutchinsonConfig(law="gauss"), 'unknown law "gauss".*Did you mean "gaussian"'),
        (lambda: HutchinsonConfig(corrections=0), "samples and corrections must be at least 1"),
        (lambda: AutoEstimatorConfig(samples=1), "at least 2 samples"),
        (lambda: AutoEstimatorConfig(margin=2.0), "0 < margin <= 1"),
    ],
)
def test_ranges(make, message):
    with pytest.raises(ConfigError, match=message):
        make()
