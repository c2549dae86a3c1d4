"""Images with equal bytes are found within and across splits."""

from __future__ import annotations

from pathlib import Path

import pytest

from keras_retinanet.data.equal_files import describe_equal_files, file_length, group_equal_files
from keras_retinanet.data.image_files import image_reference

LONG = bytes(range(256)) * 80  # 20,480 bytes, more than the tail that is compared first


@pytest.fixture
def files(tmp_path: Path) -> dict[str, str]:
    content = {
        "a": b"one", "b": b"two", "copy of a": b"one", "long": LONG, "long copy": LONG,
        "other start": b"x" + LONG[1:], "other end": LONG[:-1] + b"x", "longer": LONG + b"x",
    }  # fmt: skip
    for name, written in content.items():
        (tmp_path / name).write_bytes(written)
    return {name: str(tmp_path / name) for name in content} | {"gone": str(tmp_path / "gone")}


def test_equal_bytes_are_grouped(files: dict[str, str]) -> None:
    names = list(files)
    groups = [[names[position] for position in group] for group in group_equal_files(list(files.values()))]
    assert groups == [["a", "copy of a"], ["long", "long copy"]]


def test_missing_files_are_like_no_others(files: dict[str, str]) -> None:
    assert group_equal_files([files["gone"], files["gone"]]) == []
    assert group_equal_files([]) == []


def test_bytes_inside_of_a_file(files: dict[str, str], tmp_path: Path) -> None:
    (tmp_path / "records").write_bytes(b"onetwoone")
    references = [image_reference(str(tmp_path / "records"), start, 3) for start in (0, 3, 6)]
    assert group_equal_files([*references, files["a"]]) == [[0, 2, 3]]
    assert [file_length(image) for image in (references[1], files["long"], files["gone"])] == [3, 20480, None]


def test_the_sentences_name_the_splits(files: dict[str, str]) -> None:
    found = describe_equal_files(
        [("train", [files["a"], files["long"], files["long copy"]]), ("val", [files["copy of a"]])]
    )
    assert found == [
        "1 images (equal bytes) are in several splits, so that validation measures what was learned by heart: "
        f"{files['a']} = {files['copy of a']}",
        f"1 images (equal bytes) occur more than once in a split: {files['long']} = {files['long copy']}",
    ]
    assert describe_equal_files([("train", [files["a"]]), ("val", [files["b"]])]) == []
