from __future__ import annotations

import subprocess
import sys

import keras
import numpy as np
import pytest
from keras import ops

import keras_retinanet
from keras_retinanet.assigners import ASSIGNERS
from keras_retinanet.backbones import Normalize
from keras_retinanet.config import (
    AnchorConfig,
    AssignerConfig,
    FilterConfig,
    LossConfig,
    ModelConfig,
    ResizeConfig,
)
from keras_retinanet.geometry.anchors import Anchors
from keras_retinanet.geometry.box_coder import BoxCoder
from keras_retinanet.model.build import build
from keras_retinanet.model.fpn import FeaturePyramid
from keras_retinanet.model.heads import Head
from keras_retinanet.model.retinanet import RetinaNet
from keras_retinanet.optimizers.muon import ConvolutionMuon
from keras_retinanet.optimizers.schedules import WarmupSchedule

SMALL = ModelConfig(backbone="mobilenet_025", weights="none", fpn_width=16, head_width=16, head_depth=1)


def tiny_backbone() -> keras.Model:
    """One convolution a level: enough for everything that is not the backbone."""
    images = keras.Input((None, None, 3))
    x = Normalize((123.5, 116.5, 103.5), (58.5, 57.0, 57.5), name="normalize")(images)
    maps = {}
    for level, stride in (("C3", 8), ("C4", 2), ("C5", 2)):
        x = keras.layers.Conv2D(8, 3, stride, "same", activation="relu", name=level)(x)
        maps[level] = x
    return keras.Model(images, maps, name="tiny")


def tiny(**settings) -> RetinaNet:
    arguments = {"class_names": ["cat", "dog"]} | settings
    classes = len(arguments["class_names"])
    return RetinaNet(
        tiny_backbone(), FeaturePyramid(8), Head(classes, 9, width=8, depth=1, prior=0.01),
        Head(4, 9, width=8, depth=1), Anchors(), BoxCoder(), **arguments,
    )  # fmt: skip


@pytest.fixture(scope="module")
def model() -> RetinaNet:
    """Never trained: its weights are those of the start."""
    keras.utils.set_random_seed(0)
    return tiny()


def batch(height: int = 64, width: int = 96) -> tuple[np.ndarray, dict[str, np.ndarray]]:
    rng = np.random.default_rng(0)
    boxes = np.array([[[10, 8, 42, 40], [50, 20, 90, 60], [0, 0, 0, 0]], [[5, 5, 60, 50], [0] * 4, [0] * 4]])
    return rng.uniform(0, 255, (2, height, width, 3)).astype(np.float32), {
        "boxes": boxes.astype(np.float32),
        "labels": np.array([[0, 1, -1], [1, -1, -1]], np.int32),
        "ignore": np.zeros((2, 3), bool),
        "size": np.array([[height, width]] * 2, np.float32),
        "image_index": np.array([7, 3], np.int32),
    }


def endless(pair):
    while True:
        yield pair


@pytest.mark.parametrize(("height", "width"), [(64, 96), (203, 149), (31, 33)])
def test_anchors_and_answers_agree_in_number(model, height, width):
    answers = model(np.zeros((1, height, width, 3), np.float32))
    count = sum(int(level.shape[1]) for level in answers["anchors"].values())
    assert tuple(answers["deltas"].shape) == (1, count, 4)
    assert tuple(answers["logits"].shape) == (1, count, 2)


def test_initial_class_probability_is_one_percent(model):
    logits = model(batch()[0])["logits"]
    np.testing.assert_allclose(ops.mean(ops.sigmoid(logits)), 0.01, rtol=0.05)


def test_padding_colour_is_invisible(model):
    """Images padded with `pad_value` enter the network as zeros."""
    padded = np.broadcast_to(np.asarray(model.pad_value, np.float32), (1, 32, 32, 3))
    np.testing.assert_allclose(model.backbone.get_layer("normalize")(padded), np.zeros((1, 32, 32, 3)), atol=1e-6)


def test_loss_worked_by_hand():
    """All logits 0 and all deltas 0: every number of the loss can be counted."""
    model = tiny(loss_config=LossConfig(box="l1"))
    images, targets = batch()
    answers = model(images)
    count = answers["deltas"].shape[1]
    answers |= {"deltas": np.zeros((2, count, 4), np.float32), "logits": np.zeros((2, count, 2), np.float32)}
    loss = float(model.compute_loss(images, targets, answers))
    anchors = ops.convert_to_numpy(ops.concatenate(list(answers["anchors"].values()), axis=1))[0].astype(float)
    focal, box, positives = 0.0, 0.0, 0
    for image in range(2):
        real = targets["labels"][image] >= 0
        for anchor in anchors:
            x1, y1, x2, y2 = anchor
            if (x1 + x2) / 2 >= 96 or (y1 + y2) / 2 >= 64:
                continue
            best, own = 0.0, None
            for gx1, gy1, gx2, gy2 in targets["boxes"][image][real].astype(float):
                common = max(min(x2, gx2) - max(x1, gx1), 0) * max(min(y2, gy2) - max(y1, gy1), 0)
                overlap = common / ((x2 - x1) * (y2 - y1) + (gx2 - gx1) * (gy2 - gy1) - common)
                if overlap > best:
                    best, own = overlap, (gx1, gy1, gx2, gy2)
            if best >= 0.5:
                positives += 1
                focal += 0.25 * 0.25 * np.log(2) + 0.75 * 0.25 * np.log(2)
                w, h = x2 - x1, y2 - y1
                box += abs((own[0] + own[2] - x1 - x2) / 2 / w) + abs((own[1] + own[3] - y1 - y2) / 2 / h)
                box += abs(np.log((own[2] - own[0]) / w)) + abs(np.log((own[3] - own[1]) / h))
            elif best <= 0.4:
                focal += 2 * 0.75 * 0.25 * np.log(2)
    assert positives > 5
    np.testing.assert_allclose(loss, (focal + box) / positives, rtol=1e-5)
    np.testing.assert_allclose(model.classification_loss_tracker.result(), focal / positives, rtol=1e-5)
    np.testing.assert_allclose(model.box_loss_tracker.result(), box / positives, rtol=1e-5)


def test_targets_may_have_any_dtype_that_holds_their_values(model):
    images, targets = batch()
    usual = float(model.compute_loss(images, targets, model(images)))
    dtypes = {"boxes": np.int64, "labels": np.int64, "ignore": np.float32, "size": np.int32, "image_index": np.int64}
    others = {name: targets[name].astype(dtype) for name, dtype in dtypes.items()}
    assert float(model.compute_loss(images, others, model(images))) == usual > 0


def test_the_box_loss_is_on_the_boxes_of_the_targets_and_has_a_weight():
    """All deltas 0: the predicted boxes are the anchors."""
    images, targets = batch()
    targets["boxes"][:, 1:], targets["labels"][:, 1:] = 0, -1
    losses = {}
    for weight in (1.0, 2.5):
        model = tiny(loss_config=LossConfig(box="giou", box_weight=weight))
        answers = model(images)
        count = answers["deltas"].shape[1]
        answers |= {"deltas": np.zeros((2, count, 4), np.float32), "logits": np.zeros((2, count, 2), np.float32)}
        total = float(model.compute_loss(images, targets, answers))
        losses[weight] = float(model.box_loss_tracker.result())
        np.testing.assert_allclose(total, losses[weight] + float(model.classification_loss_tracker.result()), rtol=1e-6)
    anchors = ops.convert_to_numpy(ops.concatenate(list(answers["anchors"].values()), axis=1))[0].astype(float)
    expected = []
    for gx1, gy1, gx2, gy2 in targets["boxes"][:, 0].astype(float):
        for x1, y1, x2, y2 in anchors:
            common = max(min(x2, gx2) - max(x1, gx1), 0) * max(min(y2, gy2) - max(y1, gy1), 0)
            union = (x2 - x1) * (y2 - y1) + (gx2 - gx1) * (gy2 - gy1) - common
            hull = (max(x2, gx2) - min(x1, gx1)) * (max(y2, gy2) - min(y1, gy1))
            if common / union >= 0.5 and (x1 + x2) / 2 < 96 and (y1 + y2) / 2 < 64:
                expected.append(1 - (common / union - (hull - union) / hull))
    assert len(expected) > 3
    np.testing.assert_allclose(losses[1.0], np.mean(expected), rtol=1e-5)
    np.testing.assert_allclose(losses[2.5], 2.5 * np.mean(expected), rtol=1e-5)


def test_penalties_of_layers_are_part_of_the_loss():
    images, targets = batch()
    plain, fined = tiny(), tiny()
    fined.set_weights(plain.get_weights())
    fined.neck.laterals["C3"].kernel.regularizer = lambda kernel: 0.0 * ops.sum(kernel) + 0.75
    losses = [float(model.compute_loss(images, targets, model(images))) for model in (plain, fined)]
    np.testing.assert_allclose(losses[1] - losses[0], 0.75, atol=1e-4)


def test_a_batch_without_any_row_of_boxes_is_background(model):
    images, targets = batch()
    padding = targets | {"labels": np.full((2, 3), -1, np.int32)}
    nothing = targets | {name: targets[name][:, :0] for name in ("boxes", "labels", "ignore")}
    answers = model(images)
    expected = float(model.compute_loss(images, padding, answers))
    np.testing.assert_allclose(float(model.compute_loss(images, nothing, answers)), expected, rtol=1e-6)


@pytest.mark.parametrize("assigner", ASSIGNERS)
def test_batches_with_and_without_rows_of_boxes_train_in_turn(assigner):
    """At a rate of 0 the mean loss is that of the batches; Keras has seen two of the same number of boxes first."""
    model = tiny(assigner_config=AssignerConfig(assigner=assigner))
    images, targets = batch()
    nothing = targets | {name: targets[name][:, :0] for name in ("boxes", "labels", "ignore")}
    batches = [(images, targets), (images, targets), (images, nothing), (images, targets), (images, nothing)]
    answers = model(images)
    expected = np.mean([float(model.compute_loss(images, one, answers)) for _, one in batches])
    model.compile(keras.optimizers.SGD(0.0))
    history = model.fit(iter(batches), steps_per_epoch=5, verbose=0, shuffle=False).history
    np.testing.assert_allclose(history["loss"], expected, rtol=1e-4)


def test_images_without_boxes_are_background(model):
    images, targets = batch()
    targets = targets | {"labels": np.full((2, 3), -1, np.int32)}
    answers = model(images)
    loss = float(model.compute_loss(images, targets, answers))
    logits = ops.convert_to_numpy(answers["logits"]).astype(float)
    p = 1 / (1 + np.exp(-logits))
    anchors = ops.convert_to_numpy(ops.concatenate(list(answers["anchors"].values()), axis=1))[0]
    inside = ((anchors[:, 0] + anchors[:, 2]) / 2 < 96) & ((anchors[:, 1] + anchors[:, 3]) / 2 < 64)
    np.testing.assert_allclose(loss, (0.75 * p**2 * -np.log(1 - p))[:, inside].sum(), rtol=1e-4)


def test_fit_learns_and_logs_both_losses():
    model = tiny()
    model.compile(keras.optimizers.Adam(0.01))
    history = model.fit(endless(batch()), steps_per_epoch=10, epochs=3, verbose=0, shuffle=False).history
    assert set(history) == {"loss", "classification_loss", "box_loss"}
    total = np.add(history["classification_loss"], history["box_loss"])
    np.testing.assert_allclose(history["loss"], total, rtol=1e-4)
    assert history["loss"][-1] < 0.9 * history["loss"][0]
    evaluated = model.evaluate(endless(batch()), steps=1, verbose=0, return_dict=True)
    assert evaluated["loss"] < history["loss"][0]


@pytest.mark.parametrize(
    ("loss", "assigner"), [("varifocal", "iou_threshold"), ("quality_focal", "atss"), ("ohem", "iou_threshold")]
)
def test_other_losses_and_assigners_learn(loss, assigner):
    model = tiny(loss_config=LossConfig(loss, "giou"), assigner_config=AssignerConfig(assigner=assigner))
    model.compile(keras.optimizers.Adam(0.01))
    history = model.fit(endless(batch()), steps_per_epoch=10, epochs=3, verbose=0, shuffle=False).history
    assert history["loss"][-1] < 0.9 * history["loss"][0]
    assert history["classification_loss"][-1] < history["classification_loss"][0]


def test_the_quality_of_a_varifocal_target_is_the_iou_of_the_predicted_box():
    """All deltas 0: the predicted boxes are the anchors. All logits 0: every score is a half."""
    images, targets = batch()
    targets["boxes"][:, 1:], targets["labels"][:, 1:] = 0, -1
    model = tiny(loss_config=LossConfig("varifocal", background_weight=0.5, gamma=1.0))
    answers = model(images)
    count = answers["deltas"].shape[1]
    answers |= {"deltas": np.zeros((2, count, 4), np.float32), "logits": np.zeros((2, count, 2), np.float32)}
    model.compute_loss(images, targets, answers)
    anchors = ops.convert_to_numpy(ops.concatenate(list(answers["anchors"].values()), axis=1))[0].astype(float)
    total, positives = 0.0, 0
    for gx1, gy1, gx2, gy2 in targets["boxes"][:, 0].astype(float):
        for x1, y1, x2, y2 in anchors:
            if (x1 + x2) / 2 >= 96 or (y1 + y2) / 2 >= 64:
                continue
            common = max(min(x2, gx2) - max(x1, gx1), 0) * max(min(y2, gy2) - max(y1, gy1), 0)
            quality = common / ((x2 - x1) * (y2 - y1) + (gx2 - gx1) * (gy2 - gy1) - common)
            background = 0.5 * 0.5 * np.log(2)  # weight · p · -log(1 - p)
            if quality >= 0.5:
                positives += 1
                total += quality * np.log(2) + background  # cross entropy at a half is log 2 for every target
            elif quality <= 0.4:
                total += 2 * background
    assert positives > 3
    np.testing.assert_allclose(model.classification_loss_tracker.result(), total / positives, rtol=1e-5)


def test_quality_has_no_gradient():
    """The class loss of a quality loss does not move the boxes, although it depends on them."""
    images, targets = batch()
    model = tiny(loss_config=LossConfig("varifocal", box_weight=0.0))
    model.compile(keras.optimizers.SGD(1.0))
    before = [ops.convert_to_numpy(weight) for weight in model.box_head.weights]
    model.train_on_batch(images, targets)
    for weight, old in zip(model.box_head.weights, before, strict=True):
        np.testing.assert_array_equal(ops.convert_to_numpy(weight), old)


def test_a_constant_that_does_not_apply_is_refused():
    with pytest.raises(ValueError, match="--focal-alpha"):
        tiny(loss_config=LossConfig("varifocal", alpha=0.25))
    with pytest.raises(ValueError, match="--positive-iou"):
        tiny(assigner_config=AssignerConfig(0.6, assigner="atss"))


def test_replaced_keeps_all_other_parts_and_settings():
    model = tiny(**every_setting())
    neck = FeaturePyramid(8, name="other_neck")
    other = model.replaced(neck=neck, filter_config=FilterConfig(0.3))
    assert other.neck is neck
    assert other.filter_config == FilterConfig(0.3)
    for part in ("backbone", "class_head", "box_head", "anchors", "box_coder"):
        assert getattr(other, part) is getattr(model, part)
    for name, value in every_setting().items():
        if name != "filter_config":
            assert getattr(other, name) == (tuple(value) if name == "class_names" else value)
    assert other.name == model.name
    with pytest.raises(TypeError, match="head"):
        model.replaced(head=neck)


def test_files_with_earlier_names_open(tmp_path):
    """A head's `values`, `RegressBoxes`, `matching` and the others, as snapshots of before have them."""
    model = tiny(**every_setting() | {"loss_config": LossConfig("cross_entropy")})
    config = model.get_config()
    for now, before in (
        ("box_coder", "regress_boxes"), ("assigner_config", "matching"), ("loss_config", "loss"),
        ("resize_config", "resize"), ("filter_config", "filter"),
    ):  # fmt: skip
        config[before] = config.pop(now)
    config["loss"] |= {"alpha": 0.25, "gamma": 2.0}  # were stored although cross entropy has neither
    del config["loss"]["background_weight"], config["matching"]["assigner"], config["matching"]["nearest_cells"]
    for head in ("class_head", "box_head"):
        config[head]["config"]["values"] = config[head]["config"].pop("outputs_per_anchor")
    assert config["regress_boxes"]["registered_name"] == "keras_retinanet>RegressBoxes"
    opened = RetinaNet.from_config(config)
    assert opened.get_config() == model.get_config()


def test_predict_gives_the_raw_answers(model):
    images, _ = batch()
    raw, called = model.predict(images, verbose=0), model(images)
    assert set(raw) == {"deltas", "logits"} == set(model.predict_on_batch(images))
    np.testing.assert_allclose(raw["logits"], called["logits"], atol=1e-5)
    np.testing.assert_allclose(raw["deltas"], called["deltas"], atol=1e-5)


def test_a_batch_that_fails_is_remembered_by_its_images():
    model = tiny()
    images, targets = batch()
    model.compute_loss(images, targets, model(images))
    assert ops.convert_to_numpy(model.nan_batch_indices.value)[0] == -1
    answers = model(images)
    broken = answers | {"logits": answers["logits"] * np.nan}
    model.compute_loss(images, targets, broken)
    model.compute_loss(images, targets | {"image_index": np.array([1, 2], np.int32)}, broken)
    np.testing.assert_array_equal(ops.convert_to_numpy(model.nan_batch_indices.value)[:3], [7, 3, -1])


@pytest.mark.parametrize("policy", ["mixed_float16", "mixed_bfloat16"])
def test_mixed_precision_trains_in_half_and_loses_in_float32(policy):
    before = keras.config.dtype_policy()
    keras.config.set_dtype_policy(policy)
    try:
        model = tiny()
        optimizer = keras.optimizers.Adam(0.01)
        if policy == "mixed_float16":
            optimizer = keras.optimizers.LossScaleOptimizer(optimizer, initial_scale=2.0**10)
        model.compile(optimizer)
        history = model.fit(endless(batch()), steps_per_epoch=10, epochs=2, verbose=0, shuffle=False).history
        answers = model(batch()[0])
    finally:
        keras.config.set_dtype_policy(before)
    assert model.backbone.get_layer("C4").compute_dtype == policy.removeprefix("mixed_")
    assert all(keras.backend.standardize_dtype(answers[name].dtype) == "float32" for name in ("deltas", "logits"))
    assert history["loss"][-1] < history["loss"][0]


def every_setting() -> dict:
    return {
        "class_names": ["a", "b", "c"],
        "assigner_config": AssignerConfig(0.6, 0.3, True),
        "loss_config": LossConfig("focal", "giou", 0.3, 1.5, 0.2, 2.0),
        "resize_config": ResizeConfig(96, 128, True, True, 64),
        "filter_config": FilterConfig(0.1, 0.4, 7, 55, "agnostic"),
        "metadata": {"note": [1, "two"]},
    }


def test_a_snapshot_carries_everything_into_a_fresh_process(tmp_path):
    """Also where Keras opens it, which knows our classes after one import."""
    model = tiny(**every_setting())
    model.compile(ConvolutionMuon(WarmupSchedule(0.01, 90), momentum=0.9))
    model.optimizer.apply([ops.ones_like(variable) for variable in model.trainable_variables])
    model.save(tmp_path / "model.keras")
    images, _ = batch()
    answers = model(images)
    np.savez(tmp_path / "answers.npz", images=images, deltas=answers["deltas"], logits=answers["logits"])
    script = f"""
import keras, numpy as np
import keras_retinanet.inference
from keras_retinanet.config import *
path = {str(tmp_path / "model.keras")!r}
golden = np.load({str(tmp_path / "answers.npz")!r})
model = keras.models.load_model(path)
again = keras_retinanet.load_model(path)
assert type(again) is type(model) and again.get_config() == model.get_config()
for answers in (model(golden["images"]), again(golden["images"])):
    for name in ("deltas", "logits"):
        np.testing.assert_allclose(answers[name], golden[name], atol=1e-5)
assert model.class_names == ("a", "b", "c")
assert model.assigner_config == AssignerConfig(0.6, 0.3, True)
assert model.loss_config == LossConfig("focal", "giou", 0.3, 1.5, 0.2, 2.0)
assert model.resize_config == ResizeConfig(96, 128, True, True, 64)
assert model.filter_config == FilterConfig(0.1, 0.4, 7, 55, "agnostic")
assert model.metadata == {{"note": [1, "two"]}}
assert int(model.optimizer.iterations) == 1 and model.optimizer.momentum == 0.9
assert model.optimizer.get_config()["learning_rate"]["config"]["total_steps"] == 90
print("same")
"""
    done = subprocess.run([sys.executable, "-c", script], capture_output=True, text=True, check=False)
    assert done.stdout.endswith("same\n"), done.stderr


def test_snapshots_name_no_weights_to_download():
    assert "imagenet" not in str(build(SMALL, class_names=["a"]).backbone.get_config())


def test_build_passes_every_setting_on():
    config = ModelConfig(
        "mobilenet_025", "none", 3, 6, "P5", fpn_width=24, head_width=32, head_depth=3, head_norm="group",
        has_shared_heads=False, box_coder="corner",
    )  # fmt: skip
    anchors = AnchorConfig((10, 20, 40, 80), (8, 16, 32, 64), (1.0,), ((1.0,), (1.0, 2.0), (1.0,), (1.0,)), 0.0)
    model = build(config, class_names=["a", "b"], anchors=anchors)
    assert (model.neck.width, model.neck.levels, model.neck.p6_source) == (24, ("P3", "P4", "P5", "P6"), "P5")
    head = model.class_head
    assert (head.width, head.depth, head.norm, head.is_shared) == (32, 3, "group", False)
    assert (head.num_anchors, model.box_head.outputs_per_anchor, model.box_coder.coder) == ((1, 2, 1, 1), 4, "corner")
    assert model.anchors.offset == 0.0
    assert model.metadata["model"]["backbone"] == "mobilenet_025"


@pytest.mark.parametrize(
    ("config", "anchors", "message"),
    [
        (ModelConfig(backbone="alexnet"), None, "'alexnet'"),  # type: ignore[arg-type]
        (ModelConfig("mobilenet_025", "none", 2), None, "P2, P3.*6 sizes"),
    ],
)
def test_settings_that_do_not_fit_are_named(config, anchors, message):
    with pytest.raises(ValueError, match=message):
        build(config, class_names=["a"], anchors=anchors)


@pytest.mark.parametrize("names", ["cat", (), []])
def test_class_names_are_a_list(names):
    with pytest.raises(
        ValueError, match=r"must be a list with at least one name, as \['cat', 'dog'\], not ('cat'|\(|\[)"
    ):
        build(SMALL, class_names=names)


@pytest.mark.parametrize(
    ("names", "message"), [(["only"], "1 class names for a head of 2"), (["a", "b\n"], r"'b\\n' has a line break")]
)
def test_class_names_must_fit_the_head_and_a_line(names, message):
    with pytest.raises(ValueError, match=message):
        RetinaNet(
            tiny_backbone(), FeaturePyramid(8), Head(2, 9, width=8), Head(4, 9, width=8), Anchors(), BoxCoder(),
            class_names=names,
        )  # fmt: skip


def test_missing_and_foreign_files_are_named(tmp_path):
    with pytest.raises(FileNotFoundError, match=r"nowhere\.keras"):
        keras_retinanet.load_model(tmp_path / "nowhere.keras")
    (tmp_path / "text.keras").write_text("no zip")
    with pytest.raises(ValueError, match=r"text\.keras"):
        keras_retinanet.load_model(tmp_path / "text.keras")
    keras.Sequential([keras.Input((2,)), keras.layers.Dense(1)]).save(tmp_path / "dense.keras")
    with pytest.raises(ValueError, match="Sequential, not a RetinaNet"):
        keras_retinanet.load_model(tmp_path / "dense.keras")


def test_the_class_head_must_fit_the_loss():
    with pytest.raises(
        ValueError, match="no output for the background, and the loss 'softmax_cross_entropy' needs one"
    ):
        tiny(loss_config=LossConfig("softmax_cross_entropy"))
    head = Head(3, 9, width=8, depth=1, has_background=True)
    with pytest.raises(ValueError, match="an output for the background, and the loss 'focal' needs none"):
        tiny().replaced(class_head=head)
    softmax = tiny().replaced(class_head=head, loss_config=LossConfig("softmax_cross_entropy"))
    logits = np.array([[1.0, 2.0, 0.0]], np.float32)
    np.testing.assert_allclose(
        softmax.class_logits(logits), [[1 - np.log(np.e**2 + 1), 2 - np.log(np.e + 1)]], rtol=1e-5
    )
    assert tiny().class_logits(logits) is logits
