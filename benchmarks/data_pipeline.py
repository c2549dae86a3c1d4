"""How many images a second does the input pipeline deliver, and where does its time go?

    python benchmarks/data_pipeline.py [--folder IMAGES] [--images 160] [--workers 1] [--repeats 5]

Ours is `TrainingBatches` as training uses it: read, decode, resize, flip, pad, batch. Beside it fizyr's way, an image
at a time in Python: Pillow decodes, a bilinear resize (OpenCV where installed, which fizyr uses, and Pillow), mean
subtraction in float32, flip, a batch padded with zeros. Each runs in a process of its own on the same 640 x 480 JPEGs,
written for the occasion unless a folder is given. Pillow always low-passes when it shrinks, so its peer at 512 pixels
is the antialiased rule; OpenCV never does, and is left out there. CPU time is the figure to trust on a busy machine.
Two prefetched batches, a twentieth of a run, flatter ours.
"""

from __future__ import annotations

import argparse
import functools
import tempfile
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import tensorflow as tf
from PIL import Image
from timing import interleave, interleave_processes, print_table

from keras_retinanet.config import ResizeConfig
from keras_retinanet.data.image import decode, pad, resize_image
from keras_retinanet.data.image_files import SUFFIXES, read_sizes
from keras_retinanet.data.pipeline import TrainingBatches
from keras_retinanet.data.resized_sizes import resized_size
from keras_retinanet.schema import Sample

try:
    import cv2
except ImportError:
    cv2 = None

MEAN = (123.68, 116.779, 103.939)
RULES = {
    "800/1333": ResizeConfig(),
    "512 square": ResizeConfig(512, 512, is_square=True),
    "512 square antialiased": ResizeConfig(512, 512, is_square=True, antialias=True),
}


def write_images(folder: Path, count: int) -> None:
    rng = np.random.default_rng(0)
    for number in range(count):
        layers = [rng.integers(0, 256, (480 // step, 640 // step, 3), np.uint8) for step in (40, 8, 2)]
        parts = [np.asarray(Image.fromarray(layer).resize((640, 480), Image.Resampling.BICUBIC)) for layer in layers]
        mixed = 0.6 * parts[0] + 0.3 * parts[1] + 0.1 * parts[2]
        Image.fromarray(mixed.astype(np.uint8)).save(folder / f"{number}.jpg", quality=90)


def samples(folder: Path, count: int) -> list[Sample]:
    paths = sorted(str(path) for path in folder.iterdir() if path.suffix.lower() in SUFFIXES)[:count]
    box, label = np.float32([[20, 20, 200, 200]]), np.zeros(1, np.int32)
    return [
        Sample(image=path, image_id=path, boxes=box, labels=label, ignore=label > 0, size=size)
        for path, size in zip(paths, read_sizes(paths), strict=True)
    ]


def ours(samples: list[Sample], rule: ResizeConfig, batch_size: int, workers: int) -> Callable[[], None]:
    """A run is an epoch's number of batches from a pipeline that is under way."""
    batches = TrainingBatches(
        samples,
        resize=rule,
        pad_value=MEAN,
        batch_size=batch_size,
        seed=0,
        workers=workers,
        augmentations=("horizontal_flip",),
    )
    running = iter(batches.dataset())

    def run() -> None:
        for _ in range(batches.steps_per_epoch):
            next(running)

    return run


def fizyr(
    samples: list[Sample], rule: ResizeConfig, batch_size: int, scale: Callable[[Any, Any], Any]
) -> Callable[[], None]:
    return functools.partial(fizyr_way, samples, rule, batch_size, scale)


def fizyr_way(samples: list[Sample], rule: ResizeConfig, batch_size: int, scale: Callable[[Any, Any], Any]) -> None:
    """One epoch as fizyr's generator makes it; `scale(pixels, (height, width))` resizes uint8."""
    for start in range(0, len(samples), batch_size):
        images = []
        for number, sample in enumerate(samples[start : start + batch_size]):
            pixels = np.asarray(Image.open(sample["image"]).convert("RGB"))[:, :, ::-1]
            if number % 2:
                pixels = pixels[:, ::-1]
            resized = scale(np.ascontiguousarray(pixels), resized_size(*pixels.shape[:2], rule))
            image = resized.astype(np.float32)
            image -= MEAN[::-1]
            images.append(image)
        canvas = np.max([image.shape for image in images], axis=0)
        if rule.is_square:
            canvas[:2] = rule.max_side
        batch = np.zeros((len(images), *canvas), np.float32)
        for place, image in zip(batch, images, strict=True):
            place[: image.shape[0], : image.shape[1]] = image


def with_pillow(pixels: Any, size: tuple[int, int]) -> Any:
    return np.asarray(Image.fromarray(pixels).resize(size[::-1], Image.Resampling.BILINEAR))


def with_opencv(pixels: Any, size: tuple[int, int]) -> Any:
    return cv2.resize(pixels, size[::-1], interpolation=cv2.INTER_LINEAR)


def compare(samples: list[Sample], name: str, arguments: argparse.Namespace) -> None:
    rule = RULES[name]
    print(f"\n{name}: {len(samples)} images, batches of {arguments.batch}, {arguments.workers} worker(s)")
    common = (samples, rule, arguments.batch)
    makers: dict[str, Any] = {"ours": functools.partial(ours, *common, arguments.workers)}
    if not rule.antialias and cv2 is not None:
        makers["fizyr's way, OpenCV"] = functools.partial(fizyr, *common, with_opencv)
    makers["fizyr's way, Pillow"] = functools.partial(fizyr, *common, with_pillow)
    timings = interleave_processes(makers, arguments.repeats)
    print_table(timings, "ours")
    for way, timing in timings.items():
        wall, cpu = (1e3 * len(samples) / value for value in (timing.wall, timing.cpu))
        print(f"  {way}: {wall:.0f} images/s, {cpu:.0f} images per CPU second")


def stages(samples: list[Sample], rule: ResizeConfig, repeats: int) -> None:
    """Each stage on what the one before it left in memory."""
    contents = [tf.io.read_file(sample["image"]) for sample in samples]
    images = [decode(content) for content in contents]
    sizes = [resized_size(*image.shape[:2], rule) for image in images]
    resized = [resize_image(image, size) for image, size in zip(images, sizes, strict=True)]
    canvas = tf.constant([-(-max(side) // 32) * 32 for side in zip(*sizes, strict=True)])
    work: dict[str, tuple[list[Any], Callable[[Any], Any]]] = {
        "decode": (contents, decode),
        "resize": (images, lambda image: resize_image(image, sizes[0])),
        "resize antialiased": (images, lambda image: resize_image(image, sizes[0], antialias=True)),
        "flip": (resized, lambda image: tf.reverse(image, [1])),
        "pad to float32": (resized, lambda image: pad(image, canvas, MEAN)),
    }
    compiled = {name: (items, tf.function(function, reduce_retracing=True)) for name, (items, function) in work.items()}
    runs = {
        name: lambda items=items, function=function: list(map(function, items))
        for name, (items, function) in compiled.items()
    }
    timings = interleave(runs, repeats)
    for name, timing in timings.items():
        print(f"  {name:20} {timing.cpu / len(samples):6.2f} ms CPU an image")


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--folder", type=Path)
    parser.add_argument("--images", type=int, default=160)
    parser.add_argument("--batch", type=int, default=4)
    parser.add_argument("--workers", type=int, default=1)
    parser.add_argument("--repeats", type=int, default=5)
    arguments = parser.parse_args()
    with tempfile.TemporaryDirectory() as scratch:
        if arguments.folder is None:
            write_images(Path(scratch), arguments.images)
        found = samples(arguments.folder or Path(scratch), arguments.images)
        for name, rule in RULES.items():
            compare(found, name, arguments)
            if not rule.antialias:
                stages(found, rule, arguments.repeats)


if __name__ == "__main__":
    main()
