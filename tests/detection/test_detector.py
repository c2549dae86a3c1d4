"""Many images in order and in few batches; thresholds that can be met, and those that cannot."""

from __future__ import annotations

import importlib
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import tensorflow as tf
from PIL import Image

import keras_retinanet
from keras_retinanet import DetectionModel, Detector, detect, winograd
from keras_retinanet.config import FilterConfig, ResizeConfig, TileConfig
from keras_retinanet.data.errors import DataError
from keras_retinanet.data.image import resize_image
from keras_retinanet.detection.result_files import PictureFolder
from keras_retinanet.model.retinanet import RetinaNet

RANDOM = np.random.default_rng(1)
PICTURE = RANDOM.integers(0, 256, (60, 90, 3), np.uint8)


def test_a_run_s_folder_an_image_file_and_what_they_give(spread_model: RetinaNet, tmp_path: Path) -> None:
    spread_model.save(tmp_path / "last.keras")
    Image.fromarray(PICTURE).save(tmp_path / "a.png")
    found = detect(tmp_path, tmp_path / "a.png")
    assert found.image == str(tmp_path / "a.png")
    assert found.size == (60, 90)
    assert 0 < len(found.scores) <= 8
    assert found.scores.min() > 0.6
    assert found.names == tuple(("ant", "bee")[label] for label in found.labels)
    assert (found.boxes[:, 2:] <= (90, 60)).all()
    network_input = np.asarray(resize_image(tf.constant(PICTURE), (64, 96)), np.float32)  # which needs no padding
    by_hand = DetectionModel(spread_model).predict_on_batch(network_input[None])
    np.testing.assert_allclose(found.scores, by_hand["scores"][0, : len(found.scores)], rtol=1e-4)
    boxes = by_hand["boxes"][0, : len(found.scores)] * [90 / 96, 60 / 64, 90 / 96, 60 / 64]
    np.testing.assert_allclose(found.boxes, boxes, atol=1e-3)


def test_a_snapshot_by_winograd_finds_the_same(
    spread_model: RetinaNet, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    spread_model.save(tmp_path / "last.keras")
    direct = Detector(tmp_path / "last.keras").detect_one(PICTURE)
    monkeypatch.setattr(winograd, "LEAST_CHANNELS", 32)
    monkeypatch.setattr(winograd.convolution, "LEAST_TILES", 4)
    detector = Detector(tmp_path / "last.keras", winograd="auto")
    found = detector.detect_one(PICTURE)
    assert not np.array_equal(found.scores, direct.scores)
    np.testing.assert_allclose(found.scores, direct.scores, atol=1e-4)
    np.testing.assert_allclose(found.boxes, direct.boxes, atol=0.05)
    with pytest.raises(ValueError, match="'off', 'auto', not 'on'"):
        Detector(spread_model, winograd="on")  # type: ignore[arg-type]


def test_a_model_in_memory_answers_as_before_beside_a_detector_by_winograd(
    spread_model: RetinaNet, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(winograd, "LEAST_CHANNELS", 32)
    monkeypatch.setattr(winograd.convolution, "LEAST_TILES", 4)
    detections = DetectionModel(spread_model)
    plain = Detector(detections)
    direct = plain.detect_one(PICTURE)
    fast = Detector(detections, winograd="auto", score_threshold=0.06)
    found = fast.detect_one(PICTURE)
    assert not np.array_equal(found.scores[:4], direct.scores[:4])
    for again in (plain, Detector(detections), Detector(spread_model)):  # traced before and after
        np.testing.assert_array_equal(again.detect_one(PICTURE).scores, direct.scores)
    for variable in spread_model.trainable_variables:
        if variable.name == "bias" and variable.shape[0] > 4:
            variable.assign(variable + 0.5)
    assert not np.array_equal(fast.detect_one(PICTURE).scores, found.scores), "later weights count"


def test_a_model_in_memory_answers_below_its_own_threshold(spread_model: RetinaNet) -> None:
    strict = DetectionModel(spread_model, FilterConfig(0.75, class_thresholds=(0.75, 0.75)))
    few, more = Detector(strict).detect_one(PICTURE), Detector(strict, score_threshold=0.73).detect_one(PICTURE)
    assert few.scores.min() > 0.75 > more.scores.min() > 0.73
    np.testing.assert_allclose(more.boxes[: len(few.boxes)], few.boxes, atol=1e-3)
    assert len(Detector(spread_model, score_threshold=0.4, max_detections=50).detect_one(PICTURE).scores) == 50
    bees = detect(spread_model, PICTURE, classes=["bee"], max_detections=1)
    assert bees.names
    assert set(bees.names) == {"bee"}


def test_the_function_keeps_the_model_of_its_last_call_open(
    spread_model: RetinaNet, painted_runtime: Any, paint: Any, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    opened: list[Any] = []
    image = paint(50, 50, [[0, 0, 9, 9], [10, 10, 19, 19]], [0, 1], [90, 50])

    def count(model: Any) -> Any:
        opened.append(model)
        return painted_runtime(FilterConfig(0.3))

    monkeypatch.setattr(importlib.import_module("keras_retinanet.detection.detector"), "open_model", count)
    for _ in range(3):
        assert len(detect(spread_model, image).scores) == 2
    assert opened == [spread_model]
    assert len(detect(spread_model, image, score_threshold=0.6).scores) == 1
    assert len(detect(spread_model, image).scores) == 2
    assert len(opened) == 3, "other settings are another detector"
    path = tmp_path / "last.keras"
    for _ in range(2):
        path.write_bytes(b"another")
        for _ in range(2):
            detect(path, image)
    assert opened[3:] == [path, path], "a file that was written anew is opened anew"


def test_thresholds_that_an_artefact_does_not_have_are_refused(painted_runtime: Any, paint: Any) -> None:
    runtime = painted_runtime(FilterConfig(score_threshold=0.3, max_detections=3))
    image = paint(50, 50, [[0, 0, 9, 9], [10, 10, 19, 19], [20, 20, 29, 29]], [0, 1, 2], [90, 50, 40])
    assert detect(runtime, image).scores.tolist() == pytest.approx([0.9, 0.5, 0.4])
    assert detect(runtime, image, score_threshold=0.45).names == ("ant", "bee")
    assert detect(runtime, image, max_detections=1).names == ("ant",)
    assert detect(runtime, image, classes="wasp").scores.tolist() == pytest.approx([0.4])
    for setting, said in (
        ({"score_threshold": 0.1}, r"score_threshold 0.1 is not possible: 0.3 is built .* --score-threshold 0.1"),
        ({"max_detections": 4}, r"max_detections 4 is not possible: 3 is built in.* --max-detections 4"),
        ({"nms_threshold": 0.6}, r"nms_threshold 0.6 is not possible: 0.5 is built in"),
    ):
        with pytest.raises(ValueError, match=said):
            Detector(runtime, **setting)
    by_class = painted_runtime(FilterConfig(class_thresholds=(0.3, 0.6, 0.3)))
    assert len(detect(by_class, image).scores) == 3, "its own thresholds hold"
    with pytest.raises(ValueError, match=r"score_threshold 0\.5 is not possible: 0\.6 is built in"):
        Detector(by_class, score_threshold=0.5)


def test_a_score_equal_to_the_threshold_is_not_above_it(painted_runtime: Any, paint: Any) -> None:
    image = paint(50, 50, [[0, 0, 9, 9], [10, 10, 19, 19]], [0, 1], [46, 45])
    assert detect(painted_runtime(FilterConfig(0.3)), image, score_threshold=0.45).names == ("ant",)


@pytest.mark.parametrize(
    ("settings", "said"),
    [
        ({"score_threshold": 1.5}, "score_threshold is from 0 to 1, not 1.5"),
        ({"max_detections": 0}, "max_detections must be a whole number, at least 1, not 0"),
        ({"batch_size": 0}, "batch_size must be a whole number, at least 1"),
        ({"batch_size": 2.5}, "batch_size must be a whole number, at least 1, not 2.5"),
        ({"classes": ["bees"]}, "no class 'bees'; it has ant, bee, wasp. Did you mean 'bee'"),
        ({"tiles": 0}, "at least 1 pixel"),
    ],
)
def test_impossible_settings_are_named(painted_runtime: Any, settings: dict[str, Any], said: str) -> None:
    with pytest.raises(ValueError, match=said):
        Detector(painted_runtime(), **settings)


@pytest.mark.parametrize("views", [True, (1.0,)])
def test_views_are_a_view_config(painted_runtime: Any, views: Any) -> None:
    with pytest.raises(TypeError, match=r"views must be a ViewConfig, such as ViewConfig\(scales=\(1\.0,\)\), not"):
        Detector(painted_runtime(), views=views)


def test_what_is_no_model_is_named(tmp_path: Path) -> None:
    with pytest.raises(FileNotFoundError, match=r"nothing\.keras"):
        Detector(tmp_path / "nothing.keras")
    with pytest.raises(ValueError, match=r"neither a file that ends in"):
        Detector(tmp_path)
    with pytest.raises(ValueError, match="A int cannot detect; allowed is a path, a RetinaNet"):
        Detector(3)


def test_one_image_is_not_many(painted_runtime: Any, tmp_path: Path) -> None:
    for several in ([PICTURE], tmp_path):
        with pytest.raises(ValueError, match=r"one image; .* `Detector\(model\).detect\(images\)`"):
            detect(painted_runtime(), several)


def test_images_come_back_in_order_and_go_in_batches_of_one_shape(painted_runtime: Any, paint: Any) -> None:
    runtime = painted_runtime(resize=ResizeConfig(64, 96))
    wide, tall = (60, 90), (90, 60)
    sizes = [wide, tall, wide, wide, tall, wide, wide, tall]
    images = [paint(*size, [[k, k, k + 5, k + 9]], [k % 3], [90]) for k, size in enumerate(sizes)]
    found = list(Detector(runtime, batch_size=2).detect(images))
    assert [entry.image for entry in found] == [f"image {k}" for k in range(8)]
    assert [entry.boxes.tolist() for entry in found] == [[[k, k, k + 5, k + 9]] for k in range(8)]
    assert [entry.names for entry in found] == [((("ant", "bee", "wasp")[k % 3]),) for k in range(8)]
    assert all(len(set(batch)) == 1 for batch in runtime.batches)
    assert [len(batch) for batch in runtime.batches] == [2, 2, 2, 1, 1]
    assert found[0].pixels is None
    (with_pixels,) = Detector(runtime).detect(images[:1], keeps_pixels=True)
    np.testing.assert_array_equal(with_pixels.pixels, images[0])


def test_an_image_of_its_own_shape_does_not_hold_up_the_others(painted_runtime: Any, paint: Any) -> None:
    taken = []

    def frames() -> Iterator[Any]:
        for k in range(60):
            taken.append(k)
            yield paint(*((90, 30) if k == 0 else (60, 90)), [], [], [])

    results = Detector(painted_runtime(), batch_size=2, workers=1).detect(frames())
    assert next(results).size == (90, 30)
    assert len(taken) <= 3 * 2 + 2 + 1, "three batches wait, one is decoded ahead"
    assert [entry.size for entry in results] == [(60, 90)] * 59


def test_images_that_cannot_be_read(painted_runtime: Any, paint: Any) -> None:
    runtime = painted_runtime()
    images = [paint(50, 50, [[0, 0, 9, 9]], [0], [90]), b"broken", paint(50, 50, [], [], []), "missing.jpg"]
    found = list(Detector(runtime, batch_size=3).detect(images, on_error="skip"))
    assert [len(entry.boxes) for entry in found] == [1, 0, 0, 0]
    assert [entry.size for entry in found] == [(50, 50), None, (50, 50), None]
    assert found[0].error is found[2].error is None
    assert "image 1: cannot be decoded" in str(found[1].error)
    assert "missing.jpg: cannot be read" in str(found[3].error)
    results = Detector(runtime).detect(images)
    assert len(next(results).boxes) == 1, "what came before is answered first"
    with pytest.raises(ValueError, match="image 1: cannot be decoded"):
        next(results)
    with pytest.raises(ValueError, match="on_error must be one of 'raise', 'skip', not 'warn'"):
        Detector(runtime).detect(images, on_error="warn")  # type: ignore[arg-type]


def test_tiles_find_what_is_too_small_in_the_whole(painted_runtime: Any, paint: Any) -> None:
    boxes = [[20, 30, 30, 40], [160, 110, 175, 140], [240, 90, 250, 99]]
    image = paint(150, 300, boxes, [0, 1, 2], [90, 80, 70])
    runtime = painted_runtime(FilterConfig(max_detections=1))
    detector = Detector(runtime, tiles=TileConfig(100, 0.4), score_threshold=0.75, batch_size=2)
    assert detector.detect_one(image).boxes.tolist() == boxes[:2]
    assert len(Detector(runtime, tiles=100).detect_one(image).boxes) == 3
    assert len(Detector(runtime, tiles=100, max_detections=2).detect_one(image).boxes) == 2


def test_the_function_is_still_the_package_s_name_after_its_module_was_imported() -> None:
    importlib.import_module("keras_retinanet.detection.detector")
    assert keras_retinanet.detect is detect
    assert {"detect", "Detector"} <= set(dir(keras_retinanet))


def test_photos_are_seen_as_people_see_them(spread_model: RetinaNet, tmp_path: Path) -> None:
    exif = Image.Exif()
    exif[0x0112] = 6  # the camera was held upright: the first row stored is the right side of the picture
    stored = np.ascontiguousarray(np.rot90(PICTURE))
    Image.fromarray(stored).save(tmp_path / "photo.png", exif=exif)
    opened = Image.open(tmp_path / "photo.png")
    upright, as_stored = Detector(spread_model), Detector(spread_model, exif="ignore")
    wanted, lying = (upright.detect_one(pixels) for pixels in (PICTURE, stored))
    ways = [tmp_path / "photo.png", (tmp_path / "photo.png").read_bytes(), opened]
    for way in ways:
        shown = next(upright.detect([way], keeps_pixels=True))
        assert shown.size == (60, 90)
        np.testing.assert_array_equal(shown.pixels, PICTURE)  # what boxes are drawn on
        np.testing.assert_allclose(shown.boxes, wanted.boxes, atol=1e-3)
        former = as_stored.detect_one(way)
        assert former.size == (90, 60)
        np.testing.assert_allclose(former.boxes, lying.boxes, atol=1e-3)
    rule = ResizeConfig(**{**vars(spread_model.resize_config), "exif": "ignore"})
    old = spread_model.replaced(resize_config=rule)
    assert Detector(old).detect_one(ways[0]).size == (90, 60)
    assert Detector(old, exif="apply").detect_one(ways[0]).size == (60, 90)
    with pytest.raises(ValueError, match="exif must be one of 'apply', 'ignore', not 'auto'"):
        Detector(spread_model, exif="auto")  # type: ignore[arg-type]


def test_the_range_of_sixteen_bits_is_part_of_the_model(spread_model: RetinaNet) -> None:
    values = Image.fromarray((PICTURE[..., 0].astype(np.uint16) << 4) + 15)  # twelve bits
    rule = ResizeConfig(**{**vars(spread_model.resize_config), "bit_depth": 12})
    found = next(Detector(spread_model.replaced(resize_config=rule)).detect([values], keeps_pixels=True))
    np.testing.assert_array_equal(found.pixels, np.repeat(PICTURE[..., :1], 3, axis=-1))


@pytest.mark.parametrize("suffix", [".png", ".tif"])
def test_a_large_image_is_decoded_in_regions_and_drawn_reduced(
    suffix: str, painted_runtime: Any, paint: Any, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    boxes = [(10, 10, 40, 30), (90, 70, 130, 110), (200, 20, 236, 60), (60, 120, 240, 180)]
    image = paint(200, 300, boxes, [0, 1, 2, 1], [90, 80, 70, 60])
    path = tmp_path / f"large{suffix}"
    Image.fromarray(image).save(path)
    wanted = Detector(painted_runtime(), tiles=TileConfig(100, 0.4)).detect_one(path)
    monkeypatch.setattr("keras_retinanet.data.large_images.MIN_PIXELS", 1000)
    monkeypatch.setattr("keras_retinanet.detection.batches_in_order._MAX_SHOWN", 200 * 300 // 4)
    detector = Detector(painted_runtime(), tiles=TileConfig(100, 0.4))
    (found,) = detector.detect([path], keeps_pixels=True)
    np.testing.assert_array_equal(found.boxes, wanted.boxes)
    np.testing.assert_array_equal(found.scores, wanted.scores)
    assert len(found.boxes) == 4
    assert found.size == (200, 300)
    assert found.pixels.shape == (100, 150, 3)
    PictureFolder(tmp_path / "out", ["a", "b", "c"]).add("large.png", found)
    drawn = np.asarray(Image.open(tmp_path / "out" / "large.jpg")).astype(int)
    assert drawn.shape == (100, 150, 3)
    assert drawn[5, 5:20].sum() > 10 * drawn[1, 60:75].sum()  # the upper edge of the first box, at half its position


def test_a_large_image_that_breaks_off_is_left_out(
    painted_runtime: Any, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    path = tmp_path / "large.png"
    Image.fromarray(np.random.default_rng(0).integers(0, 256, (200, 300, 3), np.uint8)).save(path)
    path.write_bytes(path.read_bytes()[:90_000])
    monkeypatch.setattr("keras_retinanet.data.large_images.MIN_PIXELS", 1000)
    detector = Detector(painted_runtime(), tiles=100)
    (found,) = detector.detect([path], on_error="skip")
    assert found.error is not None
    assert found.error.startswith(f"{path}: rows ")
    assert "cannot be decoded (ValueError). allowed: an image that can be decoded" in found.error
    with pytest.raises(DataError, match="cannot be decoded"):
        detector.detect_one(path)
