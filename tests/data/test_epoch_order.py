"""Which image comes how often, counted over epochs."""

from __future__ import annotations

import numpy as np
import tensorflow as tf

from keras_retinanet.data.epoch_order import EpochOrder, repeat_factors


def sample(*labels, ignore=()):
    return {
        "image": "x.jpg",
        "boxes": np.tile(np.array([[0, 0, 9, 9]], np.float32), (len(labels), 1)),
        "labels": np.array(labels, np.int32),
        "ignore": np.array([label in ignore for label in labels], bool),
    }


def test_repeat_factors_are_those_of_lvis():
    """Of eight images class 0 is in six (f .75), class 1 in two (.25), class 2 in one (.125): √(.5 / f), at least 1."""
    samples = [sample(0)] * 4 + [sample(0, 1, 1), sample(1, 0), sample(2, 0, ignore=(0,)), sample()]
    expected = [1] * 4 + [np.sqrt(2)] * 2 + [2, 1]
    np.testing.assert_allclose(repeat_factors(samples, 0.5), expected)
    np.testing.assert_array_equal(repeat_factors(samples, 0.01), np.ones(8))


def epoch(order, number):
    index, seed = order(tf.constant(number, tf.int64))
    return index.numpy(), seed.numpy()


def test_every_image_is_used_as_often_as_its_factor_says():
    """Factors 1 and 2 each epoch; 1.5 and 2.5 in the mean of many; the length of an epoch does not change."""
    factors = np.array([1.0, 2.0, 1.5, 2.5, 1.0])
    order = EpochOrder(np.zeros(5, int), 1, 2, seed=3, factors=factors)
    assert order.batches == 4
    counts = np.array([np.bincount(epoch(order, number)[0], minlength=5) for number in range(200)])
    assert (counts.sum(axis=1) == 8).all()
    assert (counts >= np.floor(factors)).all()
    assert (counts <= np.ceil(factors)).all()
    np.testing.assert_allclose(counts.mean(axis=0), factors, atol=0.12)


def test_no_two_uses_of_an_image_share_a_seed():
    order = EpochOrder(np.array([0, 0, 1]), 2, 4, seed=0, factors=np.array([3.3, 1.0, 1.0]))
    seen = {pair for number in range(6) for pair in zip(*(part.tolist() for part in epoch(order, number)), strict=True)}
    assert len(seen) == 6 * 4 * order.batches


def test_without_factors_every_image_comes_once_and_groups_are_completed():
    order = EpochOrder(np.array([0, 1, 0, 0, 1]), 2, 2, seed=1)
    index, seed = epoch(order, 4)
    assert sorted(np.bincount(index)) == [1, 1, 1, 1, 2]
    assert set(seed.tolist()) == {8, 9}
    for batch in index.reshape(-1, 2):
        assert len({int(image) in (1, 4) for image in batch}) == 1
