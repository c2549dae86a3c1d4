"""Detections of all processes, gathered in the first."""

from __future__ import annotations

import signal
from collections.abc import Callable
from types import SimpleNamespace
from typing import Any

import keras
import numpy as np
import pytest

from keras_retinanet.training import shared_detections
from keras_retinanet.training.callbacks import EvaluateMetric, GivenUpError
from keras_retinanet.training.devices import Devices
from keras_retinanet.training.processes import Processes
from keras_retinanet.training.shared_detections import detect_shared, pack_detections, unpack_detections
from keras_retinanet.training.shared_stop import SharedStop

InProcesses = Callable[[int, Callable[[Processes], Any]], list[Any]]


def one_image(number: int) -> Any:
    """As many boxes as the image's number."""
    values = np.arange(number, dtype=np.float32)
    return {"boxes": np.tile(values[:, None], 4), "scores": values, "labels": values.astype(np.int32)}


@pytest.mark.parametrize("numbers", [[2, 0, 1], [0], []])
def test_bytes_hold_the_detections_of_each_image(numbers: list[int]) -> None:
    found = [one_image(number) for number in numbers]
    back = unpack_detections(pack_detections(found), [f"id{number}" for number in numbers])
    assert [one["image_id"] for one in back] == [f"id{number}" for number in numbers]
    for one, other in zip(found, back, strict=True):
        for name in ("boxes", "scores", "labels"):
            np.testing.assert_array_equal(other[name], one[name])
            assert other[name].dtype == one[name].dtype


SAMPLES: Any = [{"image_id": number} for number in range(5)]
BATCHES: Any = SimpleNamespace(outside=lambda share: np.arange(5) % share.count != share.index, largest=2)


@pytest.fixture
def detecting(monkeypatch: pytest.MonkeyPatch) -> None:
    """Image k has k boxes; `progress` is called once."""

    def detect(model: Any, batches: Any, samples: Any, *, progress: Any, left_out: Any, full: int) -> list[Any]:
        del model, batches
        assert full == 2
        progress(1)
        return [{**sample, **one_image(k)} for k, sample in enumerate(samples) if not left_out[k]]

    monkeypatch.setattr(shared_detections, "detect_dataset", detect)


@pytest.mark.usefixtures("detecting")
def test_the_first_process_has_those_of_all_images_in_their_order(in_processes: InProcesses) -> None:
    def work(own: Processes) -> Any:
        return detect_shared(None, BATCHES, SAMPLES, lambda count: None, Devices(("a", "b", "c"), None, own))  # type: ignore[arg-type]

    first, *others = in_processes(3, work)
    assert others == [None, None]
    assert [(one["image_id"], len(one["scores"])) for one in first] == [(k, k) for k in range(5)]


@pytest.mark.parametrize("asked", [0, 1])
@pytest.mark.usefixtures("detecting")
def test_a_signal_during_an_evaluation_is_what_stops_all(in_processes: InProcesses, asked: int) -> None:
    """Else the run would end with status 0, and a scheduler would not start it again."""

    def work(own: Processes) -> tuple[bool, int | None]:
        request = SharedStop(own)
        own.broadcast(lambda: None)
        request.number = signal.SIGTERM if own.index == asked else None

        def measure(progress: Callable[[int], None]) -> Any:
            return detect_shared(None, BATCHES, SAMPLES, progress, Devices(("a", "b"), None, own))  # type: ignore[arg-type]

        callback = EvaluateMetric(measure, every=1, epochs=1, request=request)
        network = keras.Sequential([keras.Input((1,)), keras.layers.Dense(1)])
        network.compile("sgd", loss="mse")
        network.stop_training = False
        callback.set_model(network)
        callback.on_epoch_end(0, {})
        return network.stop_training, request.stopped_by

    assert in_processes(2, work) == [(True, signal.SIGTERM)] * 2


@pytest.mark.usefixtures("detecting")
def test_all_give_up_where_one_does(in_processes: InProcesses) -> None:
    def work(own: Processes) -> bool:
        def progress(count: int) -> None:
            if own.index == 1:
                raise GivenUpError

        with pytest.raises(GivenUpError):
            detect_shared(None, BATCHES, SAMPLES, progress, Devices(("a", "b"), None, own))  # type: ignore[arg-type]
        return True

    assert in_processes(2, work) == [True, True]
