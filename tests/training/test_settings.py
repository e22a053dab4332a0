"""Values out of range are refused where they enter, with the key and what it takes."""

from __future__ import annotations

import math

import pytest
import torch

from kjet.data import RAD
from kjet.errors import ConfigError
from kjet.training import ConstraintConfig, SamplerConfig, TrainerConfig


@pytest.mark.parametrize("name", ["max_seconds", "tolerance", "log_seconds", "checkpoint_seconds"])
@pytest.mark.parametrize("value", [0, -1.0, math.nan, math.inf, "10", True])
def test_trainer_numbers(name, value):
    with pytest.raises(ConfigError, match=f"trainer.{name} must be a positive number; got {value!r}"):
        TrainerConfig(**{name: value})


@pytest.mark.parametrize("name", ["max_steps", "threads", "test_points"])
@pytest.mark.parametrize("value", [0, -3, 2.5, math.nan, "10", True])
def test_trainer_counts(name, value):
    with pytest.raises(ConfigError, match=f"trainer.{name} must be a positive whole number; got {value!r}"):
        TrainerConfig(**{name: value})


@pytest.mark.parametrize("name", ["points", "boundary_points", "every", "candidates"])
@pytest.mark.parametrize("value", [0, -3, 10.0, "10"])
def test_sampler_counts(name, value):
    with pytest.raises(ConfigError, match=f"sampler.{name} must be a positive whole number"):
        SamplerConfig(**{name: value})


@pytest.mark.parametrize(
    ("make", "message"),
    [
        (lambda: TrainerConfig(dtype="flot64"), 'unknown dtype "flot64".*Did you mean "float64"'),
        (lambda: TrainerConfig(dtype="float16"), 'unknown dtype "float16"; it has float32, float64'),
        (lambda: TrainerConfig(device="gpu"), 'trainer.device is "gpu"; use cpu, cuda or cuda:0'),
        (lambda: TrainerConfig(device="cuda:99"), 'trainer.device is "cuda:99", but torch sees . CUDA devices'),
        (lambda: SamplerConfig("sobl"), 'unknown sampler "sobl".*Did you mean "sobol"'),
        (lambda: SamplerConfig(adaptive="radd"), 'unknown adaptive sampling "radd".*Did you mean "rad"'),
        (lambda: SamplerConfig(power=-1.0), "power"),
        (lambda: SamplerConfig(offset=math.inf), "offset"),
        (lambda: ConstraintConfig("har"), 'unknown constraint "har".*Did you mean "hard"'),
        (lambda: ConstraintConfig(harmonics=0), "constraint.harmonics must be a positive whole number"),
        (lambda: ConstraintConfig(harmonics=1.5), "constraint.harmonics must be a positive whole number"),
        (lambda: ConstraintConfig(weight=0.0), "constraint.weight must be a positive number"),
    ],
)
def test_other_mistakes(make, message):
    with pytest.raises(ConfigError, match=message):
        make()


def test_what_is_left_out_is_none():
    trainer, sampler = TrainerConfig(), SamplerConfig()
    assert trainer.max_seconds is trainer.max_steps is trainer.tolerance is trainer.threads is None
    assert sampler.points is sampler.boundary_points is sampler.every is None


def test_values_are_passed_on():
    assert TrainerConfig(dtype="float32").torch_dtype is torch.float32
    assert TrainerConfig(max_steps=3, max_seconds=1e-3, tolerance=1e-30).max_steps == 3
    assert SamplerConfig(candidates=7, power=2.0, offset=0.0).rad() == RAD(7, 2.0, 0.0)
