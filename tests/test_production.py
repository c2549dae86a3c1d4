"""The README's way from training to production, by its own commands and code, with a small network."""

from __future__ import annotations

import re
import shlex
import signal
import socket
import subprocess
import sys
import time
import urllib.request
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

import keras_retinanet
from keras_retinanet.cli import convert_model, train
from keras_retinanet.demo import scenes

ROOT = Path(__file__).resolve().parents[1]
SECTION = (
    (ROOT / "README.md").read_text(encoding="utf-8").split("## From training to production\n")[1].split("\n## ")[0]
)
COMMANDS = re.findall(r"```sh\n(.*?)```", SECTION, re.DOTALL)[0].splitlines()
CLIENT = re.findall(r"```py\n(.*?)```", SECTION, re.DOTALL)[0]
PICTURE = "scenes/val2017/000001000001.jpg"
SIZES = {"--epochs": 1, "--steps": 1, "--batch-size": 2, "--image-min-side": 96, "--image-max-side": 96}
WIDTHS = {"--backbone": "mobilenet_025", "--fpn-width": 32, "--head-width": 32, "--head-depth": 1}
LEVELS = {"--max-level": 5, "--anchor-sizes": "32,64,128", "--anchor-strides": "8,16,32"}
SMALL = [str(word) for pair in (SIZES | WIDTHS | LEVELS).items() for word in pair]
SMALL += ["--mixed-precision", "none", "--no-cache"]
EVERYTHING = ["--score-threshold", "0", "--max-detections", "20"]  # one step teaches nothing: any score will do


def words(command: str, program: str, run: Path | None = None) -> list[str]:
    """The words of a command of the README after the program's name."""
    first, *rest = shlex.split(command, comments=True)
    assert first == program
    return [str(run) if word == "snapshots/RUN" else word for word in rest]


def is_ready(url: str) -> bool:
    try:
        with urllib.request.urlopen(f"{url}/readyz", timeout=5) as answer:
            return bool(answer.status == 200)
    except OSError:
        return False


def free_port() -> int:
    with socket.socket() as taken:
        taken.bind(("127.0.0.1", 0))
        port: int = taken.getsockname()[1]
        return port


@pytest.mark.usefixtures("small_backbone", "direct_gradients")
def test_every_command_of_the_section_in_turn(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    pytest.importorskip("uvicorn", reason="needs the extra `serve`")
    monkeypatch.chdir(tmp_path)
    training, conversion, loading, serving = COMMANDS
    scenes.write_dataset("scenes", num_train=2, num_val=1, seed=3)
    assert train.main([*words(training, "retinanet-train"), *SMALL]) == 0
    (run,) = (tmp_path / "snapshots").iterdir()
    assert convert_model.main([*words(conversion, "retinanet-convert-model", run), *EVERYTHING]) == 0
    capsys.readouterr()
    wanted = keras_retinanet.detect(run, PICTURE, score_threshold=0.0, max_detections=20)
    assert len(wanted.scores) == 20

    loader, folder, pattern = words(loading, "python")
    command = [sys.executable, str(ROOT / loader), folder, *map(str, sorted(tmp_path.glob(pattern)))]
    printed = subprocess.run(command, capture_output=True, text=True, check=True).stdout.splitlines()
    assert [line.split(" at ")[0] for line in printed] == [
        f"{tmp_path / PICTURE}: {name} {score:.4f}" for name, score in zip(wanted.names, wanted.scores, strict=True)
    ]

    port = free_port()
    command = [sys.executable, str(ROOT / "bin/retinanet-serve"), *words(serving, "retinanet-serve")]
    with subprocess.Popen([*command, "--port", str(port)], stderr=subprocess.PIPE) as server:
        try:
            end = time.monotonic() + 300
            while not is_ready(f"http://127.0.0.1:{port}"):
                assert server.poll() is None, server.stderr.read() if server.stderr else ""
                assert time.monotonic() < end
                time.sleep(0.1)
            names: dict[str, object] = {}
            exec(CLIENT.replace("8501", str(port)), names)
        finally:
            server.send_signal(signal.SIGTERM)
        assert server.wait(60) == 0
    found = names["found"]
    assert isinstance(found, dict)
    assert found["names"] == list(wanted.names)
    np.testing.assert_allclose(found["scores"], wanted.scores, rtol=1e-4)
    np.testing.assert_allclose(found["boxes"], wanted.boxes, atol=0.01)
    given, drawn = (np.asarray(Image.open(path)).astype(int) for path in (PICTURE, "found.png"))
    is_changed = (given != drawn).any(axis=2)
    left, top, _, bottom = found["boxes"][0].astype(int)
    assert is_changed[(top + bottom) // 2, max(left - 3, 0) : left + 4].any(), "the left side of the best box is drawn"
