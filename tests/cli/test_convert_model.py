"""The command on a small snapshot: what it writes answers as the snapshot does."""

from __future__ import annotations

from pathlib import Path

import keras
import numpy as np
import pytest
import tensorflow as tf

import keras_retinanet
from keras_retinanet import DetectionModel, build
from keras_retinanet.cli import convert_model
from keras_retinanet.config import AnchorConfig, FilterConfig, ModelConfig, ResizeConfig

IMAGES = np.random.default_rng(1).uniform(0, 255, (1, 64, 96, 3)).astype(np.float32)


@pytest.fixture(scope="module")
def run(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Folder of a run with one snapshot, whose scores spread around one half."""
    keras.utils.set_random_seed(2)
    model = build(
        ModelConfig("resnet10_050", "none", 3, 5, fpn_width=32, head_width=32, head_depth=1),
        class_names=["ant", "bee"],
        anchors=AnchorConfig((16.0, 32.0, 64.0), (8, 16, 32)),
        resize=ResizeConfig(64, 96),
    )
    final = model.class_head.finals[0]
    kernel, bias = final.get_weights()
    final.set_weights([np.random.default_rng(5).normal(0, 0.3, kernel.shape), 0 * bias])
    folder = tmp_path_factory.mktemp("run")
    model.save(folder / "last.keras")
    return folder


@pytest.mark.parametrize(
    ("flags", "expected"),
    [
        ([], FilterConfig()),
        (["--score-threshold", "0.5", "--max-detections", "7"], FilterConfig(score_threshold=0.5, max_detections=7)),
        (["--no-nms"], FilterConfig(nms="none")),
        (["--no-class-specific-filter", "--nms-threshold", "0.25"], FilterConfig(nms="agnostic", nms_threshold=0.25)),
    ],
)
def test_a_keras_file_detects_as_the_snapshot(
    run: Path, tmp_path: Path, flags: list[str], expected: FilterConfig, capsys: pytest.CaptureFixture[str]
) -> None:
    out = tmp_path / "new" / "insects.keras"
    assert convert_model.main([*flags, str(run), str(out)]) == 0
    told = capsys.readouterr().out
    assert told.startswith(f"wrote {out}; beside the snapshot raw outputs differ by ")
    assert told.count("\n") == 1
    written = keras_retinanet.load_model(out)
    assert isinstance(written, DetectionModel)
    assert written.filter == expected
    answer = written(IMAGES)
    wanted = DetectionModel(keras_retinanet.load_model(run / "last.keras"), expected)(IMAGES)
    assert wanted["num_detections"][0] > 3
    for name in wanted:
        np.testing.assert_allclose(answer[name], wanted[name], rtol=1e-6, atol=1e-6)
    assert [path.name for path in out.parent.iterdir()] == ["insects.keras"]


def test_a_saved_model_becomes_a_version(run: Path, tmp_path: Path) -> None:
    folder = tmp_path / "deep" / "insects"
    assert convert_model.main([str(run / "last.keras"), str(folder), "--format", "saved_model"]) == 0
    loaded = tf.saved_model.load(str(folder / "1"))
    answer = loaded.signatures["raw_outputs"](images=tf.constant(IMAGES))
    wanted = keras_retinanet.load_model(run / "last.keras").predict(IMAGES, verbose=0)
    np.testing.assert_allclose(answer["logits"], wanted["logits"], rtol=1e-5, atol=1e-5)


@pytest.mark.parametrize(
    ("words", "message"),
    [
        (["{}/missing.keras", "{}/out.keras"], "There is no snapshot"),
        (["{}", "{}/out.keras"], "has no best.keras or last.keras"),
        (["{run}", "{}/out.h5"], "ends in .keras"),
    ],
)
def test_mistakes_are_told_in_one_line(
    run: Path, tmp_path: Path, words: list[str], message: str, capsys: pytest.CaptureFixture[str]
) -> None:
    assert convert_model.main([word.format(tmp_path, run=run) for word in words]) == 2
    error = capsys.readouterr().err
    assert message in error
    assert error.count("\n") == 1
