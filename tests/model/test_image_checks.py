"""Images of a wrong shape or dtype are named, with the fix, before a model sees them."""

from __future__ import annotations

from typing import Any

import keras
import numpy as np
import pytest
import tensorflow as tf

from keras_retinanet import DetectionModel
from keras_retinanet.model.image_checks import check_data, check_detection_inputs, check_images

IMAGES = np.zeros((2, 64, 96, 3), "float32")
TARGETS = {
    "boxes": np.zeros((2, 1, 4), "float32"),
    "labels": np.full((2, 1), -1, "int32"),
    "ignore": np.zeros((2, 1), "int32"),
    "size": np.array([[64, 96]] * 2, "float32"),
    "image_index": np.arange(2, dtype="int32"),
}


@pytest.mark.parametrize(
    "images",
    [
        IMAGES,
        IMAGES.astype("uint8"),
        IMAGES.astype("float16"),
        [IMAGES],
        {"images": IMAGES},
        keras.Input((None, None, 3)),
        tf.TensorSpec((None, None, None, 3), tf.bfloat16),
        tf.TensorSpec(None, tf.float32),
    ],
)
def test_right_images_pass(images: Any) -> None:
    check_images(images)


@pytest.mark.parametrize(
    ("images", "found", "fix"),
    [
        (
            IMAGES[0],
            "shape (64, 96, 3) and float32",
            "A single image needs a batch axis: images[None], or of a tf.data.",
        ),
        (IMAGES[None], "shape (1, 2, 64, 96, 3) and float32", "There is one axis too many"),
        (IMAGES[..., 0], "shape (2, 64, 96) and float32", "Grey images: np.stack([images] * 3, axis=-1)."),
        (IMAGES[..., :1], "shape (2, 64, 96, 1) and float32", "Grey images: np.repeat(images, 3, axis=-1)."),
        (np.zeros((2, 64, 96, 4)), "shape (2, 64, 96, 4) and float64", "With an alpha channel: images[..., :3]."),
        (
            np.moveaxis(IMAGES, -1, 1),
            "shape (2, 3, 64, 96) and float32",
            "Channels come last: np.moveaxis(images, 1, -1)",
        ),
        (np.zeros((2, 64, 96, 7)), "shape (2, 64, 96, 7) and float64", "Axes are batch, height, width and channels."),
        (IMAGES[:0], "shape (0, 64, 96, 3) and float32", "There are none"),
        (IMAGES > 0, "shape (2, 64, 96, 3) and bool", "Values are integers or floating-point numbers."),
        (IMAGES.astype(str), "shape (2, 64, 96, 3) and <U32", "Values are integers or floating-point numbers."),
        (IMAGES.astype(object), "shape (2, 64, 96, 3) and object", "Images of several sizes do not make an array"),
        (tf.TensorSpec((None, None, 3)), "shape (None, None, 3) and float32", "A single image needs a batch axis"),
        (
            list(IMAGES),
            "images are a list of 2 arrays",
            "Of one shape: np.stack(images); of several: `Detector(model)`.",
        ),
        (IMAGES.tolist(), "images are a list;", "allowed: an array"),
        ("a.jpg", "images are the text 'a.jpg'", "Files are read by `Detector(model).detect(path)`."),
        (None, "images are missing", "allowed: an array"),
    ],
)
def test_what_is_wrong_is_named_with_the_fix(images: Any, found: str, fix: str) -> None:
    with pytest.raises(ValueError) as caught:  # noqa: PT011
        check_images(images)
    assert found in str(caught.value)
    assert fix in str(caught.value)
    assert "(B, H, W, 3), RGB in 0–255" in str(caught.value)


def test_data_sets_are_checked_by_what_they_say_of_themselves() -> None:
    check_data(iter([IMAGES[0]]))  # by the model, when it comes
    check_data(tf.data.Dataset.from_tensors((IMAGES, TARGETS)))
    with pytest.raises(ValueError, match=r"\(64, 96, 3\).*`\.batch\(8\)`"):
        check_data(tf.data.Dataset.from_tensor_slices(IMAGES))


@pytest.mark.parametrize(
    ("inputs", "message"),
    [
        ({"images": IMAGES, "sizes": np.zeros(2)}, r"inputs\['sizes'\] has the shape \(2,\); allowed: \(B, 2\)"),
        ({"images": IMAGES}, "inputs are 'images'; allowed: images, or a dict of 'images' and 'sizes'"),
        ({"image": IMAGES, "sizes": np.zeros((2, 2))}, "inputs are 'image', 'sizes'; allowed"),
    ],
)
def test_images_with_sizes_are_named(inputs: Any, message: str) -> None:
    check_detection_inputs({"images": IMAGES, "sizes": [[64, 96], [60, 90]]})
    with pytest.raises(ValueError, match=message):
        check_detection_inputs(inputs)


def test_every_way_into_a_model_checks(small_network: Any) -> None:
    """None of them computes anything; Keras adds nothing to the message."""
    model = small_network()
    model.compile(keras.optimizers.SGD(0.01))
    detector = DetectionModel(model)
    one = {name: value[0] for name, value in TARGETS.items()}
    unbatched = tf.data.Dataset.from_tensors((IMAGES[0], one))
    for call in (
        lambda: model.fit(unbatched, verbose=0),
        lambda: model.fit(iter([(IMAGES[0], one)]), verbose=0),
        lambda: model.fit(IMAGES[0], one, verbose=0),
        lambda: model.evaluate(unbatched, verbose=0),
        lambda: model.train_on_batch(IMAGES[0], one),
        lambda: model(IMAGES[0]),
        lambda: model.predict(IMAGES[0], verbose=0),
        lambda: model.predict(unbatched, verbose=0),
        lambda: detector(IMAGES[0]),
        lambda: detector.predict(IMAGES[0], verbose=0),
        lambda: detector.predict({"images": IMAGES[0], "sizes": TARGETS["size"]}, verbose=0),
        lambda: detector.predict_on_batch(IMAGES[0]),
    ):
        with pytest.raises(ValueError, match=r"^images are an array of shape \(64, 96, 3\) .* images\[None\], or of a"):
            call()
