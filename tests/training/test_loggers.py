"""Loggers: what is written is what a reader finds."""

import math
import sys

import numpy as np
import pytest
import torch

from kjet.errors import ConfigError
from kjet.training.loggers import LOGGERS, NullLogger, TensorBoardLogger


@pytest.fixture
def image(tmp_path):
    from matplotlib.image import imsave

    path = tmp_path / "figure.png"
    imsave(path, np.zeros((4, 6, 3)))
    return path


@pytest.mark.parametrize("name", LOGGERS)
def test_each_logger_takes_all_calls(tmp_path, image, name):
    logger = LOGGERS[name](tmp_path / "events")
    logger.log(1, {"loss": 0.5, "phase": "adam", "errors": {"u": torch.tensor(0.1)}, "none": None, "flag": True})
    logger.figure("solution", image)
    logger.close()


def test_null_logger_writes_nothing(tmp_path, image):
    logger = NullLogger(tmp_path / "events")
    logger.log(1, {"loss": 0.5})
    logger.figure("solution", image)
    logger.close()
    assert not (tmp_path / "events").exists()


def read(folder):
    from tensorboard.backend.event_processing.event_accumulator import EventAccumulator

    events = EventAccumulator(str(folder))
    events.Reload()
    return events


def test_tensorboard_events_hold_scalars_and_figures(tmp_path, image):
    logger = TensorBoardLogger(tmp_path / "events")
    logger.log(3, {"loss": 0.5, "errors": {"u": torch.tensor(0.25)}, "phase": "adam", "bad": math.nan, "flag": True})
    logger.figure("solution", image)
    logger.close()
    events = read(tmp_path / "events")
    assert sorted(events.Tags()["scalars"]) == ["bad", "errors/u", "loss"]
    assert [(event.step, event.value) for event in events.Scalars("errors/u")] == [(3, 0.25)]
    (shown,) = events.Images("solution")
    assert (shown.step, shown.height, shown.width) == (3, 4, 6)


def test_resumed_events_replace_those_of_later_steps(tmp_path):
    first = TensorBoardLogger(tmp_path)
    for step in (1, 2, 3):
        first.log(step, {"loss": 1.0})
    first.close()
    second = TensorBoardLogger(tmp_path, resumed=2)
    second.log(3, {"loss": 9.0})
    second.close()
    assert [(event.step, event.value) for event in read(tmp_path).Scalars("loss")] == [(1, 1.0), (2, 1.0), (3, 9.0)]


def test_a_missing_package_is_named(tmp_path, monkeypatch):
    monkeypatch.setitem(sys.modules, "torch.utils.tensorboard", None)
    with pytest.raises(ConfigError, match="pip install tensorboard"):
        TensorBoardLogger(tmp_path)
