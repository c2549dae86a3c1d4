"""The two commands that look at data before training."""

from __future__ import annotations

import importlib.util
import json

import numpy as np
import pytest
from PIL import Image

from keras_retinanet.cli import debug, doctor

SMALL = ["--image-min-side", "64", "--image-max-side", "64"]


def read(path):
    with Image.open(path) as opened:
        return np.array(opened)


@pytest.fixture
def boxes(tmp_path):
    rng = np.random.default_rng(0)
    lines = []
    for k in range(2):
        grey = rng.integers(0, 256, (8, 8, 3), np.uint8)
        Image.fromarray(grey).resize((64, 64)).save(tmp_path / f"{k}.png")
        lines += [f"{k}.png,{x},{y},{x + 32},{y + 32},cow" for x in range(0, 33, 8) for y in (0, 32)]
    lines += ["0.png,2,2,5,5,cow", "0.png,40,2,43,5,cow"]
    (tmp_path / "boxes.csv").write_text("\n".join(lines))
    return tmp_path / "boxes.csv"


def test_a_runner_finds_what_threads_find_and_continues(boxes, tmp_path, capsys):
    (tmp_path / "1.png").write_bytes(b"no image")
    boxes.write_text(boxes.read_text() + "\ngone.png,2,2,30,30,cow\n")
    words = [str(boxes), *SMALL, "--bad-data", "skip"]
    shards = tmp_path / "shards"
    runner = ["--runner", "local", "--shard-size", "2", "--shards", str(shards)]
    assert doctor.main([*words, "--json", str(tmp_path / "a.json")]) == 2
    plain = capsys.readouterr().out
    assert doctor.main([*words, *runner, "--json", str(tmp_path / "b.json")]) == 2
    assert capsys.readouterr().out == plain.replace("a.json", "b.json")
    assert json.loads((tmp_path / "b.json").read_text()) == json.loads((tmp_path / "a.json").read_text())
    files = sorted(shards.glob("*/*.npz"))
    states = [file.stat().st_mtime_ns for file in files]
    assert doctor.main([*words, *runner]) == 2
    assert [file.stat().st_mtime_ns for file in sorted(shards.glob("*/*.npz"))] == states
    Image.new("RGB", (64, 64)).save(tmp_path / "1.png")
    capsys.readouterr()
    doctor.main([*words, *runner])
    assert "is not an image" not in capsys.readouterr().out, "the file has been mended"


@pytest.mark.slow
@pytest.mark.usefixtures("ray_ends")
@pytest.mark.filterwarnings("ignore")  # what Beam and Ray import warns of its own future
@pytest.mark.parametrize(
    ("runner", "package", "extra"), [("DirectRunner", "apache_beam", "beam"), ("ray", "ray", "ray")]
)
def test_engines_find_what_threads_find(boxes, tmp_path, capsys, runner, package, extra):
    if importlib.util.find_spec(package) is None:
        pytest.skip(f"{package} is not installed (extra `{extra}`)")
    (tmp_path / "1.png").write_bytes(b"no image")
    words = [str(boxes), *SMALL, "--bad-data", "skip"]
    assert doctor.main([*words, "--json", str(tmp_path / "a.json")]) == 2
    plain = capsys.readouterr().out
    runs = ["--runner", runner, "--shard-size", "1", "--shards", str(tmp_path / "shards")]
    assert doctor.main([*words, *runs, "--json", str(tmp_path / "b.json")]) == 2
    printed = capsys.readouterr().out.replace("b.json", "a.json").splitlines()
    assert [line for line in plain.splitlines() if line not in printed] == []
    assert json.loads((tmp_path / "b.json").read_text()) == json.loads((tmp_path / "a.json").read_text())
    assert len(list(tmp_path.glob("shards/*/*.npz"))) == 2


def test_clean_and_unclean(boxes, tmp_path, capsys):
    small, report = tmp_path / "small", tmp_path / "report.json"
    assert doctor.main([str(boxes), "--anchor-sizes", "32", "64", "128", "256", "512", *SMALL]) == 1
    text = capsys.readouterr().out
    assert "22 boxes (0 ignore regions) of 1 of 1 classes" in text
    assert "boxes are smaller than 8 × 8 pixels after resizing" in text
    boxes.write_text("\n".join(boxes.read_text().splitlines()[:-2]))
    assert doctor.main(["csv", str(boxes), *SMALL, "--json", str(report), "--fix", str(small)]) == 0
    assert "no faults found" in capsys.readouterr().out
    content = json.loads(report.read_text())
    assert (content["status"], content["splits"][0]["coverage"]["all"]["covered"]) == (0, 20)
    assert (small / "train.csv").read_text().count("cow") == 20


def test_pictures_and_sheet(boxes, tmp_path, capsys):
    words = ["csv", str(boxes), *SMALL, "--augment", "none", "--anchors", "--out", str(tmp_path / "out")]
    assert debug.main([*words, "--sheet", str(tmp_path / "sheet.png")]) == 0
    assert (
        "2 images: 20 boxes with a positive anchor (green), 2 without (red), 0 ignore regions (grey)"
        in capsys.readouterr().out
    )
    (first, second) = sorted((tmp_path / "out").iterdir())
    pictures = [read(path) for path in (first, second)]
    assert [picture.shape for picture in pictures] == [(64, 64, 3)] * 2
    has_red = [bool((picture == (255, 50, 50)).all(axis=2).any()) for picture in pictures]
    assert sorted(has_red) == [False, True]  # the tiny boxes
    assert all((picture == (40, 210, 80)).all(axis=2).any() for picture in pictures)
    assert read(tmp_path / "sheet.png").shape == (72, 4 + 68 * 2, 3)


@pytest.mark.parametrize(
    ("command", "words", "message"),
    [
        (doctor, ["csv", "gone.csv", "--anchor-sizes", "1"], "--anchor-sizes needs one value for each of the 5"),
        (doctor, ["yolo"], "expected `yolo PATH`"),
        (
            doctor,
            ["csv", "gone.csv", "--architecture", "ssd300_vgg16", "--anchor-ratios", "1"],
            "--anchor-ratios does not apply to --architecture ssd300_vgg16",
        ),
        (doctor, ["csv", "gone.csv", "--page", "/no/where/page.html"], "folder /no/where does not exist; give"),
        (doctor, ["csv", "gone.csv", "--json", "/"], "--json /: is a folder"),
        (doctor, ["csv", "gone.csv", "--fix", "/"], "--fix /: the folder is not empty"),
        (debug, ["csv", "gone.csv"], "gone.csv: cannot be read"),
        (debug, ["csv", "gone.csv", "--augment", "wild"], "--augment is 'wild'; allowed are"),
        (debug, ["csv", "gone.csv", "--window"], "--window needs a display"),
    ],
)
def test_a_mistake_is_told_in_one_line(command, words, message, capsys, monkeypatch):
    monkeypatch.delenv("DISPLAY", raising=False)
    try:
        status = command.main(words)
    except SystemExit as stop:
        status = stop.code
    assert status == 2
    assert message in capsys.readouterr().err
