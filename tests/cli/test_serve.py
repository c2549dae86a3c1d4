"""The command: its words, its names, and a real model behind its port."""

from __future__ import annotations

import io
import threading
import time
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from PIL import Image

from keras_retinanet import DetectionModel
from keras_retinanet.cli import convert_model, serve
from keras_retinanet.runtimes import open_runtime
from keras_retinanet.serving import server
from keras_retinanet.serving.model_versions import name_and_version
from keras_retinanet.serving_client import connect

pytest.importorskip("starlette", reason="needs the extra `serve`")
pytest.importorskip("uvicorn", reason="needs the extra `serve`")


@pytest.fixture(scope="module")
def run(spread_model: Any, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Folder of a run with one snapshot."""
    folder = tmp_path_factory.mktemp("runs") / "garden"
    folder.mkdir()
    DetectionModel(spread_model).save(folder / "best.keras")
    return folder


@pytest.fixture(scope="module")
def exported(run: Path) -> Path:
    out = run.parent / "insects"
    kit = run.parent / "kit"
    words = [str(run), str(out), "--format", "saved_model", "--serving-kit", str(kit)]
    assert convert_model.main(words) == 0
    assert 'name: "insects"' in (kit / "models.config").read_text()
    assert "`ant`, `bee`" in (kit / "README.md").read_text()
    return out


def picture(height: int, width: int, seed: int) -> np.ndarray:
    coarse = np.random.default_rng(seed).integers(0, 256, (height // 8 + 1, width // 8 + 1, 3), dtype=np.uint8)
    return np.kron(coarse, np.ones((8, 8, 1), np.uint8))[:height, :width]


def png(image: np.ndarray) -> bytes:
    buffer = io.BytesIO()
    Image.fromarray(image).save(buffer, "png")
    return buffer.getvalue()


IMAGES = [picture(90, 130, 1), picture(141, 77, 2), picture(90, 130, 3), picture(64, 64, 4)]


@pytest.mark.parametrize("kind", ["snapshot", "saved_model"])
def test_replies_are_what_the_runtime_detects(
    run: Path, exported: Path, kind: str, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    """The whole command, in a thread: images of mixed sizes in one request, each answered as if it were alone."""
    path, name = (run, "garden") if kind == "snapshot" else (exported, "insects")
    made: list[server.Server] = []

    class Kept(server.Server):
        def __init__(self, *arguments: Any) -> None:
            super().__init__(*arguments)
            made.append(self)

    monkeypatch.setattr(server, "Server", Kept)
    caplog.set_level("INFO", "keras_retinanet.serving")
    status: list[int] = []
    words = [str(path), "--port", "0", "--max-wait-ms", "20", "--max-batch", "2"]
    thread = threading.Thread(target=lambda: status.append(serve.main(words)))
    thread.start()
    try:
        end = time.monotonic() + 300
        while not any(line.startswith(f"ready: model {name}, version 1 on") for line in caplog.messages):
            assert thread.is_alive(), "it ended"
            assert time.monotonic() < end
            time.sleep(0.01)
        with connect(made[0].url, name) as client:
            found = client.detect([png(image) for image in IMAGES])
    finally:
        if made:
            made[0].stop()
        thread.join(60)
    assert status == [0]
    runtime = open_runtime(path / "best.keras" if kind == "snapshot" else path)
    for image, answer in zip(IMAGES, found, strict=True):
        (wanted,) = runtime.detect([image])
        assert len(wanted["scores"]) > 3
        np.testing.assert_array_equal(answer["labels"], wanted["labels"])
        np.testing.assert_allclose(answer["scores"], wanted["scores"], rtol=1e-5)
        np.testing.assert_allclose(answer["boxes"], wanted["boxes"], rtol=1e-5, atol=1e-3)
        assert answer["names"] == [("ant", "bee")[label] for label in wanted["labels"]]


@pytest.mark.parametrize(
    ("words", "message"),
    [
        (["{run}/missing"], "There is no snapshot or exported model"),
        (["{run}/.."], "nor the folder of a SavedModel"),
        (["{run}", "--port", "70000"], "--port must be at most 65535, got 70000"),
        (["{run}", "--max-pixels", "200000000"], "--max-pixels must be at most 178956970, got 200000000"),
        (["{run}", "--port", "-1"], "--port must be 0 or more, got -1"),
        (["{run}", "--max-batch", "0"], "--max-batch must be greater than 0, got 0"),
        (["{run}", "--max-wait-ms", "nan"], "--max-wait-ms must be 0 or more, got nan"),
        (["{run}", "--max-queue", "7"], "--max-queue 7 holds less than one batch: --max-batch 8"),
        (
            ["{run}", "--max-latency-ms", "5"],
            "--max-latency-ms 5 must be larger than --max-wait-ms 5, the time that an image waits for others",
        ),
        (["{run}", "--processes", "0"], "--processes must be greater than 0, got 0"),
        (["{run}", "b={run}", "--name", "a"], "--name a is for one model, got 2; name each as NAME=PATH"),
        (["{run}", "{run}"], "Two models have the name 'garden'; name them as NAME=PATH"),
        (["{run}", "--name", "a/b"], "The name 'a/b' is not valid in a URL; give --name of letters"),
        (["{run}", "--host", "192.0.2.1"], "Cannot listen on 192.0.2.1 port"),
    ],
)
def test_mistakes_are_told_in_one_line(
    run: Path, words: list[str], message: str, capsys: pytest.CaptureFixture[str]
) -> None:
    given = [word.format(run=run) for word in words]
    assert serve.main(given if "--port" in given else [*given, "--port", "0"]) == 2
    error = capsys.readouterr().err
    assert message in error
    assert error.count("\n") == 1


def test_a_kit_goes_with_formats_of_servers_only(run: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert convert_model.main([str(run), str(tmp_path / "x.keras"), "--serving-kit", str(tmp_path / "kit")]) == 2
    assert "--serving-kit goes with --format saved_model, onnx, openvino, got --format keras" in capsys.readouterr().err
    assert list(tmp_path.iterdir()) == []


def test_names_and_versions(tmp_path: Path) -> None:
    for place in ("insects/3", "insects/12", "insects/notes"):
        (tmp_path / place).mkdir(parents=True)
        (tmp_path / place / "saved_model.pb").touch()
    (tmp_path / "garden").mkdir()
    for name in ("garden/best.keras", "beetles.keras"):
        (tmp_path / name).touch()
    for place, expected in {
        "insects": ("insects", 12),
        "insects/3": ("insects", 3),
        "garden": ("garden", 1),
        "garden/best.keras": ("garden", 1),
        "beetles.keras": ("beetles", 1),
    }.items():
        assert name_and_version(tmp_path / place) == expected
