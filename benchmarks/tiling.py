r"""What do tiles find in large images that one downscaled pass does not?

    python benchmarks/tiling.py scenes SNAPSHOT [--side 3000] [--tile 512]
    python benchmarks/tiling.py crops ANNOTATIONS.csv FOLDER [--side 200] [--step 40]
    python benchmarks/tiling.py objects SNAPSHOT IMAGE ANNOTATIONS.xml [--tile 200]

`scenes` stitches scenes of the demo to one large image, for a snapshot of `retinanet-train demo`. `objects` takes any
image with boxes in Pascal VOC's XML. Both compare, at IoU 0.4 and the same class, one pass over the whole image, which
the model scales down to what it was trained on, with tiles, and with tiles and the whole pass.

`crops` cuts an annotated image (CSV with a header line) into overlapping squares, to train on. Tree crowns in aerial
images of one scale, a 400 x 400 image for training and a 1249 x 1035 one to detect in:

    python benchmarks/tiling.py crops OSBS_029.csv crops
    retinanet-train csv crops/boxes.csv --backbone mobilenet --weights mobilenet_1_0_imagenet_notop.weights.h5 \
        --max-level 5 --anchor-sizes 32,64,128 --anchor-strides 8,16,32 --fpn-width 64 --head-width 64 --head-depth 2 \
        --head-norm group --image-min-side 400 --image-max-side 400 --augment strong --optimizer adamw \
        --learning-rate 0.0005 --schedule cosine --batch-size 4 --epochs 10 --no-evaluation
    python benchmarks/tiling.py objects snapshots/RUN 2019_YELL_2_541000_4977000_image_crop.png \
        2019_YELL_2_541000_4977000_image_crop.xml
"""

from __future__ import annotations

import argparse
import csv
import xml.etree.ElementTree as ET
from collections import defaultdict
from pathlib import Path
from typing import Any

import numpy as np
from PIL import Image

from keras_retinanet import Detector
from keras_retinanet.config import TileConfig
from keras_retinanet.demo import scenes

IOU = 0.4
VISIBLE = 0.4  # share of a box that a crop must show


def stitch(side: int, seed: int) -> tuple[Any, Any, list[str]]:
    """Scenes in rows on one square image; boxes and class names of all that fit."""
    canvas = np.full((side, side, 3), 128, np.uint8)
    boxes, names = [], []
    index = top = 0
    while top < side:
        left, bottom = 0, top
        while left < side:
            scene = scenes.draw_scene((seed, 1, index))
            index += 1
            height, width = scene.image.shape[:2]
            if left + width > side or top + height > side:
                break
            canvas[top : top + height, left : left + width] = scene.image
            boxes.append(scene.boxes + np.array([left, top, left, top]))
            names += [scenes.CLASS_NAMES[label] for label in scene.labels]
            left, bottom = left + width, max(bottom, top + height)
        if bottom == top:
            break
        top = bottom
    return canvas, np.concatenate(boxes), names


def read_voc(path: Path) -> tuple[Any, list[str]]:
    objects = list(ET.parse(path).iter("object"))
    sides = ("xmin", "ymin", "xmax", "ymax")
    boxes = [[float(entry.findtext(f"bndbox/{side}") or 0) for side in sides] for entry in objects]
    return np.array(boxes) - [1, 1, 0, 0], [str(entry.findtext("name")) for entry in objects]


def count_hits(found: Any, boxes: Any, names: list[str]) -> int:
    """Annotated boxes that a detection of their class meets, each detection once, the surest first."""
    taken = np.zeros(len(boxes), bool)
    kinds = np.array(names)
    for box, name in zip(found.boxes, found.names, strict=True):
        low, high = np.maximum(box[:2], boxes[:, :2]), np.minimum(box[2:], boxes[:, 2:])
        common = np.prod(np.maximum(high - low, 0), axis=1)
        union = np.prod(box[2:] - box[:2]) + np.prod(boxes[:, 2:] - boxes[:, :2], axis=1) - common
        share = np.where(taken | (kinds != name), 0, common / union)
        if share.max(initial=0) >= IOU:
            taken[share.argmax()] = True
    return int(taken.sum())


def compare(flags: argparse.Namespace, image: Any, boxes: Any, names: list[str]) -> None:
    ways = {
        "one pass": None,
        "tiles": TileConfig(flags.tile, flags.overlap, has_whole_pass=False),
        "tiles and one pass": TileConfig(flags.tile, flags.overlap),
    }
    height, width = image.shape[:2]
    print(f"{width} x {height} px, {len(boxes)} objects, tiles of {flags.tile} px, overlap {flags.overlap:g}")
    print(f"score above {flags.score_threshold:g}; hit: IoU {IOU:g} and the class\n")
    print("                       boxes   hits  recall  precision   to one pass")
    first = None
    for way, tiles in ways.items():
        detector = Detector(flags.snapshot, score_threshold=flags.score_threshold, tiles=tiles)
        found = detector.detect_one(image)
        hits = count_hits(found, boxes, names)
        first = hits if first is None else first
        precision = hits / max(len(found.scores), 1)
        ratio = f"{hits / first:.2f}" if first else "-"
        recall = hits / len(boxes)
        print(f"{way:<20} {len(found.scores):7d} {hits:6d} {recall:7.3f} {precision:10.3f} {ratio:>13}")


def write_crops(annotations: Path, folder: Path, side: int, step: int) -> None:
    """Squares of each image, and `boxes.csv` of the boxes of which enough is seen."""
    rows = defaultdict(list)
    with annotations.open(encoding="utf-8") as file:
        for row in csv.DictReader(file):
            rows[row["image_path"]].append(row)
    folder.mkdir(parents=True, exist_ok=True)
    lines = []
    for name, objects in rows.items():
        image = Image.open(annotations.parent / name).convert("RGB")
        boxes = np.array([[float(row[key]) for key in ("xmin", "ymin", "xmax", "ymax")] for row in objects])
        for top in range(0, image.height - side + 1, step):
            for left in range(0, image.width - side + 1, step):
                crop = f"{Path(name).stem}_{left}_{top}.png"
                image.crop((left, top, left + side, top + side)).save(folder / crop)
                moved = boxes - [left, top, left, top]
                seen = np.clip(moved, 0, side)
                share = np.prod(seen[:, 2:] - seen[:, :2], axis=1) / np.prod(boxes[:, 2:] - boxes[:, :2], axis=1)
                kept = [[crop, *seen[k], objects[k]["label"]] for k in np.flatnonzero(share >= VISIBLE)]
                lines += kept or [[crop, "", "", "", "", ""]]
    with (folder / "boxes.csv").open("w", newline="", encoding="utf-8") as file:
        csv.writer(file).writerows(lines)
    print(f"{len({line[0] for line in lines})} crops with {sum(line[1] != '' for line in lines)} boxes in {folder}")


def main() -> None:
    parser = argparse.ArgumentParser(description="Tiles against one downscaled pass.")
    parts = parser.add_subparsers(dest="part", required=True)
    stitched, crops, objects = (parts.add_parser(name) for name in ("scenes", "crops", "objects"))
    for part, tile in ((stitched, 512), (objects, 200)):
        part.add_argument("snapshot")
        part.add_argument("--tile", type=int, default=tile)
        part.add_argument("--overlap", type=float, default=TileConfig.overlap)
        part.add_argument("--score-threshold", type=float, default=0.3)
    stitched.add_argument("--side", type=int, default=3000)
    stitched.add_argument("--seed", type=int, default=7)
    objects.add_argument("image", type=Path)
    objects.add_argument("annotations", type=Path)
    crops.add_argument("annotations", type=Path)
    crops.add_argument("folder", type=Path)
    crops.add_argument("--side", type=int, default=200)
    crops.add_argument("--step", type=int, default=40)
    flags = parser.parse_args()
    if flags.part == "crops":
        write_crops(flags.annotations, flags.folder, flags.side, flags.step)
    elif flags.part == "scenes":
        compare(flags, *stitch(flags.side, flags.seed))
    else:
        compare(flags, np.asarray(Image.open(flags.image).convert("RGB")), *read_voc(flags.annotations))


if __name__ == "__main__":
    main()
