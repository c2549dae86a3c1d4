"""How long does a training step take? ResNet-50, 80 classes, two images of 512 x 512, eight boxes each, CPU.

    python benchmarks/training_step.py [--dtypes float32 bfloat16] [--repeats 3] [--compile]

Matching, forward pass, both losses, gradients and an SGD step, all weights trained, beside keras-hub's RetinaNet and
one in plain PyTorch (channels last). keras-hub runs without XLA unless `--compile`, which also adds `torch.compile`.
"""

from __future__ import annotations

import argparse
from functools import partial
from typing import Any

import numpy as np
from models import make_keras_hub, make_ours, set_precision
from timing import Run, interleave_processes, print_table

K = 80


def make_batch(batch: int, side: int) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """Images, boxes `(B, 8, 4)` and labels `(B, 8)`."""
    rng = np.random.default_rng(0)
    images = rng.uniform(0, 255, (batch, side, side, 3)).astype("float32")
    corner = rng.uniform(0, side * 0.6, (batch, 8, 2))
    boxes = np.concatenate([corner, corner + rng.uniform(side / 16, side * 0.4, (batch, 8, 2))], axis=-1)
    return images, boxes.astype("float32"), rng.integers(0, K, (batch, 8)).astype("int32")


def step_ours(dtype: str, batch: int, side: int) -> Run:
    import keras
    import tensorflow as tf

    set_precision(dtype)
    model = make_ours(K)
    model.compile(keras.optimizers.SGD(1e-4, momentum=0.9))
    images, boxes, labels = make_batch(batch, side)
    targets = {
        "boxes": boxes,
        "labels": labels,
        "ignore": np.zeros(labels.shape, bool),
        "size": np.full((batch, 2), side, "float32"),
        "image_index": np.arange(batch, dtype="int32"),
    }
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
    images, boxes, labels = make_batch(batch, side)
    targets = {"boxes": tf.constant(boxes[..., [1, 0, 3, 2]]), "labels": tf.constant(labels, tf.float32)}
    images = tf.constant(images)
    return lambda: f"loss {float(model.train_on_batch(images, targets, return_dict=True)['loss']):.3f}"


def step_torch(dtype: str, batch: int, side: int, compiles: bool = False) -> Run:
    import torch
    from torch_retinanet import TorchRetinaNet, compute_loss, make_anchors

    model: Any = TorchRetinaNet(K).train().to(memory_format=torch.channels_last)
    optimizer = torch.optim.SGD(model.parameters(), lr=1e-4, momentum=0.9)
    images, boxes, labels = (torch.from_numpy(value) for value in make_batch(batch, side))
    images, anchors = images.permute(0, 3, 1, 2), torch.cat(make_anchors(side, side))
    network = torch.compile(model) if compiles else model

    def run() -> str:
        optimizer.zero_grad()
        with torch.autocast("cpu", torch.bfloat16, enabled=dtype == "bfloat16"):
            deltas, logits = network(images)
        loss = compute_loss(logits, deltas, anchors, list(boxes), list(labels.long()))
        loss.backward()
        optimizer.step()
        return f"loss {loss.item():.3f}"

    return run


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--dtypes", nargs="+", default=["float32", "bfloat16"], choices=["float32", "bfloat16"])
    parser.add_argument("--side", type=int, default=512)
    parser.add_argument("--batch", type=int, default=2)
    parser.add_argument("--repeats", type=int, default=3)
    parser.add_argument("--compile", action="store_true", help="peers compiled, too")
    options = parser.parse_args()
    for dtype in options.dtypes:
        print(f"\n{dtype}, {options.batch} x {options.side} x {options.side}, one training step")
        setting = (dtype, options.batch, options.side)
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
