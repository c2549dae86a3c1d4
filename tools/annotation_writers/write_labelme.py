"""labelme's own label files, without its window."""

from __future__ import annotations

import os
import shutil
from pathlib import Path

from common import BOXES, SIZES, run

os.environ["QT_QPA_PLATFORM"] = "offscreen"


def write(source: Path, out: Path) -> None:
    """Saves one label file per image; corners in the order of a drag from the upper right to the lower left."""
    from labelme._label_file import LabelFile

    for name, (width, height) in SIZES.items():
        shutil.copy(source / name, out)
        shapes = [
            {
                "label": label, "points": [[x2, y1], [x1, y2]], "group_id": None, "description": "",
                "shape_type": "rectangle", "flags": {}, "mask": None,
            }
            for label, x1, y1, x2, y2 in BOXES[name]
        ]  # fmt: skip
        data = LabelFile.load_image_file(str(source / name))
        file = str(out / Path(name).with_suffix(".json"))
        LabelFile().save(file, shapes, name, height, width, data, flags={})


if __name__ == "__main__":
    run("labelme", {"labelme JSON": write})
