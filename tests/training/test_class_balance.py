from __future__ import annotations

from typing import Any

import numpy as np
import pytest

from keras_retinanet.config import LossConfig
from keras_retinanet.training.class_balance import balance_classes

SAMPLES: Any = [
    {"labels": np.array([0, 1, 1], np.int32), "ignore": np.array([False, False, True])},
    {"labels": np.array([], np.int32), "ignore": np.array([], bool)},
    {"labels": np.array([1], np.int32), "ignore": np.array([False])},
]
"""One box of the first class, two of the second, an ignore region and an image without boxes."""


def test_weights_come_from_the_boxes_and_are_printed() -> None:
    lines: list[str] = []
    config = LossConfig(class_balance="effective_number", balance_beta=0.5)
    found = balance_classes(config, SAMPLES, ["ant", "bee"], lines.append)
    assert found.class_weights == pytest.approx((1.2, 0.8))  # effective numbers 1 and 1.5
    assert lines == ["class balance by effective number: ant 1.2, bee 0.8"]


def test_nothing_is_done_without() -> None:
    assert balance_classes(LossConfig(), [], ["ant"], pytest.fail) == LossConfig()
