"""Frozen batch normalisation keeps the running statistics of pretraining (paper §4.1 trains on 2 images per GPU)."""

from __future__ import annotations

from collections.abc import Iterator

import keras


def batch_norm_layers(model: keras.Model) -> Iterator[keras.layers.BatchNormalization]:
    """Every batch normalisation of a model, those of nested models included."""
    for layer in model.layers:
        if isinstance(layer, keras.layers.BatchNormalization):
            yield layer
        elif isinstance(layer, keras.Model):
            yield from batch_norm_layers(layer)


def freeze_batch_norm(model: keras.Model) -> None:
    """Runs every batch normalisation in inference mode, also during training, with its weights not trainable.

    The state is each layer's own `trainable`, which saving keeps. Setting `model.trainable = True` would undo it.

    Args:
        model: Changed in place. A compiled model has to be compiled again.
    """
    for layer in batch_norm_layers(model):
        layer.trainable = False
