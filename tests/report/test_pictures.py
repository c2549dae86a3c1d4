"""What part of an image is shown, where boxes are in it, and what happens when there is no room or no image."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import pytest
from PIL import Image

from keras_retinanet.report.pictures import SIDE, Picture, Pictures, Window, choose_window


@pytest.mark.parametrize(
    ("focus", "size", "window"),
    [
        (None, (4000, 3000), (0, 0, 4000, 3000)),
        ((100, 100, 700, 700), (1000, 800), (0, 0, 1000, 800)),
        ((1000, 1000, 1050, 1040), (4000, 3000), (825, 870, 1225, 1170)),
        ((0, 0, 10, 10), (4000, 3000), (0, 0, 214, 160)),
        ((3990, 2990, 4100, 3100), (4000, 3000), (3786, 2840, 4000, 3000)),
        ((50, 50, 52, 52), (300, 100), (0, 0, 214, 100)),
        ((float("nan"), 0, 1, 1), (300, 100), (0, 0, 300, 100)),
    ],
)
def test_the_window_around_a_box(focus: Any, size: tuple[int, int], window: tuple[int, ...]) -> None:
    assert choose_window(focus, *size) == window


def test_boxes_in_pixels_of_the_picture() -> None:
    picture = Picture(0, Window(100, 200, 500, 500), 200, 150)
    assert picture.place([[100, 200, 500, 500], [140, 220, 160, 240]]).tolist() == [[0, 0, 200, 150], [20, 10, 30, 20]]


def sample(path: Path, size: tuple[int, int] | None = None, orientation: int = 1) -> Any:
    return {"image": str(path), "image_id": 1, "orientation": orientation} | ({"size": size} if size else {})


def test_large_images_become_small_and_are_kept_once(tmp_path: Path) -> None:
    Image.new("RGB", (1200, 600), (200, 10, 10)).save(tmp_path / "wide.png")
    pictures = Pictures()
    first = pictures.add(sample(tmp_path / "wide.png", (600, 1200)))
    assert first == Picture(0, Window(0, 0, 1200, 600), SIDE, SIDE // 2)
    assert pictures.add(sample(tmp_path / "wide.png")) == first, "the size is read where it is not known"
    assert pictures.add(sample(tmp_path / "wide.png"), np.array([600, 300, 620, 320]))[:2] == (1, (503, 230, 717, 390))
    turned = pictures.add(sample(tmp_path / "wide.png", orientation=6))
    assert turned is not None
    assert turned[1:] == (Window(0, 0, 600, 1200), SIDE // 2, SIDE)


def test_no_room_and_no_image(tmp_path: Path) -> None:
    Image.new("RGB", (30, 30)).save(tmp_path / "a.png")
    (tmp_path / "broken.png").write_bytes(b"no image")
    pictures = Pictures(max_bytes=1)
    assert pictures.add(sample(tmp_path / "gone.png", (5, 5))) is None
    assert pictures.add(sample(tmp_path / "broken.png")) is None
    assert pictures.add(sample(tmp_path / "a.png")) is not None, "the limit is reached by the last picture"
    assert pictures.add(sample(tmp_path / "a.png", (30, 31))) is None
    assert len(pictures.urls) == 1
