"""Draw the pictures of README and docs from a run of the demo: `python docs/pictures.py RUN [--scenes FOLDER]`.

`retinanet-train demo` makes the run. Everything else follows from it and the seeded scenes.
"""

from __future__ import annotations

import argparse
import base64
import contextlib
import io
import re
import sys
import tempfile
from collections.abc import Callable, Sequence
from pathlib import Path

import numpy as np
from PIL import Image

sys.path.insert(0, str(Path(__file__).resolve().parents[1]))  # the pictures show this checkout

import keras_retinanet
from keras_retinanet.cli import debug, doctor
from keras_retinanet.demo.scenes import CLASS_NAMES, write_dataset
from keras_retinanet.drawing.visualize import draw_detections
from keras_retinanet.snapshots.run_folder import Run
from keras_retinanet.training.pictures import draw_curves

IMAGES = Path(__file__).resolve().parent / "images"
SHOWN = ("000001000002", "000001000008", "000001000009")
"""Validation scenes of the picture with detections."""
MIN_SCORE = 0.5
HEIGHT, GAP = 320, 6
PLOTS = ("Sizes of the boxes", "Boxes that train an anchor, by size (train)")
"""Titles of the doctor's plots that are shown."""


def main(argv: Sequence[str] | None = None) -> None:
    """Draws all pictures and prints their sizes.

    Args:
        argv: Sequence. Words of the command line. Defaults to `sys.argv[1:]`.
    """
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("run", type=Path, help="folder of a run of the demo")
    parser.add_argument("--scenes", type=Path, default=Path("scenes"), help="the demo's data set (default: ./scenes)")
    options = parser.parse_args(argv)
    write_dataset(options.scenes)
    IMAGES.mkdir(exist_ok=True)
    draw_found(options.run, options.scenes, IMAGES / "detections.jpg")
    draw_training_images(options.scenes, IMAGES / "training_images.jpg")
    draw_curves(Run(options.run).rows(), IMAGES / "curves.png")
    draw_doctor_plots(options.scenes, IMAGES / "doctor.png")
    for path in sorted(IMAGES.iterdir()):
        print(f"{path.name}: {path.stat().st_size / 1000:.0f} kB")


def draw_found(run: Path, scenes: Path, path: Path) -> None:
    """Scenes in a row, with what the detector of the run finds in them.

    Args:
        run: Path. Folder of the run.
        scenes: Path. The demo's data set.
        path: Path. The JPEG file.
    """
    drawn = []
    for name in SHOWN:
        file = scenes / "val2017" / f"{name}.jpg"
        found = keras_retinanet.detect(run, file, score_threshold=MIN_SCORE)
        image = np.asarray(Image.open(file))
        drawn.append(draw_detections(image, found.boxes, found.labels, found.scores, CLASS_NAMES))
    row([Image.fromarray(image) for image in drawn]).save(path, quality=85, optimize=True)


def draw_training_images(scenes: Path, path: Path) -> None:
    """The sheet of `retinanet-debug` with strong augmentation.

    Args:
        scenes: Path. The demo's data set.
        path: Path. The JPEG file.
    """
    with tempfile.TemporaryDirectory() as folder:
        sheet = Path(folder) / "sheet.png"
        words = ["demo", str(scenes), "--augment", "strong", "--limit", "8", "--sheet", str(sheet)]
        run_command(debug.main, words)
        with Image.open(sheet) as image:
            image.thumbnail((1000, 1000))
            image.save(path, quality=80, optimize=True)


def draw_doctor_plots(scenes: Path, path: Path) -> None:
    """Some of the plots of the page that `retinanet-doctor` writes.

    Args:
        scenes: Path. The demo's data set.
        path: Path. The PNG file.
    """
    with tempfile.TemporaryDirectory() as folder:
        page = Path(folder) / "page.html"
        run_command(doctor.main, ["demo", str(scenes), "--page", str(page)])
        text = page.read_text(encoding="utf-8")
    figures = re.findall(r"<figcaption>(.*?)</figcaption><img src='data:image/png;base64,(.*?)'", text)
    plots = {title: Image.open(io.BytesIO(base64.b64decode(data))) for title, data in figures}
    row([plots[title] for title in PLOTS]).convert("P", palette=Image.Palette.ADAPTIVE).save(path, optimize=True)


def row(images: Sequence[Image.Image]) -> Image.Image:
    """Puts images beside each other, all of the same height.

    Args:
        images: Sequence of images.

    Returns:
        The row, `HEIGHT` pixels high.
    """
    scaled = [
        np.asarray(
            image.convert("RGB").resize((round(image.width * HEIGHT / image.height), HEIGHT), Image.Resampling.LANCZOS)
        )
        for image in images
    ]
    gap = np.full((HEIGHT, GAP, 3), 255, np.uint8)
    parts = [part for image in scaled for part in (gap, image)][1:]
    return Image.fromarray(np.hstack(parts))


def run_command(command: Callable[[Sequence[str]], int], words: Sequence[str]) -> None:
    """Runs a command silently.

    Args:
        command: Callable. Its `main`.
        words: Sequence. Its words.

    Raises:
        RuntimeError: It failed; 1, the doctor's status for warnings, is not a failure.
    """
    said = io.StringIO()
    with contextlib.redirect_stdout(said):
        status = command(words)
    if status > 1:
        raise RuntimeError(f"{command.__module__} {' '.join(words)}: exit status {status}\n{said.getvalue()}")


if __name__ == "__main__":
    main()
