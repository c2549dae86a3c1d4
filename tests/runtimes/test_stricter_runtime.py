"""Files of thresholds with models whose thresholds can be changed, and with those whose thresholds are built in."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import pytest

from keras_retinanet.config import FilterConfig, ResizeConfig
from keras_retinanet.detection.detector import Detector
from keras_retinanet.runtimes import Description, Runtime
from keras_retinanet.runtimes.stricter_runtime import with_threshold_file
from keras_retinanet.serving.model_versions import model_source

SCORES, LABELS = (0.9, 0.7, 0.5, 0.3), (0, 1, 0, 1)


class Artefact(Runtime):
    """Finds the same four boxes in every image."""

    def detect(self, images: Any, fits: Any = None, *, batch_size: Any = None) -> Any:
        boxes = np.arange(16, dtype=np.float32).reshape(4, 4)
        scores, labels = np.array(SCORES, np.float32), np.array(LABELS, np.int32)
        return [{"boxes": boxes, "scores": scores, "labels": labels} for _ in images]

    def raw_outputs(self, images: Any) -> Any:
        return {"deltas": images, "logits": images}


class Snapshot(Artefact):
    """The same, with thresholds that can be changed."""

    def with_filter(self, filter: FilterConfig) -> Runtime:
        return Snapshot(describe(filter))


def describe(filter: FilterConfig) -> Description:
    return Description(("ant", "bee"), ResizeConfig(), (0.0, 0.0, 0.0), filter)


def write(folder: Path, text: str) -> Path:
    path = folder / "thresholds.yaml"
    path.write_text(text)
    return path


def test_built_in_thresholds_become_stricter(tmp_path: Path):
    path = write(tmp_path, "classes:\n  ant: 0.5\n  bee: 0.2\n")
    runtime = with_threshold_file(Artefact(describe(FilterConfig(0.2))), path)
    assert runtime.filter == FilterConfig(0.2, class_thresholds=(0.5, 0.2))
    (found,) = runtime.detect([None])
    assert found["scores"].tolist() == pytest.approx([0.9, 0.7, 0.3])  # .5 is not above .5
    assert found["boxes"][:, 0].tolist() == [0, 4, 12]
    assert found["labels"].tolist() == [0, 1, 1]
    assert runtime.raw_outputs(5) == {"deltas": 5, "logits": 5}
    assert not runtime.compiles_shapes
    assert with_threshold_file(runtime, None) is runtime


@pytest.mark.parametrize(
    ("text", "said"),
    [
        (
            "classes:\n  ant: 0.3\n  bee: 0.1\n",
            "line 3: the threshold 0.1 of 'bee' is not possible: 0.2 is built",
        ),
        (
            "temperature: 2\n",
            "temperature 2 is not possible: 1.5 is built into this exported model",
        ),
        ("classes:\n  wasp: 0.3\n", "line 2: the model has no class 'wasp'; it has ant, bee"),
    ],
)
def test_what_an_artefact_cannot_do(tmp_path: Path, text: str, said: str):
    artefact = Artefact(describe(FilterConfig(0.2, temperature=1.5)))
    with pytest.raises(ValueError, match=said):
        with_threshold_file(artefact, write(tmp_path, text))


def test_a_detector_takes_the_file(tmp_path: Path):
    path = write(tmp_path, "temperature: 1.5\nscore_threshold: 0.4\nclasses: {bee: 0.6}\n")
    detector = Detector(Snapshot(describe(FilterConfig(0.2))), thresholds=path)
    assert detector.runtime.filter == FilterConfig(0.4, class_thresholds=(0.4, 0.6), temperature=1.5)
    strict = Detector(Artefact(describe(FilterConfig(0.2, temperature=1.5))), thresholds=path)
    found = strict.detect_one(np.zeros((9, 9, 3), np.uint8))
    assert found.names == ("ant", "bee", "ant")


def test_the_server_takes_the_file(tmp_path: Path, monkeypatch: pytest.MonkeyPatch):
    monkeypatch.setattr(
        "keras_retinanet.serving.model_versions.open_model", lambda path: Snapshot(describe(FilterConfig()))
    )
    path = write(tmp_path, "classes: {ant: 0.3, bee: 0.6}\n")
    words = str(tmp_path / "insects.keras")
    assert model_source(words, thresholds=str(path)).newest().open().filter.class_thresholds == (0.3, 0.6)
    assert model_source(words).newest().open().filter == FilterConfig()
