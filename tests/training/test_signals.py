"""Signals as wishes."""

import signal
import threading

import pytest

from keras_retinanet.training.signals import StopRequest


@pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGTERM])
def test_the_first_signal_is_a_wish_and_the_handlers_come_back(
    number: signal.Signals, capsys: pytest.CaptureFixture[str]
) -> None:
    former = {each: signal.getsignal(each) for each in (signal.SIGINT, signal.SIGTERM)}
    with StopRequest() as request:
        assert not request.is_made
        signal.raise_signal(number)
        assert request.is_made
        assert request.number == number
    assert {each: signal.getsignal(each) for each in former} == former
    assert f"{number.name}: saving after this step" in capsys.readouterr().out


def test_the_second_ctrl_c_aborts_at_once() -> None:
    former = signal.getsignal(signal.SIGINT)
    with StopRequest():
        signal.raise_signal(signal.SIGINT)
        with pytest.raises(KeyboardInterrupt):
            signal.raise_signal(signal.SIGINT)
    assert signal.getsignal(signal.SIGINT) == former


def test_other_threads_leave_the_handlers_alone() -> None:
    former, seen = signal.getsignal(signal.SIGTERM), []

    def enter() -> None:
        with StopRequest() as request:
            seen.append((signal.getsignal(signal.SIGTERM), request.is_made))

    thread = threading.Thread(target=enter)
    thread.start()
    thread.join()
    assert seen == [(former, False)]
