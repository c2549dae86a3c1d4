"""How long from an image to its detections? ResNet-50, 80 classes, 800 x 1344 pixels (800 x 1333 padded to 32), CPU.

    python benchmarks/inference.py [--dtypes float32 bfloat16] [--repeats 3] [--compile] [--profile] [--network-only]

Beside ours: keras-hub's RetinaNet and one in plain PyTorch (channels last, inference mode; `--compile` adds
`torch.compile` and keras-hub under XLA, which take minutes to get ready). Equal work: layers, anchors, box coder,
1,000 candidates a level or more, 300 detections; keras-hub suppresses over classes, which is less. Logits are spread
so that every filter has work. `--profile` tells how the time of ours is spent.
"""

from __future__ import annotations

import argparse
import contextlib
from collections.abc import Iterator
from functools import partial
from typing import Any

import numpy as np
from models import make_keras_hub, make_ours, set_precision, spread_logits
from timing import Run, interleave, interleave_processes, print_table

K = 80


def make_images(size: tuple[int, int]) -> np.ndarray:
    """One image `(1, H, W, 3)` of smooth noise, 0–255."""
    coarse = np.random.default_rng(0).uniform(0, 255, (1, -(-size[0] // 16), -(-size[1] // 16), 3))
    return np.kron(coarse, np.ones((1, 16, 16, 1)))[:, : size[0], : size[1]].astype("float32")


def prepare_ours(dtype: str, size: tuple[int, int]) -> tuple[Any, Any]:
    """Our model and an image, the last convolution's weights spread."""
    import tensorflow as tf

    set_precision(dtype)
    model, images = make_ours(K), tf.constant(make_images(size))
    final = model.class_head.predictors[0]
    final.set_weights(spread_logits(*final.get_weights(), tf.function(model)(images)["logits"].numpy()))
    return model, images


def run_ours(dtype: str, size: tuple[int, int], network_only: bool, winograd: Any = "off") -> Run:
    import tensorflow as tf

    from keras_retinanet.heap import keep_freed_memory, use_few_heaps
    from keras_retinanet.model.detection_model import DetectionModel
    from keras_retinanet.winograd import use_winograd

    use_few_heaps()  # as `retinanet-detect` does
    keep_freed_memory()
    model, images = prepare_ours(dtype, size)
    use_winograd(model, winograd)
    if network_only:
        network = tf.function(lambda x: {name: value for name, value in model(x).items() if name != "anchors"})
        return lambda: network(images)["logits"].numpy() is None or None
    detect = tf.function(DetectionModel(model))
    return lambda: f"{int(detect(images)['num_detections'].numpy()[0])} detections"


def run_keras_hub(dtype: str, size: tuple[int, int], network_only: bool, jit: bool = False) -> Run:
    import tensorflow as tf

    set_precision(dtype)
    model, images = make_keras_hub(K, size), tf.constant(make_images(size))
    final = model.classification_head.prediction_layer
    logits = tf.cast(tf.function(model)(images)["cls_logits"], tf.float32).numpy()
    final.set_weights(spread_logits(*final.get_weights(), logits))
    if network_only:
        network = tf.function(model, jit_compile=jit)
        return lambda: network(images)["cls_logits"].numpy() is None or None

    def predict(x: tf.Tensor) -> dict[str, tf.Tensor]:
        answers = {
            name: tf.cast(value, tf.float32) for name, value in model(x).items()
        }  # its decoder takes no bfloat16
        return model.decode_predictions(answers, x)

    detect = tf.function(predict, jit_compile=jit)
    return lambda: f"{int(detect(images)['num_detections'].numpy()[0])} detections"


def run_torch(dtype: str, size: tuple[int, int], network_only: bool, compiles: bool = False) -> Run:
    import torch
    from torch_retinanet import TorchRetinaNet, detect, make_anchors

    model = TorchRetinaNet(K).eval().to(memory_format=torch.channels_last)
    images = torch.from_numpy(make_images(size)).permute(0, 3, 1, 2)  # NHWC in memory: channels last
    anchors, final = make_anchors(*size), model.class_head[-1]
    with torch.inference_mode():
        logits = model(images)[1]
        final.weight, final.bias = map(torch.nn.Parameter, spread_logits(final.weight, final.bias, logits))
    network = torch.compile(model) if compiles else model

    def run() -> str | None:
        with torch.inference_mode(), torch.autocast("cpu", torch.bfloat16, enabled=dtype == "bfloat16"):
            deltas, logits = network(images)
            if network_only:
                return None
            with _one_thread():
                return f"{len(detect(logits, deltas, anchors, *size)[0][0])} detections"

    return run


@contextlib.contextmanager
def _one_thread() -> Iterator[None]:
    """PyTorch's filter is thousands of small operations, on which OpenMP's threads only wait for each other."""
    import torch

    threads = torch.get_num_threads()
    torch.set_num_threads(1)
    yield
    torch.set_num_threads(threads)


def profile(dtype: str, size: tuple[int, int], repeats: int) -> None:
    """Prints what each part of ours adds to the time."""
    import tensorflow as tf

    from keras_retinanet.model.detection_model import DetectionModel

    model, images = prepare_ours(dtype, size)
    pyramid = tf.function(lambda x: model.neck(model.backbone(x)))
    features = pyramid(images)
    parts = {
        "backbone": (tf.function(model.backbone), images),
        "backbone and pyramid": (pyramid, images),
        "class head": (tf.function(model.class_head), features),
        "box head": (tf.function(model.box_head), features),
        "the whole": (tf.function(DetectionModel(model)), images),
    }
    runs = {name: partial(_finish, part, value) for name, (part, value) in parts.items()}
    print_table(interleave(runs, repeats), ours="the whole")


def _finish(part: Any, value: Any) -> None:
    import tensorflow as tf

    for tensor in tf.nest.flatten(part(value)):
        tensor.numpy()


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--dtypes", nargs="+", default=["float32", "bfloat16"], choices=["float32", "bfloat16"])
    parser.add_argument("--size", nargs=2, type=int, default=(800, 1344), metavar=("H", "W"))
    parser.add_argument("--repeats", type=int, default=3)
    parser.add_argument("--compile", action="store_true", help="peers compiled, too")
    parser.add_argument("--network-only", action="store_true", help="without decoding and filter")
    parser.add_argument("--profile", action="store_true", help="only ours, part by part")
    options = parser.parse_args()
    for dtype in options.dtypes:
        print(
            f"\n{dtype}, {options.size[0]} x {options.size[1]}, {'network only' * options.network_only or 'detections'}"
        )
        if options.profile:
            profile(dtype, tuple(options.size), options.repeats)
            continue
        setting = (dtype, tuple(options.size), options.network_only)
        makers = {"ours": partial(run_ours, *setting), "keras-hub": partial(run_keras_hub, *setting)}
        makers["PyTorch"] = partial(run_torch, *setting)
        if dtype == "float32":
            makers["ours, Winograd"] = partial(run_ours, *setting, winograd="auto")
        if options.compile:
            makers["keras-hub, XLA"] = partial(run_keras_hub, *setting, jit=True)
            makers["PyTorch, compiled"] = partial(run_torch, *setting, compiles=True)
        print_table(interleave_processes(makers, options.repeats), ours="ours")


if __name__ == "__main__":
    main()
