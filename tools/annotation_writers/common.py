"""What the scripts of the writers share: the small data set, and running one writer after the other.

This module runs in the environments of the writers. It imports neither this package nor a framework.
"""

from __future__ import annotations

import json
import sys
import traceback
from collections.abc import Callable, Mapping
from importlib.metadata import version
from pathlib import Path
from typing import Any

CLASSES = ("dog", "cat")
SIZES = {"one.jpg": (637, 481), "empty.jpg": (333, 251), "two.jpg": (211, 307), "décran 1.jpg": (100, 80)}
"""Width and height of each image."""

BOXES: dict[str, list[tuple[str, float, float, float, float]]] = {
    "one.jpg": [("cat", 10.4, 20.6, 110.9, 220.85), ("dog", 0, 0, 50.5, 40.25), ("cat", 500.75, 300.5, 637, 481)],
    "empty.jpg": [],
    "two.jpg": [("dog", 30.5, 40.5, 150.25, 200.75)],
    "décran 1.jpg": [("cat", 10, 10, 50, 60)],
}
"""Class and corners in pixels, counted from 0, of each image's boxes."""


def coco(source: Path, *, has_empty: bool = True) -> Path:
    """Writes the data set as COCO, the input of most writers.

    Args:
        source: Folder of the images.
        has_empty: Include the image without boxes.

    Returns:
        The JSON file.
    """
    names = [name for name in SIZES if has_empty or BOXES[name]]
    images = [{"id": n, "file_name": name, "width": SIZES[name][0], "height": SIZES[name][1]}
              for n, name in enumerate(names, 1)]  # fmt: skip
    annotations: list[dict[str, Any]] = []
    for image, name in enumerate(names, 1):
        for label, x1, y1, x2, y2 in BOXES[name]:
            box = [x1, y1, x2 - x1, y2 - y1]
            annotations.append(
                {"id": len(annotations) + 1, "image_id": image, "category_id": CLASSES.index(label) + 1, "bbox": box}
                | {"area": box[2] * box[3], "iscrowd": 0, "segmentation": []}
            )
    categories = [{"id": n, "name": name, "supercategory": ""} for n, name in enumerate(CLASSES, 1)]
    file = source.parent / ("coco.json" if has_empty else "coco_without_empty.json")
    file.write_text(json.dumps({"images": images, "annotations": annotations, "categories": categories}))
    return file


def run(package: str, writers: Mapping[str, Callable[[Path, Path], object]]) -> None:
    """Runs writers of a package and prints one JSON line for each.

    Args:
        package: Its name on PyPI, for the version.
        writers: Function of each layout, called with the folder of the images and the folder to write.
    """
    source, out = Path(sys.argv[1]), Path(sys.argv[2])
    for layout, write in writers.items():
        folder = out / f"{package} {layout}".replace("/", "-").replace(" ", "_")
        folder.mkdir(parents=True)
        row = {"package": package, "version": version(package), "layout": layout, "folder": str(folder), "error": ""}
        try:
            write(source, folder)
        except Exception as error:  # a writer of another project may raise anything; its row says so
            traceback.print_exc()
            row["error"] = f"{type(error).__name__}: {error}"
        print("ROW " + json.dumps(row), flush=True)
