"""The half precision of a run by the machine it runs on."""

from __future__ import annotations

from types import SimpleNamespace
from typing import Any

import keras
import pytest

from keras_retinanet.config import TrainConfig
from keras_retinanet.config.names import MixedPrecision
from keras_retinanet.training import half_precision
from keras_retinanet.training.devices import Devices
from keras_retinanet.training.half_precision import (
    fast_half_precision,
    gpu_capability,
    has_accelerator,
    join_pointwise,
)


@pytest.mark.parametrize(
    ("accelerator", "processor", "capability", "expected"),
    [
        (False, True, None, "bfloat16"),
        (False, False, None, "none"),
        (True, False, (8, 0), "bfloat16"),
        (True, True, (7, 5), "float16"),  # a T4 emulates bfloat16
        (True, False, None, "bfloat16"),  # a TPU, or a GPU of another backend
    ],
)
def test_what_each_machine_gets(
    accelerator: bool,
    processor: bool,
    capability: tuple[int, int] | None,
    expected: MixedPrecision,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr(half_precision, "has_accelerator", lambda: accelerator)
    monkeypatch.setattr(half_precision, "computes_bfloat16", lambda: processor)
    monkeypatch.setattr(half_precision, "gpu_capability", lambda: capability)
    assert fast_half_precision() == expected


def test_a_machine_without_an_accelerator_has_no_capability() -> None:
    if has_accelerator():
        pytest.skip("this machine has one")
    assert gpu_capability() is None


@pytest.mark.parametrize(
    ("changes", "shapes", "weights", "expected"),
    [
        ({}, 2, 2_000_000, True),  # 5 epochs of 200 steps: 500 for each shape
        ({}, 3, 2_000_000, False),
        ({"epochs": 4}, 2, 2_000_000, False),
        ({"epochs": 4, "time": "20m"}, 2, 2_000_000, True),  # its epochs are not known yet
        ({}, 2, 1_999_999, False),
        ({"mixed_precision": "none"}, 2, 2_000_000, False),
    ],
)
def test_long_runs_of_large_networks_in_bfloat16_have_clusters(
    changes: dict[str, Any], shapes: int, weights: int, expected: bool, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(half_precision, "use_clusters", lambda model: True)
    model = keras.Sequential([keras.Input((1,)), keras.layers.Dense(weights, use_bias=False)])
    batches: Any = SimpleNamespace(steps_per_epoch=200, batch_shapes=[(64, 64)] * shapes)
    config = TrainConfig(**{"mixed_precision": "bfloat16", "epochs": 5, **changes})
    assert join_pointwise(config, model, batches, Devices()) is expected
    assert not join_pointwise(config, model, batches, Devices(("a", "b"), distribution=object()))
