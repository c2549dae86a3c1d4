"""How long does a training step take? ResNet-50, 80 classes, two images of 512 x 512, eight boxes each, CPU.

    python benchmarks/training_step.py [--dtypes float32 bfloat16] [--repeats 3] [--compile] [--profile]

Matching, forward pass, both losses, gradients and an SGD step, all weights trained, beside keras-hub's RetinaNet and
one in plain PyTorch (channels last). keras-hub runs without XLA unless `--compile`, which also adds `torch.compile`.
`--profile` tells how the time of ours is spent: each row does what the row above does, and more.
"""

from __future__ import annotations

import argparse
from functools import partial
from typing import Any

import numpy as np
from models import make_keras_hub, make_ours, set_precision
from timing import Run, interleave, interleave_processes, print_table

K = 80


def make_targets(batch: int, size: tuple[int, int]) -> dict[str, np.ndarray]:
    """Eight boxes in each image, as `fit` takes them."""
    rng = np.random.default_rng(0)
    sides = np.array([size[1], size[0]])
    corner = rng.uniform(0, 0.6, (batch, 8, 2)) * sides
    boxes = np.concatenate([corner, corner + rng.uniform(1 / 16, 0.4, (batch, 8, 2)) * sides], axis=-1)
    return {
        "boxes": boxes.astype("float32"),
        "labels": rng.integers(0, K, (batch, 8)).astype("int32"),
        "ignore": np.zeros((batch, 8), bool),
        "size": np.tile(np.float32(size), (batch, 1)),
        "image_index": np.arange(batch, dtype="int32"),
    }


def make_batch(batch: int, side: int) -> tuple[np.ndarray, dict[str, np.ndarray]]:
    """Images `(B, side, side, 3)` of noise, and their targets."""
    images = np.random.default_rng(1).uniform(0, 255, (batch, side, side, 3))
    return images.astype("float32"), make_targets(batch, (side, side))


def step_ours(dtype: str, batch: int, side: int) -> Run:
    import keras
    import tensorflow as tf

    set_precision(dtype)
    model = make_ours(K)
    model.compile(keras.optimizers.SGD(1e-4, momentum=0.9))
    images, targets = make_batch(batch, side)
    images, targets = tf.constant(images), {name: tf.constant(value) for name, value in targets.items()}
    return lambda: f"loss {float(model.train_on_batch(images, targets, return_dict=True)['loss']):.3f}"


def step_keras_hub(dtype: str, batch: int, side: int, jit: bool = False) -> Run:
    import keras
    import tensorflow as tf

    set_precision(dtype)
    model = make_keras_hub(K, (side, side))
    model.compile(
        keras.optimizers.SGD(1e-4, momentum=0.9),
        box_loss=keras.losses.Huber(delta=1 / 9, reduction="sum"),
        classification_loss=keras.losses.BinaryFocalCrossentropy(
            apply_class_balancing=True, from_logits=True, reduction="sum"
        ),
        jit_compile=jit,
    )
    images, targets = make_batch(batch, side)
    boxes, labels = targets["boxes"][..., [1, 0, 3, 2]], targets["labels"].astype("float32")
    images, targets = tf.constant(images), {"boxes": tf.constant(boxes), "labels": tf.constant(labels)}
    step = partial(keras.Model.train_on_batch, model)  # its own override takes no dict of targets
    return lambda: f"loss {float(step(images, targets, return_dict=True)['loss']):.3f}"


def step_torch(dtype: str, batch: int, side: int, compiles: bool = False) -> Run:
    import torch
    from torch_retinanet import TorchRetinaNet, compute_loss, make_anchors

    model: Any = TorchRetinaNet(K).train().to(memory_format=torch.channels_last)
    optimizer = torch.optim.SGD(model.parameters(), lr=1e-4, momentum=0.9)
    images, targets = make_batch(batch, side)
    boxes, labels = (list(torch.from_numpy(targets[name])) for name in ("boxes", "labels"))
    labels, anchors = [label.long() for label in labels], torch.cat(make_anchors(side, side))
    images = torch.from_numpy(images).permute(0, 3, 1, 2)  # NHWC in memory: channels last
    network = torch.compile(model) if compiles else model

    def run() -> str:
        optimizer.zero_grad()
        with torch.autocast("cpu", torch.bfloat16, enabled=dtype == "bfloat16"):
            deltas, logits = network(images)
        loss = compute_loss(logits, deltas, anchors, boxes, labels)
        loss.backward()
        optimizer.step()
        return f"loss {loss.item():.3f}"

    return run


def profile(dtype: str, batch: int, side: int, repeats: int) -> None:
    """Prints how the time of ours grows from the network alone to a whole step."""
    import keras
    import tensorflow as tf

    set_precision(dtype)
    model = make_ours(K)
    model.compile(keras.optimizers.SGD(1e-4, momentum=0.9))
    images, targets = make_batch(batch, side)
    images, targets = tf.constant(images), {name: tf.constant(value) for name, value in targets.items()}
    weights = model.trainable_variables

    def forward(network: Any) -> Any:
        return [tf.reduce_sum(tf.cast(value, tf.float32)) for value in tf.nest.flatten(network(images, training=True))]

    def loss() -> Any:
        return model.compute_loss(images, targets, model(images, training=True))

    def gradients(value: Any, sources: Any) -> Any:
        with tf.GradientTape() as tape:
            value = value()
        return [tf.reduce_sum(gradient) for gradient in tape.gradient(value, [source.value for source in sources])]

    def pyramid(x: Any, training: bool) -> Any:
        return model.neck(model.backbone(x, training=training), training=training)

    parts = {
        "backbone": lambda: forward(model.backbone),
        "backbone and pyramid": lambda: forward(pyramid),
        "network": lambda: forward(model),
        "and assigner and loss": loss,
        "and gradients": lambda: gradients(loss, weights),
    }
    runs: dict[str, Run] = {name: partial(_finish, tf.function(part)) for name, part in parts.items()}
    runs["the whole step"] = lambda: model.train_on_batch(images, targets, return_dict=True)
    print_table(interleave(runs, repeats), ours="the whole step")


def _finish(part: Any) -> None:
    import tensorflow as tf

    for tensor in tf.nest.flatten(part()):
        tensor.numpy()


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--dtypes", nargs="+", default=["float32", "bfloat16"], choices=["float32", "bfloat16"])
    parser.add_argument("--side", type=int, default=512)
    parser.add_argument("--batch", type=int, default=2)
    parser.add_argument("--repeats", type=int, default=3)
    parser.add_argument("--compile", action="store_true", help="peers compiled, too")
    parser.add_argument("--profile", action="store_true", help="only ours, part by part")
    options = parser.parse_args()
    for dtype in options.dtypes:
        print(f"\n{dtype}, {options.batch} x {options.side} x {options.side}, one training step")
        setting = (dtype, options.batch, options.side)
        if options.profile:
            profile(*setting, options.repeats)
            continue
        makers = {
            "ours": partial(step_ours, *setting),
            "keras-hub": partial(step_keras_hub, *setting),
            "PyTorch": partial(step_torch, *setting),
        }
        if options.compile:
            makers["keras-hub, XLA"] = partial(step_keras_hub, *setting, jit=True)
            makers["PyTorch, compiled"] = partial(step_torch, *setting, compiles=True)
        print_table(interleave_processes(makers, options.repeats), ours="ours")


if __name__ == "__main__":
    main()
