"""The largest batch that fits, found with a memory of known size."""

from __future__ import annotations

import contextlib
from typing import Any

import pytest
import tensorflow as tf

from keras_retinanet.training import memory
from keras_retinanet.training.memory import (
    MemoryTrial,
    OutOfMemoryError,
    is_out_of_memory,
    largest_batch,
    next_parts,
    noise_batch,
)


@pytest.mark.parametrize(
    ("holds", "limit", "expected"), [(1, 64, 1), (11, 64, 11), (64, 64, 64), (99, 24, 24), (5, 6, 5)]
)
def test_the_largest_batch_is_found_in_few_trials(holds: int, limit: int, expected: int) -> None:
    tried: list[int] = []

    def fits(count: int) -> bool:
        tried.append(count)
        return count <= holds

    assert largest_batch(fits, limit) == expected
    assert len(tried) <= 12
    assert max(tried) <= limit


def test_not_even_one_image() -> None:
    with pytest.raises(OutOfMemoryError, match="lower --image-min-side"):
        largest_batch(lambda count: False, 64)


def test_the_next_parts_divide_the_batch() -> None:
    found, parts = [], 1
    while (following := next_parts(12, parts)) is not None:
        found.append(parts := following)
    assert found == [2, 3, 4, 6, 12]


def test_errors_of_memory_are_told_from_others() -> None:
    message = "OOM when allocating tensor with shape[16,200700,80]"
    assert is_out_of_memory(tf.errors.ResourceExhaustedError(None, None, message))
    assert is_out_of_memory(RuntimeError("XlaRuntimeError: RESOURCE_EXHAUSTED: Out of memory while trying to allocate"))
    assert not is_out_of_memory(ValueError("no such image"))


class Model:
    """Takes 100 bytes an image, and fails beyond a memory of its own."""

    variables: list[Any] = []  # noqa: RUF012
    optimizer = stop_training = None

    def __init__(self, holds: int) -> None:
        self.holds, self.tried = holds, []

    def train_on_batch(self, images: Any, targets: Any) -> None:
        self.tried.append(len(images))
        if len(images) > self.holds:
            raise tf.errors.ResourceExhaustedError(None, None, "OOM when allocating tensor")


@pytest.fixture
def whole_state(monkeypatch: pytest.MonkeyPatch) -> None:
    """`restored` has its own test in `test_prepare.py`."""
    monkeypatch.setattr(memory, "restored", contextlib.nullcontext)


def test_a_step_that_fails_for_want_of_memory_does_not_fit(whole_state: None, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("keras.distribution.list_devices", lambda: ["gpu:0"])
    model = Model(holds=6)
    assert largest_batch(MemoryTrial(model, (32, 64), 4), 64) == 6  # type: ignore[arg-type]
    assert model.tried == [1, 2, 4, 8, 6, 7]


def test_on_a_cpu_no_step_is_tried_that_would_not_fit(whole_state: None, monkeypatch: pytest.MonkeyPatch) -> None:
    """The process had 1000 bytes, and 100 more for each image; 450 bytes are free, of which 0.8 may be taken."""
    model = Model(holds=99)
    monkeypatch.setattr(memory, "_reset_peak", lambda: 1000.0)
    monkeypatch.setattr(
        memory, "_read_memory", lambda file, name: 450.0 if name == "MemAvailable" else 1000.0 + 100 * model.tried[-1]
    )
    assert largest_batch(MemoryTrial(model, (32, 64), 4), 64) == 3  # type: ignore[arg-type]
    assert model.tried == [1, 2, 3]


def test_noise_is_full_of_boxes_inside_the_image() -> None:
    images, targets = noise_batch(2, (32, 64), 5)
    assert images.shape == (2, 32, 64, 3)
    boxes = targets["boxes"]
    assert boxes.shape == (2, 5, 4)
    assert (boxes[..., :2] < boxes[..., 2:]).all()
    assert boxes[..., [1, 3]].max() <= 32 < boxes[..., [0, 2]].max() <= 64
