from __future__ import annotations

import functools
import itertools
from collections import Counter

import numpy as np
import pytest
import tensorflow as tf

from keras_retinanet.config import ResizeConfig
from keras_retinanet.data import errors
from keras_retinanet.data.augment import AUGMENTATIONS, MIXTURES
from keras_retinanet.data.batch_share import BatchShare
from keras_retinanet.data.pipeline import TrainingBatches

RESIZE = ResizeConfig(min_side=48, max_side=80, pad_multiple=16)
PAD = (123.5, 116.5, 103.5)
MARKER = np.array([250, 10, 10])
ALL = (*MIXTURES, *AUGMENTATIONS)


@pytest.fixture
def samples(drawn):
    """The images' records, free to be changed."""
    return [dict(sample) for sample in drawn]


@pytest.fixture(scope="module")
def whole(drawn):
    """Four passes of six batches with all augmentations, as a run that is never stopped sees them."""
    return listed(training(drawn, augmentations=ALL).dataset(0, 4))


def training(samples, **options):
    options = {"resize": RESIZE, "pad_value": PAD, "batch_size": 2, "seed": 3, **options}
    return TrainingBatches(samples, **options)


def listed(dataset):
    return list(dataset.as_numpy_iterator())


def assert_same(left, right):
    assert len(left) == len(right) > 0
    for one, other in zip(left, right, strict=True):
        tf.nest.map_structure(np.testing.assert_array_equal, one, other)


def indices(batches):
    return [targets["image_index"].tolist() for _, targets in batches]


def test_batches_have_the_shapes_types_and_padding_promised(samples):
    batches = training(samples)
    # 90 x 60 becomes 72 x 48 (4 images), 60 x 90 becomes 48 x 72 (7 images)
    assert batches.batch_shapes == [(48, 80), (80, 48)]
    assert batches.shape_counts.tolist() == [[48, 80, 7], [80, 48, 4]]
    assert batches.steps_per_epoch == 4 + 2
    assert batches.box_counts == (8,)
    for images, targets in listed(batches.dataset(0, 1)):
        assert images.shape in {(2, 48, 80, 3), (2, 80, 48, 3)}
        assert {key: (value.shape, value.dtype.name) for key, value in targets.items()} == {
            "boxes": ((2, 8, 4), "float32"),
            "labels": ((2, 8), "int32"),
            "ignore": ((2, 8), "int32"),
            "size": ((2, 2), "float32"),
            "image_index": ((2,), "int32"),
        }
        for image, size, label, box, ignore, index in zip(
            images,
            targets["size"],
            targets["labels"],
            targets["boxes"],
            targets["ignore"],
            targets["image_index"],
            strict=True,
        ):
            height, width = size.astype(int)
            assert (height, width) == ((48, 72) if index % 3 else (72, 48))
            assert (image[height:] == PAD).all()
            assert (image[:, width:] == PAD).all()
            assert label.tolist() == [index if index < 10 else -1] + [-1] * 7
            assert ignore.tolist() == [index == 4] + [False] * 7
            assert (box[1:] == 0).all()


@pytest.mark.parametrize("name", AUGMENTATIONS)
def test_boxes_frame_their_rectangles_in_the_batch(samples, name):
    batches = training(samples, augmentations=(name,))
    seen = 0
    for images, targets in listed(batches.dataset(0, 2)):
        for image, box, label in zip(images, targets["boxes"][:, 0], targets["labels"][:, 0], strict=True):
            is_red = image[..., 0] - image[..., 1] > 120
            if label < 0 or (box[2:] - box[:2]).min() < 4:
                continue
            rows, columns = np.nonzero(is_red)
            found = [columns.min(), rows.min(), columns.max() + 1, rows.max() + 1]
            # a JPEG holds colour at half the resolution
            np.testing.assert_allclose(box, found, atol=2 if name == "jpeg" else 1.2)
            seen += 1
    assert seen > 12


def test_every_image_is_seen_once_a_pass_and_fill_ups_change(samples):
    seen = indices(listed(training(samples).dataset(0, 6)))
    epochs = [seen[start : start + 6] for start in range(0, 36, 6)]
    extra = set()
    for epoch in epochs:
        count = Counter(itertools.chain(*epoch))
        assert set(count) == set(range(11))
        twice = [index for index, times in count.items() if times == 2]
        assert sum(count.values()) == 12
        assert len(twice) == 1  # seven landscape images in batches of two
        extra |= set(twice)
        assert all(a % 3 == b % 3 == 0 or (a % 3 and b % 3) for a, b in epoch)  # batches stay inside a group
    assert len(extra) > 1
    assert len({str(epoch) for epoch in epochs}) == 6


def test_a_batch_larger_than_the_data_set_repeats_its_images(samples):
    batches = training(samples[:3], batch_size=8, max_shapes=1, augmentations=("scale_jitter",))
    assert batches.steps_per_epoch == 1
    images, targets = next(batches.dataset().as_numpy_iterator())
    assert Counter(targets["image_index"].tolist()).keys() == {0, 1, 2}
    assert len({image.tobytes() for image in images}) == 8  # each repetition is augmented anew


def test_a_resumed_run_sees_the_same_batches_whatever_its_workers_and_cache(samples, whole):
    resumed = listed(training(samples, augmentations=ALL, workers=1, cache=True).dataset(1, 4))
    assert_same(whole[6:], resumed)


def test_a_run_resumed_inside_an_epoch_reads_nothing_of_its_beginning(samples):
    flipped = listed(training(samples).dataset(0, 1))
    before, after = (set(itertools.chain(*indices(part))) for part in (flipped[:3], flipped[3:]))
    assert before - after
    rest = [{**sample, "image": "no/such.jpg"} if i not in after else sample for i, sample in enumerate(samples)]
    assert_same(flipped[3:], listed(training(rest).dataset(0, 1, first_step=3)))


def test_a_resumed_run_sees_the_same_batches_with_steps(samples):
    whole = listed(training(samples).dataset(0, 4))
    batches = training(samples, steps=4)  # 6 batches a pass
    assert batches.steps_per_epoch == 4
    assert_same(whole, listed(batches.dataset(0, 6)))
    assert_same(whole[20:], listed(batches.dataset(5, 6)))
    assert set(itertools.chain(*indices(whole[6:12]))) == set(range(11))  # the second pass, not the first again


def test_seeds_differ_and_may_be_any_number(samples):
    orders = {str(indices(listed(training(samples, seed=seed).dataset(0, 1)))) for seed in (0, 1, -1, 2**40)}
    assert len(orders) == 4


def test_the_last_epochs_combine_no_images(samples):
    """Before the close the batches of a run with mixtures, then those of one without; wherever it is resumed."""
    mixed = ("copy_paste", "horizontal_flip")
    closing = training(samples, augmentations=mixed, close_epoch=1, batch_size=4)
    first, last = (listed(closing.dataset(epoch, epoch + 1)) for epoch in (0, 1))
    assert len(first) == len(last) == closing.steps_per_epoch
    assert_same(listed(closing.dataset(0, 2)), first + last)
    before, after = (listed(training(samples, augmentations=mixed, batch_size=4).dataset(k, k + 1)) for k in (0, 1))
    assert_same(first, before)
    assert indices(last) == indices(after)
    assert any(len(np.unique(one["labels"])) > 2 or (one["labels"] >= 0).sum() > 4 for _, one in before)
    assert all((targets["labels"] >= 0).sum() <= 4 for _, targets in last)  # one rectangle an image


def test_the_data_set_never_ends(samples):
    batches = training(samples[:2], max_shapes=1)
    assert batches.steps_per_epoch == 1
    assert len(listed(batches.dataset().take(7))) == 7


def test_a_few_crowded_images_get_a_padding_of_their_own(samples):
    rng = np.random.default_rng(0)
    corner = rng.uniform(0, 50, (300, 2))
    samples[2].update(
        boxes=np.concatenate([corner, corner + 5], axis=1).astype(np.float32),
        labels=np.zeros(300, np.int32),
        ignore=np.zeros(300, bool),
    )
    batches = training(samples)
    assert batches.box_counts == (128, 512)
    for _, targets in listed(batches.dataset(0, 1)):
        is_crowded = 2 in targets["image_index"]
        assert targets["boxes"].shape == (2, 512 if is_crowded else 128, 4)
        assert targets["labels"].shape == targets["ignore"].shape == targets["boxes"].shape[:2]
        if is_crowded:
            assert (targets["labels"] == 0).sum() >= 300


@pytest.mark.parametrize(
    ("counts", "wanted"), [([0], (8,)), ([8, 1], (8,)), ([9], (16,)), ([128], (128,)), ([3, 129], (128, 256))]
)
def test_box_counts(samples, counts, wanted):
    for sample, count in zip(samples, counts, strict=False):
        sample.update(
            boxes=np.tile(np.float32([[0, 0, 5, 5]]), (count, 1)),
            labels=np.zeros(count, np.int32),
            ignore=np.zeros(count, bool),
        )
    assert training(samples[: len(counts)]).box_counts == wanted


def test_shapes_are_static_where_there_is_one(samples):
    images, targets = training(samples, resize=ResizeConfig(0, 64, is_square=True)).dataset().element_spec
    assert images.shape == (2, 64, 64, 3)
    assert targets["boxes"].shape == (2, 8, 4)
    assert training(samples).dataset().element_spec[0].shape.as_list() == [2, None, None, 3]


def test_unknown_augmentations_are_refused(samples):
    with pytest.raises(ValueError, match=r"Unknown augmentations \['spin'\]. Allowed: horizontal_flip"):
        training(samples, augmentations=("spin",))


def test_a_damaged_image_is_named(samples, tmp_path):
    samples[5]["image"] = str(tmp_path / "5.png")
    (tmp_path / "5.png").write_bytes(b"damaged")
    with pytest.raises(tf.errors.InvalidArgumentError) as caught:
        listed(training(samples).dataset(0, 1))
    assert str(tmp_path / "5.png") in str(errors.from_tensorflow(caught.value))


def test_keras_reads_on_across_epochs(samples):
    import keras

    batches = training(samples, augmentations=())
    seen = []

    class Spy(keras.Model):
        def __init__(self):
            super().__init__()
            self.scale = self.add_weight(shape=(), initializer="ones")

        def call(self, images):
            return keras.ops.mean(images) * self.scale

        def compute_loss(self, x=None, y=None, y_pred=None, sample_weight=None, training=True):
            seen.append(np.array(y["image_index"]).tolist())
            return y_pred

    model = Spy()
    model.compile("sgd", run_eagerly=True)
    model.fit(
        batches.dataset(1), steps_per_epoch=batches.steps_per_epoch, initial_epoch=1, epochs=3, verbose=0, shuffle=False
    )
    assert seen[-12:] == indices(listed(batches.dataset(1, 3)))


def test_processes_share_every_batch_and_augment_as_one(samples):
    """Of batches of two images, process 0 of 2 reads the first and process 1 the second; also when it begins later."""
    whole = listed(training(samples).dataset(0, 2))
    parts = [listed(training(samples, share=BatchShare(index, 2)).dataset(0, 2)) for index in range(2)]
    join = functools.partial(tf.nest.map_structure, lambda a, b: np.concatenate([a, b]))
    joined = [join(one, two) for one, two in zip(*parts, strict=True)]
    assert_same(joined, whole)
    later = training(samples, share=BatchShare(1, 2)).dataset(1, 2, first_step=2)
    assert_same(listed(later), parts[1][6 + 2 :])
