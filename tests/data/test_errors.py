from __future__ import annotations

import pickle

import tensorflow as tf

from keras_retinanet.data import errors
from keras_retinanet.data.errors import DataError


def test_the_message_has_all_parts():
    error = DataError("a.csv, line 3", "x1 is 'q'", "a number", "correct it")
    assert str(error) == "a.csv, line 3: x1 is 'q'. allowed: a number. fix: correct it"
    assert str(DataError("a.csv", "is empty")) == "a.csv: is empty"


def test_survives_pickling_for_worker_processes():
    error = pickle.loads(pickle.dumps(DataError("a", "b", "c", "d")))
    assert (error.where, error.found, error.allowed, error.fix) == ("a", "b", "c", "d")


def test_found_again_inside_a_tensorflow_error():
    text = "data error << a: b.jpg | is broken |  | replace it >>"
    error = tf.errors.InvalidArgumentError(None, None, f"{{{{node x}}}} assertion failed: [{text}] [[more]]")
    found = errors.from_tensorflow(error)
    assert str(found) == "a: b.jpg: is broken. fix: replace it"
    assert errors.from_tensorflow(ValueError("something else")) is None


def test_shown_is_short_and_printable():
    assert errors.short_repr("ä\ud800") == r"'\xe4\ud800'"
    assert len(errors.short_repr("x" * 1000)) == 60
