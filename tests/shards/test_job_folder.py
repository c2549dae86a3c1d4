"""The folder of a job: what is due, and what is refused."""

from __future__ import annotations

from pathlib import Path

import pytest

from keras_retinanet.shards.image_shards import Shard
from keras_retinanet.shards.job_folder import (
    check_same_job,
    digest_of_file,
    is_job_folder,
    prepare_folder,
    read_job,
)

SHARDS = [Shard(number, "x", 0, 1, "", f"a{number}") for number in range(3)]
SETTINGS = {"model": "f00", "score_threshold": 0.3, "classes": ("ant",)}


def test_shards_with_files_are_done_and_what_does_not_belong_there_is_removed(tmp_path: Path) -> None:
    assert not is_job_folder(tmp_path)
    assert prepare_folder(tmp_path, SETTINGS, SHARDS) == SHARDS
    assert is_job_folder(tmp_path)
    for name in (SHARDS[1].file_name, "000002-0123.npz", ".000000-a0.4711.part.npz", "mine.npz"):
        (tmp_path / name).touch()
    check_same_job(tmp_path, SETTINGS)
    assert prepare_folder(tmp_path, SETTINGS, SHARDS) == [SHARDS[0], SHARDS[2]]
    assert sorted(path.name for path in tmp_path.iterdir()) == [SHARDS[1].file_name, "job.json", "mine.npz"]
    assert read_job(tmp_path)["shards"] == ["000000-a0.npz", "000001-a1.npz", "000002-a2.npz"]


@pytest.mark.parametrize(
    ("changes", "said"),
    [
        ({"score_threshold": 0.5}, "score_threshold was 0.3, now it is 0.5"),
        ({"classes": ("ant", "bee")}, r'classes was \["ant"\], now it is \["ant", "bee"\]'),
        ({"tiles": 800}, "tiles was not given, now it is 800"),
    ],
)
def test_another_setting_is_refused_by_name(tmp_path: Path, changes: dict[str, object], said: str) -> None:
    prepare_folder(tmp_path, SETTINGS, SHARDS)
    with pytest.raises(ValueError, match=said):
        check_same_job(tmp_path, SETTINGS | changes)


def test_a_folder_of_other_things_is_refused(tmp_path: Path) -> None:
    check_same_job(tmp_path, SETTINGS)
    check_same_job(tmp_path / "new", SETTINGS)
    (tmp_path / "images.jsonl").touch()
    check_same_job(tmp_path, SETTINGS)  # of a run that was killed before it wrote its settings
    (tmp_path / "a.jpg").touch()
    with pytest.raises(ValueError, match="is not empty and has no shards"):
        check_same_job(tmp_path, SETTINGS)
    (tmp_path / "job.json").write_text('{"settings": {}')
    with pytest.raises(ValueError, match=r"job.json is damaged .* remove"):
        check_same_job(tmp_path, SETTINGS)


def test_a_digest_follows_contents_and_names_of_a_folder_but_not_its_place(tmp_path: Path) -> None:
    for place in ("a", "b"):
        (tmp_path / place).mkdir()
        (tmp_path / place / "model.xml").write_text("x")
    assert digest_of_file(tmp_path / "a") == digest_of_file(tmp_path / "b")
    first = digest_of_file(tmp_path / "a" / "model.xml")
    assert first == digest_of_file(tmp_path / "b" / "model.xml")
    (tmp_path / "b" / "model.xml").write_text("y")
    assert digest_of_file(tmp_path / "b" / "model.xml") != first
    (tmp_path / "a" / "model.xml").rename(tmp_path / "a" / "other.xml")
    assert digest_of_file(tmp_path / "a") != digest_of_file(tmp_path / "b")
