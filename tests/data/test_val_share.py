"""A share of the images is set aside by class; images that belong together stay on one side."""

from __future__ import annotations

import dataclasses
import shutil
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from keras_retinanet.data.box_columns import BoxReport
from keras_retinanet.data.datasets import Index
from keras_retinanet.data.errors import DataError
from keras_retinanet.data.val_share import choose_fold, divide, parse_fold


def make_index(images: list[str], labels: list[list[int]], class_names: str = "abc") -> Index:
    counts = [len(own) for own in labels]
    flat = np.array([label for own in labels for label in own], np.int32)
    return Index(
        class_names=tuple(class_names),
        images=images,
        image_ids=list(range(len(images))),
        sizes=np.full((len(images), 2), 8),
        boxes=np.zeros((len(flat), 4), np.float32),
        labels=flat,
        ignore=np.zeros(len(flat), bool),
        areas=None,
        orientations=np.zeros(len(images), np.uint8),
        bit_depths=np.zeros(len(images), np.uint8),
        splits=np.concatenate([[0], np.cumsum(counts)]).astype(np.int64),
        report=BoxReport(),
        category_ids=None,
        sources=[],
    )


def write_noise(path: Path, seed: int) -> str:
    path.parent.mkdir(parents=True, exist_ok=True)
    pixels = np.random.default_rng(seed).integers(0, 256, (6, 6, 3), np.uint8)
    Image.fromarray(pixels).resize((60, 60)).save(path)
    return str(path)


def names_of(index: Index, positions: list[int]) -> set[str]:
    return {Path(index.images[position]).name for position in positions}


def test_each_class_gives_its_share() -> None:
    labels = [[0]] * 50 + [[1]] * 20 + [[2]] * 10 + [[]] * 20
    index = make_index([f"gone/{name:x}q.jpg" for name in range(100)], labels)
    division = divide(index, 0.2)
    assert sorted(division.train + division.val) == list(range(100))
    val = np.array(division.val)
    assert [int(((val >= low) & (val < high)).sum()) for low, high in ((0, 50), (50, 70), (70, 80), (80, 100))] == [
        10, 4, 2, 4,
    ]  # fmt: skip
    assert "20 of 100 images are set aside" in division.note


def test_the_rarest_class_of_an_image_decides() -> None:
    labels = [[0, 0, 0, 2] if n < 5 else [0] for n in range(50)]
    division = divide(make_index([f"gone/{n:x}q.jpg" for n in range(50)], labels), 0.2)
    assert sum(position < 5 for position in division.val) == 1


def test_the_seed_decides_and_repeats() -> None:
    index = make_index([f"gone/{n:x}q.jpg" for n in range(60)], [[0]] * 60)
    assert divide(index, 0.25, 1) == divide(index, 0.25, 1)
    assert divide(index, 0.25, 1).val != divide(index, 0.25, 2).val
    assert len(divide(index, 0.25, 1).val) == 15


def test_a_class_with_one_box_is_for_training_and_named() -> None:
    index = make_index([f"gone/{n:x}q.jpg" for n in range(30)], [[1]] + [[0]] * 29)
    division = divide(index, 0.2)
    assert 0 in division.train
    assert "without a box among them: b" in division.note


@pytest.mark.parametrize(
    "pair",
    [
        ("x_jpg.rf.0123456789abcdef.jpg", "x_jpg.rf.fedcba9876543210.jpg"),
        ("x.jpg", "x (1).jpg"),
        ("x.jpg", "x_copy.jpg"),
        ("x.jpg", "x-hflip.jpg"),
        ("x_0_0_512_512.png", "x_400_0_912_512.png"),
        ("x.jpg", "x.png"),
    ],
)
def test_copies_stay_on_one_side(pair: tuple[str, str]) -> None:
    others = [f"{chr(97 + n)}q.jpg" for n in range(20)]
    index = make_index([f"gone/{name}" for name in (*pair, *others)], [[0]] * 22)
    for seed in range(8):
        val = divide(index, 0.3, seed).val
        assert (0 in val) == (1 in val)


def test_frames_of_one_scene_stay_on_one_side() -> None:
    images = [f"gone/street{chr(97 + scene)}_{frame:04d}.jpg" for scene in range(12) for frame in range(5)]
    division = divide(make_index(images, [[0]] * 60), 0.25)
    assert {position // 5 for position in division.val}.isdisjoint(position // 5 for position in division.train)
    assert len(division.val) == 15
    assert "60 images of one scene" in division.note


def test_a_way_of_numbering_is_not_a_scene() -> None:
    index = make_index([f"gone/IMG_{n:04d}.jpg" for n in range(40)], [[0]] * 40)
    assert len(divide(index, 0.25).val) == 10
    assert "no images had to be kept together" in divide(index, 0.25).note


def test_equal_files_and_near_duplicates_stay_on_one_side(tmp_path: Path) -> None:
    images = [write_noise(tmp_path / f"{chr(97 + n)}q.png", n) for n in range(12)]
    shutil.copy(images[0], tmp_path / "same.png")
    with Image.open(images[1]) as opened:
        opened.resize((90, 90)).save(tmp_path / "larger.jpg", quality=90)
    index = make_index([*images, str(tmp_path / "same.png"), str(tmp_path / "larger.jpg")], [[0]] * 14)
    for seed in range(8):
        division = divide(index, 0.3, seed)
        assert (0 in division.val) == (12 in division.val)
        assert (1 in division.val) == (13 in division.val)
    assert "2 equal files" in division.note
    assert "near duplicates" in division.note


def test_ignore_regions_do_not_count_as_boxes() -> None:
    index = make_index([f"gone/{n:x}q.jpg" for n in range(20)], [[1]] * 4 + [[0]] * 16)
    index = dataclasses.replace(index, ignore=index.labels == 1)
    division = divide(index, 0.25)
    assert len([position for position in division.val if position >= 4]) == 4
    assert "without a box" not in division.note


def test_too_few_images_are_refused() -> None:
    with pytest.raises(DataError, match="leaves no validation images of 2"):
        divide(make_index(["gone/aq.jpg", "gone/bq.jpg"], [[0], [0]]), 0.1)


def test_folds_cover_every_image_once_with_equal_shares_of_each_class() -> None:
    labels = [[0]] * 50 + [[1]] * 20 + [[2]] * 9 + [[]] * 21
    index = make_index([f"gone/{name:x}q.jpg" for name in range(100)], labels)
    folds = [choose_fold(index, f"{number}/4") for number in (1, 2, 3, 4)]
    assert sorted(position for fold in folds for position in fold.val) == list(range(100))
    for fold in folds:
        assert sorted(fold.train + fold.val) == list(range(100))
        val = np.array(fold.val)
        counts = [int(((val >= low) & (val < high)).sum()) for low, high in ((0, 50), (50, 70), (70, 79), (79, 100))]
        allowed = ((12, 13), (5,), (2, 3), (4, 5, 6))
        assert all(count in some for count, some in zip(counts, allowed, strict=True)), counts
        assert len(val) == 25
    assert "--val-fold 4/4: 25 of 100 images are this fold" in folds[3].note
    assert choose_fold(index, "1/4", seed=1).val != folds[0].val == choose_fold(index, "1/4").val


def test_a_fold_keeps_copies_together(tmp_path: Path) -> None:
    images = [write_noise(tmp_path / f"{name:x}q.png", name) for name in range(6)]
    images.append(shutil.copy(images[0], tmp_path / "again.png"))
    index = make_index([str(image) for image in images], [[0]] * 7)
    for number in (1, 2, 3):
        val = choose_fold(index, f"{number}/3").val
        assert (0 in val) == (6 in val)


def test_more_folds_than_groups_are_refused() -> None:
    index = make_index(["gone/aq.jpg", "gone/bq.jpg"], [[0], [0]])
    with pytest.raises(DataError, match="--val-fold 3/3: leaves no validation images of 2"):
        choose_fold(index, "3/3")


@pytest.mark.parametrize("text", ["0/3", "4/3", "1/1", "1", "a/b", "-1/3"])
def test_fractions_that_are_not_folds(text: str) -> None:
    with pytest.raises(ValueError, match="I/N"):
        parse_fold(text)
    assert parse_fold("2/3") == (2, 3)
