"""Backbones with another dtype policy."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import keras

from keras_retinanet.backbones.normalize import Normalize


def with_policy(backbone: keras.Model, policy: Callable[[Any], str]) -> keras.Model:
    """A copy of a backbone whose layers have other dtype policies; pixels are normalised in float32 all the same.

    Args:
        backbone: keras.Model. Left as it is.
        policy: Layer → name of its new policy.

    Returns:
        The copy, with the same weights.
    """

    def replace(layer: Any) -> Any:
        if isinstance(layer, keras.Model):
            return keras.models.clone_model(layer, clone_function=replace)
        config = layer.get_config()
        if isinstance(layer, keras.Layer) and not isinstance(layer, Normalize):  # plain operations follow their inputs
            config["dtype"] = policy(layer)
        return layer.__class__.from_config(config)

    copy = keras.models.clone_model(backbone, clone_function=replace)
    copy.set_weights(backbone.get_weights())
    return copy
