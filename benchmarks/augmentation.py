"""What does a random change cost, and do the boxes follow? Plain TensorFlow against Keras' layers and albumentations.

    python benchmarks/augmentation.py [--images 16] [--repeats 3] [--size 800 1056] [--parts affine colour each]

Ours are `AUGMENTATIONS` inside tf.data, as training runs them. The peers do the same to the same picture: Keras'
preprocessing layers (`keras.layers.Random*`) inside tf.data, one image at a time with its boxes, and albumentations
(OpenCV) or Pillow image by image in Python, where they are installed. CPU time an image is the figure to trust on a
busy machine. Then each side moves three discs and rectangles on black, and the boxes are compared with the pixels: how
far a box falls short of its object, and how far it reaches beyond, at most, in pixels.
"""

from __future__ import annotations

import argparse
import warnings
from collections.abc import Callable
from typing import Any

import keras
import numpy as np
import tensorflow as tf
from PIL import Image, ImageDraw, ImageEnhance
from timing import interleave, print_table

from keras_retinanet.data.augment import AUGMENTATIONS, PRESETS, apply_augmentations

try:
    import albumentations
except ImportError:
    albumentations = None

BOXES = np.float32([[60, 40, 160, 120], [250, 60, 330, 200], [90, 220, 230, 300]])
SHAPES = ("rectangle", "ellipse", "rectangle")
MANY = 10**9  # images of a pipeline that stays under way: building one takes as long as some of them
Result = tuple[Any, Any, Any]  # image, boxes, labels
Change = Callable[[Any, int], Result]


def ours(names: tuple[str, ...], image: Any, count: int) -> Any:
    """`count` changed copies of an image as tf.data makes them."""

    def change(number: Any, picture: Any) -> Any:
        sample = {
            "image": picture,
            "boxes": tf.constant(BOXES),
            "labels": tf.range(len(BOXES)),
            "ignore": tf.zeros(len(BOXES), tf.bool),
            "target_size": tf.constant(image.shape[:2]),
            "pad_value": tf.zeros(3),
        }
        out = apply_augmentations(sample, names, tf.stack([number, 7]), lambda _: dict(sample))
        return out["image"], out["boxes"], out["labels"]

    return pictures(image, count).map(change)


def pictures(image: Any, count: int) -> Any:
    """Numbers, each with the image. Were it a constant of the graph, TensorFlow would spend seconds on copies of it."""
    return tf.data.Dataset.zip(tf.data.Dataset.range(count), tf.data.Dataset.from_tensors(image).repeat())


def keras_layers(layers: list[Any], image: Any, count: int) -> Any:
    def change(_: Any, picture: Any) -> Any:
        out = {
            "images": tf.cast(picture, tf.float32),
            "bounding_boxes": {"boxes": tf.constant(BOXES), "labels": tf.range(len(BOXES))},
        }
        for layer in layers:
            out = layer(out, training=True)
        return out["images"], out["bounding_boxes"]["boxes"], out["bounding_boxes"]["labels"]

    return pictures(image, count).map(change)


def keras_affine() -> list[Any]:
    """The strengths of fizyr; one layer each, for Keras has no affine layer. Rotation is in turns, shear in sides."""
    options = {"fill_mode": "constant", "data_format": "channels_last", "seed": 1}
    layers = [
        keras.layers.RandomRotation(0.1 / (2 * np.pi), **options),
        keras.layers.RandomTranslation(0.1, 0.1, **options),
        keras.layers.RandomShear(0.1, 0.1, **options),
        keras.layers.RandomZoom(0.1, 0.1, **options),
    ]
    for layer in layers:
        layer.bounding_box_format = "xyxy"
    return layers


def keras_colour() -> list[Any]:
    layer = keras.layers.RandomColorJitter(
        value_range=(0, 255),
        brightness_factor=0.1,
        contrast_factor=0.1,
        saturation_factor=(0.45, 0.55),
        hue_factor=0.05,
        seed=1,
    )
    layer.bounding_box_format = "xyxy"
    return [layer]


def with_albumentations(changes: list[Any]) -> Change:
    boxes = albumentations.BboxParams(format="pascal_voc", label_fields=["labels"])
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")  # a change of colours has no use for boxes, and says so
        chain = albumentations.Compose(changes, bbox_params=boxes, seed=1)

    def change(image: Any, _: int) -> Result:
        out = chain(image=image, bboxes=BOXES, labels=np.arange(len(BOXES)))
        return out["image"], np.reshape(out["bboxes"], (-1, 4)), np.asarray(out["labels"], int)

    return change


def albumentations_affine() -> list[Any]:
    return [
        albumentations.Affine(
            scale=(0.9, 1.1), translate_percent=(-0.1, 0.1), rotate=(-5.73, 5.73), shear=(-5.73, 5.73), p=1.0
        )
    ]


def albumentations_colour() -> list[Any]:
    jitter = albumentations.ColorJitter((0.9, 1.1), (0.9, 1.1), (0.95, 1.05), (-0.05, 0.05), p=1.0)
    return [jitter]


def pillow_affine(image: Any, number: int) -> Result:
    rng = np.random.default_rng(number)
    (a, b, c, d), (x, y) = rng.uniform(-0.1, 0.1, 4), rng.uniform(-40, 40, 2)
    backwards = (1 + a, b, x, c, 1 + d, y)
    moved = Image.fromarray(image).transform(
        image.shape[1::-1], Image.Transform.AFFINE, backwards, Image.Resampling.BILINEAR
    )
    corners = np.stack([BOXES[:, [0, 2, 0, 2]], BOXES[:, [1, 1, 3, 3]]], axis=-1) - (x, y)
    points = corners @ np.linalg.inv([[1 + a, b], [c, 1 + d]]).T
    return np.asarray(moved), np.concatenate([points.min(1), points.max(1)], axis=1), np.arange(len(BOXES))


def pillow_colour(image: Any, number: int) -> Result:
    """Without hue, which Pillow does not change."""
    rng, picture = np.random.default_rng(number), Image.fromarray(image)
    for effect in (ImageEnhance.Contrast, ImageEnhance.Brightness, ImageEnhance.Color):
        picture = effect(picture).enhance(rng.uniform(0.9, 1.1))
    return np.asarray(picture), BOXES, np.arange(len(BOXES))


def scene(height: int, width: int, only: int | None = None) -> Any:
    picture = Image.new("RGB", (width, height))
    for number, ((x1, y1, x2, y2), shape) in enumerate(zip(BOXES.tolist(), SHAPES, strict=True)):
        colour = tuple(255 * (channel == number) for channel in range(3))
        if only in (None, number):
            getattr(ImageDraw.Draw(picture), shape)((x1, y1, x2 - 1, y2 - 1), fill=colour)
    return np.asarray(picture)


def errors(results: list[Result]) -> str:
    """How far boxes fall short of the pixels of their objects and reach beyond them, at most."""
    short, beyond = {"rectangle": 0.0, "ellipse": 0.0}, {"rectangle": 0.0, "ellipse": 0.0}
    for image, boxes, labels in results:
        for box, label in zip(np.asarray(boxes), np.asarray(labels, int), strict=True):
            if label < 0 or label >= len(SHAPES):
                continue
            rows, columns = np.nonzero(np.asarray(image)[..., label] > 127)
            if len(rows) == 0:
                continue
            found = np.array([columns.min(), rows.min(), columns.max() + 1, rows.max() + 1])
            gap = np.concatenate([box[:2] - found[:2], found[2:] - box[2:]])  # positive: the box is too small there
            kind = SHAPES[label]
            short[kind], beyond[kind] = max(short[kind], gap.max()), max(beyond[kind], -gap.min())
    return ", ".join(f"{kind}: {short[kind]:.1f} short, {beyond[kind]:.1f} beyond" for kind in short)


def in_python(change: Change, image: Any, count: int) -> list[Result]:
    return [change(image, number) for number in range(count)]


def sides(kind: str) -> dict[str, Callable[[Any, int], Any]]:
    """Name → function of an image and a count to the changed copies."""
    own = ("affine",) if kind == "affine" else ("visual_effects",)
    layers = keras_affine() if kind == "affine" else keras_colour()
    found: dict[str, Callable[[Any, int], Any]] = {
        "ours": lambda image, count: ours(own, image, count),
        "Keras' layers": lambda image, count: keras_layers(layers, image, count),
        "Pillow": lambda image, count: in_python(pillow_affine if kind == "affine" else pillow_colour, image, count),
    }
    if albumentations is not None:
        chain = with_albumentations(albumentations_affine() if kind == "affine" else albumentations_colour())
        found["albumentations"] = lambda image, count: in_python(chain, image, count)
    return found


def compare(kind: str, arguments: argparse.Namespace) -> None:
    print(f"\n{kind}, {arguments.size[0]} x {arguments.size[1]}, milliseconds of {arguments.images} images")
    rng = np.random.default_rng(0)
    image = rng.integers(0, 256, (*arguments.size, 3), np.uint8)
    runs: dict[str, Callable[[], Any]] = {}
    for name, side in sides(kind).items():
        try:
            results = [tuple(result) for result in side(scene(360, 400), 24)]
            made = iter(side(image, MANY)) if name in ("ours", "Keras' layers") else None
        except Exception as error:
            print(f"  {name}: not measured: {type(error).__name__}: {str(error)[:200]}")
            continue
        if kind == "affine":
            print(f"  {name}: {errors(results)}")
        if made is not None:
            runs[name] = lambda made=made: [next(made) for _ in range(arguments.images)]
        else:
            runs[name] = lambda side=side: side(image, arguments.images)
    timings = interleave(runs, arguments.repeats)
    print_table(timings, "ours")
    for name, timing in timings.items():
        print(f"  {name}: {timing.cpu / arguments.images:.1f} ms CPU an image")


def each(arguments: argparse.Namespace) -> None:
    print("\nours, one by one and by preset")
    image = np.random.default_rng(0).integers(0, 256, (*arguments.size, 3), np.uint8)
    names = {name: (name,) for name in (*AUGMENTATIONS, "mosaic", "mixup")}
    names |= {f"preset {name}": preset for name, preset in PRESETS.items()}
    for name, chain in names.items():
        made = iter(ours(chain, image, MANY))
        timings = interleave({name: lambda made=made: [next(made) for _ in range(arguments.images)]}, arguments.repeats)
        print(f"  {name:20} {timings[name].cpu / arguments.images:6.1f} ms CPU an image", flush=True)


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--images", type=int, default=16)
    parser.add_argument("--repeats", type=int, default=3)
    parser.add_argument("--size", type=int, nargs=2, default=(800, 1056))
    parser.add_argument(
        "--parts", nargs="+", choices=("affine", "colour", "each"), default=("affine", "colour", "each")
    )
    arguments = parser.parse_args()
    for part in arguments.parts:
        if part == "each":
            each(arguments)
        else:
            compare(part, arguments)


if __name__ == "__main__":
    main()
