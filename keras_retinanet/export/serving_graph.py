"""A TensorFlow graph from encoded images to boxes in their own pixels, for servers.

It uses only TensorFlow ops that every runtime has: no Python functions, nothing that must be compiled. EXIF orientation
is applied if the model's rule says so; boxes then refer to the image as it is shown.
"""

from __future__ import annotations

import functools
from collections.abc import Callable

import tensorflow as tf

from keras_retinanet.config import Winograd
from keras_retinanet.conv_gradients import direct_convolutions
from keras_retinanet.data.exif_graph import orientation_in_graph, turn_in_graph
from keras_retinanet.data.image import decode, pad, resize_by_rule, resized_dtype, with_end_mark
from keras_retinanet.data.resized_sizes import padded_size
from keras_retinanet.data.resized_sizes_graph import network_scale_tensor, resized_size_tensor
from keras_retinanet.model.detection_model import DetectionModel
from keras_retinanet.runtimes import raw_outputs
from keras_retinanet.schema import Tensor
from keras_retinanet.winograd import use_winograd, winograd_convolutions

EXAMPLE_IMAGE = "image/encoded"
"""Feature of a `tf.train.Example` with the image file, as in TensorFlow's Object Detection API."""


class ServingGraph:
    """A model with all of its pre- and postprocessing.

    The batch is axis 0 of every input and output. Images of a batch may differ in size: each is decoded and resized by
    the model's rule, and all are padded to the smallest common shape.

    Args:
        model: The model; its thresholds are built in.
        winograd: `"auto"` computes large 3x3 convolutions in float32 by Winograd's algorithm. Defaults to `"off"`.

    Raises:
        ValueError: No convolution can be computed so.
    """

    def __init__(self, model: DetectionModel, winograd: Winograd = "off") -> None:
        self.model = model
        self._convolutions = direct_convolutions
        if winograd != "off":
            if not use_winograd(model.network, winograd, is_default=False):
                reason = "no 3x3 convolution has 128 channels on both sides, or TensorFlow has a GPU here"
                raise ValueError(f"Winograd's algorithm does not apply to this model: {reason}. Omit --winograd.")
            self._convolutions = winograd_convolutions
        self._resize, self._pad_value = model.network.resize_config, model.network.pad_value
        # No Python conditions on tensors: nothing for AutoGraph to translate.
        self._signature = functools.partial(tf.function, autograph=False)
        files = [tf.TensorSpec((None,), tf.string, "image_bytes")]
        batch = [tf.TensorSpec((None, None, None, 3), tf.float32), tf.TensorSpec((None, 2), tf.float32)]
        # Signatures call these, instead of each holding a copy.
        self._detect_encoded = self._signature(self.detect_encoded, input_signature=files)
        self._run_model = self._signature(self._find, input_signature=batch)

    @property
    def signatures(self) -> dict[str, Callable[..., dict[str, Tensor]]]:
        """Name of a signature → its function, with an input signature."""
        examples = tf.TensorSpec((None,), tf.string, "examples")
        pixels = tf.TensorSpec((None, None, None, 3), tf.uint8, "images")
        prepared = tf.TensorSpec((None, None, None, 3), tf.float32, "images")
        functions: dict[str, tuple[Callable[..., dict[str, Tensor]], tf.TensorSpec]] = {
            "tf_example": (self.detect_examples, examples),
            "image_tensor": (self.detect_pixels, pixels),
            "raw_outputs": (self.predict_raw, prepared),
        }
        return {"serving_default": self._detect_encoded} | {
            name: self._signature(function, input_signature=[spec]) for name, (function, spec) in functions.items()
        }

    def detect_encoded(self, image_bytes: Tensor) -> dict[str, Tensor]:
        """Detects in image files.

        Args:
            image_bytes: `(B,)` string. JPEG (one without its last bytes as far as it goes), PNG, BMP, GIF (first
                frame) or WebP files.

        Returns:
            `boxes (B, D, 4)` float32 in pixels of each image, `scores (B, D)` float32, `labels (B, D)` int32 and
            `class_names (B, D)` string, padded with -1 and "", and `num_detections (B,)` int32.
        """

        def load(index: Tensor) -> Tensor:
            is_there = tf.strings.length(image_bytes[index]) > 0
            check = tf.debugging.Assert(is_there, ["image", index, "of the request is empty; send the bytes of a file"])
            with tf.control_dependencies([check]):
                content = tf.identity(image_bytes[index])
            image = decode(with_end_mark(content), self._resize.bit_depth)
            return turn_in_graph(image, orientation_in_graph(content)) if self._resize.exif == "apply" else image

        return self._detect(load, tf.shape(image_bytes)[0])

    def detect_examples(self, examples: Tensor) -> dict[str, Tensor]:
        """Detects in serialised `tf.train.Example`s `(B,)` with the image file in `image/encoded`."""
        feature = {EXAMPLE_IMAGE: tf.io.FixedLenFeature((), tf.string)}
        return self._detect_encoded(tf.io.parse_example(examples, feature)[EXAMPLE_IMAGE])

    def detect_pixels(self, images: Tensor) -> dict[str, Tensor]:
        """Detects in images of one size, `(B, H, W, 3)` uint8 RGB."""
        return self._detect(lambda index: images[index], tf.shape(images)[0])

    def predict_raw(self, images: Tensor) -> dict[str, Tensor]:
        """`schema.RawOutputs` for resized and padded images `(B, H, W, 3)` float32."""
        with self._convolutions():
            predictions = self.model.network(images, training=False)
        return raw_outputs(predictions)

    def _detect(self, load: Callable[[Tensor], Tensor], count: Tensor) -> dict[str, Tensor]:
        with tf.control_dependencies([tf.debugging.Assert(count > 0, ["the request has no images"])]):
            count = tf.identity(count)
        images, sizes, given, scale = self._prepare_batch(load, count)
        found = self._run_model(images, sizes)
        limit = tf.reverse(given, [1])  # (B, 2) width, height
        boxes = found["boxes"] / tf.tile(tf.reverse(scale, [1]), (1, 2))[:, None]
        boxes = tf.clip_by_value(boxes, 0.0, tf.tile(limit, (1, 2))[:, None])
        labels = found["labels"]
        names = tf.constant([*self.model.class_names, ""])
        return {
            "boxes": tf.where((labels >= 0)[..., None], boxes, -1.0),
            "scores": found["scores"],
            "labels": labels,
            "class_names": tf.gather(names, tf.where(labels >= 0, labels, len(self.model.class_names))),
            "num_detections": found["num_detections"],
        }

    def _find(self, images: Tensor, sizes: Tensor) -> dict[str, Tensor]:
        with self._convolutions():
            found: dict[str, Tensor] = self.model({"images": images, "sizes": sizes})
        return found

    def _prepare_batch(self, load: Callable[[Tensor], Tensor], count: Tensor) -> tuple[Tensor, ...]:
        """Decodes and resizes images, and pads them to one shape.

        Returns:
            Network input `(B, H, W, 3)`; and `(B, 2)` y, x each: the sizes before padding, those before resizing, and
            the scales.
        """
        kind = resized_dtype(self._resize)
        pixels = tf.TensorArray(kind, count, element_shape=(None, None, 3), infer_shape=False)
        sizes, given = (tf.TensorArray(tf.int32, count, element_shape=(2,)) for _ in range(2))
        scales = tf.TensorArray(tf.float64, count, element_shape=(2,))

        def shrink(index: Tensor, *arrays: tf.TensorArray) -> tuple[Tensor, ...]:
            image = load(index)
            old = tf.shape(image)[:2]
            new = resized_size_tensor(old, self._resize)
            values = (resize_by_rule(image, new, self._resize), new, old, network_scale_tensor(new, old, self._resize))
            return index + 1, *(array.write(index, value) for array, value in zip(arrays, values, strict=True))

        start = (tf.constant(0), pixels, sizes, given, scales)
        _, pixels, sizes, given, scales = tf.while_loop(
            lambda index, *_: index < count, shrink, start, parallel_iterations=8
        )
        all_sizes = sizes.stack()
        largest = tf.reduce_max(all_sizes, axis=0)
        shape = tf.stack(padded_size(largest[0], largest[1], self._resize))
        images = tf.map_fn(
            lambda index: pad(pixels.read(index), shape, self._pad_value),
            tf.range(count),
            fn_output_signature=tf.TensorSpec((None, None, 3), tf.float32),
        )
        return images, *(tf.cast(values, tf.float32) for values in (all_sizes, given.stack(), scales.stack()))
