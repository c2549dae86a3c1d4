"""The built-in data set: drawn scenes, written as COCO on first use."""

from __future__ import annotations

import json
import os
from pathlib import Path

from tqdm import tqdm

from keras_retinanet.config import DEMO_PATH
from keras_retinanet.data.datasets.coco.reader import CocoDataset
from keras_retinanet.data.datasets.shared.reader import Layout
from keras_retinanet.demo import scenes


class DemoDataset(CocoDataset):
    """The demo's scenes, read as COCO."""

    word = "demo"
    summary = f"synthetic scenes, written to PATH on first use (default: {DEMO_PATH})"
    arguments = ()
    optional_arguments = ("path",)
    default_path = DEMO_PATH

    @classmethod
    def flags(cls) -> tuple[str, ...]:
        """None of COCO's: the scenes are always in the same place."""
        return ()

    @classmethod
    def find_layout(cls, path: str | os.PathLike[str]) -> Layout | None:
        """A folder of scenes is recognised as COCO."""
        del path
        return None

    @classmethod
    def default_sets(cls, path: str | os.PathLike[str]) -> tuple[str, str | None]:
        """`train2017` and `val2017`, whether or not they have been written."""
        del path
        return "train2017", "val2017"

    @classmethod
    def prepare(cls, path: str | os.PathLike[str]) -> None:
        """Write the scenes unless the folder has a complete set of any size."""
        try:
            receipt = json.loads((Path(path) / "scenes.json").read_text(encoding="utf-8"))
        except (OSError, ValueError):
            receipt = {}
        if receipt.get("version") != scenes.VERSION or "counts" not in receipt:
            with tqdm(desc=f"writing scenes to {path}", unit=" scenes", leave=False, disable=None) as bar:
                scenes.write_dataset(Path(path), progress=bar.update)
