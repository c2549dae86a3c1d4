from __future__ import annotations

import math
from collections.abc import Callable
from pathlib import Path
from typing import Any

import keras
import numpy as np
import pytest
import tensorflow as tf

import keras_retinanet
from keras_retinanet import DetectionModel
from keras_retinanet.backbones import ssd_vgg
from keras_retinanet.config import AnchorConfig, AssignerConfig, FilterConfig, LossConfig, ModelConfig
from keras_retinanet.geometry.box_coder import BoxCoder
from keras_retinanet.losses import CLASSIFICATION_LOSSES
from keras_retinanet.model.build import build
from keras_retinanet.model.detection_loss import DetectionLoss, LossTerms

pytestmark = pytest.mark.usefixtures("small_backbone")

ANCHORS = np.array([[[0, 0, 8, 8], [8, 0, 16, 8], [16, 0, 24, 8]]], np.float32)
TARGETS: Any = {
    "boxes": np.array([[[0, 0, 8, 8], [0, 0, 0, 0]]], np.float32),
    "labels": np.array([[1, -1]], np.int32),
    "ignore": np.zeros((1, 2), np.int32),
    "size": np.array([[32, 32]], np.float32),
    "image_index": np.array([0], np.int32),
}
"""One box, which is the first of three anchors."""


def terms(predictions: Any, loss: LossConfig, coder: BoxCoder | None = None, **assigner: Any) -> LossTerms:
    objective = DetectionLoss(coder or BoxCoder(), (1,), AssignerConfig(**assigner), loss)
    return objective(TARGETS, {"anchors": {"P3": ANCHORS}, **predictions}, lambda value: value)


def predicted(logits: Any = 0.0, **others: Any) -> Any:
    return {"deltas": np.zeros((1, 3, 4), np.float32), "logits": np.full((1, 3, 2), logits, np.float32), **others}


def test_generalised_focal_loss_worked_by_hand() -> None:
    """A uniform distribution over 3 bins has the mean 1: the box 3 … 5 in the anchor's 0 … 8, IoU 4/64.

    Its GIoU is the IoU, since the hull is the box of the target. Distances of 4 px are 4 bins, cut off at 1.9: cross
    entropy log 3 for any share. With `score` weights the score 0.5 is divided by at least 1.
    """
    deltas, coder = np.zeros((1, 3, 12), np.float32), BoxCoder("distribution", reg_max=2)
    for weighting, weight in (("equal", 1.0), ("score", 0.5), ("quality", 1 / 16)):
        loss = LossConfig("quality_focal", "giou", box_weight=2.0, box_weighting=weighting)
        found = terms(predicted(deltas=deltas), loss, coder)
        np.testing.assert_allclose(found.box, 2 * weight * (1 - 1 / 16), rtol=1e-5)
        np.testing.assert_allclose(found.distribution, 0.25 * weight * math.log(3), rtol=1e-5)
        entropy = math.log(2)  # every logit is 0, whatever its target
        np.testing.assert_allclose(found.classification, entropy * (5 * 0.25 + (0.5 - 1 / 16) ** 2), rtol=1e-5)
        assert found.quality is None


def test_a_distribution_in_l1_compares_its_mean() -> None:
    """Means of 1 bin, distances of 4 bins on each side."""
    found = terms(
        predicted(deltas=np.zeros((1, 3, 12), np.float32)), LossConfig(box="l1"), BoxCoder("distribution", reg_max=2)
    )
    np.testing.assert_allclose(found.box, 4 * 3, rtol=1e-5)


def test_predicted_iou_worked_by_hand() -> None:
    """The boxes are the anchors: the object has IoU 1, others are not counted. -log σ(1) and its weight."""
    quality = np.array([[[1.0], [9.0], [-9.0]]], np.float32)
    found = terms(predicted(quality=quality), LossConfig(quality_weight=0.5))
    np.testing.assert_allclose(found.quality, 0.5 * math.log(1 + math.exp(-1)), rtol=1e-5)
    assert found.distribution is None


def test_task_aligned_targets_divide_the_loss_by_their_sum() -> None:
    """The only object has the IoU 1 and with it the target score 1; a half in the sum is still divided by 1."""
    found = terms(predicted(), LossConfig("quality_focal"), assigner="task_aligned")
    np.testing.assert_allclose(found.classification, 6 * 0.25 * math.log(2), rtol=1e-4)
    assert float(found.box) == 0


@pytest.mark.parametrize(("name", "expected"), [("ghm", math.log(2)), ("cross_entropy", 3 * math.log(2))])
def test_sums_are_divided_by_objects_and_means_are_not(name: str, expected: float) -> None:
    """Two objects; each of the six logits costs log 2. Of two replicas that are alike, each has half of the loss."""
    two = TARGETS | {"boxes": ANCHORS[:, :2], "labels": np.array([[1, 0]], np.int32)}
    objective = DetectionLoss(BoxCoder(), (1,), AssignerConfig(), LossConfig(name))
    for replicas in (1, 2):
        found = objective(two, {"anchors": {"P3": ANCHORS}, **predicted()}, lambda value, n=replicas: n * value)
        np.testing.assert_allclose(found.classification, expected / replicas, rtol=1e-5)


def test_mined_examples_do_not_overlap_one_with_a_larger_loss() -> None:
    """The second anchor has the largest loss, and would be left out only if it overlapped another."""
    logits = np.array([[[0.0, 0.0], [2.0, 2.0], [1.0, 1.0]]], np.float32)
    found = terms(predicted(logits), LossConfig("ohem", mined_examples=1))
    np.testing.assert_allclose(found.classification, 2 * math.log(1 + math.exp(2)), rtol=1e-5)


CONFIGURATIONS = {
    "gfl": (
        {"box_coder": "distribution", "head_norm": "batch"},
        AssignerConfig(assigner="atss"),
        LossConfig("quality_focal", "giou", box_weight=2.0, box_weighting="score"),
    ),
    "tood": (
        {"box_coder": "distribution", "reg_max": 8, "has_quality": True},
        AssignerConfig(assigner="task_aligned"),
        LossConfig("varifocal", "giou", box_weighting="quality", class_weights=(1.0, 3.0)),
    ),
    "paa": (
        {"has_quality": True, "head_norm": "batch", "has_shared_heads": False},
        AssignerConfig(),
        LossConfig(class_alphas=(0.2, 0.5)),
    ),
}


@pytest.mark.parametrize(("name", "policy"), [("gfl", "mixed_bfloat16"), ("tood", "mixed_float16"), ("paa", "float32")])
def test_networks_learn_and_are_stored(name: str, policy: str, tmp_path: Path) -> None:
    """Two classes of which one may be the only one, an image without boxes, and a reload that answers the same."""
    network, assigner, loss = CONFIGURATIONS[name]
    anchors = AnchorConfig((32.0, 64.0, 128.0), (8, 16, 32), (1.0,), (1.0,))
    with_policy = keras.config.dtype_policy()
    keras.config.set_dtype_policy(policy)
    try:
        settings = ModelConfig("mobilenet_025", "none", 3, 5, fpn_width=16, head_width=16, head_depth=1, **network)
        model = build(settings, class_names=["a", "b"], anchors=anchors, assigner=assigner, loss=loss)
    finally:
        keras.config.set_dtype_policy(with_policy)
    images = np.random.default_rng(0).uniform(0, 255, (2, 64, 64, 3)).astype(np.float32)
    targets = {key: np.repeat(value, 2, axis=0) for key, value in TARGETS.items()}
    targets["boxes"] = np.array([[[8, 8, 40, 48], [0, 0, 0, 0]], [[0, 0, 0, 0]] * 2], np.float32)
    targets["labels"], targets["size"] = np.array([[1, -1], [-1, -1]], np.int32), np.full((2, 2), 64, np.float32)
    model.compile(keras.optimizers.SGD(0.01))
    logs = [model.train_on_batch(images, targets, return_dict=True) for _ in range(2)]
    assert np.isfinite([*logs[0].values(), *logs[1].values()]).all()
    parts = {"classification_loss", "box_loss", "loss"}
    parts |= {"distribution_loss"} if "box_coder" in network else set()
    parts |= {"quality_loss"} if "has_quality" in network else set()
    assert set(logs[0]) == parts
    model.save(tmp_path / "a.keras")
    again = keras_retinanet.load_model(tmp_path / "a.keras", compile=False)
    assert (again.loss_config, again.assigner_config) == (loss, assigner)
    for one, other in zip(model.variables, again.variables, strict=True):
        np.testing.assert_array_equal(one, other)
    ours, theirs = (one.predict(images, verbose=0) for one in (model, again))
    assert set(ours) == {"deltas", "logits"} | ({"quality"} if "has_quality" in network else set())
    for key, value in ours.items():
        np.testing.assert_array_equal(value, theirs[key])
    found = DetectionModel(again, FilterConfig(score_threshold=0.0, max_detections=5))(images)
    assert np.isfinite(np.asarray(found["boxes"])).all()
    assert np.asarray(found["num_detections"]).tolist() == [5, 5]


def test_the_box_head_must_have_the_outputs_of_the_coder() -> None:
    model = build(ModelConfig("mobilenet_025", "none", fpn_width=8, head_width=8, head_depth=0), class_names=["a"])
    with pytest.raises(ValueError, match="'distribution' needs a box head of 68 outputs per anchor; received one of 4"):
        model.replaced(box_coder=BoxCoder("distribution"))


@pytest.mark.parametrize("has_background", [False, True])
@pytest.mark.parametrize("architecture", ["retinanet", "ssd300_vgg16"])
def test_every_classification_loss_teaches_every_architecture(
    architecture: str, has_background: bool, small_network: Callable[..., Any], monkeypatch: pytest.MonkeyPatch
) -> None:
    """One forward pass for all losses of a kind of scores; a gradient in all parameters of the class head."""
    names = [name for name, loss in CLASSIFICATION_LOSSES.items() if loss.has_background == has_background]
    loss = LossConfig(names[0])
    if architecture == "retinanet":
        network, shape = small_network(loss=loss), (64, 96)
    else:
        monkeypatch.setattr(ssd_vgg, "BLOCKS", ((8, 1), (8, 1), (8, 1), (16, 1), (16, 1)))
        network = build(ModelConfig(weights="none", architecture=architecture), class_names=["a", "b"], loss=loss)
        shape = (300, 300)
    images = np.random.default_rng(0).uniform(0, 255, (1, *shape, 3)).astype(np.float32)
    targets = TARGETS | {
        "boxes": np.array([[[4, 4, 20, 20], [0, 0, 0, 0]]], np.float32),
        "size": np.array([shape], np.float32),
    }
    variables = network.class_head.trainable_variables
    with tf.GradientTape(persistent=True) as tape:
        predictions, losses = network(images, training=True), {}
        for name in names:
            network.loss_config = LossConfig(name)
            losses[name] = network.compute_loss(images, targets, predictions)
    for name, value in losses.items():
        assert 0 < float(value) < 100, name
        slopes = [np.abs(slope).max() for slope in tape.gradient(value, [v.value for v in variables])]
        assert np.isfinite(slopes).all(), name
        assert max(slopes) > 1e-3, name
