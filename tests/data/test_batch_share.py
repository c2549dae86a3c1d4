"""The parts of a batch, worked by hand."""

from __future__ import annotations

import pytest

from keras_retinanet.data.batch_share import WHOLE, BatchShare


@pytest.mark.parametrize(
    ("batch", "count", "devices", "parts", "rows"),
    [(4, 1, 1, [[0, 1, 2, 3]], 4), (4, 2, 1, [[0, 1], [2, 3]], 2), (4, 3, 1, [[0], [1], [2, 3]], 2),
     (8, 3, 2, [[0, 1], [2, 3, 4], [5, 6, 7]], 4), (3, 3, 4, [[0], [1], [2]], 4)],
)  # fmt: skip
def test_parts_hold_every_image_once_and_have_equal_sizes(
    batch: int, count: int, devices: int, parts: list[list[int]], rows: int
) -> None:
    shares = [BatchShare(index, count, devices) for index in range(count)]
    assert [list(range(batch))[share.rows(batch)] for share in shares] == parts
    assert {share.size(batch) for share in shares} == {rows}


def test_the_whole() -> None:
    assert WHOLE.rows(5) == slice(0, 5)
    assert WHOLE.size(5) == 5
