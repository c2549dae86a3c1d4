"""A video written, read back, and detected in; these tests need PyAV, the extra `video`."""

from __future__ import annotations

import json
from fractions import Fraction
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from keras_retinanet.cli import detect as command
from keras_retinanet.detection.video import VideoReader, VideoWriter

pytest.importorskip("av", reason="PyAV is not installed: pip install '.[video]'")


@pytest.fixture(scope="module")
def clip(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Eight pictures of one grey each, 20, 40 … 160, of odd sides."""
    path = tmp_path_factory.mktemp("clip") / "clip.mp4"
    writer = VideoWriter(path, Fraction(12))
    for k in range(1, 9):
        writer.add(np.full((65, 97, 3), 20 * k, np.uint8))
    writer.close()
    return path


def test_a_video_reads_back_as_it_was_written(clip: Path) -> None:
    reader = VideoReader(clip)
    assert reader.rate == 12
    assert reader.count == 8
    frames = list(reader)
    assert {frame.shape for frame in frames} == {(64, 96, 3)}
    np.testing.assert_allclose([frame.mean() for frame in frames], [20 * k for k in range(1, 9)], atol=3)
    assert [path.name for path in clip.parent.iterdir()] == ["clip.mp4"]


def test_what_is_no_video_is_named(tmp_path: Path) -> None:
    (tmp_path / "a.mp4").write_bytes(b"no video")
    with pytest.raises(ValueError, match=r"a\.mp4' cannot be read as a video: Invalid data"):
        VideoReader(tmp_path / "a.mp4")


def test_without_pictures_no_file_is_left(tmp_path: Path) -> None:
    VideoWriter(tmp_path / "new" / "a.mp4", Fraction(25)).close()
    assert list((tmp_path / "new").iterdir()) == []


def test_the_command_on_a_video(
    clip: Path, tmp_path: Path, painted_runtime: Any, monkeypatch: pytest.MonkeyPatch, capsys: Any
) -> None:
    class Grey(painted_runtime):
        """One box as wide as the picture is bright."""

        def detect(self, images: Any, fits: Any = None, *, batch_size: Any = None) -> Any:
            widths = [round(float(image.mean()) / 20) for image in images]
            boxes = [np.array([[0, 0, width, 10]], np.float32) for width in widths]
            rest = {"scores": np.array([0.9], np.float32), "labels": np.array([1], np.int32)}
            return [{"boxes": box, **rest} for box in boxes]

    monkeypatch.setattr("keras_retinanet.runtimes.open_model.open_model", lambda path: Grey())
    words = ["m", str(clip), "--out", str(tmp_path / "out"), "--json", str(tmp_path / "a.json"), "--limit", "3"]
    assert command.main(words) == 0
    assert "images    3\nboxes     3: bee 3\n" in capsys.readouterr().out
    assert VideoReader(tmp_path / "out" / "clip.mp4").count == 3
    assert [entry["bbox"] for entry in json.loads((tmp_path / "a.json").read_text())] == [
        [0, 0, 1, 10],
        [0, 0, 2, 10],
        [0, 0, 3, 10],
    ]
    listed = json.loads((tmp_path / "a_images.json").read_text())["images"]
    assert [entry["file_name"] for entry in listed] == [f"clip.mp4/{k:06d}.jpg" for k in (1, 2, 3)]
