"""A user's functions: found, run with their own random numbers, checked, and kept in step with boxes and regions."""

from __future__ import annotations

import textwrap

import numpy as np
import pytest
import tensorflow as tf

from keras_retinanet.data.augment import augmentation_names
from keras_retinanet.data.augmentations.user_functions import apply_user_function, from_albumentations, load_function
from keras_retinanet.data.errors import from_tensorflow

FUNCTIONS = """
import numpy as np

def halves(sample, rng):
    # the left or the right half
    image, boxes = sample["image"], sample["boxes"].copy()
    start = int(rng.integers(2)) * image.shape[1] // 2
    boxes[:, [0, 2]] -= start
    return {**sample, "image": image[:, start:start + image.shape[1] // 2], "boxes": boxes}

def fails(sample, rng):
    return sample["nothing"]

def answers_nothing(sample, rng):
    return None


def forgets(sample, rng):
    return {**sample, "labels": sample["labels"][:-1]}

def invents(sample, rng):
    return {**sample, "labels": sample["labels"] + 5}

def brightens(sample, rng):
    return {**sample, "image": sample["image"] * 1.5}

def flattens(sample, rng):
    return {**sample, "boxes": sample["boxes"][:, [0, 1, 0, 3]]}

number = 3
"""


@pytest.fixture(scope="module")
def functions(tmp_path_factory):
    path = tmp_path_factory.mktemp("own") / "functions.py"
    path.write_text(textwrap.dedent(FUNCTIONS))
    return str(path)


def sample(dtype=np.uint8):
    image = (np.arange(6 * 20 * 3) % 251).reshape(6, 20, 3).astype(dtype)
    return {
        "image": tf.constant(image),
        "boxes": tf.constant([[1, 0, 8, 6], [12, 1, 18, 5]], tf.float32),
        "labels": tf.constant([0, 1]),
        "ignore": tf.constant([False, True]),
        "target_size": tf.constant([64, 64]),
        "pad_value": tf.zeros(3),
        "name": tf.constant("photo.jpg"),
        "label_count": tf.constant(2),
    }


def run(name, number=0, dtype=np.uint8):
    function = tf.function(lambda given: apply_user_function(given, tf.constant([number, 2], tf.int64), name))
    return {key: value.numpy() for key, value in function(sample(dtype)).items()}


@pytest.mark.parametrize("dtype", [np.uint8, np.float32])
def test_a_function_changes_image_and_boxes_by_its_own_random_numbers(functions, dtype):
    """The half without the object has no box left; a seed always gives the same half."""
    starts = set()
    for number in range(8):
        out, again = (run(f"{functions}:halves", number, dtype) for _ in range(2))
        np.testing.assert_array_equal(out["image"], again["image"])
        assert out["image"].dtype == dtype
        start = 0 if out["labels"].tolist() == [0] else 10
        starts.add(start)
        np.testing.assert_array_equal(out["image"], sample(dtype)["image"].numpy()[:, start : start + 10])
        np.testing.assert_array_equal(out["boxes"], [[1, 0, 8, 6]] if start == 0 else [[2, 1, 8, 5]])
        assert out["ignore"].tolist() == [start == 10]
    assert starts == {0, 10}


@pytest.mark.parametrize(
    ("name", "message"),
    [
        ("fails", r":fails on photo.jpg: raised KeyError: 'nothing'.*correct the function"),
        ("answers_nothing", r":answers_nothing on photo.jpg: is a NoneType. allowed: a dict with image, boxes"),
        ("forgets", r":forgets on \('photo.jpg'\), '(ignore|boxes)'"),
        ("invents", r":invents on \('photo.jpg'\), 'labels', box 0: is 5. allowed: 0 … 1"),
        ("brightens", r":brightens on \('photo.jpg'\), 'image': is an array of shape \(6, 20, 3\) and float64"),
        ("flattens", r":flattens on \('photo.jpg'\), 'boxes', box 0: is .* allowed: x1 < x2"),
    ],
)
def test_what_it_returns_is_checked(functions, name, message):
    with pytest.raises(tf.errors.OpError) as caught:
        run(f"{functions}:{name}")
    error = from_tensorflow(caught.value)
    assert error is not None
    with pytest.raises(type(error), match=message):
        raise error


def test_names_of_functions_and_presets(functions):
    assert augmentation_names(f"flip,{functions}:halves") == ("horizontal_flip", f"{functions}:halves")
    for name, message in (
        ("no_such_module_here:f", "No module named"),
        (f"{functions}:missing", "no attribute 'missing'"),
        (f"{functions}:number", "is a int"),
        ("flop", "is not a preset"),
    ):
        with pytest.raises(ValueError, match=message):
            augmentation_names(name)
    assert load_function("textwrap:dedent") is textwrap.dedent


def test_a_pipeline_of_albumentations_keeps_labels_and_regions_in_step():
    """Flipped: x of 1 … 8 becomes 12 … 19; the crop then drops the box that it does not show."""
    albumentations = pytest.importorskip("albumentations", reason="albumentations is optional")
    pipeline = albumentations.Compose([albumentations.HorizontalFlip(p=1.0), albumentations.Crop(0, 0, 10, 6, p=1.0)])
    given = {key: sample()[key].numpy() for key in ("image", "boxes", "labels", "ignore")}
    out = from_albumentations(pipeline)(given, np.random.default_rng(0))
    np.testing.assert_allclose(out["boxes"], [[2, 1, 8, 5]], atol=1e-5)
    assert (out["labels"].tolist(), out["ignore"].tolist()) == ([1], [True])
    np.testing.assert_array_equal(out["image"], given["image"][:, :9:-1])
    jitter = from_albumentations(albumentations.Compose([albumentations.RandomBrightnessContrast(p=1.0)]))
    images = [jitter(given, np.random.default_rng(seed))["image"] for seed in (1, 1, 2)]
    np.testing.assert_array_equal(images[0], images[1])
    assert not np.array_equal(images[0], images[2])
