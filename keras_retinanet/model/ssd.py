"""The parts of an SSD from its settings: VGG-16 with extra layers, or MobileNetV3 with lite ones."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from keras_retinanet.backbones.ssd_vgg import ssd_vgg16
from keras_retinanet.backbones.ssdlite_mobilenet import ssdlite_mobilenet_v3_large
from keras_retinanet.config import NetworkConfig
from keras_retinanet.config.architectures import ARCHITECTURES
from keras_retinanet.geometry.box_coder import BoxCoder
from keras_retinanet.geometry.configured_anchors import anchor_layer
from keras_retinanet.model.heads import Head, class_outputs
from keras_retinanet.model.ssd_neck import SsdNeck
from keras_retinanet.model.ssdlite_head import LiteHead
from keras_retinanet.model.ssdlite_neck import EPSILON, MOMENTUM, SsdLiteNeck

BOX_STD = (0.1, 0.1, 0.2, 0.2)
"""Factors on the deltas, SSD's "variances"."""


def build_ssd_parts(
    config: NetworkConfig, num_classes: int, backbone_options: Mapping[str, Any], box_coder: BoxCoder | None
) -> tuple[Any, ...]:
    """Builds the parts of an SSD.

    Args:
        config: Settings; those of the architecture are filled in already.
        num_classes: `K`.
        backbone_options: Further arguments of the backbone.
        box_coder: Box coder, where it differs from SSD's.

    Returns:
        The positional arguments of `RetinaNet`.
    """
    weights = None if config.model.weights == "none" else config.model.weights
    anchors = anchor_layer(config)
    architecture = ARCHITECTURES[config.model.architecture]
    head: dict[str, Any] = {"num_anchors": anchors.num_anchors, "depth": 0, "is_shared": False}
    if architecture.is_lite:
        kinds: tuple[Any, ...] = (ssdlite_mobilenet_v3_large, SsdLiteNeck, LiteHead)
        head |= {"norm_epsilon": EPSILON, "norm_momentum": MOMENTUM}
    else:
        kinds = (ssd_vgg16, SsdNeck, Head)
    make_backbone, neck_class, head_class = kinds
    return (
        make_backbone(weights, **backbone_options),
        neck_class(architecture.blocks, name="ssd_neck"),
        head_class(**head, **class_outputs(config.loss, num_classes, config.model.prior), name="class_head"),
        head_class(4, **head, name="box_head"),
        anchors,
        box_coder or BoxCoder("center", BOX_STD, name="box_coder"),
    )
