"""Near duplicates are found among the images that a pipeline loads anyway."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
import tensorflow as tf
from PIL import Image

from keras_retinanet.config import ResizeConfig
from keras_retinanet.data.near_duplicates import group_near_duplicates
from keras_retinanet.data.pipeline import InferenceBatches, TrainingBatches
from keras_retinanet.data.thumbnails import MAX_COMPARED, Thumbnails, describe_near_duplicates
from keras_retinanet.schema import Sample

RESIZE = ResizeConfig(min_side=64, max_side=96)


def noise(seed: int) -> Image.Image:
    pixels = np.random.default_rng(seed).integers(0, 256, (7, 9, 3), np.uint8)
    return Image.fromarray(pixels).resize((90, 70), Image.Resampling.BICUBIC)


@pytest.fixture
def samples(tmp_path: Path) -> list[Sample]:
    """Five images: 1 is image 0 scaled and saved as JPEG; 3 is plain."""
    pictures = [noise(0), noise(0).resize((120, 93)), noise(1), Image.new("RGB", (90, 70), "red"), noise(2)]
    found = []
    for number, picture in enumerate(pictures):
        path = tmp_path / f"{number}.{'jpg' if number == 1 else 'png'}"
        picture.save(path)
        found.append(
            Sample(
                image=str(path),
                image_id=number,
                boxes=np.array([[5, 5, 50, 50]], np.float32),
                labels=np.array([0]),
                ignore=np.array([False]),
                size=(picture.height, picture.width),
            )
        )
    return found


def images_of(samples: list[Sample]) -> list[str]:
    return [sample["image"] for sample in samples]


@pytest.mark.parametrize("cache", [False, True])
def test_training_keeps_each_image_before_it_is_augmented(samples: list[Sample], cache: bool) -> None:
    kept = Thumbnails(5)
    batches = TrainingBatches(
        samples, resize=RESIZE, pad_value=(0, 0, 0), batch_size=1, seed=0, thumbnails=kept, cache=cache,
        augmentations=("horizontal_flip", "vertical_flip"),
    )  # fmt: skip
    plain = TrainingBatches(
        samples,
        resize=RESIZE,
        pad_value=(0, 0, 0),
        batch_size=1,
        seed=0,
        augmentations=("horizontal_flip", "vertical_flip"),
    )
    for (image, _), (without, _) in zip(batches.dataset(0, 1), plain.dataset(0, 1), strict=True):
        assert np.array_equal(image, without)  # keeping a thumbnail changes no pixel
    found = kept.found()
    assert [thumbnail is not None for thumbnail in found] == [True, True, True, False, True]
    assert describe_near_duplicates([("train", images_of(samples), kept)]) == [
        f"1 images have near duplicates in their own split: {samples[0]['image']} ~ {samples[1]['image']}"
    ]


def test_evaluation_keeps_its_images_and_splits_are_compared(samples: list[Sample]) -> None:
    train, val = Thumbnails(3), Thumbnails(2)
    for part, kept in ((samples[:1] + samples[2:4], train), ([samples[1], samples[4]], val)):
        for _ in InferenceBatches(part, resize=RESIZE, pad_value=(0, 0, 0), batch_size=2, thumbnails=kept).dataset():
            pass
    splits = [
        ("train", images_of(samples[:1] + samples[2:4]), train),
        ("val", images_of([samples[1], samples[4]]), val),
    ]
    (sentence,) = describe_near_duplicates(splits)
    assert sentence.startswith("1 images look the same in training and validation")
    assert sentence.endswith(f"{samples[0]['image']} ~ {samples[1]['image']}")


def test_evaluating_again_registers_no_function_again(samples: list[Sample]) -> None:
    """TensorFlow keeps Python functions of pipelines in its global graph, with all that they refer to, for ever."""
    kept = InferenceBatches(samples, resize=RESIZE, pad_value=(0, 0, 0), batch_size=2, thumbnails=Thumbnails(5))
    left_out = np.arange(5) == 3

    def evaluate() -> tuple[int, list[int]]:
        order = [int(index) for _, origin in kept.dataset(left_out.copy()) for index in origin["image_index"]]
        return len(tf.compat.v1.get_default_graph()._py_funcs_used_in_graph), order

    found = [evaluate() for _ in range(8)]
    assert found[0][0] > 0
    assert sorted(found[0][1]) == [0, 1, 2, 4]
    assert found == [found[0]] * 8
    assert sum(len(origin["image_index"]) for _, origin in kept.dataset()) == 5  # other images: another pipeline


def test_images_that_were_not_loaded_are_like_no_others(samples: list[Sample]) -> None:
    kept = Thumbnails(5)
    assert kept.found() == [None] * 5
    assert describe_near_duplicates([("train", images_of(samples), kept), ("val", [], Thumbnails(0))]) == []


def test_only_the_first_images_are_kept() -> None:
    kept = Thumbnails(MAX_COMPARED + 5)
    assert len(kept.found()) == MAX_COMPARED
    assert not kept._is_new(MAX_COMPARED + 1)


def test_soft_images_are_not_alike_for_being_soft() -> None:
    columns, rows = np.meshgrid(np.arange(16), np.arange(16))
    slopes = [128 + 0.9 * columns, 128 - 0.9 * columns, 128 + 0.9 * rows, 128 + 0.9 * columns + (columns + rows) % 2]
    thumbnails = [np.round(slope).astype(np.uint8).tobytes() for slope in slopes]
    assert all(np.frombuffer(one, np.uint8).std() > 3 for one in thumbnails)
    assert group_near_duplicates(thumbnails) == [[0, 3]]  # the last differs by half a grey level on average
