"""Published weights of `keras.applications`: fetched and read by Keras itself, then carried over layer by layer."""

from __future__ import annotations

import os
import re
import warnings
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

import keras

from keras_retinanet.backbones.weights import load_keras_weights

CarryOver = Callable[[keras.Model, keras.Model], None]
"""From the application, without its classifier, to the backbone."""


@dataclass(frozen=True)
class ApplicationWeights:
    """`PublishedWeights` of a network of `keras.applications`.

    Args:
        application: Builds it; takes `include_top`, `weights` and `input_shape`.
        carry_over: Puts the weights of the built application into the backbone.
    """

    application: Callable[..., keras.Model]
    carry_over: CarryOver

    def load_imagenet(self, backbone: keras.Model) -> None:
        """Downloads, or finds in Keras' cache, the ImageNet weights without classifier.

        Args:
            backbone: Changed in place.

        Raises:
            OSError: Without a connection; names the file, its address and the folder to put it into.
        """
        try:
            source = self._build(weights="imagenet")
        except Exception as error:  # Keras raises a bare Exception
            failure = re.search(r"URL fetch failure on (\S+):", str(error))
            if failure is None:
                raise
            raise OSError(_offline_message(backbone.name, failure.group(1))) from error
        self.carry_over(source, backbone)

    def load_file(self, backbone: keras.Model, path: Path) -> None:
        """Reads weights that the application itself would load.

        Args:
            backbone: Changed in place.
            path: HDF5 file of Keras 2 or 3 without the classifier.

        Raises:
            ValueError: The file holds something else.
        """
        source = self._build(weights=None)
        source.name = backbone.name  # for messages
        load_keras_weights(source, path)
        self.carry_over(source, backbone)

    def _build(self, weights: str | None) -> keras.Model:
        with warnings.catch_warnings():
            # The same weights serve every image size, which is what the warning says.
            warnings.filterwarnings("ignore", message="`input_shape` is undefined or non-square")
            return self.application(include_top=False, weights=weights, input_shape=(None, None, 3))


def _offline_message(name: str, address: str) -> str:
    folder = Path(os.environ.get("KERAS_HOME", "~/.keras")).expanduser() / "models"
    file = address.rpartition("/")[2]
    return (
        f"The ImageNet weights of {name!r} cannot be downloaded from {address}. On a machine without internet put the "
        f"file {file!r} into {str(folder)!r}, or give its path as `weights`; `none` starts from random weights."
    )


def weighted_layers(model: keras.Model) -> dict[str, keras.layers.Layer]:
    """Layers of a model that have weights, by name."""
    return {layer.name: layer for layer in model.layers if layer.weights}


def copy_by_name(source: keras.Model, target: keras.Model) -> None:
    """Carries weights over between two models whose weighted layers have the same names.

    One layer may have a name that Keras numbers per model (ConvNeXt's last normalisation).

    Args:
        source: The application.
        target: The backbone.

    Raises:
        ValueError: The layers differ.
    """
    sources, targets = weighted_layers(source), weighted_layers(target)
    pairs = [(sources.pop(name), targets.pop(name)) for name in list(targets) if name in sources]
    if len(sources) != len(targets) or len(targets) > 1:
        raise ValueError(f"{target.name!r} has the layers {list(targets)} where its source has {list(sources)}.")
    pairs += zip(sources.values(), targets.values(), strict=True)
    for origin, layer in pairs:
        layer.set_weights(origin.get_weights())
