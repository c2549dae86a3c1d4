from __future__ import annotations

import json
from pathlib import Path

import pytest
from PIL import Image

from keras_retinanet.cli.ablate import main


@pytest.fixture
def data(tmp_path: Path) -> Path:
    """Two training images and a validation image, each with a box, as COCO files."""
    (tmp_path / "annotations").mkdir()
    for split, names in (("train2017", "ab"), ("val2017", "c")):
        (tmp_path / split).mkdir()
        for number, name in enumerate(names):
            Image.new("RGB", (64, 64), (90, 10 * number, 30)).save(tmp_path / split / f"{name}.png")
        images = [{"id": n, "file_name": f"{name}.png", "width": 64, "height": 64} for n, name in enumerate(names)]
        boxes = [
            {"id": n + 1, "image_id": n, "category_id": 1, "bbox": [4, 4, 32, 32], "area": 1024, "iscrowd": 0}
            for n in range(len(names))
        ]
        content = {"images": images, "annotations": boxes, "categories": [{"id": 1, "name": "a"}]}
        (tmp_path / "annotations" / f"instances_{split}.json").write_text(json.dumps(content))
    return tmp_path


@pytest.mark.usefixtures("small_backbone", "direct_gradients")
def test_one_row_is_trained_measured_and_reported_once(data: Path, capsys: pytest.CaptureFixture[str]) -> None:
    out = data / "out"
    own = ["--out", str(out), "--tables", "prior", "--only", "ce-no-prior", "--seeds", "1"]
    network = "--weights none --backbone mobilenet_025 --fpn-width 8 --head-width 8 --head-depth 1 --max-level 5"
    anchors = "--anchor-sizes 16,32,64 --anchor-strides 8,16,32 --anchor-ratios 1 --anchor-scales 1"
    size = "--image-max-side 64 --image-square --epochs 1 --steps 1 --workers 1"
    words = ["coco", str(data), *network.split(), *anchors.split(), *size.split()]
    assert main([*own, "--dry-run", *words]) == 0
    assert capsys.readouterr().out == "seed 0  prior/ce-no-prior\n1 of 1 runs are left\n"
    assert not out.exists()
    assert main([*own, *words]) == 0
    assert "1/1  prior/ce-no-prior, seed 0: AP" in capsys.readouterr().out
    (row,) = map(json.loads, (out / "results.jsonl").read_text().splitlines())
    assert (row["steps"], row["seed"]) == (1, 0)
    assert list((out / "runs").iterdir()) == []  # snapshots are not kept
    assert main([*own, *words]) == 0
    assert len((out / "results.jsonl").read_text().splitlines()) == 1
    assert "| ce-no-prior | " in (out / "report.md").read_text()
    assert "<td>ce-no-prior</td>" in (out / "report.html").read_text()
    capsys.readouterr()
    assert main([*own, *words, "--batch-size", "1"]) == 2
    assert "holds runs with another batch_size" in capsys.readouterr().err


@pytest.mark.parametrize(
    ("words", "message"),
    [
        ([], "which data?"),
        (["demo", "--budget", "soon"], "'soon' is not a duration such as 90s"),
        (["demo", "--epoch", "3"], "did you mean --epochs?"),
        (["demo", "--find-lr"], "belong to a single run"),
    ],
)
def test_wrong_words_are_named(words: list[str], message: str, capsys: pytest.CaptureFixture[str]) -> None:
    with pytest.raises(SystemExit) as caught:
        main(words)
    assert caught.value.code == 2
    assert message in capsys.readouterr().err
