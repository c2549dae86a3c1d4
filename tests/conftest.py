"""Fixtures of the whole suite: where reference data may stand, and a fixed seed for every test."""

from __future__ import annotations

import os
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

os.environ.setdefault("TF_CPP_MIN_LOG_LEVEL", "2")
os.environ.setdefault("CUDA_VISIBLE_DEVICES", "-1")  # figures of the tests are those of the CPU
os.environ.setdefault("MPLBACKEND", "Agg")

SHARED = Path(__file__).resolve().parents[2] / "shared"


@pytest.fixture(scope="session")
def shared() -> Callable[[str], Path]:
    """Path of reference data beside the checkout; skips the test where they are absent."""

    def find(name: str) -> Path:
        path = SHARED / name
        if not path.exists():
            pytest.skip(f"reference data {name!r} are not beside this checkout")
        return path

    return find


@pytest.fixture(scope="session")
def small_model() -> Callable[[], Any]:
    """Makes a network of two classes for images of 64 to 96 px, whose random scores spread around one half."""
    import keras
    import numpy as np

    from keras_retinanet import build
    from keras_retinanet.config import AnchorConfig, ModelConfig, ResizeConfig

    def make() -> Any:
        keras.utils.set_random_seed(2)
        model = build(
            ModelConfig("resnet10_050", "none", 3, 5, fpn_width=32, head_width=32, head_depth=1),
            class_names=["ant", "bee"],
            anchors=AnchorConfig((16.0, 32.0, 64.0), (8, 16, 32)),
            resize=ResizeConfig(64, 96),
        )
        final = model.class_head.finals[0]
        kernel, bias = final.get_weights()
        final.set_weights([np.random.default_rng(5).normal(0, 0.3, kernel.shape), 0 * bias])
        return model

    return make


@pytest.fixture(autouse=True)
def _seeded() -> None:
    """The same random numbers in every test, whatever ran before it."""
    import keras

    keras.utils.set_random_seed(0)
