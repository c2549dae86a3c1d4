"""Files that the operations of a graph do not decode, decoded inside of one."""

from __future__ import annotations

import io
from typing import Any

import numpy as np
import tensorflow as tf
from PIL import Image

from keras_retinanet.data.decode_file import UNDECODED
from keras_retinanet.data.decode_in_graph import decode_file_in_graph

PIXELS = np.random.default_rng(0).integers(0, 256, (9, 12, 3), np.uint8)


def saved(kind: str) -> bytes:
    file = io.BytesIO()
    Image.fromarray(PIXELS).save(file, kind)
    return file.getvalue()


def test_pixels_reason_and_note() -> None:
    seen: list[tuple[bytes, bool]] = []

    @tf.function
    def run(content: Any) -> Any:
        return decode_file_in_graph(content, tf.constant("a"), lambda name, one: seen.append((name, one.is_cut_off)))

    pixels, reason = run(tf.constant(saved("TIFF")))
    np.testing.assert_array_equal(pixels, PIXELS)
    assert reason.numpy() == b""
    assert run(tf.constant(b"hello"))[1].numpy().decode() == UNDECODED
    run(tf.constant(saved("JPEG")[:-2]))
    assert seen == [(b"a", False), (b"a", False), (b"a", True)]
