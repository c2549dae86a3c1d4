from __future__ import annotations

import itertools

import numpy as np
import tensorflow as tf

from keras_retinanet.config import ResizeConfig
from keras_retinanet.data.batch_share import BatchShare
from keras_retinanet.data.image import decode
from keras_retinanet.data.inference_batches import InferenceBatches

RESIZE = ResizeConfig(min_side=48, max_side=80, pad_multiple=16)
PAD = (123.5, 116.5, 103.5)


def listed(dataset):
    return list(dataset.as_numpy_iterator())


def indices(batches):
    return [rest["image_index"].tolist() for _, rest in batches]


def test_inference_sees_every_image_once_as_it_is(drawn, network_input):
    batches = InferenceBatches(drawn, resize=RESIZE, pad_value=PAD, batch_size=3)
    found = listed(batches.dataset())
    assert len(found) == len(batches) == batches.dataset().cardinality() == 3 + 2
    assert sorted(itertools.chain(*indices(found))) == list(range(11))
    for images, rest in found:
        assert images.shape[1:3] in batches.batch_shapes
        for image, size, scale, index in zip(images, rest["size"], rest["scale"], rest["image_index"], strict=True):
            stored = decode(tf.io.read_file(drawn[index]["image"]))
            wanted, wanted_size, wanted_scale = network_input(stored, RESIZE, PAD)
            np.testing.assert_array_equal(size, wanted_size)
            np.testing.assert_array_equal(scale, wanted_scale)
            height, width = size.astype(int)
            np.testing.assert_array_equal(image[:height, :width], wanted[:height, :width])
            assert (image[height:] == PAD).all()
            assert (image[:, width:] == PAD).all()


def test_processes_measure_whole_batches_each_once(drawn):
    batches = InferenceBatches(drawn, resize=RESIZE, pad_value=PAD, batch_size=2)
    shares = [BatchShare(index, 3) for index in range(3)]
    outside = [batches.outside(share) for share in shares]
    assert (sum(~each for each in outside) == 1).all()
    assert batches.largest == 2
    alone = indices(listed(batches.dataset()))
    found = [indices(listed(batches.dataset(each))) for each in outside]
    assert [found[number % 3][number // 3] for number in range(len(alone))] == alone


def test_images_that_are_done_are_left_out_and_the_shapes_stay(drawn):
    batches = InferenceBatches(drawn, resize=RESIZE, pad_value=PAD, batch_size=3)
    done = np.arange(11) < 6
    kept = batches.dataset()
    rest = listed(batches.dataset(done))
    assert sorted(itertools.chain(*indices(rest))) == [6, 7, 8, 9, 10]
    assert {images.shape[1:3] for images, _ in rest} == set(batches.batch_shapes)
    assert indices(listed(batches.dataset())) == indices(listed(kept))
