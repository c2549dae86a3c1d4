"""Files and images of a data set, written in one call."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

SIZES = {"a.jpg": (40, 60), "b.jpg": (60, 40)}


@pytest.fixture
def make_set(tmp_path: Path, write_images: Callable[..., None]) -> Callable[..., Path]:
    """`make_set({"labels/a.txt": "…"}, {"images": {"a.jpg": (40, 60)}})` writes text files and folders of images."""

    def build(files: dict[str, str], folders: dict[str, dict[str, tuple[int, int]]]) -> Path:
        for name, text in files.items():
            (tmp_path / name).parent.mkdir(parents=True, exist_ok=True)
            (tmp_path / name).write_text(text, encoding="utf-8")
        for folder, sizes in folders.items():
            for name, size in sizes.items():
                write_images((tmp_path / folder / name).parent, {Path(name).name: size})
        return tmp_path

    return build


def contents(dataset: Any) -> dict[Any, list[tuple[str, list[float]]]]:
    """Class and box of each object by image ID; ignore regions begin with `!`."""
    return {
        sample["image_id"]: [
            ("!" * bool(ignore) + dataset.class_names[label], box)
            for box, label, ignore in zip(
                sample["boxes"].round(4).tolist(), sample["labels"], sample["ignore"], strict=True
            )
        ]
        for sample in dataset
    }


@pytest.fixture
def contents_of() -> Callable[[Any], dict[Any, list[tuple[str, list[float]]]]]:
    """Class and box of each object by image ID; ignore regions begin with `!`."""
    return contents
