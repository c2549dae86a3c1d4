"""How many augmented images does one core make in a second? Ours against albumentations + Pillow and fizyr's way.

    python benchmarks/augmented_batches.py [IMAGES] [--images 48] [--repeats 3] [--presets fizyr strong]

Every side reads, decodes, resizes, changes and batches the same files (those below the folder IMAGES, else pictures
drawn for the occasion), at 800/1333 and at 512 x 512, to float32 batches of four, with the boxes. Ours is
`TrainingBatches`. albumentations changes what Pillow decodes and OpenCV resizes, all in uint8 until the batch is made.
fizyr's way is that of its generator: Pillow, colours in HSV and `warpAffine` on the stored picture, OpenCV's resize,
the mean subtracted; it has no `strong`. The figure is images for a second of CPU time, all threads counted: wall time
says little on a busy machine. Needs `albumentations` and `opencv-python-headless`.
"""

from __future__ import annotations

import argparse
import tempfile
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import albumentations
import cv2
import numpy as np
from data_pipeline import MEAN, RULES, with_opencv, write_images
from PIL import Image
from timing import interleave

from keras_retinanet.config import ResizeConfig
from keras_retinanet.data.augment import PRESETS
from keras_retinanet.data.image_files import find_images, read_sizes
from keras_retinanet.data.pipeline import TrainingBatches
from keras_retinanet.data.resized_sizes import padded_size, resized_size
from keras_retinanet.heap import keep_freed_memory, use_few_heaps
from keras_retinanet.schema import Sample

BATCH = 4
SHARES = np.float32([[0.1, 0.1, 0.3, 0.4], [0.5, 0.2, 0.9, 0.6], [0.2, 0.5, 0.6, 0.95]])
Changed = tuple[Any, Any]  # image, boxes


def samples(folder: Path, count: int) -> list[Sample]:
    paths = [str(path) for path in find_images(folder, is_recursive=True)][:count]
    return [
        Sample(
            image=path,
            image_id=path,
            boxes=SHARES * np.float32([width, height] * 2),
            labels=np.zeros(3, np.int32),
            ignore=np.zeros(3, bool),
            size=(height, width),
        )
        for path, (height, width) in zip(paths, read_sizes(paths), strict=True)
    ]


def ours(found: list[Sample], rule: ResizeConfig, preset: str) -> Callable[[], object]:
    """A run is an epoch's number of batches from a pipeline that is under way, and the wait until it rests again."""
    batches = TrainingBatches(
        found, resize=rule, pad_value=MEAN, batch_size=BATCH, seed=0, workers=1, augmentations=PRESETS[preset]
    )
    running = iter(batches.dataset())

    def run() -> int:
        for _ in range(batches.steps_per_epoch):
            next(running)
        _wait_until_idle()  # prefetched batches are paid for where they replace those taken
        return batches.steps_per_epoch * BATCH

    return run


def _wait_until_idle() -> None:
    spent = -1.0
    while time.process_time() - spent > 0.002:
        spent = time.process_time()
        time.sleep(1.0)


def in_python(found: list[Sample], change: Callable[[Any, Any], Changed]) -> Callable[[], object]:
    """A run is an epoch of batches padded to their largest image."""

    def run() -> int:
        for start in range(0, len(found), BATCH):
            batch = [change(*loaded) for loaded in _loaded(found[start : start + BATCH])]
            canvas = np.max([image.shape for image, _ in batch], axis=0)
            images = np.full((len(batch), *canvas), MEAN, np.float32)
            for place, (image, _) in zip(images, batch, strict=True):
                place[: image.shape[0], : image.shape[1]] = image
        return len(found)

    return run


def _loaded(found: list[Sample]) -> Iterator[tuple[Any, Any]]:
    for sample in found:
        with Image.open(sample["image"]) as opened:
            yield np.asarray(opened.convert("RGB")), sample["boxes"]


def with_albumentations(rule: ResizeConfig, preset: str) -> Callable[[Any, Any], Changed]:
    def change(pixels: Any, boxes: Any) -> Changed:
        height, width = resized_size(*pixels.shape[:2], rule)
        boxes = boxes * np.float32([width / pixels.shape[1], height / pixels.shape[0]] * 2)
        canvas = padded_size(height, width, rule)
        chain = chains.setdefault(canvas, _chain(preset, *canvas))
        out = chain(image=with_opencv(pixels, (height, width)), bboxes=boxes, labels=np.zeros(len(boxes)))
        return out["image"], out["bboxes"]

    chains: dict[Any, Any] = {}
    return change


def _chain(preset: str, height: int, width: int) -> Any:
    a = albumentations
    changes = {
        "fizyr": [
            a.ColorJitter((0.9, 1.1), (0.9, 1.1), (0.95, 1.05), (-0.05, 0.05), p=1),
            a.Affine(scale=(0.9, 1.1), translate_percent=(-0.1, 0.1), rotate=(-5.73, 5.73), shear=(-5.73, 5.73), p=1),
            a.HorizontalFlip(p=0.5),
            a.VerticalFlip(p=0.5),
        ],
        "strong": [
            a.HorizontalFlip(p=0.5),
            a.RandomScale((-0.4, 0.6), p=1),
            a.RandomCrop(height, width, pad_if_needed=True, fill=MEAN, p=1),
            a.ColorJitter((0.88, 1.12), (0.8, 1.2), (0.8, 1.2), (-0.025, 0.025), p=1),
        ],
    }[preset]
    return a.Compose(changes, bbox_params=a.BboxParams(format="pascal_voc", label_fields=["labels"]), seed=1)


def fizyr_way(rule: ResizeConfig) -> Callable[[Any, Any], Changed]:
    rng = np.random.default_rng(1)

    def change(pixels: Any, boxes: Any) -> Changed:
        pixels = _fizyr_colours(pixels[:, :, ::-1], rng)
        matrix = _fizyr_matrix(pixels.shape, rng)
        moved = cv2.warpAffine(pixels, matrix, pixels.shape[1::-1], flags=cv2.INTER_LINEAR)
        corners = np.stack([boxes[:, [0, 2, 0, 2]], boxes[:, [1, 1, 3, 3]]], axis=-1) @ matrix[:, :2].T + matrix[:, 2]
        boxes = np.concatenate([corners.min(axis=1), corners.max(axis=1)], axis=1)
        image = with_opencv(moved, resized_size(*pixels.shape[:2], rule)).astype(np.float32)
        image -= MEAN[::-1]
        return image, boxes * (image.shape[0] / pixels.shape[0])

    return change


def _fizyr_colours(pixels: Any, rng: Any) -> Any:
    mean = pixels.mean(axis=0).mean(axis=0)
    pixels = np.clip((pixels - mean) * rng.uniform(0.9, 1.1) + mean, 0, 255).astype(np.uint8)
    pixels = np.clip(pixels + rng.uniform(-0.1, 0.1) * 255, 0, 255).astype(np.uint8)
    hsv = cv2.cvtColor(pixels, cv2.COLOR_BGR2HSV)
    hsv[..., 0] = np.mod(hsv[..., 0] + rng.uniform(-0.05, 0.05) * 180, 180)
    hsv[..., 1] = np.clip(hsv[..., 1] * rng.uniform(0.95, 1.05), 0, 255)
    return cv2.cvtColor(hsv, cv2.COLOR_HSV2BGR)


def _fizyr_matrix(shape: tuple[int, ...], rng: Any) -> Any:
    middle = np.array([shape[1], shape[0]]) / 2
    turn, lean = rng.uniform(-0.1, 0.1, 2)
    flips = np.where(rng.random(2) < 0.5, -1, 1)
    rotation = np.array([[np.cos(turn), -np.sin(turn)], [np.sin(turn), np.cos(turn)]])
    linear = rotation @ [[1, -np.sin(lean)], [0, np.cos(lean)]] @ np.diag(rng.uniform(0.9, 1.1, 2) * flips)
    shift = middle - linear @ middle + rng.uniform(-0.1, 0.1, 2) * middle * 2
    return np.concatenate([linear, shift[:, None]], axis=1)


def compare(found: list[Sample], rule_name: str, preset: str, repeats: int) -> None:
    rule = RULES[rule_name]
    runs = {
        "ours": ours(found, rule, preset),
        "albumentations + Pillow": in_python(found, with_albumentations(rule, preset)),
    }
    if preset == "fizyr":
        runs["fizyr's way"] = in_python(found, fizyr_way(rule))
    counts = {name: int(run()) for name, run in runs.items()}  # type: ignore[call-overload]
    _wait_until_idle()
    timings = interleave(runs, repeats, warmups=0)
    for name, timing in timings.items():
        print(f"{rule_name:12} {preset:8} {name:24} {1e3 * counts[name] / timing.cpu:6.1f} images per CPU second")


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("folder", nargs="?", type=Path, metavar="IMAGES")
    parser.add_argument("--images", type=int, default=48)
    parser.add_argument("--repeats", type=int, default=3)
    parser.add_argument("--presets", nargs="+", choices=("fizyr", "strong"), default=("fizyr", "strong"))
    arguments = parser.parse_args()
    cv2.setNumThreads(1)
    use_few_heaps()  # as `retinanet-train` does; it holds for the peers, too
    keep_freed_memory()
    with tempfile.TemporaryDirectory() as scratch:
        if arguments.folder is None:
            write_images(Path(scratch), arguments.images)
        found = samples(arguments.folder or Path(scratch), arguments.images)
        for rule in ("800/1333", "512 square"):
            for preset in arguments.presets:
                compare(found, rule, preset, arguments.repeats)


if __name__ == "__main__":
    main()
