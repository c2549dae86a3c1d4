"""RGB pixels to what a backbone's weights were trained on: the first layer of every backbone."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any, NamedTuple

import keras
import numpy as np
from keras import ops

from keras_retinanet.schema import Tensor


class PixelStatistics(NamedTuple):
    """Arguments of `Normalize` as one value, so that it can have a name."""

    mean: tuple[float, float, float]
    """R, G, B in 0–255."""
    std: tuple[float, float, float]
    """R, G, B in 0–255."""
    is_bgr: bool = False
    """True if the network takes BGR."""


CAFFE = PixelStatistics((123.68, 116.779, 103.939), (1.0, 1.0, 1.0), is_bgr=True)
"""Mean subtracted, blue first: VGG and ResNet of `keras.applications`, fizyr."""
TF = PixelStatistics((127.5, 127.5, 127.5), (127.5, 127.5, 127.5))
"""-1 … 1: the MobileNets."""
TORCH = PixelStatistics((255 * 0.485, 255 * 0.456, 255 * 0.406), (255 * 0.229, 255 * 0.224, 255 * 0.225))
"""ImageNet's mean and deviation: DenseNet, ConvNeXt, EfficientNetV2-B, torchvision."""
EFFICIENTNET = PixelStatistics(TORCH.mean, (255 * 0.229**1.5, 255 * 0.224**1.5, 255 * 0.225**1.5))
"""EfficientNet B0–B7: their ImageNet weights saw the square root of the deviation divided out once more."""
EFFICIENTNET_V2 = PixelStatistics((128.0, 128.0, 128.0), (128.0, 128.0, 128.0))
"""-1 … 1: EfficientNetV2 S, M, L."""
EFFICIENTNET_LITE = PixelStatistics((127.0, 127.0, 127.0), (128.0, 128.0, 128.0))
"""EfficientNet-Lite."""


@keras.saving.register_keras_serializable(package="keras_retinanet")
class Normalize(keras.layers.Layer):
    """`(x - mean) / std`, then BGR if the network takes that. Float32 under every dtype policy.

    Args:
        mean: Three floats R, G, B in 0–255. Images are padded with it, so that padding is exactly zero afterwards.
        std: Three positive floats R, G, B in 0–255.
        is_bgr: Reverse the channels at the end. Defaults to `False`.

    Raises:
        ValueError: Not three numbers, or a deviation that is not positive.

    Example:
        >>> Normalize(*CAFFE)(np.array([123.68, 116.779, 104.939], "float32"))  # [1, 0, 0]
    """

    def __init__(self, mean: Sequence[float], std: Sequence[float], is_bgr: bool = False, **kwargs: Any) -> None:
        kwargs.setdefault("dtype", "float32")
        super().__init__(**kwargs)
        self.mean = tuple(float(value) for value in mean)
        self.std = tuple(float(value) for value in std)
        self.is_bgr = bool(is_bgr)
        if len(self.mean) != 3 or len(self.std) != 3 or min(self.std) <= 0:
            raise ValueError(
                "`mean` and `std` are three numbers each (R, G, B in 0–255), `std` positive; "
                f"received mean={self.mean}, std={self.std}."
            )

    def call(self, images: Tensor) -> Tensor:
        """Normalised images of the same shape, float32.

        Args:
            images: `(…, 3)` RGB, 0–255.
        """
        shape = ops.shape(images)
        # Whole rows at once: over an innermost axis of three, TensorFlow takes three times as long.
        width = shape[-2] if len(shape) > 1 else 1
        mean, std = (ops.tile(np.asarray(values, np.float32), (width,)) for values in (self.mean, self.std))
        rows = ops.reshape(ops.cast(images, "float32"), (*shape[:-2], 3 * width))
        normalized = ops.reshape((rows - mean) / std, shape)
        return ops.flip(normalized, axis=-1) if self.is_bgr else normalized

    def compute_output_spec(self, images: Any) -> keras.KerasTensor:
        """The images' shape, float32."""
        return keras.KerasTensor(images.shape, dtype="float32")

    def get_config(self) -> dict[str, Any]:
        """Constructor arguments."""
        return super().get_config() | {"mean": list(self.mean), "std": list(self.std), "is_bgr": self.is_bgr}


def normalized_input(statistics: PixelStatistics) -> tuple[keras.KerasTensor, keras.KerasTensor]:
    """The input `images` (B, H, W, 3) of a backbone, and that input after the layer `normalize`.

    Height and width stay open also for networks of fixed size: given them, some applications pad differently.
    """
    images = keras.Input((None, None, 3), name="images")
    return images, Normalize(*statistics, name="normalize")(images)


def pad_value(backbone: keras.Model) -> tuple[float, float, float]:
    """RGB colour in 0–255 that the backbone's normalisation maps to zero.

    Args:
        backbone: A model whose layer `normalize` is a `Normalize`.

    Returns:
        Three floats R, G, B.
    """
    red, green, blue = backbone.get_layer("normalize").mean
    return red, green, blue
