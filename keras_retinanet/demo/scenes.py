"""Seeded synthetic scenes: the `demo` data set, also used by the learning tests.

Six shapes of any colour, texture, size, aspect ratio and orientation on cluttered backgrounds: the class depends on the
shape alone. A scene is a pure function of its seed; a data set, of its counts and seed.
"""

from __future__ import annotations

import contextlib
import itertools
import json
import os
import shutil
import subprocess
import sys
import tempfile
from collections.abc import Callable, Generator, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray
from PIL import Image

from keras_retinanet.demo import box_layout, painting

Array = NDArray[Any]

VERSION = 1
"""Incremented when the same seed gives another scene, so that data sets on disk are rewritten."""
CLASS_NAMES: tuple[str, ...] = tuple(painting.SHAPES)
IMAGE_SIDES = (320, 512)
MIN_VISIBLE = 0.4

_SETS = {"train2017": 0, "val2017": 1}  # part of the seed: no scene is in both sets
_PARTS = ("annotations", *_SETS)
_JPEG_QUALITY = 90
_MIN_FOR_PROCESSES = 100  # scenes; for fewer, starting processes takes longer than drawing
_MAX_PROCESSES = 8
_Record = tuple[dict[str, Any], list[tuple[int, list[float]]]]


@dataclass(frozen=True)
class Scene:
    """One image with its objects.

    Attributes:
        image: `(H, W, 3)` uint8 RGB.
        boxes: `(N, 4)` float32 x1, y1, x2, y2 in pixels, around the whole object, hidden parts included.
        labels: `(N,)` int32, index into `CLASS_NAMES`.
        visible: `(N,)` float32, share of the object's pixels that no later object covers.
        contours: The objects' outlines (and holes) in pixels, from the bottom to the top.
    """

    image: Array
    boxes: Array
    labels: Array
    visible: Array
    contours: tuple[painting.Contours, ...]


def draw_scene(seed: int | Sequence[int]) -> Scene:
    """Draw the scene of a seed.

    Args:
        seed: int or sequence of ints, not negative. The same seed gives the same pixels in every process.

    Returns:
        A `Scene` of 0–15 objects, image sides 320–512 px, box sides 12–250 px.
    """
    rng = np.random.Generator(np.random.PCG64(np.random.SeedSequence(seed)))
    height, width = (int(side) for side in rng.integers(IMAGE_SIDES[0], IMAGE_SIDES[1] + 1, 2))
    boxes = box_layout.place_boxes(rng, height, width)
    labels = rng.integers(0, len(CLASS_NAMES), len(boxes))
    contours = [painting.fit_shape(CLASS_NAMES[k], box, rng) for k, box in zip(labels, boxes, strict=True)]
    masks = [painting.mask(contour) for contour in contours]
    order, visible = _stack(masks, rng.permutation(len(boxes)).tolist(), height, width)
    canvas = painting.backdrop(rng, height, width)
    for index in order:
        painting.paint(canvas, masks[index], rng)
    return Scene(
        image=painting.develop(canvas, rng),
        boxes=boxes[order].astype(np.float32).reshape(-1, 4),
        labels=labels[order].astype(np.int32),
        visible=visible,
        contours=tuple(contours[index] for index in order),
    )


def _stack(masks: list[painting.Mask], order: list[int], height: int, width: int) -> tuple[list[int], Array]:
    """Order of painting in which every object stays visible; objects for which there is none are left out."""
    for attempt in itertools.count():
        owner = np.full((height, width), -1, np.int16)
        for index in order:
            coverage, x, y = masks[index]
            owner[y : y + coverage.shape[0], x : x + coverage.shape[1]][coverage > 127] = index
        visible = np.array([_visible_share(owner, masks[index], index) for index in order], np.float32)
        buried = [index for index, share in zip(order, visible, strict=True) if share < MIN_VISIBLE]
        if not buried:
            return order, visible
        kept = [index for index in order if index not in buried]
        order = kept + buried if attempt < 3 else kept  # three times to the top, then removed
    raise AssertionError("without the buried, all others are visible")


def _visible_share(owner: Array, mask: painting.Mask, index: int) -> float:
    coverage, x, y = mask
    region = owner[y : y + coverage.shape[0], x : x + coverage.shape[1]]
    return float(np.count_nonzero(region == index) / np.count_nonzero(coverage > 127))


def write_dataset(
    folder: str | os.PathLike[str],
    *,
    num_train: int = 1450,
    num_val: int = 200,
    seed: int = 0,
    progress: Callable[[int], object] | None = None,
) -> None:
    """Write scenes as COCO unzips: `annotations/instances_<set>.json`, `train2017/*.jpg`, `val2017/*.jpg`.

    A folder that already has these scenes is left unchanged; scenes of other parameters, or incomplete ones, are
    replaced. Other files in the folder are not touched.

    Args:
        folder: Folder to write to; created if absent.
        num_train: Scenes of `train2017`.
        num_val: Scenes of `val2017`, from other seeds.
        seed: int, not negative. Another seed gives other scenes.
        progress: Called after each scene with 1.

    Raises:
        ValueError: The folder has a data set that does not consist of scenes.
    """
    folder = Path(folder)
    counts = {"train2017": num_train, "val2017": num_val}
    receipt = {"version": VERSION, "seed": seed, "counts": counts}
    if _is_written(folder, receipt):
        return
    if not (folder / "scenes.json").exists() and any((folder / part).exists() for part in _PARTS):
        raise ValueError(
            f"{str(folder)!r} already holds {', '.join(p for p in _PARTS if (folder / p).exists())}, which were not "
            "written as scenes. Choose an empty folder for the scenes, or move these away."
        )
    folder.mkdir(parents=True, exist_ok=True)
    temporary = Path(tempfile.mkdtemp(prefix=".scenes-", dir=folder))
    try:
        for name, count in counts.items():
            _write_set(temporary, name, count, seed, progress)
        (temporary / "scenes.json").write_text(json.dumps(receipt), encoding="utf-8")
        _replace_parts(temporary, folder)
    finally:
        shutil.rmtree(temporary, ignore_errors=True)


def _is_written(folder: Path, receipt: dict[str, Any]) -> bool:
    try:
        found = json.loads((folder / "scenes.json").read_text(encoding="utf-8"))
    except (FileNotFoundError, ValueError):
        return False
    return found == receipt and all(
        (folder / "annotations" / f"instances_{name}.json").is_file()
        and len(list((folder / name).glob("*.jpg"))) == count
        for name, count in receipt["counts"].items()
    )


def _replace_parts(temporary: Path, folder: Path) -> None:
    """Replace the parts one by one; meanwhile `scenes.json` marks the data set as incomplete."""
    (folder / "scenes.json").write_text("{}", encoding="utf-8")
    for part in _PARTS:
        shutil.rmtree(folder / part, ignore_errors=True)
        (temporary / part).rename(folder / part)
    (temporary / "scenes.json").replace(folder / "scenes.json")


def _write_set(folder: Path, name: str, count: int, seed: int, progress: Callable[[int], object] | None) -> None:
    (folder / name).mkdir()
    (folder / "annotations").mkdir(exist_ok=True)
    images: list[dict[str, Any]] = []
    annotations: list[dict[str, Any]] = []
    draw = _draw_in_processes if count >= _MIN_FOR_PROCESSES else _draw_all
    with contextlib.closing(draw(folder / name, _SETS[name], count, seed)) as records:
        for image, objects in records:
            images.append(image)
            for label, box in objects:
                annotations.append(_annotation(len(annotations) + 1, image["id"], label, box))
            if progress is not None:
                progress(1)
    categories = [
        {"id": k + 1, "name": class_name, "supercategory": "shape"} for k, class_name in enumerate(CLASS_NAMES)
    ]
    table: dict[str, Any] = {"info": {"description": "synthetic scenes", "version": str(VERSION)}, "licenses": []}
    table |= {"images": images, "annotations": annotations, "categories": categories}
    path = folder / "annotations" / f"instances_{name}.json"
    path.write_text(json.dumps(table, separators=(",", ":")), encoding="utf-8")


def _draw_all(folder: Path, part: int, count: int, seed: int, first: int = 0, step: int = 1) -> Generator[_Record]:
    """Draw every `step`-th scene of a set into files; COCO's entry of each image, and its labels and boxes."""
    for index in range(first, count, step):
        scene = draw_scene((seed, part, index))
        image_id = part * 1_000_000 + index + 1
        file_name = f"{image_id:012d}.jpg"
        Image.fromarray(scene.image).save(folder / file_name, quality=_JPEG_QUALITY)
        height, width = scene.image.shape[:2]
        image = {"id": image_id, "file_name": file_name, "width": width, "height": height}
        yield image, list(zip(scene.labels.tolist(), scene.boxes.tolist(), strict=True))


def _draw_in_processes(folder: Path, part: int, count: int, seed: int) -> Generator[_Record]:
    """`_draw_all` with one process per core; plain commands, as `multiprocessing` would rerun the calling script."""
    step = min(os.cpu_count() or 1, _MAX_PROCESSES)
    paths = [str(Path(__file__).resolve().parents[2]), *filter(None, [os.environ.get("PYTHONPATH")])]
    workers = []
    try:
        for first in range(step):
            arguments = json.dumps([part, count, seed, first, step])
            command = [sys.executable, "-m", __name__, str(folder), arguments]
            environment = {**os.environ, "PYTHONPATH": os.pathsep.join(paths)}
            workers.append(subprocess.Popen(command, stdout=subprocess.PIPE, text=True, env=environment))
        for index in range(count):
            line = workers[index % step].stdout.readline()  # type: ignore[union-attr]
            if not line:
                raise RuntimeError(f"the process that draws the scenes ended early at number {index}; see its message")
            yield json.loads(line)
    finally:
        for worker in workers:
            worker.kill()
            worker.communicate()


def _annotation(annotation_id: int, image_id: int, label: int, box: Sequence[float]) -> dict[str, Any]:
    x1, y1, x2, y2 = (round(value, 2) for value in box)
    width, height = round(x2 - x1, 2), round(y2 - y1, 2)
    return {
        "id": annotation_id,
        "image_id": image_id,
        "category_id": label + 1,
        "bbox": [x1, y1, width, height],
        "area": round(width * height, 2),
        "iscrowd": 0,
    }


if __name__ == "__main__":
    for record in _draw_all(Path(sys.argv[1]), *json.loads(sys.argv[2])):
        print(json.dumps(record), flush=True)
