"""Where does Winograd's convolution pay? Maps of a ResNet-50's RetinaNet at 800 x 1344 and 2 x 512 x 512, float32, CPU.

    python benchmarks/winograd.py [--threads 1] [--repeats 5] [--gradients] [--largest]

TensorFlow's convolution (Eigen's on processors without AVX-512, oneDNN's on others), and `keras_retinanet.winograd`
with the transform of the kernel in each call, which in a network all levels share; the error is the largest difference,
of outputs with deviation 1. `--gradients` adds both gradients. Rows with fewer channels or tiles than the rule of
`use_winograd` asks for show why it does.
"""

from __future__ import annotations

import argparse
from collections.abc import Callable
from functools import partial
from typing import Any

import numpy as np
from timing import Run, interleave

CASES = (
    ((1, 100, 168, 256), 256),
    ((1, 100, 168, 256), 720),
    ((1, 50, 84, 256), 256),
    ((1, 25, 42, 256), 256),
    ((1, 13, 21, 256), 256),
    ((2, 64, 64, 256), 256),
    ((2, 32, 32, 256), 256),
    ((1, 25, 42, 512), 512),
    ((1, 100, 168, 128), 128),
    ((1, 200, 336, 64), 64),
    ((1, 100, 168, 256), 36),
)
"""Shapes of maps, and output channels."""


def make_run(convolve: Callable[..., Any], values: tuple[Any, Any, Any], with_gradients: bool) -> Run:
    """A call that convolves; with gradients also those with respect to maps and kernel."""
    import tensorflow as tf

    features, kernel, upstream = values

    def run() -> Any:
        if not with_gradients:
            return convolve(features, kernel)
        with tf.GradientTape() as tape:
            tape.watch(features)
            found = convolve(features, kernel)
        return found, tape.gradient(found, (features, kernel), upstream)

    return partial(_finish, tf.function(run, autograph=False))


def _finish(run: Callable[[], Any]) -> Any:
    import tensorflow as tf

    arrays = [tensor.numpy() for tensor in tf.nest.flatten(run())]  # waits for all
    return arrays[0]


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--threads", type=int, default=1)
    parser.add_argument("--repeats", type=int, default=5)
    parser.add_argument("--gradients", action="store_true")
    parser.add_argument("--largest", action="store_true", help="only maps that the rule admits")
    options = parser.parse_args()
    import tensorflow as tf

    from keras_retinanet.winograd import LEAST_CHANNELS, convolution

    least_tiles, convolution.LEAST_TILES = convolution.LEAST_TILES, 0  # all maps by tiles, to see where it stops to pay
    tf.config.threading.set_intra_op_parallelism_threads(options.threads)
    tf.config.threading.set_inter_op_parallelism_threads(1)
    rng = np.random.default_rng(0)
    print("maps, output channels    direct: wall ms    CPU ms    Winograd to direct: wall    CPU    error")
    for shape, outputs in CASES:
        tiles = shape[0] * -(-shape[1] // 4) * -(-shape[2] // 4)
        if options.largest and (min(shape[-1], outputs) < LEAST_CHANNELS or tiles < least_tiles):
            continue
        features, upstream = (tf.constant(rng.normal(size=(*shape[:3], n)), tf.float32) for n in (shape[-1], outputs))
        kernel = tf.Variable(rng.normal(size=(3, 3, shape[-1], outputs)) / np.sqrt(9 * shape[-1]), dtype=tf.float32)
        ways = {"direct": lambda x, k: tf.nn.conv2d(x, k, 1, "SAME"), "Winograd": convolution.convolve}
        runs = {name: make_run(way, (features, kernel, upstream), options.gradients) for name, way in ways.items()}
        error = float(np.abs(runs["Winograd"]() - runs["direct"]()).max())
        times = interleave(runs, options.repeats)
        direct, ours = times["direct"], times["Winograd"]
        name = " x ".join(map(str, shape)) + f", {outputs}"
        print(
            f"{name:24} {direct.wall:16.1f} {direct.cpu:9.1f} {ours.wall / direct.wall:27.2f} "
            f"{ours.cpu / direct.cpu:6.2f}    {error:.0e}",
            flush=True,
        )


if __name__ == "__main__":
    main()
