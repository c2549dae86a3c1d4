"""Pointwise operations of a training step, joined and compiled by XLA where that is faster: in bfloat16 on a CPU.

TensorFlow's own kernels compute bfloat16 one number at a time; gradients of ReLUs, sums of gradients, the loss, and the
casts and products of the optimizer then take a third of a step. Convolutions and the graphs of evaluations stay as they
are.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import Any

import keras

from keras_retinanet.config import TrainConfig
from keras_retinanet.config.durations import parse_duration
from keras_retinanet.config.xla_flags import has_clusters
from keras_retinanet.data.pipeline import TrainingBatches
from keras_retinanet.training.devices import Devices
from keras_retinanet.training.half_precision import has_accelerator

LEAST_WEIGHTS, LEAST_STEPS = 2_000_000, 500
"""What `clusters_pay` asks of a run."""

LEAST_SECONDS = 600
"""Time for each shape of the batches from which a run has `LEAST_STEPS`, as long as its epochs are not known."""


def join_pointwise(config: TrainConfig, model: keras.Model, batches: TrainingBatches, devices: Devices) -> bool:
    """Joins the pointwise operations of the steps where that pays; alike in a run and in what resumes it.

    Args:
        config: All settings.
        model: keras.Model. That of the run.
        batches: Its batches.
        devices: Those that train; only one has clusters.

    Returns:
        Whether its steps have clusters.
    """
    shapes = len(batches.batch_shapes)
    if config.time is None:
        steps: float = config.epochs * batches.steps_per_epoch
    else:
        steps = math.inf if parse_duration(config.time) >= LEAST_SECONDS * shapes else 0
    is_suitable = config.mixed_precision == "bfloat16" and devices.distribution is None
    pays = is_suitable and clusters_pay(model.count_params(), steps, shapes)
    return pays and use_clusters(model)


def clusters_pay(weights: int, steps: float, shapes: int) -> bool:
    """Whether a run is long and its network large enough.

    Compiling takes 15 to 20 s of CPU time for each shape of the batches. Measured with AMX: a step of MobileNet takes
    0.05 s less then and one of ResNet-50 0.2 s; one of the demo's network, with a million weights, takes as long.

    Args:
        weights: Numbers in all variables of the model.
        steps: Steps of the run.
        shapes: Shapes of its batches.

    Returns:
        Whether compiling pays.
    """
    return weights >= LEAST_WEIGHTS and steps >= LEAST_STEPS * shapes


def use_clusters(model: keras.Model) -> bool:
    """Lets the training steps of a model run with clusters, where `config.xla_flags.allow_clusters` was called.

    Args:
        model: keras.Model. It computes in bfloat16, and may be compiled; what it saves is unchanged.

    Returns:
        Whether its steps will: with TensorFlow, on a CPU.
    """
    if keras.backend.backend() != "tensorflow" or not has_clusters() or has_accelerator():
        return False
    make = model.make_train_function

    def make_train_function(force: bool = False) -> None:
        former = model.train_function
        make(force)
        if model.train_function is not former:
            model.train_function = _clustered(model.train_function)

    model.make_train_function = make_train_function
    model.train_function = None
    return True


def _clustered(step: Callable[[Any], Any]) -> Callable[[Any], Any]:
    def run(*arguments: Any) -> Any:
        with _autoclustering():
            return step(*arguments)

    return run


@contextmanager
def _autoclustering() -> Iterator[None]:
    """Within it, functions are clustered; those that run outside are not."""
    import tensorflow as tf

    former = tf.config.optimizer.get_jit()
    tf.config.optimizer.set_jit("autoclustering")
    try:
        yield
    finally:
        tf.config.optimizer.set_jit(former)
