"""Frozen batch normalisation: running statistics of the pretraining are kept (paper §4.1 trains on 2 images a GPU)."""

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
    """Makes every batch normalisation run in inference mode, also in training, and takes its weights out of training.

    The state is each layer's own `trainable`, which saving keeps. Setting `model.trainable = True` would undo it.

    Args:
        model: Changed in place. A compiled model has to be compiled again.
    """
    for layer in batch_norm_layers(model):
        layer.trainable = False
