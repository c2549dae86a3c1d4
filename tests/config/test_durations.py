"""Durations in seconds."""

import pytest

from keras_retinanet.config.durations import SaveInterval, parse_duration, parse_interval


@pytest.mark.parametrize(
    ("text", "seconds"), [("90s", 90), ("30m", 1800), ("1h30m", 5400), ("2H", 7200), (" 1.5m ", 90), ("1h1m1s", 3661)]
)
def test_durations(text: str, seconds: float) -> None:
    assert parse_duration(text) == seconds


@pytest.mark.parametrize("text", ["", "30", "m", "0s", "30m1h", "-5m", "5 minutes"])
def test_refused(text: str) -> None:
    with pytest.raises(ValueError, match="such as 90s, 30m, 2h or 1h30m"):
        parse_duration(text)


def test_intervals_are_times_or_steps() -> None:
    assert parse_interval("5m", "--save-every") == SaveInterval(seconds=300)
    assert parse_interval("500", "--save-every") == SaveInterval(steps=500)
    for text in ("0", "often", "-3", "1.5"):
        with pytest.raises(ValueError, match=f"--save-every is '{text}'; allowed are a time such as 90s"):
            parse_interval(text, "--save-every")
