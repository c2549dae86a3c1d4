"""Batches that run at the same time, and results in the order of the images."""

from __future__ import annotations

import threading

import numpy as np
import pytest

from keras_retinanet.data.errors import DataError
from keras_retinanet.data.preparation import ImageFit
from keras_retinanet.detection.batches_in_order import BatchesInOrder, PendingImage
from keras_retinanet.schema import DetectedImage

FIT = ImageFit((4, 4), (4, 4), (4, 4))
NOTHING = np.zeros(0)


def pending(*positions: int) -> list[PendingImage]:
    return [PendingImage(k, f"{k}.jpg", np.full((1, 1, 3), k, np.uint8), FIT, False) for k in positions]


def answer(group: list[PendingImage]) -> list[DetectedImage]:
    if group[0].position == 9:
        raise DataError("9.jpg", "is damaged", "an image", "replace it")
    return [DetectedImage(one.name, (4, 4), NOTHING, NOTHING, NOTHING, ()) for one in group]


def test_two_batches_run_at_the_same_time() -> None:
    """Each waits for the other."""
    both = threading.Barrier(2, timeout=10)

    def meet(group: list[PendingImage]) -> list[DetectedImage]:
        both.wait()
        return answer(group)

    with BatchesInOrder(meet, keeps_pixels=False) as batches:
        batches.submit(pending(0, 2))
        batches.submit(pending(1, 3))
        assert [found.image for found in batches.take(False, most_in_flight=0)] == ["0.jpg", "1.jpg", "2.jpg", "3.jpg"]


@pytest.mark.parametrize("keeps_pixels", [False, True])
def test_results_wait_for_their_turn(keeps_pixels: bool) -> None:
    with BatchesInOrder(answer, keeps_pixels=keeps_pixels) as batches:
        batches.submit(pending(1, 2))
        assert list(batches.take(False, most_in_flight=0)) == []
        batches.submit(pending(0))
        found = list(batches.take(False, most_in_flight=0))
    assert [one.image for one in found] == ["0.jpg", "1.jpg", "2.jpg"]
    assert [None if one.pixels is None else one.pixels[0, 0, 0] for one in found] == (
        [0, 1, 2] if keeps_pixels else [None] * 3
    )


def test_an_error_comes_in_its_turn() -> None:
    with BatchesInOrder(answer, keeps_pixels=False) as batches:
        for k in range(9):
            batches.submit(pending(k))
        batches.submit(pending(9))
        batches.fail(10, "10.jpg", DataError("10.jpg", "is empty", "an image", "replace it"))
        lenient = batches.take(True, most_in_flight=0)
        found = [next(lenient) for _ in range(10)]
        assert [one.error is None for one in found] == [True] * 9 + [False]
        with pytest.raises(DataError, match="is empty"):
            list(batches.take(False, most_in_flight=0))
