import os

import numpy as np
import pytest

from keras_retinanet.evaluation.detection_file import DetectionFile

DIGEST = "0" * 32


def found(seed, count):
    rng = np.random.default_rng(seed)
    boxes, scores = rng.uniform(0, 99, (count, 4)).astype(np.float32), rng.uniform(size=count).astype(np.float32)
    return {"boxes": boxes, "scores": scores, "labels": rng.integers(0, 5, count).astype(np.int32)}


BATCHES = [[(2, found(2, 3)), (0, found(0, 0))], [(1, found(1, 2))]]


@pytest.fixture
def path(tmp_path):
    """The file of two batches: images 2 and 0, then 1 of four."""
    path = tmp_path / "new" / "a.detections"
    file = DetectionFile(path, DIGEST, 4)
    file.flag_of = lambda position: 3 * (position == 1)
    for batch in BATCHES:
        file.add(batch)
    file.close()
    return path


def reopen(path, digest=DIGEST):
    """Which images are there, and what was found in them."""
    file = DetectionFile(path, digest, 4)
    stored = file.detections(["a", "b", "c", "d"])
    file.close()
    return file, stored


def assert_same(stored, position, expected):
    for name in ("boxes", "scores", "labels"):
        np.testing.assert_array_equal(stored[position][name], expected[name])
        assert stored[position][name].dtype == expected[name].dtype


def test_another_process_goes_on_where_the_first_ended(path):
    file, stored = reopen(path)
    assert file.done.tolist() == [True, True, True, False]
    assert file.flags.tolist() == [0, 3, 0, 0]
    assert [entry["image_id"] for entry in stored] == ["a", "b", "c", "d"]
    assert stored.counts.tolist() == [0, 2, 3, 0]
    for position, expected in [pair for batch in BATCHES for pair in batch]:
        assert_same(stored, position, expected)
    assert stored[3]["boxes"].shape == (0, 4)
    assert stored[1:3][1]["labels"].tolist() == stored[-2]["labels"].tolist()
    np.testing.assert_array_equal(stored.rows([2, 1])["score"], [*found(2, 3)["scores"], *found(1, 2)["scores"]])

    file = DetectionFile(path, DIGEST, 4)
    file.add([(3, found(3, 1))])
    file.add([(2, found(9, 4))])  # the last word counts
    stored = file.detections(range(4))
    file.remove()
    assert not path.exists()
    assert_same(stored, 3, found(3, 1))
    assert_same(stored, 2, found(9, 4))


@pytest.mark.parametrize("cut", [1, 23, 24, 30, 48, 71])
def test_a_half_written_tail_is_cut_off(path, cut):
    """The last batch is a head and two rows of 24 bytes."""
    whole = path.stat().st_size
    os.truncate(path, whole - cut)
    file, stored = reopen(path)
    assert file.done.tolist() == [True, False, True, False]
    assert path.stat().st_size == whole - 72
    assert_same(stored, 2, found(2, 3))
    file = DetectionFile(path, DIGEST, 4)
    file.add(BATCHES[1])
    file.close()
    assert path.stat().st_size == whole
    assert_same(reopen(path)[1], 1, found(1, 2))


@pytest.mark.parametrize("place", [96, 100, 104, 108, 112, 96 + 24 + 5])
def test_damaged_bytes_are_noticed(path, place):
    """In the head of image 2, at its mark, position, count, flags and checksum, and in its rows."""
    content = bytearray(path.read_bytes())
    content[place] ^= 1
    path.write_bytes(content)
    assert not reopen(path)[0].done.any()
    assert path.stat().st_size == 96


def test_other_settings_start_afresh(path):
    assert not reopen(path, "1" * 32)[0].done.any()
    assert not reopen(path)[0].done.any()
    path.write_text("something else")
    assert not reopen(path)[0].done.any()


def test_cleared(path):
    file = DetectionFile(path, DIGEST, 4)
    file.clear()
    assert (file.done.any(), file.flags.any(), path.stat().st_size) == (False, False, 96)
    assert file.detections(range(4))[2]["boxes"].shape == (0, 4)
    file.add(BATCHES[1])
    file.close()
    assert reopen(path)[0].done.tolist() == [False, True, False, False]


def test_one_process_writes(path):
    file = DetectionFile(path, DIGEST, 4)
    with pytest.raises(BlockingIOError):
        DetectionFile(path, DIGEST, 4)
    file.close()
    assert reopen(path)[0].done.sum() == 3
