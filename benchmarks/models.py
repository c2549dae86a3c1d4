"""The three RetinaNets that are compared: ours, keras-hub's and one in plain PyTorch, doing equal work.

All have a ResNet-50 with the stride on the 3x3 convolution, P3 to P7 with P6 from C5, heads of four 256-wide
convolutions and nine anchors a cell. Frameworks are imported where they are used: each side runs in its own process.
"""

from __future__ import annotations

from typing import Any

Size = tuple[int, int]


def set_precision(dtype: str) -> None:
    """Keras' policy for `"float32"`, `"bfloat16"` or `"float16"`: variables stay float32."""
    import keras

    keras.config.set_dtype_policy(dtype if dtype == "float32" else f"mixed_{dtype}")


def make_ours(num_classes: int, depth: int = 4, norm: str = "none") -> Any:
    """Our RetinaNet on whichever backend Keras has; `depth` and `norm` of its heads."""
    from keras_retinanet.backbones import BACKBONES
    from keras_retinanet.backbones.normalize import TORCH
    from keras_retinanet.geometry.anchors import Anchors
    from keras_retinanet.geometry.box_coder import BoxCoder
    from keras_retinanet.model.fpn import FeaturePyramid
    from keras_retinanet.model.heads import Head
    from keras_retinanet.model.retinanet import RetinaNet

    return RetinaNet(
        BACKBONES["resnet50"](weights=None, stride_on="3x3", normalization=TORCH),
        FeaturePyramid(256, 3, 7, p6_source="C5"),
        Head(num_classes, depth=depth, norm=norm, prior=0.01, name="class_head"),
        Head(4, depth=depth, norm=norm, name="box_head"),
        Anchors(),
        BoxCoder(),
        class_names=[str(label) for label in range(num_classes)],
    )


def make_keras_hub(num_classes: int, size: Size, max_detections: int = 300) -> Any:
    """keras-hub's RetinaNet from its configuration; nothing is downloaded."""
    import keras_hub

    encoder = keras_hub.models.ResNetBackbone(
        input_conv_filters=[64],
        input_conv_kernel_sizes=[7],
        stackwise_num_filters=[64, 128, 256, 512],
        stackwise_num_blocks=[3, 4, 6, 3],
        stackwise_num_strides=[1, 2, 2, 2],
        block_type="bottleneck_block",
        image_shape=(*size, 3),
    )
    backbone = keras_hub.models.RetinaNetBackbone(encoder, 3, 7, use_p5=False, image_shape=(*size, 3))
    decoder = keras_hub.layers.NonMaxSuppression(
        "yxyx", from_logits=True, iou_threshold=0.5, confidence_threshold=0.05, max_detections=max_detections
    )
    return keras_hub.models.RetinaNetObjectDetector(backbone, num_classes, prediction_decoder=decoder)


def spread_logits(kernel: Any, bias: Any, logits: Any) -> tuple[Any, Any]:
    """Kernel and bias of the last class convolution after which logits have mean -5 and deviation 1.

    A fresh network scores everything 0.01 and would leave the filter nothing to do. Thus some 2 % of the scores
    lie above 0.05, more than the 1,000 that a level may keep, whichever network they come from.
    """
    return kernel / logits.std(), (bias - logits.mean()) / logits.std() - 5.0
