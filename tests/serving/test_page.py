"""The page: what it may do, and what a person sees of it in a browser."""

from __future__ import annotations

import io
import os
import re
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from PIL import Image

from keras_retinanet.config import FilterConfig, ResizeConfig
from keras_retinanet.runtimes import Description, Runtime
from keras_retinanet.serving.page import PAGE_HEADERS, render_page


def test_nothing_comes_from_elsewhere() -> None:
    page = render_page("insects")
    assert re.findall(r"(?:https?:)?//[a-z]", page.replace("// ", "")) == []
    assert re.findall(r"\b(?:src|href)=\"(?!data:,)", page) == []


def test_the_model_is_named_and_cannot_be_markup() -> None:
    assert '<main data-model="insects">' in render_page("insects")
    assert "<script>alert" not in render_page("<script>alert(1)</script>")
    assert "{{" not in render_page("insects")


def test_only_its_own_script_may_run() -> None:
    policy = PAGE_HEADERS["Content-Security-Policy"]
    assert policy.startswith("default-src 'none'; script-src 'sha256-")
    assert "unsafe" not in policy
    assert render_page("a").count("<script>") == render_page("a").count("<style>") == 1
    assert " style=" not in render_page("a")


class CornerRuntime(Runtime):
    """Finds three boxes in every image: one that tells its size, and two at fixed places."""

    def __init__(self) -> None:
        names = ("ant", "<b>bee</b>")
        super().__init__(Description(names, ResizeConfig(64, 96), (0.0, 0.0, 0.0), FilterConfig()))

    def raw_outputs(self, images: Any) -> Any:
        raise NotImplementedError

    def detect(self, images: Any, fits: Any = None, *, batch_size: Any = None) -> list[Any]:
        del fits, batch_size
        return [
            {
                "boxes": np.array(
                    [[0, 0, image.shape[1], image.shape[0]], [20, 30, 120, 90], [150, 100, 290, 190]], np.float32
                ),
                "scores": np.array([0.9, 0.75, 0.3], np.float32),
                "labels": np.array([0, 1, 0], np.int32),
            }
            for image in images
        ]


@pytest.fixture
def page(browser: Any, serve: Any) -> Iterator[Any]:
    with serve(CornerRuntime(), max_pixels=100_000) as running:
        opened = browser.new_page(viewport={"width": 900, "height": 800})
        opened.set_default_timeout(60_000)
        opened.problems = []
        opened.on("pageerror", lambda error: opened.problems.append(str(error)))
        opened.on("console", lambda line: opened.problems.append(line.text) if line.type == "error" else None)
        opened.goto(running.url)
        yield opened
        opened.close()


def plain(colour: tuple[int, int, int], width: int, height: int) -> bytes:
    return saved(Image.new("RGB", (width, height), colour))


def saved(image: Image.Image, orientation: int = 1, kind: str = "jpeg") -> bytes:
    exif = Image.Exif()
    exif[0x0112] = orientation
    buffer = io.BytesIO()
    image.save(buffer, kind, exif=exif)
    return buffer.getvalue()


def choose(page: Any, contents: bytes, name: str = "photo.jpg") -> None:
    page.set_input_files("#file", {"name": name, "mimeType": "image/jpeg", "buffer": contents})


def drop(page: Any, contents: bytes) -> None:
    script = """(bytes) => {
      const data = new DataTransfer();
      data.items.add(new File([new Uint8Array(bytes)], "dropped.jpg", {type: "image/jpeg"}));
      document.getElementById("drop").dispatchEvent(new DragEvent("drop", {dataTransfer: data, bubbles: true}));
    }"""
    page.evaluate(script, list(contents))


def pixel(page: Any, x: int, y: int) -> list[int]:
    script = "([x, y]) => [...document.getElementById('picture').getContext('2d').getImageData(x, y, 1, 1).data]"
    found: list[int] = page.evaluate(script, [x, y])[:3]
    return found


def test_an_image_is_chosen_dropped_and_filtered(page: Any, tmp_path: Path) -> None:
    choose(page, plain((250, 250, 250), 320, 200))
    page.wait_for_selector("#picture:visible")
    assert page.inner_text("#count") == "2 of 3 detections"
    rows = page.eval_on_selector_all("#list tbody tr", "rows => rows.map((row) => row.innerText)")
    assert [row.split("\t") for row in rows] == [
        ["ant", "0.900", "0.0", "0.0", "320.0", "200.0"],
        ["<b>bee</b>", "0.750", "20.0", "30.0", "120.0", "90.0"],
    ]
    assert pixel(page, 20, 60) != pixel(page, 70, 60) == [250, 250, 250]
    assert pixel(page, 150, 150) == [250, 250, 250], "a box below the slider's score is not drawn"
    page.fill("#score", "0.25")
    assert page.inner_text("#count") == "3 of 3 detections"
    assert pixel(page, 150, 150) != [250, 250, 250]
    page.screenshot(path=str(Path(os.environ.get("PAGE_SCREENSHOT", tmp_path / "page.png"))))

    drop(page, plain((10, 10, 10), 200, 320))
    page.wait_for_selector("text=dropped.jpg: 200 × 320")
    assert pixel(page, 70, 60)[0] < 30
    assert page.problems == []


@pytest.mark.parametrize("kind", ["jpeg", "webp", "png"])
def test_an_orientation_does_not_turn_the_picture(page: Any, kind: str) -> None:
    """Boxes refer to the stored pixels, so these are what must be shown: 320 x 200, though EXIF says to turn them."""
    image = Image.new("RGB", (320, 200), (250, 250, 250))
    image.paste((0, 0, 200), (0, 100, 160, 200))
    choose(page, saved(image, 6, kind))
    page.wait_for_selector("#picture:visible")
    assert "320 × 200" in page.inner_text("#status")
    colours = [pixel(page, x, y)[0] > 100 for x, y in ((60, 150), (250, 150), (60, 15), (310, 50))]
    assert colours == [False, True, True, True]


def test_what_the_server_says_is_shown(page: Any) -> None:
    choose(page, plain((0, 0, 0), 400, 300))
    page.wait_for_selector("#status.error")
    assert page.inner_text("#status") == (
        "image 0 of the request has 400 x 300 pixels, more than the 100,000 pixels that are taken; send it smaller"
    )
    assert not page.is_visible("#picture")
