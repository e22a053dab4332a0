"""Stop requests: one signal finishes the step, a second Ctrl-C leaves at once."""

import signal
import subprocess
import sys
import threading

import pytest

from kjet.training import signals
from kjet.training.signals import StopRequest

# The module is loaded by its path: it needs the standard library only, and importing torch would take seconds.
CHILD = """
import importlib.util, signal, sys, time
signal.signal(signal.SIGINT, signal.default_int_handler)
spec = importlib.util.spec_from_file_location("signals", sys.argv[1])
module = importlib.util.module_from_spec(spec)
spec.loader.exec_module(module)
with module.StopRequest(also=(signal.SIGUSR1,)) as stop:
    print("ready", flush=True)
    while not stop.requested:
        time.sleep(0.01)
    print("requested", stop.requested, flush=True)
    if len(sys.argv) > 2:
        time.sleep(30)
    print("saved", flush=True)
sys.exit(stop.exit_code)
"""


@pytest.fixture
def child():
    started = []

    def start(*options):
        command = [sys.executable, "-c", CHILD, signals.__file__, *options]
        process = subprocess.Popen(command, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True)
        started.append(process)
        assert process.stdout.readline() == "ready\n"
        return process

    yield start
    for process in started:
        process.kill()
        process.communicate()


@pytest.mark.parametrize(("number", "code"), [(signal.SIGTERM, 143), (signal.SIGINT, 130), (signal.SIGUSR1, 138)])
def test_a_signal_finishes_the_step_and_saves(child, number, code):
    process = child()
    process.send_signal(number)
    output, _ = process.communicate(timeout=20)
    assert output == f"requested {number.name}\nsaved\n"
    assert process.returncode == code


def test_a_second_interrupt_leaves_at_once(child):
    process = child("slow")
    process.send_signal(signal.SIGINT)
    assert process.stdout.readline() == "requested SIGINT\n"
    process.send_signal(signal.SIGINT)
    output, errors = process.communicate(timeout=20)
    assert "saved" not in output
    assert "KeyboardInterrupt" in errors
    assert process.returncode == -signal.SIGINT


@pytest.fixture
def quiet():
    """Handlers that only record, in place of pytest's, so that a failing test does not end the session."""
    seen = []
    numbers = (signal.SIGTERM, signal.SIGINT)
    before = {number: signal.signal(number, lambda number, frame: seen.append(number)) for number in numbers}
    yield seen
    for number, handler in before.items():
        signal.signal(number, handler)


def test_handlers_come_back(quiet):
    handlers = [signal.getsignal(number) for number in (signal.SIGTERM, signal.SIGINT)]
    with pytest.raises(KeyError), StopRequest():
        raise KeyError
    assert [signal.getsignal(number) for number in (signal.SIGTERM, signal.SIGINT)] == handlers
    signal.raise_signal(signal.SIGTERM)
    assert quiet == [signal.SIGTERM]


def test_the_first_signal_is_named_and_only_a_second_interrupt_raises(quiet):
    with StopRequest() as stop:
        signal.raise_signal(signal.SIGTERM)
        signal.raise_signal(signal.SIGTERM)
        signal.raise_signal(signal.SIGINT)
        assert stop.requested == "SIGTERM"
        with pytest.raises(KeyboardInterrupt):
            signal.raise_signal(signal.SIGINT)
    assert quiet == []


def test_no_request_is_no_error():
    with StopRequest() as stop:
        pass
    assert stop.requested is None
    assert stop.exit_code == 0


def test_an_ignored_signal_stays_ignored(quiet):
    signal.signal(signal.SIGINT, signal.SIG_IGN)
    with StopRequest() as stop:
        signal.raise_signal(signal.SIGINT)
    assert stop.requested is None


def test_outside_the_main_thread_nothing_happens(quiet):
    handler, failures = signal.getsignal(signal.SIGTERM), []

    def work():
        try:
            with StopRequest() as stop:
                assert stop.requested is None
                assert signal.getsignal(signal.SIGTERM) is handler
        except (AssertionError, ValueError) as error:
            failures.append(error)

    thread = threading.Thread(target=work)
    thread.start()
    thread.join()
    assert failures == []
