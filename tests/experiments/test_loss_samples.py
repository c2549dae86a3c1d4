from __future__ import annotations

import json
import math
from pathlib import Path

import keras
import numpy as np
import pytest
from PIL import Image

from keras_retinanet.config import AnchorConfig, DataConfig, ModelConfig, ResizeConfig
from keras_retinanet.experiments.figures import describe_samples
from keras_retinanet.experiments.first_scores import first_scores
from keras_retinanet.experiments.loss_samples import LossSamples, cumulative_loss, focal_values, signed_logits_of
from keras_retinanet.experiments.snapshot_figures import draw_figures
from keras_retinanet.model.build import build
from keras_retinanet.model.retinanet import RetinaNet

pytestmark = pytest.mark.usefixtures("small_backbone")

TARGETS = {
    "boxes": np.array([[[0, 0, 32, 32]]], np.float32),
    "labels": np.array([[1]], np.int32),
    "ignore": np.zeros((1, 1), np.int32),
    "size": np.array([[64, 64]], np.float32),
    "image_index": np.array([0], np.int32),
}
IMAGES = np.zeros((1, 64, 64, 3), np.float32)


@pytest.fixture(scope="module")
def model() -> RetinaNet:
    """One anchor of 32 px per cell of a stride of 32, and of 64 and 128: 4, 1 and 1 anchors of a 64 px image."""
    network = ModelConfig("mobilenet_025", "none", 3, 5, fpn_width=8, head_width=8, head_depth=1)
    anchors = AnchorConfig((16.0, 24.0, 32.0), (8, 16, 32), (1.0,), (1.0,))
    resize = ResizeConfig(64, 64, is_square=True)
    keras.utils.set_random_seed(0)
    return build(network, class_names=["a", "b"], anchors=anchors, resize=resize)


def test_values_worked_by_hand() -> None:
    """`p_t` 0.5 and 0.9: γ 2 leaves 1/4 and 1/100 of the cross entropy."""
    signed = np.array([0.0, math.log(9)])
    np.testing.assert_allclose(focal_values(signed, 0.0), [math.log(2), -math.log(0.9)])
    np.testing.assert_allclose(focal_values(signed, 2.0), [math.log(2) / 4, -math.log(0.9) / 100])


def test_cumulative_loss_worked_by_hand() -> None:
    """Losses 1, 1, 2 and 4 in some order: the easiest half has a quarter of 8."""
    losses = np.array([4.0, 1.0, 2.0, 1.0])
    signed = -np.log(np.expm1(losses))  # softplus(-x) is the loss
    fractions, shares = cumulative_loss(signed, 0.0, points=5)
    np.testing.assert_allclose(fractions, [0, 0.25, 0.5, 0.75, 1])
    np.testing.assert_allclose(shares, [0, 1 / 8, 2 / 8, 4 / 8, 1], rtol=1e-6)


def test_the_hardest_fifth_worked_by_hand() -> None:
    """Of five losses 1, 1, 1, 1 and 4 the hardest fifth has a half."""
    signed = -np.log(np.expm1(np.array([1.0, 1.0, 1.0, 1.0, 4.0])))
    found = describe_samples(LossSamples(signed, signed[:1]))
    assert found["positives"]["share_of_loss"]["0"]["hardest_20"] == pytest.approx(0.5)
    assert found["positives"]["count"] == 5
    assert found["negatives"]["share_of_loss"]["2"]["hardest_20"] == pytest.approx(0.2)


def test_anchors_are_divided_into_positives_and_negatives(model: RetinaNet) -> None:
    """The box is the first anchor of the coarsest level; a logit of its class counts as it is, others negated."""
    positives, negatives = signed_logits_of(model, IMAGES, TARGETS)
    answers = model(IMAGES)
    logits = keras.ops.convert_to_numpy(answers["logits"])[0]
    assert len(logits) == 64 + 16 + 4
    assert logits[80, 1] in positives.tolist()
    assert set((-negatives).tolist()) <= set(logits.reshape(-1).tolist())
    assert len(negatives) <= 2 * (84 - len(positives))


def test_a_prior_lowers_the_first_loss_of_negatives(model: RetinaNet) -> None:
    """Kernels of deviation 0.01 leave the scores at the prior: -log 0.99 a logit against log 2."""
    before = [np.asarray(weight.value) for weight in model.class_head.weights]
    few, half = (first_scores(model, IMAGES, TARGETS, prior) for prior in (0.01, 0.5))
    assert few.negative_loss / half.negative_loss == pytest.approx(-math.log(0.99) / math.log(2), rel=0.05)
    assert few.positive_loss == pytest.approx(-math.log(0.01), rel=0.05)
    assert half.scores.mean() == pytest.approx(0.5, abs=0.02)
    for weight, value in zip(model.class_head.weights, before, strict=True):
        np.testing.assert_array_equal(weight.value, value)


def test_figures_from_a_snapshot(model: RetinaNet, tmp_path: Path) -> None:
    Image.new("RGB", (64, 64)).save(tmp_path / "a.png")
    (tmp_path / "a.csv").write_text("a.png,0,0,32,32,b\n")
    (tmp_path / "classes.csv").write_text("a,0\nb,1\n")
    model.save(tmp_path / "last.keras")
    data = DataConfig("csv", annotations=str(tmp_path / "a.csv"), classes=str(tmp_path / "classes.csv"))
    draw_figures(tmp_path / "last.keras", data, tmp_path / "out", log=lambda line: None)
    assert {path.name for path in (tmp_path / "out").iterdir()} == {
        "figure1.png", "figure4.png", "first_scores.png", "figures.json",
    }  # fmt: skip
    numbers = json.loads((tmp_path / "out" / "figures.json").read_text())
    assert numbers["positives"]["count"] >= 1
    ratio = [each["negatives_per_object"] for each in numbers["first_scores"].values()]
    assert ratio[0] < ratio[1] / 50
