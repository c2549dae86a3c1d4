from __future__ import annotations

import pytest

from keras_retinanet.config.near_names import nearest_name

NAMES = ("Traffic Light", "car", "Übergröße", "x" * 150)


@pytest.mark.parametrize(
    ("name", "near"),
    [
        ("traffic light", "Traffic Light"),
        ("CAR", "car"),
        (" car", "car"),
        ("cra", "car"),  # ratio 2 · 2 / 6 = 0.67
        ("übergrösse", "Übergröße"),
        ("x" * 10_000, "x" * 150),
        ("zebra", None),
        ("", None),
    ],
)
def test_case_and_typing_errors(name: str, near: str | None) -> None:
    assert nearest_name(name, NAMES) == near


def test_cutoff() -> None:
    assert nearest_name("cab", ("car",), 0.7) is None  # ratio 2 · 2 / 6
    assert nearest_name("cab", ("car",)) == "car"
