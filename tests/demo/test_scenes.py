"""The synthetic scenes: every promised number, over the same 200 scenes.

Shares are held against their expected value by four standard errors of the sample (one in 16,000 fails by chance; the
scenes are seeded, so it fails always or never).
"""

from __future__ import annotations

import hashlib
import itertools
import json
import os
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest
from PIL import Image
from pycocotools.coco import COCO

from keras_retinanet.demo import painting, scenes

NUM_SCENES = 200
ALPHA = 25  # a tenth of a pixel covered


@pytest.fixture(scope="module")
def drawn() -> list[scenes.Scene]:
    return [scenes.draw_scene((7, index)) for index in range(NUM_SCENES)]


def all_of(drawn: list[scenes.Scene], name: str) -> np.ndarray:
    return np.concatenate([getattr(scene, name) for scene in drawn])


def iou(boxes: np.ndarray) -> np.ndarray:
    """IoU of every two boxes, zero with itself: written out, not the code under test."""
    table = np.zeros((len(boxes), len(boxes)))
    for i, j in itertools.permutations(range(len(boxes)), 2):
        a, b = boxes[i], boxes[j]
        w, h = min(a[2], b[2]) - max(a[0], b[0]), min(a[3], b[3]) - max(a[1], b[1])
        common = max(w, 0) * max(h, 0)
        table[i, j] = common / ((a[2] - a[0]) * (a[3] - a[1]) + (b[2] - b[0]) * (b[3] - b[1]) - common)
    return table


def test_scene_has_the_declared_types(drawn: list[scenes.Scene]) -> None:
    for scene in drawn:
        count = len(scene.contours)
        assert scene.image.dtype == np.uint8
        assert scene.image.shape[2:] == (3,)
        assert (scene.boxes.dtype, scene.boxes.shape) == (np.float32, (count, 4))
        assert (scene.labels.dtype, scene.labels.shape) == (np.int32, (count,))
        assert (scene.visible.dtype, scene.visible.shape) == (np.float32, (count,))


def test_image_sides_span_320_to_512(drawn: list[scenes.Scene]) -> None:
    sides = np.array([scene.image.shape[:2] for scene in drawn])
    assert sides.min() >= 320
    assert sides.max() <= 512
    assert sides.min() <= 323
    assert sides.max() >= 509
    assert (sides[:, 0] != sides[:, 1]).mean() > 0.9


def test_box_sides_span_12_to_250(drawn: list[scenes.Scene]) -> None:
    boxes = all_of(drawn, "boxes")
    sides = boxes[:, 2:] - boxes[:, :2]
    assert sides.min() >= 12 - 1e-3
    assert sides.max() <= 250 + 1e-3
    assert sides.min() < 13
    assert sides.max() > 230
    area = np.prod(sides, axis=1)
    shares = [(area < 32**2).mean(), ((area >= 32**2) & (area < 96**2)).mean(), (area >= 96**2).mean()]
    assert min(shares) > 0.2, f"small, medium and large all occur: {shares}"
    ratios = sides[:, 0] / sides[:, 1]
    assert np.quantile(ratios, 0.05) < 0.65
    assert np.quantile(ratios, 0.95) > 1 / 0.65


def test_boxes_are_inside_their_image(drawn: list[scenes.Scene]) -> None:
    for scene in drawn:
        height, width = scene.image.shape[:2]
        assert (scene.boxes >= 0).all()
        assert (scene.boxes <= [width, height, width, height]).all()


def test_object_counts_span_0_to_15_and_a_tenth_is_empty(drawn: list[scenes.Scene]) -> None:
    counts = np.array([len(scene.boxes) for scene in drawn])
    assert counts.min() == 0
    assert counts.max() == 15
    assert set(counts.tolist()) == set(range(16))
    assert abs((counts == 0).mean() - 0.1) < 4 * np.sqrt(0.1 * 0.9 / NUM_SCENES)


def test_a_fifth_of_the_objects_overlaps_another(drawn: list[scenes.Scene]) -> None:
    overlapping = [(iou(scene.boxes) > 0.2).any(axis=1) for scene in drawn]
    share = np.concatenate(overlapping).mean()
    # The share is a ratio of two sums over independent scenes: its standard error by the delta method.
    counts = np.array([len(scene.boxes) for scene in drawn])
    residuals = np.array([hits.sum() for hits in overlapping]) - share * counts
    error = np.sqrt((residuals**2).sum()) / counts.sum()
    assert error < 0.01
    assert abs(share - 0.2) < 4 * error


def test_no_object_is_hidden_by_more_than_three_fifths(drawn: list[scenes.Scene]) -> None:
    lowest = 1.0
    for scene in drawn:
        masks = [full_mask(contours, scene) for contours in scene.contours]
        for index, mask in enumerate(masks):
            covered = np.logical_or.reduce([np.zeros_like(mask), *masks[index + 1 :]])
            share = (mask & ~covered).sum() / mask.sum()
            assert share == pytest.approx(scene.visible[index], abs=1e-6)
            lowest = min(lowest, share)
    assert 0.4 <= lowest < 0.55, "much hidden objects occur, more hidden ones do not"


def full_mask(contours: painting.Contours, scene: scenes.Scene, least: int = 127) -> np.ndarray:
    coverage, x, y = painting.mask(contours)
    canvas = np.zeros(scene.image.shape[:2], bool)
    canvas[y : y + coverage.shape[0], x : x + coverage.shape[1]] = coverage > least
    return canvas


def test_boxes_are_tight_to_the_pixels_of_the_object_alone(drawn: list[scenes.Scene]) -> None:
    for scene in drawn[:100]:
        for box, contours in zip(scene.boxes, scene.contours, strict=True):
            mask = full_mask(contours, scene, ALPHA)
            columns, rows = mask.any(axis=0).nonzero()[0], mask.any(axis=1).nonzero()[0]
            extent = [columns[0], rows[0], columns[-1] + 1, rows[-1] + 1]
            assert np.abs(box - extent).max() <= 1


def test_classes_are_equally_frequent(drawn: list[scenes.Scene]) -> None:
    counts = np.bincount(all_of(drawn, "labels"), minlength=6)
    assert len(scenes.CLASS_NAMES) == len(counts) >= 6
    share = 1 / len(counts)
    error = np.sqrt(share * (1 - share) / counts.sum())
    assert np.abs(counts / counts.sum() - share).max() < 4 * error


def object_colours(scene: scenes.Scene) -> np.ndarray:
    """Mean colour of the visible pixels of each object: `(N, 3)`."""
    owner = np.full(scene.image.shape[:2], -1)
    for index, contours in enumerate(scene.contours):
        owner[full_mask(contours, scene, 250)] = index
    return np.array([scene.image[owner == k].mean(axis=0) for k in range(len(scene.contours))]).reshape(-1, 3)


def test_colour_size_and_aspect_do_not_tell_the_class(drawn: list[scenes.Scene]) -> None:
    """Classes' means of colour, saturation, size and aspect differ no more than chance would have them."""
    labels, boxes = all_of(drawn, "labels"), all_of(drawn, "boxes")
    colours = np.concatenate([object_colours(scene) for scene in drawn])
    sides = np.log(boxes[:, 2:] - boxes[:, :2])
    spread = colours.max(axis=1) - colours.min(axis=1)
    traits = np.column_stack([colours, spread, sides.sum(axis=1), sides[:, 0] - sides[:, 1]])
    assert colours.std(axis=0).min() > 40, "and colours differ much within each class"
    for label in range(len(scenes.CLASS_NAMES)):
        chosen, others = traits[labels == label], traits[labels != label]
        error = np.sqrt(chosen.var(axis=0) / len(chosen) + others.var(axis=0) / len(others))
        assert (np.abs(chosen.mean(axis=0) - others.mean(axis=0)) < 4 * error).all()


def test_grounds_are_textured(drawn: list[scenes.Scene]) -> None:
    empty = [scene.image for scene in drawn if not len(scene.boxes)]
    deviations = np.array([image.astype(float).std(axis=(0, 1)).max() for image in empty])
    assert deviations.min() > 3
    assert np.median(deviations) > 15
    assert np.std([image.mean() for image in empty]) > 15, "bright and dark ones"


def digest(scene: scenes.Scene) -> str:
    parts = [scene.image.tobytes(), scene.boxes.tobytes(), scene.labels.tobytes(), scene.visible.tobytes()]
    return hashlib.sha256(b"".join(parts)).hexdigest()


def test_same_seed_gives_the_same_pixels_in_another_process() -> None:
    here = [digest(scenes.draw_scene((3, index))) for index in range(4)]
    program = (
        "import sys; sys.path[:0] = sys.argv[1:]\n"
        "from keras_retinanet.demo import scenes\nfrom hashlib import sha256\n"
        "for index in range(4):\n"
        "    s = scenes.draw_scene((3, index))\n"
        "    print(sha256(b''.join(p.tobytes() for p in (s.image, s.boxes, s.labels, s.visible))).hexdigest())\n"
    )
    for hash_seed in ("1", "2"):
        out = subprocess.run(
            [sys.executable, "-c", program, str(Path(scenes.__file__).parents[2])],
            env={**os.environ, "PYTHONHASHSEED": hash_seed},
            check=True,
            capture_output=True,
            text=True,
        )
        assert out.stdout.split() == here
    assert len(set(here)) == 4


def test_drawing_does_not_touch_the_global_generator() -> None:
    np.random.seed(5)
    expected = np.random.uniform()
    np.random.seed(5)
    scenes.draw_scene(0)
    assert np.random.uniform() == expected


# The data set on disk


def snapshot(folder: Path) -> dict[str, str]:
    files = sorted(path for path in folder.rglob("*") if path.is_file())
    return {str(path.relative_to(folder)): hashlib.sha256(path.read_bytes()).hexdigest() for path in files}


@pytest.fixture(scope="module")
def written(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("scenes") / "deep" / "demo"
    scenes.write_dataset(folder, num_train=12, num_val=7, seed=4)
    return folder


@pytest.mark.parametrize(("name", "count"), [("train2017", 12), ("val2017", 7)])
def test_files_are_read_by_the_coco_api(
    written: Path, name: str, count: int, capsys: pytest.CaptureFixture[str]
) -> None:
    coco = COCO(written / "annotations" / f"instances_{name}.json")
    capsys.readouterr()
    assert len(coco.imgs) == count == len(list((written / name).iterdir()))
    assert [coco.cats[k]["name"] for k in sorted(coco.cats)] == list(scenes.CLASS_NAMES)
    for image_id, record in coco.imgs.items():
        image = Image.open(written / name / record["file_name"])
        image.load()
        assert (image.mode, image.size) == ("RGB", (record["width"], record["height"]))
        for note in coco.imgToAnns[image_id]:
            x, y, width, height = note["bbox"]
            assert 0 <= x <= x + width <= record["width"] + 1e-6
            assert 0 <= y <= y + height <= record["height"] + 1e-6
            assert note["area"] == pytest.approx(width * height, abs=0.01)


def test_annotations_are_those_of_the_scenes_drawn(written: Path) -> None:
    table = json.loads((written / "annotations/instances_val2017.json").read_text())
    scene = scenes.draw_scene((4, 1, 2))
    record = table["images"][2]
    notes = [note for note in table["annotations"] if note["image_id"] == record["id"]]
    assert [note["category_id"] - 1 for note in notes] == scene.labels.tolist()
    corners = np.array([note["bbox"] for note in notes])
    corners[:, 2:] += corners[:, :2]
    np.testing.assert_allclose(corners, scene.boxes, atol=0.006)
    stored = np.asarray(Image.open(written / "val2017" / record["file_name"])).astype(float)
    assert np.abs(stored - scene.image).mean() < 8, "JPEG keeps the picture"


def test_no_scene_and_no_id_stands_in_both_sets(written: Path) -> None:
    pictures = [path for name in ("train2017", "val2017") for path in (written / name).iterdir()]
    assert len({hashlib.sha256(path.read_bytes()).hexdigest() for path in pictures}) == 19
    tables = [json.loads((written / f"annotations/instances_{s}.json").read_text()) for s in ("train2017", "val2017")]
    ids = [{image["id"] for image in table["images"]} for table in tables]
    assert not ids[0] & ids[1]


def test_held_out_scenes_do_not_depend_on_how_many_are_trained_on(written: Path, tmp_path: Path) -> None:
    scenes.write_dataset(tmp_path, num_train=1, num_val=7, seed=4)
    first, second = snapshot(written), snapshot(tmp_path)
    same = [name for name in second if "val2017" in name]
    assert len(same) == 8
    assert all(first[name] == second[name] for name in same)


def test_same_parameters_are_reused(written: Path) -> None:
    before = {path: path.stat().st_mtime_ns for path in written.rglob("*")}
    scenes.write_dataset(written, num_train=12, num_val=7, seed=4)
    assert before == {path: path.stat().st_mtime_ns for path in written.rglob("*")}


def test_writing_again_elsewhere_gives_the_same_bytes(written: Path, tmp_path: Path) -> None:
    scenes.write_dataset(str(tmp_path), num_train=12, num_val=7, seed=4)
    assert snapshot(tmp_path) == snapshot(written)


def test_each_scene_is_reported(written: Path, tmp_path: Path) -> None:
    reported: list[int] = []
    scenes.write_dataset(tmp_path, num_train=12, num_val=7, seed=4, progress=reported.append)
    assert reported == [1] * 19


def test_several_processes_write_what_one_writes(
    written: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(scenes, "_MIN_FOR_PROCESSES", 1)
    monkeypatch.setattr(os, "cpu_count", lambda: 3)
    reported: list[int] = []
    scenes.write_dataset(tmp_path, num_train=12, num_val=7, seed=4, progress=reported.append)
    assert snapshot(tmp_path) == snapshot(written)
    assert reported == [1] * 19


def test_a_process_that_fails_is_told_and_leaves_nothing_behind(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capfd: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setattr(scenes, "_MIN_FOR_PROCESSES", 1)
    with pytest.raises(RuntimeError, match="ended early at number 0"):
        scenes.write_dataset(tmp_path, num_train=3, num_val=0, seed=-1)
    assert "non-negative" in capfd.readouterr().err
    assert list(tmp_path.iterdir()) == []


@pytest.mark.parametrize("broken", ["picture", "annotations", "receipt", "version", "set"])
def test_half_written_folders_are_rebuilt(broken: str, tmp_path: Path) -> None:
    scenes.write_dataset(tmp_path, num_train=2, num_val=1, seed=0)
    whole = snapshot(tmp_path)
    (tmp_path / "notes.txt").write_text("mine")
    if broken == "picture":
        next((tmp_path / "train2017").iterdir()).unlink()
    elif broken == "annotations":
        (tmp_path / "annotations/instances_val2017.json").unlink()
    elif broken == "receipt":
        (tmp_path / "scenes.json").write_text('{"version"')
    elif broken == "version":
        receipt = json.loads((tmp_path / "scenes.json").read_text())
        (tmp_path / "scenes.json").write_text(json.dumps({**receipt, "version": 0}))
    else:
        (tmp_path / "val2017").rename(tmp_path / "gone")
    scenes.write_dataset(tmp_path, num_train=2, num_val=1, seed=0)
    rebuilt = snapshot(tmp_path)
    assert {name: rebuilt[name] for name in whole} == whole
    assert "notes.txt" in rebuilt, "other files are left alone"


def test_other_parameters_replace_the_scenes(tmp_path: Path) -> None:
    scenes.write_dataset(tmp_path, num_train=3, num_val=1, seed=0)
    first = snapshot(tmp_path)
    scenes.write_dataset(tmp_path, num_train=2, num_val=1, seed=1)
    second = snapshot(tmp_path)
    assert len(list((tmp_path / "train2017").iterdir())) == 2
    assert not set(first.values()) & set(second.values())


def test_an_interrupted_writing_leaves_nothing_behind(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    draw, calls = scenes.draw_scene, []

    def interrupted(seed: tuple[int, ...]) -> scenes.Scene:
        calls.append(seed)
        if len(calls) == 3:
            raise KeyboardInterrupt
        return draw(seed)

    monkeypatch.setattr(scenes, "draw_scene", interrupted)
    with pytest.raises(KeyboardInterrupt):
        scenes.write_dataset(tmp_path, num_train=4, num_val=1, seed=0)
    assert list(tmp_path.iterdir()) == []


def test_a_data_set_of_someone_else_is_refused_and_untouched(tmp_path: Path) -> None:
    (tmp_path / "train2017").mkdir()
    (tmp_path / "train2017" / "holiday.jpg").write_bytes(b"dear")
    with pytest.raises(ValueError, match="already holds train2017"):
        scenes.write_dataset(tmp_path, num_train=1, num_val=1, seed=0)
    assert snapshot(tmp_path).keys() == {"train2017/holiday.jpg"}


def test_no_scenes_at_all_is_a_valid_data_set(tmp_path: Path) -> None:
    scenes.write_dataset(tmp_path, num_train=0, num_val=0, seed=0)
    table = json.loads((tmp_path / "annotations/instances_train2017.json").read_text())
    assert (table["images"], table["annotations"], len(table["categories"])) == ([], [], 6)


def test_two_hundred_scenes_are_held_out_unless_told_otherwise() -> None:
    assert scenes.write_dataset.__kwdefaults__["num_val"] == 200
