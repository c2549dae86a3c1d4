from __future__ import annotations

from typing import get_args

import pytest

from keras_retinanet.assigners import ASSIGNERS, assigner_constants
from keras_retinanet.config import AssignerConfig, AssignerName


def test_names_of_the_flags_are_those_of_the_table() -> None:
    assert get_args(AssignerName) == tuple(ASSIGNERS)


def test_constants_are_those_of_the_assigner() -> None:
    thresholds = {"positive_iou": 0.6, "negative_iou": 0.3, "use_force_match": True, "forced_box": "best"}
    assert assigner_constants(AssignerConfig(0.6, 0.3, True)) == thresholds
    assert assigner_constants(AssignerConfig(assigner="atss", nearest_cells=5)) == {"nearest_cells": 5}


def test_a_constant_of_another_assigner_is_refused_by_name() -> None:
    with pytest.raises(ValueError, match=r"--positive-iou 0\.6 .* atss, which has: --atss-nearest-cells"):
        assigner_constants(AssignerConfig(0.6, assigner="atss"))
    with pytest.raises(ValueError, match=r"--atss-nearest-cells 5 .* iou_threshold"):
        assigner_constants(AssignerConfig(nearest_cells=5))
