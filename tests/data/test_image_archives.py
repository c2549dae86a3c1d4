"""Images read from tar archives and TFRecord files, whole and damaged."""

from __future__ import annotations

import gzip
import io
import tarfile
from pathlib import Path
from typing import Any

import pytest

from keras_retinanet.data.errors import DataError
from keras_retinanet.data.image_archives import find_archives, is_archive, read_archive
from keras_retinanet.data.image_files import read_bytes

BLOCK = 512


def write_tar(path: Path, members: dict[str, bytes]) -> bytes:
    with tarfile.open(path, "w") as archive:
        for name, content in members.items():
            member = tarfile.TarInfo(name)
            member.size = len(content)
            archive.addfile(member, io.BytesIO(content))
    return path.read_bytes()


@pytest.fixture
def tar(tmp_path: Path) -> Path:
    """Two samples of an image and its labels: 700 and 300 bytes; the second image has a folder."""
    members = {"a.jpg": b"A" * 700, "a.cls": b"1", "deep/b.PNG": b"B" * 300, "deep/b.json": b"{}", "._a.jpg": b"mac"}
    write_tar(tmp_path / "x.tar", members)
    return tmp_path / "x.tar"


def test_images_of_a_tar_in_their_order_and_their_bytes_in_place(tar: Path) -> None:
    first, second = read_archive(str(tar))
    assert (first.name, first.content) == ("a.jpg", b"A" * 700)
    assert (second.name, second.content) == ("deep/b.PNG", b"B" * 300)
    assert first.reference == f"{tar}#bytes={BLOCK}+700"
    assert second.reference == f"{tar}#bytes={(1 + 2 + 1 + 1 + 1) * BLOCK}+300"
    assert read_bytes(second.reference) == second.content


@pytest.mark.parametrize("name", ["x.tar.gz", "y.tgz", "z.tar"])
def test_a_compressed_tar_whatever_its_name(tar: Path, name: str) -> None:
    other = tar.with_name(name)
    other.write_bytes(gzip.compress(tar.read_bytes()))
    assert [image.content for image in read_archive(str(other))] == [b"A" * 700, b"B" * 300]
    assert next(read_archive(str(other))).reference == f"{other}#a.jpg"


@pytest.mark.parametrize(
    ("damage", "num_images", "reason"),
    [
        (lambda content: content[: 3 * BLOCK + 100], 1, "after its first 1 members (cut off"),
        (lambda content: content[: 2 * BLOCK], 0, "after its first 0 members (unexpected end of data"),
        (lambda content: content[: 3 * BLOCK] + b"x" * BLOCK + content[4 * BLOCK :], 1, "damaged there"),
        (lambda content: gzip.compress(content)[:60], 0, "after its first 0 members (Compressed file ended"),
        (lambda _: b"", 0, "empty file"),
    ],
    ids=["between members", "inside a member", "header", "gzip", "empty"],
)
def test_damage_is_an_error_after_the_images_before_it(tar: Path, damage: Any, num_images: int, reason: str) -> None:
    tar.write_bytes(damage(tar.read_bytes()))
    images = read_archive(str(tar))
    found = []
    with pytest.raises(DataError) as error:
        found.extend(images)
    assert len(found) == num_images
    assert reason in str(error.value)
    assert error.value.where == str(tar)


def test_images_of_records_with_and_without_a_name(tmp_path: Path) -> None:
    import tensorflow as tf

    def example(**features: bytes) -> bytes:
        lists = {key: tf.train.Feature(bytes_list=tf.train.BytesList(value=[value])) for key, value in features.items()}
        named = {f"image/{key}": value for key, value in lists.items()}
        return tf.train.Example(features=tf.train.Features(feature=named)).SerializeToString()

    path = tmp_path / "data-00000-of-00001"
    with tf.io.TFRecordWriter(str(path)) as writer:
        writer.write(example(encoded=b"first", filename=b"a.jpg", source_id=b"7"))
        writer.write(example(encoded=b"second", source_id=b"8"))
        writer.write(example(filename=b"empty.jpg"))
        writer.write(b"no example")
    found = list(read_archive(str(path)))
    assert [(image.name, image.content) for image in found] == [
        ("a.jpg", b"first"), ("8", b"second"), ("empty.jpg", None), ("record 4", None),
    ]  # fmt: skip
    assert read_bytes(found[1].reference) == b"second"
    assert is_archive(path)


def test_archives_of_files_folders_and_patterns(tar: Path, tmp_path: Path) -> None:
    for name in ("b/2.tar", "b/1.tar.gz", "b/a.jpg", "b/train.tfrecord", "b/notes.txt", "b/x.tar.json"):
        (tmp_path / name).parent.mkdir(exist_ok=True)
        (tmp_path / name).touch()

    def names(source: str, **settings: Any) -> list[str]:
        return [path.relative_to(tmp_path).as_posix() for path in find_archives(str(tmp_path / source), **settings)]

    assert names("b") == ["b/1.tar.gz", "b/2.tar", "b/train.tfrecord"]
    assert names(".", is_recursive=True) == ["b/1.tar.gz", "b/2.tar", "b/train.tfrecord", "x.tar"]
    assert names("b/*.tar") == ["b/2.tar"]
    assert names("x.tar") == ["x.tar"]
    assert names("b/a.jpg") == names("gone.tar") == names("c*.tar") == []
