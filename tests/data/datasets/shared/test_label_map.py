from __future__ import annotations

import contextlib

import hypothesis
import hypothesis.strategies as st
import pytest

from keras_retinanet.data.datasets.shared.label_map import read_label_map, write_label_map
from keras_retinanet.data.errors import DataError


def test_reads_what_the_object_detection_api_writes(tmp_path):
    file = tmp_path / "map.pbtxt"
    file.write_text(
        """# made by hand
item { id: 0 name: 'background' }
item {
  name: "traffic light"   # quoted either way
  id: 10
  display_name: 'Traffic light'
  keypoints { id: 3 label: "x" }
}
item { id: 2, display_name: "it's \\"so\\"" }
"""
    )
    assert read_label_map(file) == {2: 'it\'s "so"', 10: "traffic light"}


def test_what_is_written_is_read(tmp_path):
    names = {1: "cat", 3: 'a "b" \\ c', 7: "Katze ä"}
    write_label_map(tmp_path / "map.pbtxt", names)
    assert read_label_map(tmp_path / "map.pbtxt") == names


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("", "has no item"),
        ("item { id: 1 }", "line 1: an item without name"),
        ("\nitem { name: 'a' }", "line 2: an item without id"),
        ("item { id: 1 name: 'a' } item { id: 1 name: 'b' }", "item 1, 'b'. allowed: .*each id and name once"),
        ("item { id: 1 name: 'a' } item { id: 2 name: 'a' }", "item 2, 'a'"),
        ("item { id: -1 name: 'a' }", "item -1"),
        ("item { id: 1 name: 'a'", "has braces that do not match"),
        ("}", "has braces that do not match"),
        ("item { id: 1 name: 'a }", "line 1: "),
        ("item < id: 1 >", "line 1: "),
    ],
)
def test_broken_maps_are_named(tmp_path, text, message):
    (tmp_path / "map.pbtxt").write_text(text)
    with pytest.raises(DataError, match=rf"map\.pbtxt.*{message}.*fix: "):
        read_label_map(tmp_path / "map.pbtxt")


@hypothesis.settings(
    max_examples=60, deadline=None, derandomize=True, suppress_health_check=list(hypothesis.HealthCheck)
)
@hypothesis.given(
    words=st.lists(
        st.sampled_from(["item", "{", "}", "id:", "1", "name:", "'a'", '"', "#", "\n", "\\", "é"]), max_size=12
    )
)
def test_fuzzed_maps_never_give_another_error(tmp_path, words):
    (tmp_path / "map.pbtxt").write_text(" ".join(words))
    with contextlib.suppress(DataError):
        assert read_label_map(tmp_path / "map.pbtxt")
