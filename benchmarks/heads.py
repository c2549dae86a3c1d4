"""What do distributions of distances and the predicted IoU cost at inference?

The exported graph, from pixels to boxes, of a ResNet-50 detector with 80 classes and one anchor per cell, for one image
of 640 × 640: CPU time of the options one after the other in rounds, the least of each, and its ratio to the plain box
head. Run: `python benchmarks/heads.py`; `--nine` has the paper's nine anchors per cell.
"""

from __future__ import annotations

import argparse
import os
import time
from collections.abc import Callable
from typing import Any

os.environ.setdefault("TF_CPP_MIN_LOG_LEVEL", "2")

import numpy as np

OPTIONS: dict[str, dict[str, Any]] = {
    "four deltas": {},
    "distributions": {"box_coder": "distribution"},
    "four deltas, IoU branch": {"has_quality": True},
    "distributions, IoU branch": {"box_coder": "distribution", "has_quality": True},
}


def make_graph(side: int, is_nine: bool, settings: dict[str, Any]) -> Callable[[], Any]:
    """A call of the exported graph on one image."""
    import keras

    from keras_retinanet import DetectionModel, build
    from keras_retinanet.config import AnchorConfig, ExportConfig, ModelConfig
    from keras_retinanet.export.detection_graph import detection_graph, prepare_model

    keras.utils.set_random_seed(0)
    anchors = (
        AnchorConfig() if is_nine else AnchorConfig((64.0, 128.0, 256.0, 512.0, 1024.0), ratios=(1.0,), scales=(1.0,))
    )
    network = ModelConfig("resnet50", "none", **settings)
    model = build(network, class_names=[f"class {index}" for index in range(80)], anchors=anchors)
    prepared = prepare_model(DetectionModel(model), ExportConfig())
    graph = detection_graph(prepared, "tensorflow", ExportConfig(image_size=(side, side)))
    images = np.random.default_rng(0).uniform(0, 255, (1, side, side, 3)).astype(np.float32)
    sizes = np.array([[side, side]], np.float32)
    return lambda: graph(images, sizes)["scores"].numpy()


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--side", type=int, default=640)
    parser.add_argument("--rounds", type=int, default=8)
    parser.add_argument("--nine", action="store_true", help="nine anchors per cell")
    arguments = parser.parse_args()
    graphs = {name: make_graph(arguments.side, arguments.nine, settings) for name, settings in OPTIONS.items()}
    least = dict.fromkeys(graphs, float("inf"))
    for _ in range(arguments.rounds + 1):  # the first is a warm-up, and never the least
        for name, graph in graphs.items():
            start = time.process_time()
            graph()
            least[name] = min(least[name], time.process_time() - start)
    for name, seconds in least.items():
        print(f"{name:28s} CPU {seconds * 1e3:6.0f} ms   {seconds / least['four deltas']:.3f}×")


if __name__ == "__main__":
    main()
