"""Folders, files written whole, and where a run stands."""

from __future__ import annotations

import os
import zipfile
from pathlib import Path

import keras
import pytest

from keras_retinanet.config import TrainConfig
from keras_retinanet.config.tree import changed
from keras_retinanet.snapshots.atomic_files import copy_whole, write_whole
from keras_retinanet.snapshots.run_folder import Progress, Run, read_config, read_progress
from keras_retinanet.snapshots.snapshot_files import save_snapshot


def test_no_folder_is_used_twice(tmp_path: Path) -> None:
    folders = {Run.create(tmp_path / "new", "coco-resnet50").folder for _ in range(3)}
    assert len(folders) == 3
    assert all(folder.is_dir() and "coco-resnet50" in folder.name for folder in folders)


def test_a_config_survives_its_file(tmp_path: Path) -> None:
    run = Run.create(tmp_path, "x")
    config = changed(TrainConfig(), {"anchors.scales": ((1.0,), (2.0,)), "data.path": "Fälle/1", "steps": 3})
    run.write_config(config)
    assert read_config(run.config) == config


def test_rows_replace_those_of_the_same_and_later_epochs(tmp_path: Path) -> None:
    run = Run(tmp_path)
    for epoch, loss in ((1, 3.0), (2, 2.0), (3, 1.0)):
        run.write_row(epoch, {"loss": loss})
    rows = run.write_row(2, {"loss": 1.5, "val_AP": 0.25})
    assert rows == [{"epoch": "1", "loss": "3.0"}, {"epoch": "2", "loss": "1.5", "val_AP": "0.25"}]
    assert run.rows() == [{"epoch": "1", "loss": "3.0", "val_AP": ""}, {"epoch": "2", "loss": "1.5", "val_AP": "0.25"}]


def test_the_best_metric_is_the_first_of_equals(tmp_path: Path) -> None:
    run = Run(tmp_path)
    assert run.best_metric() is None
    run.write_row(1, {"loss": 1.0})
    assert run.best_metric() is None
    for epoch, value in ((2, 0.5), (3, 0.75), (4, 0.75), (5, 0.25), (6, 0.25)):
        run.write_row(epoch, {"val_AP": value, "val_error": 10 * value})
    assert run.best_metric() == (3, 0.75)
    assert run.best_metric(before=3) == (2, 0.5)
    assert run.best_metric("val_error", "min") == (5, 2.5)
    assert run.best_metric("val_error", "max", before=3) == (2, 5.0)
    assert run.best_metric("val_other") is None


def test_what_fails_half_way_leaves_the_old_file(tmp_path: Path) -> None:
    path = tmp_path / "file.txt"
    path.write_text("old")

    def fail(temporary: Path) -> None:
        temporary.write_text("half")
        raise OSError("disk full")

    with pytest.raises(OSError, match="disk full"):
        write_whole(path, fail)
    assert path.read_text() == "old"
    assert [each.name for each in tmp_path.iterdir()] == ["file.txt"]


@pytest.mark.skipif(not os.path.exists("/proc/self/fd"), reason="needs Linux, to name what is flushed")
def test_content_is_on_the_disk_before_its_name_and_the_name_at_the_end(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A power failure must not leave an empty `config.yaml`, `metrics.csv` or `best.keras`."""
    done: list[tuple[str, str]] = []
    fsync, replace = os.fsync, os.replace

    def note_fsync(descriptor: int) -> None:
        fsync(descriptor)
        flushed = Path(os.readlink(f"/proc/self/fd/{descriptor}"))
        done.append(("fsync", "names" if flushed == tmp_path else flushed.name.split(".")[1]))

    def note_replace(source: Path, target: Path) -> None:
        replace(source, target)
        done.append(("rename", Path(target).stem))

    monkeypatch.setattr(os, "fsync", note_fsync)
    monkeypatch.setattr(os, "replace", note_replace)
    run = Run(tmp_path)
    run.write_config(TrainConfig())
    run.write_row(1, {"loss": 1.0})
    copy_whole(run.metrics, run.best)
    expected = [(("fsync", name), ("rename", name), ("fsync", "names")) for name in ("config", "metrics", "best")]
    assert done == [step for steps in expected for step in steps]


def test_a_snapshot_carries_model_and_progress(tmp_path: Path) -> None:
    model = keras.Sequential([keras.Input((2,)), keras.layers.Dense(1)])
    progress = Progress(epoch=3, step=4, seed=5, figures={"loss": 0.5}, random=[[1, 2]])
    save_snapshot(model, tmp_path / "last.keras", progress)
    copy_whole(tmp_path / "last.keras", tmp_path / "best.keras")
    assert read_progress(tmp_path / "best.keras") == progress
    restored = keras.models.load_model(tmp_path / "best.keras")
    assert (restored.weights[0].numpy() == model.weights[0].numpy()).all()


def test_a_file_without_progress_cannot_be_resumed(tmp_path: Path) -> None:
    keras.Sequential([keras.Input((2,)), keras.layers.Dense(1)]).save(tmp_path / "plain.keras")
    (tmp_path / "text.keras").write_text("no archive")
    with zipfile.ZipFile(tmp_path / "odd.keras", "w") as archive:
        archive.writestr("run_state.json", '{"epoc": 1}')
    for name in ("plain", "text", "odd", "missing"):
        with pytest.raises(ValueError, match=rf"{name}.keras: not a snapshot of a run.*--weights"):
            read_progress(tmp_path / f"{name}.keras")


def test_a_run_is_found_by_folder_and_by_snapshot(tmp_path: Path) -> None:
    made = Run.create(tmp_path, "x")
    with pytest.raises(ValueError, match="missing"):
        Run.find(made.folder)
    made.write_config(TrainConfig())
    made.last.touch()
    made.best.touch()
    assert Run.find(made.folder)[1] == made.last
    assert Run.find(made.best)[0].folder == made.folder
    assert Run.find(made.best)[1] == made.best
    with pytest.raises(ValueError, match="no such run"):
        Run.find(tmp_path / "other")


@pytest.mark.parametrize("text", ["epochs: [", "- 1", "epochz: 3", "model: 4"])
def test_a_broken_config_is_named(text: str, tmp_path: Path) -> None:
    path = tmp_path / "config.yaml"
    path.write_text(text)
    with pytest.raises(ValueError, match=r"config\.yaml: not a configuration of a run"):
        read_config(path)


def test_no_folder_is_made_below_a_file_nor_a_link_to_nowhere(tmp_path: Path) -> None:
    (tmp_path / "file").write_text("")
    (tmp_path / "link").symlink_to(tmp_path / "nowhere" / "below")
    for name in ("file", "link"):
        with pytest.raises(OSError, match=name):
            Run.create(tmp_path / name, "x")
