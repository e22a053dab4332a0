from __future__ import annotations

import copy
import dataclasses
import itertools
import json
import math
import re
import sys
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from typing import Any, Literal

import pytest
import yaml
from hydra.core.config_store import ConfigStore
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from omegaconf import OmegaConf

import kjet.conf
from kjet import registry
from kjet.config import components, compose, prepare, read_command, stored
from kjet.config.composing import check, compose_with_hydra, without_hydra
from kjet.config.groups import GROUPS, choices, component_of, import_plugins
from kjet.config.overrides import parse, plugins_of, quote
from kjet.config.schema import construct, node_type
from kjet.config.storage import fresh_directory, masked, resumed_overrides, store
from kjet.data import RAD
from kjet.errors import ConfigError, RunError
from kjet.operators import MLPConfig, SirenConfig
from kjet.optim import Adam, GaussNewton
from kjet.problem import Problem
from kjet.training import ConstraintConfig, ExactConfig, SamplerConfig, STDEConfig, TrainerConfig

CONF = Path(str(kjet.conf.__path__[0]))
FILES = sorted(CONF.rglob("*.yaml"))
EXPERIMENTS = sorted(path.stem for path in (CONF / "experiment").glob("*.yaml"))
CHOICES = [(group, name) for group in GROUPS for name in choices(group)]


# Files and groups


def test_there_are_files() -> None:
    assert {"burgers", "allen_cahn", "poisson5d"} <= set(EXPERIMENTS)
    assert CONF / "config.yaml" in FILES
    assert CONF / "debug" / "default.yaml" in FILES


@pytest.mark.parametrize("path", FILES, ids=lambda path: str(path.relative_to(CONF)))
def test_files_are_data(path: Path) -> None:
    text = path.read_text(encoding="utf-8")
    assert "_target_" not in text
    assert "!!python" not in text
    values = yaml.safe_load(text)
    assert "resume" not in values or values["resume"] is None
    assert not values.get("plugins")


@pytest.mark.parametrize("tiny", [False, True])
@pytest.mark.parametrize("name", EXPERIMENTS)
def test_every_experiment_can_be_built(name: str, tiny: bool) -> None:
    cfg = compose([f"experiment={name}", *(["debug=default"] if tiny else [])])
    parts = components(cfg)
    assert parts["problem"].name == name
    assert parts["trainer"].max_steps == (3 if tiny else None)
    assert cfg.sampler.points == (64 if tiny else parts["problem"].points)


def test_experiments_pin_what_the_problems_suggest() -> None:
    for name in EXPERIMENTS:
        parts = components(compose([f"experiment={name}"]))
        suggested = components(compose([f"problem={name}"]))
        assert parts["operator"] == suggested["operator"]
        assert parts["trainer"].max_seconds == suggested["problem"].seconds
        assert parts["sampler"].boundary_points == suggested["problem"].boundary_points


@pytest.mark.parametrize(("group", "name"), CHOICES)
def test_every_choice_can_be_built(group: str, name: str) -> None:
    cfg = compose([f"{group}={name}", "debug=default"] if group != "logger" else [f"{group}={name}"])
    part = components(cfg)[group]
    component = component_of(group, name)
    if group == "problem":
        assert isinstance(part, Problem)
    elif group == "logger":
        assert part is component
    else:
        assert isinstance(part, component)
    if group not in ("trainer",):
        assert cfg[group].name == name


@pytest.mark.parametrize(("group", "name"), [pair for pair in CHOICES if pair[0] != "logger"])
def test_nodes_have_the_keys_and_defaults_of_the_dataclass(group: str, name: str) -> None:
    component, suggested = component_of(group, name), group == "operator"
    node = OmegaConf.to_container(
        OmegaConf.structured(node_type(component, None if group == "trainer" else name, suggested=suggested))
    )
    assert isinstance(node, dict)
    keys = {field.name for field in dataclasses.fields(component) if field.init}
    assert set(node) == keys | ({"name"} if group != "trainer" else set())
    if group == "operator":
        assert {value for key, value in node.items() if key != "name"} == {None}
    elif keys and "name" not in keys:
        expected = component()
        if node.get("start", 0) is None:  # a mapping of any names, which has no default in a configuration
            node["start"] = {}
        assert all(
            node[key] == (list(value) if isinstance(value := getattr(expected, key), tuple) else value) for key in keys
        )


def test_the_default_is_the_main_job() -> None:
    parts = components(compose())
    assert parts["problem"].name == "burgers"
    assert parts["operator"] == MLPConfig(width=24, depth=3)
    assert parts["sampler"] == SamplerConfig()
    assert parts["constraint"] == ConstraintConfig()
    assert parts["trainer"] == TrainerConfig()


def test_the_command_lines_of_the_documentation() -> None:
    cfg = compose(
        [
            *("optimizer=gauss_newton", "optimizer.damping=1e-6", "operator=mlp", "operator.width=32"),
            *("problem=burgers", "problem.nu=0.02", "sampler.points=2000", "trainer.max_seconds=30"),
            *("constraint=hard", "logger=tensorboard", "seed=1"),
        ]
    )
    parts = components(cfg)
    assert parts["optimizer"] == GaussNewton(damping=1e-6)
    assert parts["operator"] == MLPConfig(width=32, depth=3)
    assert parts["problem"].equation.nu == 0.02
    assert parts["sampler"] == SamplerConfig(points=2000)
    assert parts["trainer"] == TrainerConfig(max_seconds=30.0)
    assert parts["constraint"] == ConstraintConfig("hard")
    assert cfg.seed == 1


def test_sampler_choice_sets_its_name() -> None:
    assert components(compose(["sampler=grid", "sampler.power=2"]))["sampler"] == SamplerConfig("grid", power=2.0)


def test_an_estimator_and_a_problem_of_any_dimension() -> None:
    overrides = ["problem=sine_gordon_hd", "problem.dim=1000", "estimator=stde", "estimator.samples=4"]
    parts = components(compose([*overrides, "estimator.unbiased=true", "trainer.compile=true"]))
    assert parts["estimator"] == STDEConfig(samples=4, unbiased=True)
    assert parts["problem"].domain.dim == 1000
    assert parts["trainer"] == TrainerConfig(compile=True)
    assert components(compose())["estimator"] == ExactConfig()
    assert components(compose(["estimator=hutchinson", "estimator.law=sphere"]))["estimator"].law == "sphere"
    assert components(compose(["estimator=auto", "estimator.every=9"]))["estimator"].every == 9


# Suggestions of a problem for the network


@pytest.mark.parametrize(
    ("overrides", "expected"),
    [
        (["problem=burgers"], MLPConfig(width=24, depth=3)),
        (["problem=burgers", "operator.depth=5"], MLPConfig(width=24, depth=5)),
        # The network's own default, given by the user, is no absence of a wish.
        (["problem=burgers", "operator.width=64"], MLPConfig(width=64, depth=3)),
        (["problem=burgers", "operator.width=null"], MLPConfig(width=24, depth=3)),
        (["problem=burgers", "operator=siren"], SirenConfig(width=24, depth=3)),
        (["problem=burgers", "operator.hidden=[8,9]"], MLPConfig(width=24, depth=3, hidden=[8, 9])),
        (["problem=poisson5d"], MLPConfig(hidden=[64, 64, 48, 48])),
        (["problem=poisson5d", "operator.activation=sin"], MLPConfig(hidden=[64, 64, 48, 48], activation="sin")),
        # `hidden` would make the width given by the user meaningless.
        (["problem=poisson5d", "operator.width=16"], MLPConfig(width=16)),
        (["problem=poisson5d", "operator.depth=2", "operator.hidden=[7]"], MLPConfig(depth=2, hidden=[7])),
    ],
)
def test_suggestions_hold_where_nothing_is_given(overrides: list[str], expected: object) -> None:
    assert components(compose(overrides))["operator"] == expected


def test_a_suggestion_for_another_network_is_left_out() -> None:
    network = components(compose(["problem=poisson5d", "operator=modified_mlp"]))["operator"]
    assert network == component_of("operator", "modified_mlp")()


# Mistakes


@pytest.mark.parametrize(
    ("overrides", "message"),
    [
        (["problem=burgrs"], r'unknown problem "burgrs"; it has .*burgers.* Did you mean "burgers"\?'),
        (["optimizer=gaus_newton"], r'unknown optimizer "gaus_newton".*Did you mean "gauss_newton"\?'),
        (["operator=mpl"], r'unknown operator "mpl".*Did you mean "mlp"\?'),
        (["sampler=sobl"], r'unknown sampler "sobl".*Did you mean "sobol"\?'),
        (["constraint=hrd"], r'unknown constraint "hrd".*Did you mean "hard"\?'),
        (["logger=tensorbord"], r'unknown logger "tensorbord".*Did you mean "tensorboard"\?'),
        (["estimator=sdte"], r'unknown estimator "sdte"; it has auto, exact, hutchinson, stde\. Did you mean "stde"\?'),
        (["estimator=stde", "estimator.sample=4"], r'unknown key "sample" of estimator.*Did you mean "samples"\?'),
        (["estimator=stde", "estimator.samples=0"], r"samples must be at least 1; got 0"),
        (["estimator=stde", "estimator.samples=few"], r"estimator\.samples is few; it takes a whole number"),
        (["estimator=hutchinson", "estimator.law=gaus"], r'unknown law "gaus".*Did you mean "gaussian"\?'),
        (
            ["problem=poisson_hd", "problem.dim=9", "estimator=stde"],
            r"16 samples without .* has 9 coordinates; take at most 9",
        ),
        (["optimizer=adam", "optimizer.schedule=linea"], r'unknown schedule "linea".*Did you mean "linear"\?'),
        (["trainer=defualt"], r'unknown trainer "defualt".*Did you mean "default"\?'),
        (["experiment=burger"], r'unknown experiment "burger".*Did you mean "burgers"\?'),
        (["debug=tiny"], r'unknown debug "tiny"; it has default'),
        (["optimzer=adam"], r'unknown key "optimzer".*Did you mean "optimizer"\?'),
        (["experimnt=burgers"], r'unknown key "experimnt".*Did you mean "experiment"\?'),
        (["sead=1"], r'unknown key "sead".*Did you mean "seed"\?'),
        (["trainer.max_second=3"], r'unknown key "max_second" of trainer.*Did you mean "max_seconds"\?'),
        (["+trainer.max_second=3"], r'unknown key "max_second" of trainer.*Did you mean "max_seconds"\?'),
        (["problem.mu=3"], r'unknown key "mu" of problem; it has name, nu\. Did you mean "nu"\?'),
        (["optimizer=adam", "optimizer.damping=1"], r'unknown key "damping" of optimizer'),
        (["+sede=1"], r'unknown key "sede" of the configuration.*Did you mean "seed"\?'),
        (["hydra.run.dirr=x"], r'unknown key "dirr" of hydra\.run.*Did you mean "dir"\?'),
        (["trainer.max_steps=abc"], r"trainer\.max_steps is abc; it takes a whole number"),
        (["trainer.max_steps=1.5"], r"trainer\.max_steps is 1\.5; it takes a whole number"),
        (["problem.nu=thick"], r"problem\.nu is thick; it takes a number"),
        (
            ["optimizer=gauss_newton", "optimizer.adaptive=perhaps"],
            r"optimizer\.adaptive is perhaps; it takes true or false",
        ),
        (["seed=abc"], r"seed is abc; it takes a whole number"),
        (["operator=fbpinn", "operator.subdomains=4"], r"operator\.subdomains takes a list: operator\.subdomains=\["),
        (
            ["curriculum.start={nu: 0.1}"],
            r'curriculum=none has no settings, and "start" is given; choose the curriculum that has it',
        ),
        (["operator.hidden=[8,x]"], r"operator\.hidden\[1\] is x; it takes a whole number"),
        (["problem.nu=null"], r"problem\.nu cannot be null"),
        (["optimizer=adam", "optimizer.betas=[0.5]"], r"optimizer\.betas takes 2 values; got \[0\.5\]"),
        (["seed=-1"], r"seed must not be negative; got -1"),
        (["operator.width=0"], r"width = 0; expected a positive integer"),
        (["operator.activation=tan"], r'unknown activation "tan".*Did you mean "tanh"\?'),
        (["trainer.max_seconds=0"], r"trainer\.max_seconds must be .*; got 0"),
        (["trainer.max_seconds=nan"], r"trainer\.max_seconds must be .*; got nan"),
        (["trainer.dtype=float46"], r'unknown dtype "float46".*Did you mean "float64"\?'),
        (["sampler.points=-3"], r"sampler\.points must be .*; got -3"),
        (["optimizer=adam", "optimizer.learning_rate=-1"], r"learning_rate = -1\.0; expected a positive number"),
        (["problem=heat_inverse", "problem.noise=-1"], r"problem\.noise must not be negative"),
        (["trainer.max_steps=[1"], r'cannot read the argument "trainer\.max_steps=\[1"'),
        (["burgers"], r'cannot read the argument "burgers"; write group=choice'),
        (["seed=1,2"], r"seed=1,2 are several runs; add -m"),
        (["problem=null"], r"problem=null names no choice; problem has .*burgers"),
        (["operator=[mlp,siren]"], r"names no choice; operator has .*mlp"),
        (["~problem"], r"problem is missing"),
        (["~seed"], r"seed is missing"),
        (["optimizer.name=adam"], r"optimizer\.name is adam with the settings of auto; write optimizer=adam"),
        (["trainer.max_seconds=${oc.env:KJET_NOT_SET}"], r"trainer\.max_seconds: .*KJET_NOT_SET.* not found"),
        (["plugins=[kjet_not_there]"], r'the plugin "kjet_not_there" cannot be imported'),
        (["plugins=my_pde"], r"plugins takes a list of modules"),
    ],
)
def test_a_mistake_is_one_line_with_the_nearest_name(overrides: list[str], message: str) -> None:
    with pytest.raises(ConfigError, match=message) as caught:
        compose(overrides)
    assert "\n" not in str(caught.value)


@pytest.mark.parametrize(
    ("text", "message"),
    [
        (
            "trainer: {max_second: 3}",
            r'experiment/mine: unknown key "max_second" of trainer.*Did you mean "max_seconds"',
        ),
        ("trainr: {max_seconds: 3}", r'experiment/mine: unknown key "trainr".*Did you mean "trainer"'),
        ("trainer: {max_steps: soon}", r"experiment/mine: trainer\.max_steps is soon; it takes a whole number"),
        ("trainer: {max_steps: 3", r"while parsing a flow mapping"),
        ("seed: 1\nseed: 2", r"duplicate key seed"),
        ("defaults:\n  - override /problem: burgrs", r'unknown problem "burgrs".*Did you mean "burgers"'),
        ("plugins: [os]", r"plugins is set in a file; give it on the command line"),
        ("resume: outputs", r"resume is set in a file; give it on the command line"),
        ("problem: {nu: 0.1, _target_: os.system}", r"problem\._target_: a configuration is data and names no code"),
        ("hydra: {callbacks: {x: {_target_: os.system}}}", r"hydra\.callbacks\.x\._target_: a configuration is data"),
        ("hydra: {sweeper: {_target_: os.system}}", r"hydra\.sweeper\._target_: a configuration is data"),
        ("hydra: {job_logging: {handlers: {x: {(): os.system}}}}", r"handlers\.x\.\(\): a configuration is data"),
        ("seed: !!python/object/apply:os.system [id]", r"python/object"),
    ],
)
def test_a_mistake_in_a_file_is_one_line(tmp_path: Path, text: str, message: str) -> None:
    (tmp_path / "experiment").mkdir()
    (tmp_path / "experiment" / "mine.yaml").write_text(f"# @package _global_\n{text}\n")
    with pytest.raises(ConfigError, match=message) as caught:
        compose(["experiment=mine"], config_dir=tmp_path)
    assert "\n" not in str(caught.value)


def test_files_of_the_user_are_found(tmp_path: Path) -> None:
    (tmp_path / "optimizer").mkdir()
    (tmp_path / "optimizer" / "gentle.yaml").write_text("name: gauss_newton\ndamping: 1e-3\n")
    parts = components(compose(["optimizer=gentle"], config_dir=tmp_path))
    assert parts["optimizer"] == GaussNewton(damping=1e-3)
    (tmp_path / "optimizer" / "gentle.yaml").write_text("name: gauss_newton\ndampng: 1e-3\n")
    with pytest.raises(ConfigError, match=r'unknown key "dampng" of optimizer.*Did you mean "damping"'):
        compose(["optimizer=gentle"], config_dir=tmp_path)


def test_a_folder_that_is_not_there(tmp_path: Path) -> None:
    with pytest.raises(ConfigError, match="there is no folder"):
        compose([], config_dir=tmp_path / "none")


def test_plain_values_are_checked_as_well() -> None:
    with pytest.raises(ConfigError, match=r'unknown problem "burgrs"'):
        components({"problem": {"name": "burgrs"}})
    with pytest.raises(ConfigError, match=r"operator has no name; choose one of .*mlp"):
        components({"operator": {"width": 3}})
    with pytest.raises(ConfigError, match="optimizer is adam; choose one of"):
        components({"optimizer": "adam"})
    with pytest.raises(ConfigError, match=r'unknown key "level" of logger'):
        components({"logger": {"name": "none", "level": 3}})
    with pytest.raises(ConfigError, match=r"optimizer\.damping is thick; it takes a number"):
        components({"optimizer": {"name": "gauss_newton", "damping": "thick"}})


# Sweeps


@pytest.mark.parametrize(
    ("overrides", "message"),
    [
        (["optimizer=adam,lbfsg"], r'unknown optimizer "lbfsg".*Did you mean "lbfgs"'),
        (["optimizer=lbfgs,adam", "seed=0,-1"], r"seed must not be negative"),
        (["seed=range(0,3)", "trainer.max_steps=choice(3,x)"], r"trainer\.max_steps is x"),
        (["plugins=a,b"], r"plugins takes a list"),
    ],
)
def test_every_value_of_a_sweep_is_checked_before_it_starts(overrides: list[str], message: str) -> None:
    with pytest.raises(ConfigError, match=message):
        read_command(["-m", *overrides])


def test_a_right_sweep_passes() -> None:
    check(["optimizer=adam,lbfgs", "seed=range(0,3)", "problem=glob(poisson*)", "operator.hidden=[8,8],[9]"])


def test_options_may_stand_anywhere(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    command = read_command(["seed=0", "-m", "problem=burgers,kdv", "--config-dir", str(tmp_path)])
    assert command.for_hydra
    assert command.overrides == ("seed=0", "problem=burgers,kdv")
    assert command.config_dir == tmp_path
    assert command.arguments[:5] == ("-m", "--config-dir", str(tmp_path), "seed=0", "problem=burgers,kdv")
    assert not read_command(["seed=0"]).for_hydra
    assert read_command(["--cfg", "job", "-p", "trainer"]).for_hydra


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (["--lr", "0.1"], "unrecognized arguments: --lr"),
        (["--experimental-rerun", "config.pickle"], "unrecognized arguments: --experimental-rerun"),
        (["-m", "resume=outputs/x", "seed=1,2"], "resume= continues one run"),
    ],
)
def test_options_that_there_are_not(arguments: list[str], message: str) -> None:
    with pytest.raises(ConfigError, match=message):
        read_command(arguments)


# From dataclass to node and back


@dataclasses.dataclass(frozen=True)
class Everything:
    path: str
    pair: tuple[float, float] = (1.0, 2.0)
    sizes: tuple[int, ...] = ()
    kind: Literal["fast", "slow"] = "fast"
    limit: float | None = None
    either: int | str = 3
    table: Mapping[str, float] = dataclasses.field(default_factory=lambda: {"a": 1.0})
    names: Sequence[str] = ("x",)
    window: tuple[float, float] | None = None
    callback: Callable[[int], int] = abs
    derived: int = dataclasses.field(default=0, init=False)


def test_types_that_omegaconf_lacks_are_converted() -> None:
    found = construct(
        Everything,
        {"path": "p", "pair": [3, 4.5], "sizes": [1, 2], "kind": "slow", "table": {"b": 2}, "window": [0, 1]},
        "problem",
    )
    assert found == Everything("p", (3.0, 4.5), (1, 2), "slow", None, 3, {"b": 2.0, "a": 1.0}, ["x"], (0.0, 1.0))
    assert isinstance(found.pair, tuple)
    assert found.callback is abs
    assert {field.name for field in dataclasses.fields(node_type(Everything))}.isdisjoint({"callback", "derived"})


@pytest.mark.parametrize(
    ("values", "message"),
    [
        ({}, r"problem\.path has no value; give it as problem\.path=\.\.\."),
        ({"path": "p", "kind": "fats"}, r'unknown value "fats" of problem\.kind.*Did you mean "fast"'),
        ({"path": "p", "pair": [1, 2, 3]}, r"problem\.pair takes 2 values"),
        ({"path": "p", "pair": "ab"}, r"problem\.pair"),
        ({"path": "p", "sizes": [1.5]}, r"problem\.sizes\[0\] is 1\.5; it takes a whole number"),
        ({"path": "p", "table": {"b": "x"}}, r"problem\.table\.b is x; it takes a number"),
        ({"path": "p", "callback": "abs"}, r'unknown key "callback" of problem'),
        ({"path": "p", "derived": 1}, r'unknown key "derived" of problem'),
    ],
)
def test_conversion_checks(values: dict[str, Any], message: str) -> None:
    with pytest.raises(ConfigError, match=message):
        construct(Everything, values, "problem")


def test_a_field_that_no_text_can_give_needs_a_default() -> None:
    @dataclasses.dataclass
    class Closed:
        callback: Callable[[int], int]

    with pytest.raises(ConfigError, match=r"Closed\.callback .* give it a default"):
        node_type(Closed, "closed")


def test_ranges_are_checked_by_the_dataclass_alone() -> None:
    with pytest.raises(ConfigError, match=r"candidates must be .* got 0"):
        components(compose(["sampler.candidates=0"]))
    assert components(compose(["sampler.candidates=7"]))["sampler"].rad() == RAD(7)


# Plugins

PLUGIN = """
from dataclasses import dataclass
from kjet import register
from kjet.problems.burgers import BurgersProblem

@register("problem", "{name}")
@dataclass(frozen=True)
class Mine(BurgersProblem):
    speed: float = 2.0

@register("operator", "{name}")
@dataclass(frozen=True)
class Network:
    width: int = 5
    angle: float = 0.5

@register("logger", "{name}")
@dataclass(frozen=True)
class Log:
    url: str = "here"
    api_key: str = ""
    def build(self, folder):
        raise NotImplementedError
"""


@pytest.fixture
def plugin(tmp_path: Path, monkeypatch: pytest.MonkeyPatch, request: pytest.FixtureRequest) -> str:
    # What it registers is forgotten after the test.
    monkeypatch.setattr(registry, "_COMPONENTS", copy.deepcopy(registry._COMPONENTS))
    monkeypatch.setattr(ConfigStore.instance(), "repo", copy.deepcopy(ConfigStore.instance().repo))
    name = "kjet_plugin_" + re.sub(r"\W", "_", request.node.name)
    (tmp_path / f"{name}.py").write_text(PLUGIN.format(name=name))
    monkeypatch.syspath_prepend(tmp_path)
    monkeypatch.delitem(sys.modules, name, raising=False)
    return name


def test_components_of_a_plugin_are_chosen_by_name(plugin: str) -> None:
    overrides = [
        f"plugins=[{plugin}]",
        f"problem={plugin}",
        "problem.speed=3",
        f"operator={plugin}",
        f"logger={plugin}",
    ]
    parts = components(compose([*overrides, "logger.url=there"]))
    assert parts["operator"].width == 24  # suggested by the problem that the plugin's own extends
    assert parts["operator"].angle == 0.5
    assert parts["logger"].url == "there"
    with pytest.raises(ConfigError, match=r'unknown key "sped" of problem.*Did you mean "speed"'):
        compose([*overrides, "problem.sped=3"])


def test_a_plugin_that_is_not_named_is_not_imported(plugin: str) -> None:
    with pytest.raises(ConfigError, match=f'unknown problem "{plugin}"'):
        compose([f"problem={plugin}"])
    assert plugin not in sys.modules


# What a run directory keeps


def _store(directory: Path, overrides: Sequence[str]) -> None:
    import_plugins(plugins_of(overrides))
    cfg = compose_with_hydra(overrides)
    store(without_hydra(cfg), directory, overrides, cfg.hydra)


@pytest.mark.parametrize(
    "overrides",
    [
        [],
        ["experiment=poisson5d", "trainer.max_seconds=1e-3"],
        ["optimizer=adam", "optimizer.betas=[0.8,0.95]", "operator.hidden=[8,9]", "logger=none"],
        [
            "operator=fourier",
            "operator.sigmas=[0.5,1e20]",
            "sampler=grid",
            "trainer.tolerance=1e-12",
            "constraint=hard",
        ],
    ],
)
def test_a_stored_configuration_comes_back(tmp_path: Path, overrides: list[str]) -> None:
    directory = tmp_path / "run"
    before = components(compose(overrides))
    _store(directory, overrides)
    for cfg in (stored(directory), compose(resumed_overrides(directory, []))):
        after = components(cfg)
        assert after.pop("problem").name == before["problem"].name
        assert after == {key: value for key, value in before.items() if key != "problem"}
    assert json.loads((directory / "config.json").read_text()) == yaml.safe_load(
        (directory / ".hydra" / "config.yaml").read_text()
    )
    assert yaml.safe_load((directory / ".hydra" / "overrides.yaml").read_text()) == overrides


PLAIN = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats(allow_nan=False) | st.text(),
    lambda inner: st.lists(inner) | st.dictionaries(st.from_regex(r"[a-z_]{1,8}", fullmatch=True), inner),
    max_leaves=8,
)


@settings(deadline=None, max_examples=150, suppress_health_check=[HealthCheck.too_slow])
@given(PLAIN)
def test_quoted_values_are_read_back(value: object) -> None:
    assert parse([f"key={quote(value)}"])[0].value() == value


def test_further_overrides_win_over_stored_ones(tmp_path: Path) -> None:
    _store(tmp_path / "run", ["optimizer=gauss_newton", "optimizer.damping=1e-3", "trainer.max_steps=5"])
    parts = components(compose(resumed_overrides(tmp_path / "run", ["trainer.max_steps=9", "optimizer.patience=3"])))
    assert parts["trainer"].max_steps == 9
    assert parts["optimizer"] == GaussNewton(damping=1e-3, patience=3)


def test_a_group_that_is_chosen_anew_starts_from_its_defaults(tmp_path: Path) -> None:
    _store(tmp_path / "run", ["sampler.points=7", "logger=tensorboard"])
    parts = components(compose(resumed_overrides(tmp_path / "run", ["sampler=uniform", "logger=none"])))
    assert parts["sampler"] == SamplerConfig("uniform")
    assert parts["logger"] is component_of("logger", "none")


@pytest.mark.parametrize(
    ("further", "message"),
    [
        ("seed=1", "keeps its seed"),
        ("problem=kdv", "keeps its problem"),
        ("problem.nu=0.1", r"keeps its problem\.nu"),
        ("operator.width=3", r"keeps its operator\.width"),
        ("constraint=hard", "keeps its constraint"),
        ("estimator=stde", "keeps its estimator"),
        ("optimizer=adam", "keeps its optimizer"),
        ("trainer.dtype=float32", r"keeps its trainer\.dtype"),
        ("trainer.precision=full", r"keeps its trainer\.precision"),
        ("experiment=burgers", r"cannot be combined with resume="),
        ("debug=default", r"cannot be combined with resume="),
        ("hydra.run.dir=x", r"cannot be combined with resume=; a run goes on in its own directory"),
    ],
)
def test_what_defines_a_run_cannot_change(tmp_path: Path, further: str, message: str) -> None:
    _store(tmp_path / "run", [])
    with pytest.raises(ConfigError, match=message):
        resumed_overrides(tmp_path / "run", [further])


def test_plugins_are_never_taken_from_a_file(tmp_path: Path, plugin: str) -> None:
    overrides = [f"plugins=[{plugin}]", f"problem={plugin}"]
    _store(tmp_path / "run", overrides)
    with pytest.raises(ConfigError, match=rf"this run needs its plugins again: plugins=\[{plugin}\]"):
        resumed_overrides(tmp_path / "run", [])
    assert (
        components(compose(resumed_overrides(tmp_path / "run", [f"plugins=[{plugin}]"])))["problem"].name == "burgers"
    )


def test_runs_from_before_there_were_estimators(tmp_path: Path) -> None:
    _store(tmp_path / "run", [])
    values = json.loads((tmp_path / "run" / "config.json").read_text())
    del values["estimator"]
    (tmp_path / "run" / "config.json").write_text(json.dumps(values))
    assert components(compose(resumed_overrides(tmp_path / "run", [])))["estimator"] == ExactConfig()


def test_directories_without_a_run(tmp_path: Path) -> None:
    _store(tmp_path / "12-00-00", [])
    with pytest.raises(ConfigError, match=r'there is no run directory ".*12-00-01"; did you mean ".*12-00-00"\?'):
        stored(tmp_path / "12-00-01")
    (tmp_path / "empty").mkdir()
    with pytest.raises(ConfigError, match=r"holds no run: it has no config\.json"):
        stored(tmp_path / "empty")
    (tmp_path / "empty" / "config.json").write_text("{")
    with pytest.raises(ConfigError, match="cannot read"):
        stored(tmp_path / "empty")
    (tmp_path / "empty" / "config.json").write_text("[]")
    with pytest.raises(ConfigError, match=r"is no configuration: it has no problem"):
        stored(tmp_path / "empty")


def test_a_run_is_never_overwritten(tmp_path: Path) -> None:
    _store(tmp_path / "run", ["seed=1"])
    with pytest.raises(RunError, match="holds a run already; go on with resume="):
        _store(tmp_path / "run", ["seed=2"])
    assert stored(tmp_path / "run").seed == 1
    (tmp_path / "other" / "checkpoints").mkdir(parents=True)
    with pytest.raises(RunError, match="holds a run already"):
        _store(tmp_path / "other", [])
    assert not (tmp_path / "other" / "config.json").exists()


def test_directories_are_numbered(tmp_path: Path) -> None:
    path = tmp_path / "day" / "12-00-00"
    names = [fresh_directory(path).name for _ in range(3)]
    assert names == ["12-00-00", "12-00-00-2", "12-00-00-3"]
    (tmp_path / "file").touch()
    with pytest.raises(RunError, match="cannot make the run directory"):
        fresh_directory(tmp_path / "file" / "run")


def test_nothing_is_written_for_a_mistake(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    for arguments in (
        ["sampler.points=0"],
        ["problem=burgrs"],
        ["resume=outputs/none"],
        ["hydra.run.dir=${oc.env:KJET_NOT_SET}"],
        ["-m", "seed=0,1", "optimizer=adma"],
        ["-m", "seed=0,1", "sampler.points=0"],
    ):
        with pytest.raises(ConfigError):
            prepare(read_command(arguments))
    assert not list(tmp_path.iterdir())


# Secrets


@pytest.mark.parametrize(
    "values",
    [
        ["logger.api_key=${oc.env:SERVICE_TOKEN}"],
        ["logger.url=${oc.env:SERVICE_TOKEN}"],
        ["logger.url=${logger.api_key}", "logger.api_key=${oc.env:SERVICE_TOKEN}"],
        ["logger.url=https\\://hunter-of-two-lines@host"],  # as a shell expands $SERVICE_TOKEN
        ["logger.api_key=hunter-of-three-lines"],
        ["logger.url='https://host?api_key=hunter-of-three-lines'"],
        ["logger={url:there,api_key:hunter-of-three-lines}"],
    ],
)
def test_secrets_are_not_stored(
    tmp_path: Path, plugin: str, monkeypatch: pytest.MonkeyPatch, values: list[str]
) -> None:
    monkeypatch.setenv("SERVICE_TOKEN", "hunter-of-two-lines")
    overrides = [f"plugins=[{plugin}]", f"logger={plugin}", *values]
    assert "hunter" in str(OmegaConf.to_container(compose(overrides), resolve=True))
    _store(tmp_path / "run", overrides)
    files = [path for path in (tmp_path / "run").rglob("*") if path.is_file()]
    assert len(files) == 4
    assert not [path for path in files if "hunter" in path.read_text()]


def test_a_reference_is_stored_as_it_is_written(tmp_path: Path, plugin: str, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("SERVICE_TOKEN", "first-value")
    overrides = [f"plugins=[{plugin}]", f"logger={plugin}", "logger.api_key=${oc.env:SERVICE_TOKEN}"]
    _store(tmp_path / "run", overrides)
    monkeypatch.setenv("SERVICE_TOKEN", "second-value")
    again = compose(resumed_overrides(tmp_path / "run", overrides[:1]))
    assert components(again)["logger"].api_key == "second-value"


def test_a_secret_that_was_not_stored_is_asked_for(tmp_path: Path, plugin: str) -> None:
    overrides = [f"plugins=[{plugin}]", f"logger={plugin}"]
    _store(tmp_path / "run", [*overrides, "logger.api_key=hunter2hunter2"])
    further = resumed_overrides(tmp_path / "run", overrides[:1])
    with pytest.raises(ConfigError, match=r"logger\.api_key has no value; give it as logger\.api_key=\.\.\."):
        compose(further)
    assert components(compose([*further, "logger.api_key=again"]))["logger"].api_key == "again"


def test_masks_leave_the_rest_alone() -> None:
    node = {"width": 8, "tokens": 64, "activation": "tanh", "path": "/data/x.h5", "sizes": [1, 2.5, None, math.inf]}
    assert masked(node) == node
    assert masked({"task": ["seed=1", "logger.password=abc"]}) == {"task": ["seed=1", "???"]}
    assert set(itertools.chain(masked({"a": {"secret_word": ["x", "y"]}})["a"]["secret_word"])) == {"???"}


def test_configured_adam_equals_the_one_in_python() -> None:
    assert components(compose(["optimizer=adam", "optimizer.learning_rate=1e-2"]))["optimizer"] == Adam(1e-2)
