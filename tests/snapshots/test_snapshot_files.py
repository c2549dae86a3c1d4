"""Snapshots are verified before they get their name, and the newest are kept."""

from __future__ import annotations

import errno
import os
import zipfile
from pathlib import Path

import keras
import pytest

from keras_retinanet.snapshots.atomic_files import WriteError, remove_parts, write_whole
from keras_retinanet.snapshots.run_folder import Progress, Run, read_progress
from keras_retinanet.snapshots.snapshot_files import earlier_snapshots, save_last, save_snapshot


@pytest.fixture(scope="module")
def model() -> keras.Model:
    return keras.Sequential([keras.Input((2,)), keras.layers.Dense(1)])


def test_a_snapshot_that_reads_otherwise_than_it_was_written_is_refused(
    model: keras.Model, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    path = tmp_path / "last.keras"
    save_snapshot(model, path, Progress(epoch=1))

    def flip_a_bit(written: Path, access: int = os.O_RDWR) -> None:
        data = bytearray(written.read_bytes())
        with zipfile.ZipFile(written) as archive:
            place = archive.getinfo("model.weights.h5").header_offset + 200
        data[place] ^= 1
        written.write_bytes(bytes(data))

    monkeypatch.setattr("keras_retinanet.snapshots.atomic_files.flush_to_disk", flip_a_bit)
    with pytest.raises(WriteError, match=r"last\.keras cannot be written.*model\.weights\.h5.*the disk is failing"):
        save_snapshot(model, path, Progress(epoch=2))
    assert read_progress(path).epoch == 1
    assert [each.name for each in tmp_path.iterdir()] == ["last.keras"]


@pytest.mark.parametrize("has_links", [True, False])
def test_the_newest_snapshots_are_kept(
    model: keras.Model, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, has_links: bool
) -> None:
    def refuse(*arguments: object) -> None:
        raise OSError(errno.EPERM, "no links")

    if not has_links:
        monkeypatch.setattr(os, "link", refuse)
    run = Run(tmp_path)
    for number, (epoch, step) in enumerate([(0, 0), (0, 2), (1, 0), (1, 2)]):
        save_last(model, run, Progress(epoch=epoch, step=step), keep=3)
        os.utime(run.last, ns=(number, number))
    assert read_progress(run.last).step == 2
    names = [path.name for path in earlier_snapshots(run)]
    assert sorted(names, reverse=True) == ["epoch0001-step000000.keras", "epoch0000-step000002.keras"]
    assert [read_progress(tmp_path / name).epoch for name in sorted(names)] == [0, 1]
    save_last(model, run, Progress(epoch=2), keep=1)
    assert len(earlier_snapshots(run)) == 2  # a run that keeps one leaves others alone


@pytest.mark.parametrize(
    ("number", "message"),
    [
        (errno.ENOSPC, r"No space left on device \(.* MB are free"),
        (errno.EIO, "Input/output"),
        (errno.EROFS, "its disk is read-only; mount it for writing"),
    ],
)
def test_an_error_names_the_file_and_the_disk(tmp_path: Path, number: int, message: str) -> None:
    def fail(temporary: Path) -> None:
        temporary.write_text("half")
        raise OSError(number, os.strerror(number))

    with pytest.raises(WriteError, match=rf"{tmp_path}/last\.keras cannot be written: {message}"):
        write_whole(tmp_path / "last.keras", fail)
    assert list(tmp_path.iterdir()) == []


def test_an_earlier_snapshot_that_cannot_be_removed_is_named(
    model: keras.Model, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A disk may have become read-only; the resumed run meets a snapshot of the part that it repeats."""
    save_last(model, Run(tmp_path), Progress(), keep=2)
    (tmp_path / "epoch0000-step000000.keras").write_bytes(b"of a part that is repeated")

    def refuse(path: Path, missing_ok: bool = False) -> None:
        raise OSError(errno.EROFS, os.strerror(errno.EROFS))

    with monkeypatch.context() as patched:
        patched.setattr(Path, "unlink", refuse)
        with pytest.raises(WriteError, match=r"epoch0000-step000000\.keras cannot be written: its disk is read-only"):
            save_last(model, Run(tmp_path), Progress(step=2), keep=2)
    assert read_progress(tmp_path / "last.keras").step == 0


def test_a_folder_that_vanished_is_named(tmp_path: Path) -> None:
    with pytest.raises(WriteError, match=r"gone/state\.json cannot be written: its folder does not exist"):
        write_whole(tmp_path / "gone" / "state.json", lambda path: path.write_text("{}"))


def test_two_writers_of_one_file_do_not_share_a_temporary_file(tmp_path: Path) -> None:
    def outer(temporary: Path) -> None:
        temporary.write_text("outer")
        write_whole(tmp_path / "a.txt", lambda path: path.write_text("inner"))
        assert (tmp_path / "a.txt").read_text() == "inner"
        assert temporary.read_text() == "outer"

    write_whole(tmp_path / "a.txt", outer)
    assert (tmp_path / "a.txt").read_text() == "outer"
    assert [path.name for path in tmp_path.iterdir()] == ["a.txt"]


def test_what_a_killed_process_had_begun_is_removed(tmp_path: Path) -> None:
    for name in (".last.123.part.keras", ".metrics.7.part.csv", "last.keras", ".hidden", "notes.part"):
        (tmp_path / name).write_text("x")
    assert remove_parts(tmp_path) == [".last.123.part.keras", ".metrics.7.part.csv"]
    assert sorted(path.name for path in tmp_path.iterdir()) == [".hidden", "last.keras", "notes.part"]
