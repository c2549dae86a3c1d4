"""What of an OpenVINO model becomes int8, on a graph made by hand; and NNCF's answer, where it is installed."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest

from keras_retinanet.export.openvino_int8 import quantised_names

pytest.importorskip("openvino", reason="OpenVINO is not installed")


@pytest.fixture(scope="module")
def model() -> Any:
    """Shifted pixels; two convolutions, their sum with a shift; the last of both heads; a pool after the network."""
    import openvino
    from openvino import opset13 as ov

    rng = np.random.default_rng(0)

    def convolve(value: Any, name: str) -> Any:
        kernel = ov.constant(rng.normal(0, 0.5, (3, 3, 1, 1)).astype(np.float32))
        return ov.convolution(value, kernel, [1, 1], [0, 0], [0, 0], [1, 1], name=name)

    images = ov.parameter([1, 3, 8, 8], np.float32, name="images")
    shifted = ov.add(images, ov.constant(np.float32(-1)), name="pixels")
    first = ov.relu(convolve(shifted, "conv1"), name="relu1")
    total = ov.add(first, convolve(first, "conv2"), name="sum")
    shifted = ov.add(total, ov.constant(np.float32(2)), name="shift")
    logits = ov.multiply(convolve(shifted, "classes"), ov.constant(np.float32(3)), name="scaled")
    deltas = convolve(shifted, "deltas")
    boxes = ov.max_pool(ov.relu(logits, name="after"), [1, 1], [1, 1], [0, 0], [0, 0], [8, 8])
    built = openvino.Model([logits.output(0), deltas.output(0), boxes.output(0)], [images])
    for value, name in zip(built.outputs, ("logits", "deltas", "boxes"), strict=True):
        value.get_tensor().set_names({name})
    return built


def test_the_network_alone_becomes_int8(model: Any) -> None:
    """Neither what prepares pixels, nor the last convolution of the boxes, nor what follows the last ones."""
    assert sorted(quantised_names(model)) == ["classes", "conv1", "conv2", "relu1", "sum"]
