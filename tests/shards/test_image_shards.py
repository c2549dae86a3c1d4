"""Images cut into shards, and read again."""

from __future__ import annotations

import io
import pickle
import tarfile
from pathlib import Path

from keras_retinanet.data.errors import DataError
from keras_retinanet.shards.image_shards import Inputs, Shard, cut_into_shards, read_shard

IMAGES = [(f"/data/{name}", name) for name in ("a.jpg", "照片.jpg", "line\nbreak.jpg", "d.jpg", "e.jpg")]


def test_files_are_cut_into_parts_of_a_list(tmp_path: Path) -> None:
    shards = cut_into_shards(Inputs(IMAGES), tmp_path, 2)
    assert [shard.number for shard in shards] == [0, 1, 2]
    damage: list[DataError] = []
    read = [[(image.content, image.name) for image in read_shard(shard, damage)] for shard in shards]
    assert read == [IMAGES[:2], IMAGES[2:4], IMAGES[4:]]
    assert damage == []
    assert cut_into_shards(Inputs(IMAGES), tmp_path, 2) == shards
    assert len({shard.file_name for shard in shards}) == 3


def test_what_travels_does_not_grow_with_the_images(tmp_path: Path) -> None:
    (shard,) = cut_into_shards(Inputs(IMAGES * 1000), tmp_path, 5000)
    assert len(pickle.dumps(shard)) < 400


def test_only_shards_that_list_other_images_change(tmp_path: Path) -> None:
    before = cut_into_shards(Inputs(IMAGES), tmp_path, 2)
    after = cut_into_shards(Inputs([*IMAGES, ("/data/f.jpg", "f.jpg")]), tmp_path, 2)
    assert after[:2] == before[:2]
    assert after[2].digest != before[2].digest


def test_an_archive_is_a_shard_whose_images_have_its_name(tmp_path: Path) -> None:
    path = tmp_path / "x.tar"
    with tarfile.open(path, "w") as archive:
        for name in ("../up.jpg", "/root.png", "deep/./c.jpg"):
            member = tarfile.TarInfo(name)
            member.size = 3
            archive.addfile(member, io.BytesIO(b"abc"))
    given = Inputs(IMAGES[:1], [(str(path), "train/x")])
    files, tar = cut_into_shards(given, tmp_path, 2)
    assert (files.number, tar.number, tar.source) == (0, 1, str(path))
    damage: list[DataError] = []
    images = list(read_shard(tar, damage))
    assert [image.name for image in images] == ["train/x/up.jpg", "train/x/root.png", "train/x/deep/c.jpg"]
    assert images[0].content == b"abc"
    path.write_bytes(path.read_bytes()[:1100])
    assert [image.name for image in read_shard(tar, damage)] == ["train/x/up.jpg"]
    assert [error.where for error in damage] == [str(path)]
    assert cut_into_shards(given, tmp_path, 2)[1].digest != tar.digest, "the archive has changed"


def test_members_of_one_name_get_names_of_their_own(tmp_path: Path) -> None:
    """Archives that were appended to have such members; each would overwrite the YOLO file of the one before."""
    path = tmp_path / "x.tar"
    with tarfile.open(path, "w") as archive:
        for content in (b"abc", b"abd", b"abe"):
            member = tarfile.TarInfo("a.jpg" if content != b"abe" else "a.png")
            member.size = 3
            archive.addfile(member, io.BytesIO(content))
    (tar,) = cut_into_shards(Inputs([], [(str(path), "x")]), tmp_path, 2)
    read = [(image.name, image.content) for image in read_shard(tar, [])]
    assert read == [("x/a.jpg", b"abc"), ("x/a-2.jpg", b"abd"), ("x/a-3.png", b"abe")]


def test_names_of_files_sort_as_their_numbers() -> None:
    names = [Shard(number, "", 0, 1, "", "ff").file_name for number in (0, 7, 123456)]
    assert names == ["000000-ff.npz", "000007-ff.npz", "123456-ff.npz"]
