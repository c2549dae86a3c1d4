"""Rates worked by hand."""

import keras
import pytest

from keras_retinanet.config import ScheduleName
from keras_retinanet.optimizers.schedules import WarmupSchedule


def rates(schedule: WarmupSchedule, *steps: int) -> list[float]:
    return [float(schedule(step)) for step in steps]


def test_step_decay_divides_by_ten_at_two_thirds_and_eight_ninths() -> None:
    """The paper's 60k and 80k of 90k."""
    schedule = WarmupSchedule(0.01, total_steps=90_000, decay="step")
    assert rates(schedule, 0, 59_999, 60_000, 79_999, 80_000, 89_999) == pytest.approx(
        [0.01, 0.01, 0.001, 0.001, 0.0001, 0.0001], rel=1e-6
    )


@pytest.mark.parametrize("total", [1, 2, 3, 7, 9, 10, 123_457])
def test_step_decay_boundaries_are_the_first_whole_steps_past_the_shares(total: int) -> None:
    schedule = WarmupSchedule(1.0, total_steps=total, decay="step")
    expected = [
        1.0 if 3 * step < 2 * total else 0.1 if 9 * step < 8 * total else 0.01 for step in range(min(total, 20))
    ]
    assert rates(schedule, *range(min(total, 20))) == pytest.approx(expected, rel=1e-6)


def test_cosine_is_half_way_down_in_the_middle_and_zero_from_the_end_on() -> None:
    schedule = WarmupSchedule(2.0, total_steps=100, decay="cosine")
    assert rates(schedule, 0, 25, 50, 100, 150) == pytest.approx([2.0, 1.7071068, 1.0, 0.0, 0.0], abs=1e-6)


def test_flat_cosine_begins_to_fall_in_the_middle() -> None:
    schedule = WarmupSchedule(2.0, total_steps=100, decay="flat_cosine")
    assert rates(schedule, 0, 50, 75, 100, 150) == pytest.approx([2.0, 2.0, 1.0, 0.0, 0.0], abs=1e-6)


def test_flat_cosine_falls_in_the_part_that_the_flat_share_leaves() -> None:
    schedule = WarmupSchedule(2.0, total_steps=80, decay="flat_cosine", flat_share=0.75)  # falls over steps 60 to 80
    assert rates(schedule, 40, 60, 70, 80) == pytest.approx([2.0, 2.0, 1.0, 0.0], abs=1e-6)


def test_warm_up_rises_linearly_and_then_leaves_the_decay_alone() -> None:
    schedule = WarmupSchedule(1.0, total_steps=100, warmup_steps=10, decay="constant", warmup_factor=0.1)
    assert rates(schedule, 0, 1, 5, 10, 99) == pytest.approx([0.1, 0.19, 0.55, 1.0, 1.0])


def test_warm_up_and_cosine_multiply() -> None:
    schedule = WarmupSchedule(1.0, total_steps=100, warmup_steps=50, decay="cosine", warmup_factor=0.0)
    assert rates(schedule, 25) == pytest.approx([0.5 * 1.7071068 / 2])


@pytest.mark.parametrize("decay", WarmupSchedule.DECAYS)
def test_survives_serialisation(decay: ScheduleName) -> None:
    schedule = WarmupSchedule(0.3, 40, 7, decay, 0.2, 0.75)
    restored = keras.saving.deserialize_keras_object(keras.saving.serialize_keras_object(schedule))
    assert isinstance(restored, WarmupSchedule)
    assert restored.get_config() == schedule.get_config()
    assert rates(restored, 0, 5, 39) == rates(schedule, 0, 5, 39)


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        ({"total_steps": 0}, "total_steps=0"),
        ({"total_steps": 3, "warmup_steps": -1}, "warmup_steps=-1"),
        ({"total_steps": 3, "flat_share": 1.0}, "flat_share must be at least 0 and below 1, got 1.0"),
        ({"total_steps": 3, "decay": "cosin"}, "Unknown decay 'cosin'; known are step, cosine, flat_cosine, constant"),
    ],
)
def test_refuses(arguments: dict, message: str) -> None:
    with pytest.raises(ValueError, match=message):
        WarmupSchedule(1.0, **arguments)
