"""Progress: a bar for people, plain lines for files."""

import io
import logging

import pytest

from kjet.training.progress import Progress


class Terminal(io.StringIO):
    def isatty(self):
        return True


def march(progress, count, seconds=10.0):
    with progress:
        for step in range(1, count + 1):
            progress.update(step, 1.0 / step, None, count / seconds, step * seconds / count, "adam")


@pytest.fixture
def unheard(monkeypatch):
    """No handler anywhere, as in a notebook."""
    monkeypatch.setattr(logging.getLogger("kjet"), "propagate", False)


@pytest.mark.parametrize(("seconds", "steps"), [(10.0, None), (None, 1000), (10.0, 5000), (10.0, 1000)])
def test_plain_lines_are_few_and_have_no_control_characters(unheard, seconds, steps):
    stream = io.StringIO()
    march(Progress(seconds, steps, stream), 1000)
    lines = stream.getvalue().splitlines()
    assert 19 <= len(lines) <= 22
    assert all(character.isprintable() for line in lines for character in line)
    assert "loss 1.00e-03" in lines[-1]
    assert lines[-1].startswith("100%")


def test_time_left_is_that_of_the_budget_that_ends_first(unheard):
    stream = io.StringIO()
    with Progress(100.0, 1000, stream) as progress:
        progress.update(10, 1.0, 0.5, 2.0, 50.0, "adam")
        progress.update(900, 1.0, 0.5, 10.0, 50.0, "lbfgs")
    first, second = stream.getvalue().splitlines()
    assert first == "50%  adam  step 10/1000  loss 1.00e+00  error 5.00e-01  2 it/s  0:50 left"
    assert second.startswith("90%  lbfgs  step 900/1000")
    assert second.endswith("0:10 left")


def test_without_a_budget_lines_come_by_the_clock(unheard):
    stream = io.StringIO()
    march(Progress(None, None, stream), 500, seconds=35.0)
    lines = stream.getvalue().splitlines()
    assert len(lines) == 5
    assert "%" not in stream.getvalue()
    assert "left" not in stream.getvalue()


def test_lines_go_to_the_logger_only_where_it_is_heard(caplog):
    stream = io.StringIO()
    with caplog.at_level(logging.INFO, logger="kjet"):
        march(Progress(10.0, None, stream), 100)
    assert len(caplog.records) >= 20
    assert stream.getvalue() == ""


def test_a_log_file_alone_does_not_silence_the_stream(unheard, tmp_path, monkeypatch):
    handler, logger, stream = logging.FileHandler(tmp_path / "log"), logging.getLogger("kjet"), io.StringIO()
    monkeypatch.setattr(logger, "handlers", [handler])
    logger.setLevel(logging.INFO)
    try:
        march(Progress(10.0, None, stream), 100)
    finally:
        logger.setLevel(logging.NOTSET)
        handler.close()
    assert stream.getvalue().splitlines() == (tmp_path / "log").read_text().splitlines()


def test_a_logger_silenced_by_name_silences_progress(unheard):
    logger, stream = logging.getLogger("kjet"), io.StringIO()
    logger.setLevel(logging.WARNING)
    try:
        march(Progress(10.0, None, stream), 100)
    finally:
        logger.setLevel(logging.NOTSET)
    assert stream.getvalue() == ""


def test_a_terminal_gets_a_live_bar(monkeypatch):
    monkeypatch.setenv("TERM", "xterm")
    stream = Terminal()
    march(Progress(10.0, 100, stream), 100)
    text = stream.getvalue()
    assert "\x1b[" in text
    assert "step 100/100" in text
    assert "loss" in text
    # The cursor, hidden while the bar is live, is shown again.
    assert text.rindex("\x1b[?25h") > text.rindex("\x1b[?25l")


def test_an_exception_gives_the_terminal_back(monkeypatch):
    monkeypatch.setenv("TERM", "xterm")
    stream = Terminal()

    def interrupted():
        with Progress(10.0, None, stream) as progress:
            progress.update(1, 1.0, None, None, 0.1, "[bold]phase[/]")
            raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        interrupted()
    assert "[bold]phase[/]" in stream.getvalue()
    assert stream.getvalue().rindex("\x1b[?25h") > stream.getvalue().rindex("\x1b[?25l")


def test_a_dumb_terminal_gets_plain_lines(monkeypatch, unheard):
    monkeypatch.setenv("TERM", "dumb")
    stream = Terminal()
    march(Progress(10.0, None, stream), 100)
    assert stream.getvalue()
    assert "\x1b" not in stream.getvalue()
    assert "\r" not in stream.getvalue()
