"""What do peers reach on the same images in the same CPU time? Their RetinaNets, started from the same MobileNet.

Each has the recipe that its authors publish and its own anchors, and sees the pixels that ours sees: images resized by
our rule, flipped at random, four a batch. torchvision: heads of `retinanet_resnet50_fpn_v2` (GroupNorm, GIoU), AdamW
with a decay of 0.05, scales from 0.6 to 1. keras-hub: its `RetinaNetObjectDetector` with GroupNorm heads, SGD with
momentum, gradients clipped at 10. The rate falls to a tenth after 16/26 and 22/26 of the time, as in torchvision's
reference. Boxes are measured by our COCO metric: scores from 0.05, suppression at 0.5, 300 boxes.

    python benchmarks/recipe_peers.py OUT --peers torchvision --minutes 15 [--rates 3e-4] [--data … --weights …]

Every run appends a line to `OUT/results.jsonl`, as those of `recipes.py` do.
"""

from __future__ import annotations

import argparse
import itertools
import json
import subprocess
import sys
import time
from abc import ABC, abstractmethod
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from typing import Any

import numpy as np

Array = Any
EVALUATION = 25.0
"""CPU seconds set aside for the evaluation, as in `recipes.py`."""
BATCH = 4
TAPS = ("conv_pw_5_relu", "conv_pw_11_relu", "conv_pw_13_relu")
"""C3, C4 and C5 of MobileNet."""


@dataclass(frozen=True)
class Images:
    """All images of a set, resized: `pixels` `(N, H, W, 3)` uint8, and their samples; `scale` `(N, 2)` y, x."""

    samples: list[Any]
    pixels: Array
    scale: Array
    size: Array
    original: Array

    def boxes(self, row: int) -> tuple[Array, Array]:
        """Boxes `(n, 4)` in network pixels and labels of an image, without ignore regions and empty boxes."""
        sample, (y, x) = self.samples[row], self.scale[row]
        boxes = np.asarray(sample["boxes"], np.float32) * np.float32([x, y, x, y])
        used = ~np.asarray(sample["ignore"]) & (boxes[:, 2:] > boxes[:, :2]).all(axis=1)
        return boxes[used], np.asarray(sample["labels"])[used]


class Peer(ABC):
    """What a peer has to offer; images are `(B, H, W, 3)` uint8."""

    @abstractmethod
    def step(self, images: Array, boxes: list[Array], labels: list[Array], rate: float) -> float:
        """One training step at a rate; returns the loss."""

    @abstractmethod
    def detect(self, images: Array) -> dict[str, Array]:
        """Boxes, scores, labels and `num_detections`, as our inference model returns them."""


class Torchvision(Peer):
    """torchvision's RetinaNet with the heads and the optimizer of its second version."""

    def __init__(self, weights: str, num_classes: int, size: tuple[int, int]) -> None:
        import torch
        from torchvision.models.detection import RetinaNet
        from torchvision.models.detection.retinanet import RetinaNetHead, _default_anchorgen
        from torchvision_mobilenet import MobileNetPyramid

        torch.set_num_threads(1)
        torch.manual_seed(0)
        anchors = _default_anchorgen()
        norm = partial(torch.nn.GroupNorm, 32)
        head = RetinaNetHead(256, anchors.num_anchors_per_location()[0], num_classes, norm_layer=norm)
        head.regression_head._loss_type = "giou"
        sides = sorted(size)
        self.model = RetinaNet(
            MobileNetPyramid(_read_weights(weights)), num_classes, anchor_generator=anchors, head=head,
            min_size=[round(sides[0] * scale) for scale in (0.6, 0.7, 0.8, 0.9, 1.0)], max_size=sides[1],
            image_mean=[0.5] * 3, image_std=[0.5] * 3, detections_per_img=300,
        )  # fmt: skip
        norms = [p for p in self.model.parameters() if p.ndim == 1]
        others = [p for p in self.model.parameters() if p.ndim > 1]
        groups = [{"params": others, "weight_decay": 0.05}, {"params": norms, "weight_decay": 0.0}]
        self.optimizer = torch.optim.AdamW(groups)

    def step(self, images: Array, boxes: list[Array], labels: list[Array], rate: float) -> float:  # noqa: D102
        import torch

        self.model.train()
        for group in self.optimizer.param_groups:
            group["lr"] = rate
        targets = [
            {"boxes": torch.from_numpy(each), "labels": torch.from_numpy(classes).long()}
            for each, classes in zip(boxes, labels, strict=True)
        ]
        loss = sum(self.model(self._tensors(images), targets).values())
        self.optimizer.zero_grad()
        loss.backward()
        self.optimizer.step()
        return loss.item()

    def detect(self, images: Array) -> dict[str, Array]:  # noqa: D102
        import torch

        self.model.eval()
        with torch.inference_mode():
            found = self.model(self._tensors(images))
        most = max(1, *(len(each["scores"]) for each in found))

        def padded(name: str) -> Array:
            values = [each[name].numpy() for each in found]
            return np.stack([np.pad(v, [(0, most - len(v))] + [(0, 0)] * (v.ndim - 1)) for v in values])

        names = ("boxes", "scores", "labels")
        counts = np.array([len(each["scores"]) for each in found])
        return {**{name: padded(name) for name in names}, "num_detections": counts}

    def _tensors(self, images: Array) -> list[Any]:
        import torch

        return list(torch.from_numpy(images).permute(0, 3, 1, 2).float() / 255)


class KerasHub(Peer):
    """keras-hub's RetinaNet on `keras.applications`' MobileNet."""

    def __init__(self, weights: str, num_classes: int, size: tuple[int, int]) -> None:
        import keras
        import keras_hub
        import tensorflow as tf

        keras.utils.set_random_seed(0)
        encoder = keras.applications.MobileNet((*size, 3), include_top=False, weights=None)
        encoder.load_weights(weights)
        encoder.pyramid_outputs = {f"P{3 + k}": encoder.get_layer(tap).output for k, tap in enumerate(TAPS)}
        backbone = keras_hub.models.RetinaNetBackbone(encoder, 3, 7, use_p5=False, image_shape=(*size, 3))
        decoder = keras_hub.layers.NonMaxSuppression(
            "xyxy", from_logits=True, iou_threshold=0.5, confidence_threshold=0.05, max_detections=300
        )
        self.model = keras_hub.models.RetinaNetObjectDetector(
            backbone, num_classes, bounding_box_format="xyxy", prediction_decoder=decoder,
            use_prediction_head_norm=True,
        )  # fmt: skip
        self.model.compile(
            keras.optimizers.SGD(0.01, momentum=0.9, global_clipnorm=10.0),
            box_loss=keras.losses.Huber(delta=1 / 9, reduction="sum"),
            classification_loss=keras.losses.BinaryFocalCrossentropy(
                apply_class_balancing=True, from_logits=True, reduction="sum"
            ),
        )
        self.train = partial(keras.Model.train_on_batch, self.model)
        self.predict = tf.function(lambda images: self.model.decode_predictions(self.model(images), images))

    def step(self, images: Array, boxes: list[Array], labels: list[Array], rate: float) -> float:  # noqa: D102
        self.model.optimizer.learning_rate = rate
        most = 64  # one shape for all batches; bccd's fullest image has 30 boxes
        targets = {
            "boxes": np.stack([np.pad(each, ((0, most - len(each)), (0, 0))) for each in boxes]),
            "labels": np.stack([np.pad(each, (0, most - len(each)), constant_values=-1) for each in labels]),
        }
        targets["labels"] = targets["labels"].astype("float32")
        return float(self.train(images / np.float32(127.5) - 1, targets, return_dict=True)["loss"])

    def detect(self, images: Array) -> dict[str, Array]:  # noqa: D102
        found = self.predict(images / np.float32(127.5) - 1)  # its own predict_on_batch raises on TensorFlow
        found = {name: np.asarray(value) for name, value in found.items()}
        return {**found, "scores": found["confidence"]}


PEERS: Mapping[str, tuple[Callable[..., Peer], tuple[float, ...]]] = {
    "torchvision": (Torchvision, (1e-4, 3e-4, 1e-3)),
    "keras-hub": (KerasHub, (0.003, 0.01, 0.03)),
}
"""Name → maker, and the rates that are tried."""


def _read_weights(path: str) -> dict[str, list[Array]]:
    """Weights of the layers of `keras.applications`' MobileNet."""
    import keras

    model = keras.applications.MobileNet(include_top=False, weights=None)
    model.load_weights(path)
    return {layer.name: layer.get_weights() for layer in model.layers if layer.weights}


def read_images(data: str, subset: str, size: tuple[int, int]) -> tuple[Images, list[str]]:
    """The images of a set by our resize rule, and the class names."""
    from keras_retinanet.config import DataConfig, ResizeConfig
    from keras_retinanet.data.open_dataset import open_dataset
    from keras_retinanet.data.pipeline import InferenceBatches

    dataset, _, path = data.partition(":")
    opened = open_dataset(DataConfig(dataset, path), subset)
    samples = list(opened)
    resize = ResizeConfig(min_side=size[0], max_side=size[1])
    batches = InferenceBatches(samples, resize=resize, pad_value=(127.5,) * 3, batch_size=BATCH, max_shapes=1)
    parts: dict[str, list[Array]] = {"pixels": [], "image_index": [], "scale": [], "size": [], "original_size": []}
    for images, origin in batches.dataset():
        parts["pixels"].append(np.rint(np.asarray(images)).astype(np.uint8))
        for name in list(parts)[1:]:
            parts[name].append(np.asarray(origin[name]))
    arrays = {name: np.concatenate(values) for name, values in parts.items()}
    ordered = [samples[index] for index in arrays["image_index"]]
    found = Images(ordered, arrays["pixels"], arrays["scale"], arrays["size"], arrays["original_size"])
    return found, list(opened.class_names)


def make_batch(images: Images, rows: Array, rng: np.random.Generator) -> tuple[Array, list[Array], list[Array]]:
    """Images with their boxes and labels, each flipped in every other case."""
    pixels, boxes, labels = [], [], []
    for row in rows:
        image, (own, classes) = images.pixels[row], images.boxes(row)
        if rng.random() < 0.5:
            width = int(images.size[row][1])
            image = image.copy()
            image[:, :width] = image[:, :width][:, ::-1]
            own = np.stack([width - own[:, 2], own[:, 1], width - own[:, 0], own[:, 3]], axis=1)
        pixels.append(image)
        boxes.append(own.astype(np.float32))
        labels.append(classes)
    return np.stack(pixels), boxes, labels


def rate_at(progress: float, rate: float) -> float:
    """A warm-up over a fiftieth of the time, a tenth after 16/26 and a hundredth after 22/26 of it."""
    return rate * min(1.0, progress * 50 + 1e-3) * 0.1 ** ((progress >= 16 / 26) + (progress >= 22 / 26))


def train(peer: Peer, images: Images, rate: float, seconds: float) -> int:
    """Steps until the process has used `seconds` of CPU time; returns their number."""
    rng = np.random.default_rng(0)
    started = time.process_time()
    order = itertools.chain.from_iterable(rng.permutation(len(images.pixels)) for _ in itertools.count())
    for steps in itertools.count():
        progress = (time.process_time() - started) / (seconds - started)
        if progress >= 1:
            return steps
        loss = peer.step(*make_batch(images, [next(order) for _ in range(BATCH)], rng), rate_at(progress, rate))
        if not np.isfinite(loss):
            raise SystemExit(f"the loss is {loss} in step {steps}")
        if steps % 50 == 0:
            print(f"step {steps}, {progress:.0%}, loss {loss:.3f}", flush=True)
    raise AssertionError


def run_one(flags: argparse.Namespace, name: str, rate: float) -> dict[str, Any]:
    """Trains and measures one peer in this process."""
    if name == "torchvision":
        import torchvision  # noqa: F401  # before TensorFlow: a CUDA build of PyTorch 2.14 crashes after it

    from keras_retinanet.evaluation import METRICS
    from keras_retinanet.evaluation.metric import MetricSettings

    images, class_names = read_images(flags.data, "train", flags.size)
    peer = PEERS[name][0](flags.weights, len(class_names), images.pixels.shape[1:3])
    steps = train(peer, images, rate, flags.minutes * 60 - EVALUATION)
    val, _ = read_images(flags.data, "val", flags.size)
    found = []
    for start in range(0, len(val.pixels) - len(val.pixels) % BATCH, BATCH):
        found += _restore(peer.detect(val.pixels[start : start + BATCH]), val, range(start, start + BATCH))
    if left := len(val.pixels) % BATCH:
        rows = range(len(val.pixels) - BATCH, len(val.pixels))
        found += _restore(peer.detect(val.pixels[rows.start :]), val, rows)[-left:]
    result = METRICS["coco"](val.samples, found, class_names, MetricSettings())
    return {
        "name": name, "rate": rate, "minutes": flags.minutes, "steps": steps, "cpu_all": round(time.process_time(), 1),
        **{number: round(float(value), 4) for number, value in result.stats.items()},
        "AP50_by_class": {
            each: round(float(value), 4)
            for each, value in zip(result.class_names, result.per_class["AP50"], strict=True)
        },
    }  # fmt: skip


def _restore(batch: dict[str, Array], images: Images, rows: range) -> list[Any]:
    from keras_retinanet.data.preparation import restore_detections

    return [
        {
            "image_id": images.samples[row]["image_id"],
            **restore_detections(batch, k, scale=images.scale[row], original=images.original[row]),
        }
        for k, row in enumerate(rows)
    ]


def main() -> None:
    """Runs what is left, one process after the other."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("out", type=Path, help="folder of the results")
    parser.add_argument("--data", default="pascal:../shared/data/bccd", metavar="FORMAT:PATH")
    parser.add_argument("--weights", default="../shared/weights/mobilenet_1_0_imagenet_notop.weights.h5")
    parser.add_argument("--peers", nargs="+", choices=list(PEERS), default=list(PEERS))
    parser.add_argument("--rates", nargs="+", type=float, help="instead of the three of each peer")
    parser.add_argument("--size", type=int, nargs=2, default=(320, 416), metavar=("SHORTER", "LONGER"))
    parser.add_argument("--minutes", type=float, default=15.0, help="CPU minutes of a run, start-up included")
    parser.add_argument("--run", nargs=2, metavar=("NAME", "RATE"), help="one run in this process")
    flags = parser.parse_args()
    flags.out.mkdir(parents=True, exist_ok=True)
    results = flags.out / "results.jsonl"
    if flags.run:
        row = run_one(flags, flags.run[0], float(flags.run[1]))
        with results.open("a") as file:
            file.write(json.dumps(row) + "\n")
        print(json.dumps(row))
        return
    for name in flags.peers:
        for rate in flags.rates or PEERS[name][1]:
            subprocess.run([sys.executable, __file__, *sys.argv[1:], "--run", name, str(rate)], check=False)


if __name__ == "__main__":
    main()
