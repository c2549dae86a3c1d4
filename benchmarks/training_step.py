"""How long does a training step take? ResNet-50, 80 classes, two images of 512 x 512, eight boxes each, CPU.

    python benchmarks/training_step.py [--dtypes float32 bfloat16] [--networks scratch paper modern] [--size 512 512]
        [--repeats 3] [--compile] [--profile]

Matching, forward pass, both losses, gradients and an SGD step, beside one in plain PyTorch (channels last) and
keras-hub's RetinaNet, which runs without XLA unless `--compile`; that also adds `torch.compile`. `scratch` trains all
weights; `paper` has the frozen batch normalisation of a pretrained backbone, as `--recipe paper` and torchvision train
it; `modern` has heads of two convolutions with group normalisation besides.
`--profile` shows how the time of ours is spent: each row does what the row above does, and more.
"""

from __future__ import annotations

import argparse
import itertools
from functools import partial
from typing import Any

import numpy as np
from models import Size, make_keras_hub, make_ours, set_precision
from timing import Run, interleave, interleave_processes, print_table

from keras_retinanet.cli.startup import prefer_onednn

K = 80
DAMPING = 0.2
"""Scale of the branches of random residual blocks whose normalisation is frozen: unscaled, their sums overflow."""
HEADS = {"scratch": (4, "none"), "paper": (4, "none"), "modern": (2, "group")}
"""Network → convolutions of a head before its last one, and their normalisation."""


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


def make_batch(batch: int, size: Size) -> tuple[np.ndarray, dict[str, np.ndarray]]:
    """Images `(B, H, W, 3)` of noise, and their targets."""
    images = np.random.default_rng(1).uniform(0, 255, (batch, *size, 3))
    return images.astype("float32"), make_targets(batch, size)


def make_network(network: str) -> Any:
    """Ours, as trained from scratch, or with the frozen batch normalisation of a pretrained backbone."""
    from keras_retinanet.backbones import freeze_batch_norm

    model = make_ours(K, *HEADS[network])
    if network != "scratch":
        freeze_batch_norm(model.backbone)
        for layer in model.backbone.layers:
            if layer.name.endswith("bn3"):
                layer.gamma.assign(layer.gamma * DAMPING)
    return model


def step_ours(dtype: str, batch: int, size: Size, network: str, winograd: Any = "off") -> Run:
    from keras_retinanet.config.xla_flags import allow_clusters
    from keras_retinanet.heap import keep_freed_memory, use_few_heaps

    use_few_heaps()  # as `retinanet-train` does, clusters in long runs
    keep_freed_memory()
    allow_clusters()
    import keras
    import tensorflow as tf

    from keras_retinanet.conv_gradients import use_products
    from keras_retinanet.training.pointwise_clusters import use_clusters
    from keras_retinanet.winograd import use_winograd

    set_precision(dtype)
    model = make_network(network)
    use_products(model)
    if dtype == "bfloat16":
        use_clusters(model)
    use_winograd(model, winograd)
    model.compile(keras.optimizers.SGD(1e-4, momentum=0.9))
    images, targets = make_batch(batch, size)
    images, targets = tf.constant(images), {name: tf.constant(value) for name, value in targets.items()}
    return lambda: f"loss {float(model.train_on_batch(images, targets, return_dict=True)['loss']):.3f}"


def step_keras_hub(dtype: str, batch: int, size: Size, jit: bool = False) -> Run:
    import keras
    import tensorflow as tf

    set_precision(dtype)
    model = make_keras_hub(K, size)
    model.compile(
        keras.optimizers.SGD(1e-4, momentum=0.9),
        box_loss=keras.losses.Huber(delta=1 / 9, reduction="sum"),
        classification_loss=keras.losses.BinaryFocalCrossentropy(
            apply_class_balancing=True, from_logits=True, reduction="sum"
        ),
        jit_compile=jit,
    )
    images, targets = make_batch(batch, size)
    boxes, labels = targets["boxes"][..., [1, 0, 3, 2]], targets["labels"].astype("float32")
    images, targets = tf.constant(images), {"boxes": tf.constant(boxes), "labels": tf.constant(labels)}
    step = partial(keras.Model.train_on_batch, model)  # its own override takes no dict of targets
    return lambda: f"loss {float(step(images, targets, return_dict=True)['loss']):.3f}"


def step_torch(dtype: str, batch: int, size: Size, network: str, compiles: bool = False) -> Run:
    import torch
    from torch_retinanet import TorchRetinaNet, compute_loss, freeze_batch_norm, make_anchors

    depth, norm = HEADS[network]
    model: Any = TorchRetinaNet(K, depth, has_norm=norm == "group").train()
    if network != "scratch":
        freeze_batch_norm(model, DAMPING)
    model = model.to(memory_format=torch.channels_last)
    optimizer = torch.optim.SGD(model.parameters(), lr=1e-4, momentum=0.9)
    images, targets = make_batch(batch, size)
    boxes, labels = (list(torch.from_numpy(targets[name])) for name in ("boxes", "labels"))
    labels, anchors = [label.long() for label in labels], torch.cat(make_anchors(*size))
    images = torch.from_numpy(images).permute(0, 3, 1, 2)  # NHWC in memory: channels last
    forward = torch.compile(model) if compiles else model

    def run() -> str:
        optimizer.zero_grad()
        with torch.autocast("cpu", torch.bfloat16, enabled=dtype == "bfloat16"):
            deltas, logits = forward(images)
        loss = compute_loss(logits, deltas, anchors, boxes, labels)
        loss.backward()
        optimizer.step()
        return f"loss {loss.item():.3f}"

    return run


def profile(dtype: str, batch: int, size: Size, network: str, repeats: int) -> None:
    """Prints how the time of ours grows from the network alone to a whole step."""
    import keras
    import tensorflow as tf

    set_precision(dtype)
    model = make_network(network)
    model.compile(keras.optimizers.SGD(1e-4, momentum=0.9))
    images, targets = make_batch(batch, size)
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
    parser.add_argument("--size", type=int, nargs=2, default=(512, 512), metavar=("H", "W"))
    parser.add_argument("--networks", nargs="+", default=["scratch", "paper", "modern"], choices=list(HEADS))
    parser.add_argument("--batch", type=int, default=2)
    parser.add_argument("--repeats", type=int, default=3)
    parser.add_argument("--compile", action="store_true", help="peers compiled, too")
    parser.add_argument("--profile", action="store_true", help="only ours, part by part")
    options = parser.parse_args()
    prefer_onednn()  # as `retinanet-train` does
    for dtype, network in itertools.product(options.dtypes, options.networks):
        setting = (dtype, options.batch, tuple(options.size))
        print(f"\n{dtype}, {network}, {options.batch} x {' x '.join(map(str, options.size))}, one training step")
        if options.profile:
            profile(*setting, network, options.repeats)
            continue
        makers = {"ours": partial(step_ours, *setting, network), "PyTorch": partial(step_torch, *setting, network)}
        if dtype == "float32":
            makers["ours, Winograd"] = partial(step_ours, *setting, network, winograd="auto")
        if network == "scratch":
            makers["keras-hub"] = partial(step_keras_hub, *setting)
        if options.compile:
            makers["PyTorch, compiled"] = partial(step_torch, *setting, network, compiles=True)
            if network == "scratch":
                makers["keras-hub, XLA"] = partial(step_keras_hub, *setting, jit=True)
        print_table(interleave_processes(makers, options.repeats), ours="ours")


if __name__ == "__main__":
    main()
