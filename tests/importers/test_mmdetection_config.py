"""MMDetection's configs as its versions 2 and 3 print them, and what of them cannot be imported."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest

from keras_retinanet.backbones.normalize import TORCH
from keras_retinanet.importers.blueprint import CheckpointError, Overrides
from keras_retinanet.importers.detectron2 import MEAN_ONLY
from keras_retinanet.importers.mmdetection import _find_settings
from keras_retinanet.importers.mmdetection_config import (
    anchors_of,
    filter_of,
    pixels_of,
    read_config,
    require_known_parts,
    resize_of,
)

VERSION_3 = """
model = dict(
    type='RetinaNet',
    data_preprocessor=dict(mean=[10.0, 20.0, 30.0], std=[1, 2, 3], bgr_to_rgb=False, pad_size_divisor=64),
    backbone=dict(type='ResNet', depth=50, norm_cfg=dict(type='BN', requires_grad=True), style='caffe'),
    neck=dict(type='FPN', start_level=1, add_extra_convs='on_output', num_outs=5),
    bbox_head=dict(
        type='RetinaHead',
        anchor_generator=dict(
            type='AnchorGenerator', octave_base_scale=6, scales_per_octave=2, ratios=[0.5, 2], strides=[8, 16, 32]),
        bbox_coder=dict(type='DeltaXYWHBBoxCoder', target_means=[.0, .0, .0, .0], target_stds=[.1, .1, .2, .2]),
        loss_cls=dict(type='FocalLoss', use_sigmoid=True)),
    test_cfg=dict(
        nms_pre=-1, min_bbox_size=0, score_thr=0.1, nms=dict(type='nms', iou_threshold=0.6), max_per_img=7))
test_cfg = dict(type='TestLoop')
backend_args = None
lr = 0.02 / 8 * world_size
test_pipeline = [
    dict(type='LoadImageFromFile', backend_args=backend_args),
    dict(type='Resize', scale=(640, 480), keep_ratio=True),
    dict(type='PackDetInputs', meta_keys=('img_id', 'img_path')),
]
"""
VERSION_2 = """
model = dict(backbone=dict(type='ResNet', style='pytorch'), bbox_head=dict(anchor_generator=dict(
    type='AnchorGenerator', scales=[2, 5], ratios=[1.0], strides=[(8, 8), (16, 16)], center_offset=0.5)))
test_cfg = dict(nms_pre=500, min_bbox_size=0, score_thr=0.2, nms=dict(type='nms', iou_thr=0.4), max_per_img=50)
test_pipeline = [
    dict(type='LoadImageFromFile'),
    dict(type='MultiScaleFlipAug', img_scale=(1000, 600), flip=False, transforms=[
        dict(type='Resize', keep_ratio=True), dict(type='RandomFlip'),
        dict(type='Normalize', mean=[1.0, 2.0, 3.0], std=[4.0, 5.0, 6.0], to_rgb=True),
        dict(type='Pad', size_divisor=16), dict(type='Collect', keys=['img'])]),
]
"""


def test_a_config_of_version_3() -> None:
    settings, notes = read_config(VERSION_3), list[str]()
    require_known_parts(settings)
    assert anchors_of(settings) == {
        "sizes": (48.0, 96.0, 192.0), "strides": (8, 16, 32), "ratios": (0.5, 2.0),
        "scales": pytest.approx((1.0, 2**0.5)), "offset": 0.0,
    }  # fmt: skip
    assert filter_of(settings, notes) == {
        "score_threshold": 0.1, "nms_threshold": 0.6, "max_detections": 7, "top_k": 0, "nms": "per_class",
    }  # fmt: skip
    assert resize_of(settings, notes) == {"min_side": 480, "max_side": 640, "pad_multiple": 64}
    assert pixels_of(settings, "caffe") == ((30.0, 20.0, 10.0), (3.0, 2.0, 1.0), True)
    assert notes == []


def test_a_config_of_version_2() -> None:
    settings, notes = read_config(VERSION_2), list[str]()
    require_known_parts(settings)
    assert anchors_of(settings) == {
        "sizes": (8.0, 16.0), "strides": (8, 16), "ratios": (1.0,), "scales": (2.0, 5.0), "offset": 0.5,
    }  # fmt: skip
    assert filter_of(settings, notes)["nms_threshold"] == 0.4
    assert filter_of(settings, notes)["top_k"] == 500
    assert resize_of(settings, notes) == {"min_side": 600, "max_side": 1000, "pad_multiple": 16}
    assert pixels_of(settings, "pytorch") == ((1.0, 2.0, 3.0), (4.0, 5.0, 6.0), False)
    assert notes == []


def test_what_no_config_tells_is_the_librarys_own() -> None:
    assert read_config("not Python (") == {}
    assert anchors_of({}) == {"offset": 0.0}
    assert filter_of({}, []) == resize_of({}, []) == {}
    assert pixels_of({}, "pytorch") == TORCH
    assert pixels_of({}, "caffe") == MEAN_ONLY
    require_known_parts({})


def test_nothing_of_a_config_is_run() -> None:
    marker = "model = dict(a=__import__('os').system('touch marker'), b=open('marker', 'w'), c=2)"
    assert read_config(marker)["model"]["c"] == 2
    assert read_config("x = " + "(" * 5000) == {}


@pytest.mark.parametrize(
    ("model", "message"),
    [
        ({"backbone": {"type": "ResNetV1d"}}, "backbone has type='ResNetV1d'; 'ResNet'"),
        ({"backbone": {"avg_down": True}}, "avg_down"),
        ({"neck": {"type": "PAFPN"}}, "PAFPN"),
        ({"neck": {"add_extra_convs": "on_lateral"}}, "lateral map"),
        ({"bbox_head": {"loss_cls": {"use_sigmoid": False}}}, "loss_cls has use_sigmoid=False"),
        ({"bbox_head": {"anchor_generator": {"type": "LegacyAnchorGenerator"}}}, "LegacyAnchorGenerator"),
        ({"bbox_head": {"bbox_coder": {"target_means": [0.1, 0, 0, 0]}}}, "mean of 0"),
        ({"bbox_head": {"norm_cfg": {"type": "GN", "num_groups": 16}}}, "32 groups"),
    ],
)
def test_parts_that_compute_something_else_are_refused(model: dict[str, Any], message: str) -> None:
    with pytest.raises(CheckpointError, match=message):
        require_known_parts({"model": model})


@pytest.mark.parametrize(
    ("generator", "message"),
    [
        ({"strides": [[8, 16]], "ratios": [1], "scales": [1]}, "differ in x and y"),
        ({"strides": [8], "ratios": [1], "scales": [1], "scale_major": False}, "scale by scale"),
        ({"strides": [8], "ratios": ["x"], "scales": [1]}, "where numbers belong"),
        ({"strides": [8], "ratios": [1], "scales": [1], "base_sizes": [9], "center_offset": 0.5}, "center_offset"),
    ],
)
def test_anchors_that_ours_has_not(generator: dict[str, Any], message: str) -> None:
    with pytest.raises(CheckpointError, match=message):
        anchors_of({"model": {"bbox_head": {"anchor_generator": generator}}})


def test_random_changes_of_a_config_end_in_settings_or_an_error() -> None:
    rng = np.random.default_rng(0)
    errors = 0
    for _ in range(300):
        text = list(VERSION_3 if rng.random() < 0.5 else VERSION_2)
        for place in rng.integers(0, len(text), 3):
            text[place] = str(rng.choice(list("0123456789.,'()[]=x -e")))
        settings = read_config("".join(text))
        try:
            require_known_parts(settings)
            _find_settings(settings, Overrides(), [])
        except (CheckpointError, KeyError, TypeError, ValueError, OverflowError):  # `describe` names the file
            errors += 1
    assert 0 < errors < 300


def test_what_is_done_otherwise_is_said() -> None:
    notes: list[str] = []
    filter_of({"model": {"test_cfg": {"score_thr": 0.1, "min_bbox_size": 4, "nms": {"type": "soft_nms"}}}}, notes)
    resize_of({"test_pipeline": [{"type": "Resize", "scale": [640, 640], "keep_ratio": False}]}, notes)
    assert [word in note for word, note in zip(("soft_nms", "4 pixels", "stretches"), notes, strict=True)] == [True] * 3


def test_one_mean_for_all_deltas_is_read_like_a_list() -> None:
    def settings(means: object) -> dict[str, object]:
        return {"model": {"bbox_head": {"bbox_coder": {"target_means": means}}}}

    for means in (0.0, 0, [0.0] * 4):
        require_known_parts(settings(means))
    for means in (0.5, [0.0, 0.5, 0.0, 0.0]):
        with pytest.raises(CheckpointError, match="target_means"):
            require_known_parts(settings(means))
