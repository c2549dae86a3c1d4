"""The command on a small snapshot: what it draws and writes, what it leaves out, and how it tells mistakes."""

from __future__ import annotations

import argparse
import json
import sys
from pathlib import Path
from typing import Any
from unittest.mock import Mock

import numpy as np
import pytest
from PIL import Image

from keras_retinanet import Detector
from keras_retinanet.cli import detect, evaluate
from keras_retinanet.cli.detect_sources import find_inputs, find_sources, numbered
from keras_retinanet.cli.snapshot_arguments import print_winograd_note
from keras_retinanet.detection import result_files
from keras_retinanet.snapshots.run_lock import locked

RANDOM = np.random.default_rng(1)


@pytest.fixture(scope="module")
def run(spread_model: Any, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Folder of a run with one snapshot."""
    folder = tmp_path_factory.mktemp("run")
    spread_model.save(folder / "last.keras")
    return folder


@pytest.fixture(scope="module")
def images(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Three images, one of them in a subfolder, and a broken one."""
    folder = tmp_path_factory.mktemp("images")
    (folder / "deep").mkdir()
    for name in ("7.png", "12.jpg", "deep/9.png"):
        Image.fromarray(RANDOM.integers(0, 256, (60, 90, 3), np.uint8)).save(folder / name)
    (folder / "8.jpg").write_bytes(b"no image")
    return folder


def test_pictures_and_files_of_a_folder_with_a_broken_image(
    run: Path, images: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    words = [str(run), str(images), "--recursive", "--out", str(tmp_path / "out"), "--json", str(tmp_path / "a.json")]
    words += ["--csv", str(tmp_path / "a.csv"), "--yolo", str(tmp_path / "yolo"), "--max-detections", "5"]
    assert detect.main([*words, "--class", "bee", "--score-threshold", "0.5"]) == 1
    printed = capsys.readouterr()
    assert printed.out.splitlines()[0] == "images    3, 1 left out"
    assert printed.out.splitlines()[1] == "boxes     15: bee 15"
    assert f"json      {tmp_path / 'a.json'}, {tmp_path / 'a_images.json'}" in printed.out
    assert f"left out  {images / '8.jpg'}: cannot be decoded as an image" in printed.err
    names = sorted(path.relative_to(tmp_path / "out").as_posix() for path in (tmp_path / "out").rglob("*.jpg"))
    assert names == ["12.jpg", "7.jpg", "deep/9.jpg"]
    assert np.asarray(Image.open(tmp_path / "out" / "7.jpg")).shape == (60, 90, 3)
    records = json.loads((tmp_path / "a.json").read_text())
    assert [record["image_id"] for record in records] == [12] * 5 + [7] * 5 + [9] * 5, "numbers of the file names"
    expected = Detector(run, score_threshold=0.5, classes=["bee"]).detect_one(images / "7.png")
    x1, y1, x2, y2 = expected.boxes[0].tolist()
    best = next(record for record in records if record["image_id"] == 7)
    assert best["bbox"] == pytest.approx([x1, y1, x2 - x1, y2 - y1], abs=0.02)
    assert best["score"] == pytest.approx(float(expected.scores[0]), abs=1e-4)
    assert len((tmp_path / "yolo" / "deep" / "9.txt").read_text().splitlines()) == 5


def test_a_folder_of_anything(run: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    folder = tmp_path / "in"
    folder.mkdir()
    picture = Image.fromarray(RANDOM.integers(0, 256, (60, 90, 3), np.uint8))
    for name in ("A.JPG", "照片 1.jpeg", "d.tif", "c.jpg", "cut.jpg"):
        picture.save(folder / name)
    (folder / "c.jpg").rename(folder / "c.jfif")
    picture.save(folder / "png_named.jpg", "PNG")
    (folder / "cut.jpg").write_bytes((folder / "cut.jpg").read_bytes()[:-2])
    (folder / "f.heic").write_bytes(b"\0\0\0\x18ftypheic")
    (folder / "g.jpg").write_bytes(b"<html>404</html>")
    (folder / "Thumbs.db").write_bytes(b"x")
    words = [str(run), str(folder), "--no-pictures", "--json", str(tmp_path / "a.json")]
    assert detect.main(words) == 1
    told = capsys.readouterr()
    assert told.out.splitlines()[0] == "images    6, 2 left out, 1 cut off"
    assert f"cut off   {folder / 'cut.jpg'} lacks its last bytes" in told.err
    assert f"left out  {folder / 'g.jpg'}: is text (HTML or XML)" in told.err
    assert f"left out  {folder / 'f.heic'}: " in told.err
    names = [image["file_name"] for image in json.loads((tmp_path / "a_images.json").read_text())["images"]]
    assert names == ["A.JPG", "c.jfif", "cut.jpg", "d.tif", "png_named.jpg", "照片 1.jpeg"]


def test_tiles_and_nothing_found(run: Path, images: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    words = [str(run), str(images / "7.png"), "--no-pictures", "--csv", str(tmp_path / "a.csv")]
    assert detect.main([*words, "--tile", "48", "--overlap", "0.5", "--no-whole-pass", "--score-threshold", "1"]) == 0
    printed = capsys.readouterr().out
    assert "boxes     0\n" in printed
    assert "hint      a lower --score-threshold" in printed
    assert (tmp_path / "a.csv").read_text().splitlines()[1].endswith("7.png,,,,,,")


@pytest.mark.parametrize(
    ("words", "said"),
    [
        (["{run}", "{images}/missing.jpg"], "No such image, video or folder:"),
        (["{run}", "{images}/*.gif"], "No image (.jpg"),
        (["{run}", "{out}"], "has no images"),
        (["{out}/missing.keras", "{images}/7.png"], "There is no snapshot or exported model"),
        (["{out}", "{images}/7.png"], "neither a file that ends in"),
        (["{run}", "{images}", "--out", "{images}"], "The picture with boxes would replace '{images}/12.jpg'; name"),
        (["{out}/a.onnx", "{images}/7.png"], "pip install '.[onnx]' in the checkout"),
        (["{run}", "{images}/7.png", "--class", "beee"], "no class 'beee'; it has ant, bee. Did you mean 'bee'?"),
    ],
)
def test_mistakes_are_told_in_one_line(
    run: Path, images: Path, tmp_path: Path, words: list[str], said: str, capsys: pytest.CaptureFixture[str],
    monkeypatch: pytest.MonkeyPatch,
) -> None:  # fmt: skip
    monkeypatch.setitem(sys.modules, "onnxruntime", None)  # as where the extra is not installed
    (tmp_path / "a.onnx").touch()
    assert detect.main([word.format(run=run, images=images, out=tmp_path) for word in words]) == 2
    error = capsys.readouterr().err
    assert said.format(images=images) in error
    assert error.count("\n") == 1
    assert [path.name for path in tmp_path.iterdir()] == ["a.onnx"]


def test_winograd_of_an_exported_model_is_told_to_do_nothing(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    for name in ("a.onnx", "a.tflite", "openvino/model.xml", "saved_model/1/saved_model.pb", "a.keras"):
        (tmp_path / name).parent.mkdir(parents=True, exist_ok=True)
        (tmp_path / name).touch()
    exported = [tmp_path / name for name in ("a.onnx", "a.tflite", "openvino", "saved_model")]
    for path, choice in [*((path, "auto") for path in exported), (tmp_path / "a.keras", "auto"), (exported[0], "off")]:
        print_winograd_note(argparse.Namespace(winograd=choice), path)
    told = "has no effect on {}: an exported model has the convolutions it was written with"
    assert capsys.readouterr().err.splitlines() == [f"note: --winograd {told.format(path)}" for path in exported]


@pytest.mark.parametrize(
    ("words", "said"),
    [
        (["a.keras"], "the following arguments are required: SOURCE"),
        (["a.keras", "b.jpg", "--overlap", "0.1"], "--overlap and --no-whole-pass need --tile"),
        (["a.keras", "b.jpg", "--no-pictures"], "leaves nothing to write"),
        (["a.keras", "b.jpg", "--thresholds", "t.yaml", "--score-threshold=1"], "leave out --score-threshold"),
        (["a.keras", "b.jpg", "--score-threshold", "2"], "2 is not between 0 and 1"),
        (["a.keras", "b.jpg", "--treshold", "1"], "unrecognized arguments"),
        (["a.keras", "b.jpg", "--runner", "ray", "--beam-options=--x"], "are those of Beam's runners"),
        (["a.keras", "b.jpg", "--runner", "local", "--actors", "2"], "--actors belongs to --runner ray"),
        (["a.keras", "b.jpg", "--runner", "local", "--limit", "2"], "--limit does not go with --runner"),
        (["a.keras", "b.jpg", "--shard-size", "2"], "--shard-size needs --runner"),
    ],
)
def test_wrong_words_end_with_status_2(words: list[str], said: str, capsys: pytest.CaptureFixture[str]) -> None:
    with pytest.raises(SystemExit) as stop:
        detect.main(words)
    assert stop.value.code == 2
    assert said in capsys.readouterr().err


def test_an_error_leaves_no_file_that_looks_whole(
    run: Path, images: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    table = tmp_path / "a.csv"
    table.write_text("old")
    words = [str(run), str(images), "--no-pictures", "--csv", str(table), "--json", str(tmp_path / "a.json")]
    monkeypatch.setattr(result_files.CocoResults, "add", Mock(side_effect=OSError("no space")))
    assert detect.main(words) == 2
    assert "no space" in capsys.readouterr().err
    assert {path.name: path.read_text() for path in tmp_path.iterdir()} == {"a.csv": "old"}


def test_results_of_files_of_one_name_do_not_overwrite_each_other(tmp_path: Path) -> None:
    for name in ("a/1.jpg", "b/1.jpg", "b/1.png", "b/1-2.jpg", "clip.MP4"):
        (tmp_path / name).parent.mkdir(exist_ok=True)
        (tmp_path / name).write_bytes(b"")
    found, videos = find_sources([str(tmp_path / "a"), str(tmp_path / "b"), str(tmp_path / "clip.MP4")], False)
    assert [source.path.relative_to(tmp_path).as_posix() for source in found] == [
        "a/1.jpg",
        "b/1-2.jpg",
        "b/1.jpg",
        "b/1.png",
    ]
    assert [source.name for source in found] == ["1.jpg", "1-2.jpg", "1-2-2.jpg", "1-3.png"]
    assert [source.name for source in videos] == ["clip.MP4"]


def test_image_ids_are_the_numbers_of_the_files_where_all_have_one() -> None:
    assert numbered(["000139.jpg", "a/285.jpg"]) == {"000139.jpg": 139, "a/285.jpg": 285}
    assert numbered(["1.jpg", "a/01.jpg"]) == {}
    assert numbered(["1.jpg", "x.jpg"]) == {}


@pytest.fixture
def painted_model(painted_runtime: Any, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A file in whose place every command opens a `painted_runtime`."""
    for module in ("runtimes.open_model", "detection.detector"):
        monkeypatch.setattr(
            f"keras_retinanet.{module}.open_model",
            lambda model: painted_runtime() if isinstance(model, (str, Path)) else model,
        )
    (tmp_path / "model.onnx").touch()
    return tmp_path / "model.onnx"


def test_a_runner_writes_what_a_plain_run_writes_and_continues(
    painted_model: Path, paint: Any, tmp_path: Path, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    images = tmp_path / "images"
    (images / "deep").mkdir(parents=True)
    for k, name in enumerate(("7.png", "12.bmp", "deep/9.png")):
        Image.fromarray(paint(40, 60, [[2, 3, 20 + k, 30], [30, 5, 50, 25]], [0, 2], [90, 80])).save(images / name)
    (images / "8.jpg").write_bytes(b"no image")
    sources = [str(painted_model), str(images), "--recursive"]
    assert detect.main([*sources, "--no-pictures", "--json", str(tmp_path / "a.json")]) == 1
    folder = tmp_path / "out"
    words = [*sources, "--runner", "local", "--shard-size", "2", "--out", str(folder)]
    capsys.readouterr()
    assert detect.main([*words, "--json", str(tmp_path / "b.json")]) == 1
    for name in ("{}.json", "{}_images.json"):
        assert (tmp_path / name.format("b")).read_bytes() == (tmp_path / name.format("a")).read_bytes()
    records = json.loads((tmp_path / "b.json").read_text())
    assert [record["image_id"] for record in records] == [12, 12, 7, 7, 9, 9]
    printed = capsys.readouterr().out.splitlines()
    assert printed[0] == "images    3, 1 left out"
    assert printed[-2:] == [f"shards    2: {folder}", f"errors    {folder / 'errors.csv'}"]
    assert (folder / "errors.csv").read_text().splitlines()[1].startswith(f"{images / '8.jpg'},")

    first, second = sorted(folder.glob("*.npz"))
    second.unlink()
    kept = first.stat().st_mtime_ns
    assert detect.main([*words, "--csv", str(tmp_path / "c.csv")]) == 1
    assert second.exists()
    assert first.stat().st_mtime_ns == kept
    assert f"shards    2, 1 of them done before: {folder}" in capsys.readouterr().out
    assert len((tmp_path / "c.csv").read_text().splitlines()) == 1 + 6

    assert detect.main([*words, "--score-threshold", "0.7"]) == 2
    assert "score_threshold was 0.3, now it is 0.7. Give the same, or another" in capsys.readouterr().err
    with locked(folder):
        assert detect.main(words) == 2
    assert "another process works there now" in capsys.readouterr().err

    def stop(*_: Any) -> None:
        raise KeyboardInterrupt

    before = (tmp_path / "b.json").read_bytes()
    for error, status in ((ValueError("damaged"), 2), (KeyboardInterrupt(), 130)):
        monkeypatch.setattr("keras_retinanet.detection.sharded.read_detections", Mock(side_effect=error))
        assert detect.main([*words, "--json", str(tmp_path / "b.json")]) == status
        assert (tmp_path / "b.json").read_bytes() == before, "half a result is none"
    assert not [path for path in tmp_path.iterdir() if path.suffix == ".part"]
    capsys.readouterr()
    second.unlink()
    monkeypatch.setattr("keras_retinanet.shards.runners.do_shard", stop)
    assert detect.main(words) == 130
    assert "stopped; the same command continues" in capsys.readouterr().out


def test_the_folder_of_a_runner_is_evaluated_against_a_data_set(
    painted_model: Path, paint: Any, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    rows = []
    for k in range(
        3
    ):  # two objects in an image; the wasp of image 1 is annotated elsewhere, half of the wasps are right
        Image.fromarray(paint(40, 60, [[2, 3, 20, 30], [30, 5, 50, 25]], [0, 2], [90, 80])).save(tmp_path / f"{k}.png")
        rows += [f"{k}.png,2,3,20,30,ant", f"{k}.png,30,5,50,25,wasp" if k else f"{k}.png,1,32,9,39,wasp"]
    (tmp_path / "boxes.csv").write_text("\n".join(rows) + "\n")
    out = tmp_path / "out"
    assert detect.main([str(painted_model), str(tmp_path / "*.png"), "--runner", "local", "--out", str(out)]) == 0
    numbers = tmp_path / "numbers.json"
    words = ["csv", str(tmp_path / "boxes.csv"), str(out), "--report", "none", "--json", str(numbers)]
    assert evaluate.main(words) == 0
    printed = capsys.readouterr().out
    assert f"results   {out}: 6 detections" in printed
    assert "note      boxes with scores up to 0.3 are not there, which lowers AP: detect with 0.05" in printed
    by_class = json.loads(numbers.read_text())["classes"]
    assert by_class["ant"]["AP"] == pytest.approx(1)
    assert by_class["wasp"]["AP"] == pytest.approx(67 / 101 * 2 / 3), "two of three, the wrong one first"
    assert evaluate.main([*words, "--more-results", "more.json"]) == 2
    assert f"--more-results adds to one result file, not to {out}" in capsys.readouterr().err


def test_archives_are_sources_of_runners(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    for name in ("a/1.tar", "a/2.jpg", "b/1.tar.gz", "b/2.tfrecord", "c.mp4"):
        (tmp_path / name).parent.mkdir(exist_ok=True)
        (tmp_path / name).touch()
    images, archives = find_inputs([str(tmp_path / "a"), str(tmp_path / "b")], False)
    assert [image.name for image in images] == ["2.jpg"]
    assert [archive.name for archive in archives] == ["1", "1-2", "2.tfrecord"]
    images, archives = find_inputs([str(tmp_path / "a" / "*")], False)
    assert [source.name for source in (*images, *archives)] == ["2.jpg", "1"], "a pattern may match both"
    with pytest.raises(ValueError, match=r"c\.mp4 is a video, which --runner does not take"):
        find_inputs([str(tmp_path / "c.mp4")], False)
    with pytest.raises(ValueError, match=r"1\.tar is an archive of images: add --runner local"):
        find_sources([str(tmp_path / "a" / "1.tar")], False)
