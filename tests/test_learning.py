"""The slow proof that the detector learns: it overfits a handful of scenes, and cannot from shuffled labels."""

from __future__ import annotations

import keras
import numpy as np
import pytest

from keras_retinanet.config import (
    AnchorConfig,
    AssignerConfig,
    DataConfig,
    FilterConfig,
    LossConfig,
    ModelConfig,
    ResizeConfig,
    TrainConfig,
)
from keras_retinanet.config.presets import DEMO
from keras_retinanet.config.tree import changed
from keras_retinanet.data.open_dataset import open_dataset
from keras_retinanet.data.pipeline import InferenceBatches, TrainingBatches
from keras_retinanet.demo.scenes import write_dataset
from keras_retinanet.evaluation.coco import evaluate
from keras_retinanet.evaluation.detections import detect_dataset
from keras_retinanet.model.build import build
from keras_retinanet.model.detection_model import DetectionModel
from keras_retinanet.model.retinanet import RetinaNet
from keras_retinanet.schema import Sample
from keras_retinanet.training.prepare import train

RESIZE = ResizeConfig(min_side=192, max_side=192)
STEPS = 300


@pytest.fixture(scope="module")
def samples(tmp_path_factory) -> tuple[list[Sample], tuple[str, ...]]:
    folder = tmp_path_factory.mktemp("scenes")
    write_dataset(folder, num_train=8, num_val=1, seed=5)
    data = open_dataset(DataConfig("coco", str(folder)), "train")
    return list(data), data.class_names


def trained(samples: list[Sample], class_names: tuple[str, ...]) -> RetinaNet:
    keras.utils.set_random_seed(0)
    model = build(
        ModelConfig("resnet10_050", "none", max_level=6, fpn_width=64, head_width=64, head_depth=2, head_norm="group"),
        class_names=class_names,
        anchors=AnchorConfig((12, 24, 48, 96), (8, 16, 32, 64), (1.0,), (1.0, 2**0.5)),
        assigner=AssignerConfig(0.45, 0.35, use_force_match=True),
        loss=LossConfig(box="giou", alpha=0.5, gamma=1.5),
        resize=RESIZE,
    )
    batches = TrainingBatches(
        samples, resize=RESIZE, pad_value=model.pad_value, batch_size=4, seed=0, augmentations=(), cache=True
    )
    schedule = keras.optimizers.schedules.CosineDecay(1e-5, STEPS, warmup_target=2e-3, warmup_steps=20)
    model.compile(keras.optimizers.AdamW(schedule, weight_decay=1e-4, global_clipnorm=10.0))
    model.fit(batches.dataset(), steps_per_epoch=STEPS, epochs=1, verbose=0, shuffle=False)
    return model


def precision(model: RetinaNet, samples: list[Sample]) -> float:
    detector = DetectionModel(model, FilterConfig(max_detections=100))
    batches = InferenceBatches(samples, resize=RESIZE, pad_value=model.pad_value, batch_size=4)
    return evaluate(samples, detect_dataset(detector, batches, samples), model.class_names).stats["AP50"]


@pytest.mark.slow
def test_overfits_eight_scenes(samples):
    model = trained(*samples)
    assert precision(model, samples[0]) >= 0.9
    mirrored = [{**sample, "labels": (sample["labels"] + 1) % 6} for sample in samples[0]]
    assert precision(model, mirrored) < 0.2  # it is the classes that it learnt, not boxes alone


@pytest.mark.slow
def test_scenes_never_seen_are_at_chance_when_labels_are_shuffled(tmp_path):
    """The demo in small, once as it is and once with labels that tell nothing."""
    write_dataset(tmp_path / "scenes", num_train=500, num_val=50, seed=9)
    settings = {"data.dataset": "coco", "data.path": str(tmp_path / "scenes"), "snapshot_path": str(tmp_path / "runs")}
    config = changed(TrainConfig(), {**DEMO, **settings, "epochs": 5})
    data = open_dataset(config.data, "train")
    rng = np.random.default_rng(0)
    chance = [{**sample, "labels": rng.integers(0, 6, len(sample["labels"])).astype(np.int32)} for sample in data]
    shuffled, true = (train(config, Samples(part, data)).figures["val_AP50"] for part in (chance, list(data)))
    assert shuffled < 1 / 6, "boxes can be learnt, and one class of six is right by chance"
    assert true > 1.4 * shuffled, "true labels teach more, even in five short epochs"


class Samples:
    """Some samples, with all else of the data set that they come from."""

    def __init__(self, samples, data):
        self.samples, self.class_names, self.report = samples, data.class_names, data.report

    def __iter__(self):
        return iter(self.samples)
