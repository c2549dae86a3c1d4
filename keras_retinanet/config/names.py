"""The names that settings may take, so that command lines are parsed without importing the tables of these names.

Tests compare names and tables.
"""

from __future__ import annotations

from typing import Literal

ArchitectureName = Literal["retinanet", "ssd300_vgg16", "ssd512_vgg16", "ssdlite320_mobilenet_v3_large"]
BackboneName = Literal[
    "resnet10_050", "resnet18", "resnet34", "resnet50", "resnet101", "resnet152",
    "vgg16", "vgg19",
    "mobilenet", "mobilenet_025", "mobilenet_050", "mobilenet_075",
    "mobilenet_v2", "mobilenet_v3_small", "mobilenet_v3_large",
    "densenet121", "densenet169", "densenet201",
    "efficientnet_b0", "efficientnet_b1", "efficientnet_b2", "efficientnet_b3",
    "efficientnet_b4", "efficientnet_b5", "efficientnet_b6", "efficientnet_b7",
    "efficientnet_v2_b0", "efficientnet_v2_b1", "efficientnet_v2_b2", "efficientnet_v2_b3",
    "efficientnet_v2_s", "efficientnet_v2_m", "efficientnet_v2_l",
    "convnext_tiny", "convnext_small", "convnext_base", "convnext_large", "convnext_xlarge",
    "efficientnet_lite0",
]  # fmt: skip
BadDataPolicy = Literal["error", "skip"]
WriterName = Literal["coco", "csv", "yolo", "pascal", "tfrecord"]
ImageMode = Literal["copy", "link", "none"]
DifficultRule = Literal["ignore", "keep", "drop"]
PersonBox = Literal["fbox", "vbox", "hbox"]
VocOrigin = Literal["auto", "0", "1"]
ExifRule = Literal["auto", "apply", "ignore"]
ExifFrame = Literal["apply", "ignore"]
YoloRows = Literal["auto", "polygon", "keypoints"]
ClassificationLossName = Literal[
    "focal", "cross_entropy", "balanced_cross_entropy", "quality_focal", "varifocal", "softmax_cross_entropy",
    "focal_star", "ohem", "hard_negative", "ghm", "softmax_focal", "multibox",
]  # fmt: skip
AssignerName = Literal["iou_threshold", "atss", "task_aligned"]
ForcedBox = Literal["best", "own"]
BoxLossName = Literal["smooth_l1", "l1", "giou", "diou", "ciou"]
BoxCoderName = Literal["center", "corner", "distribution"]
BoxWeightingName = Literal["equal", "score", "quality"]
QualityScore = Literal["sqrt", "product", "none"]
ClassBalance = Literal["none", "effective_number", "alpha_by_frequency"]
MiningScope = Literal["image", "batch"]
HeadNorm = Literal["none", "group", "batch"]
NmsMode = Literal["per_class", "agnostic", "none"]
OptimizerName = Literal["sgd", "adam", "adamw", "muon"]
ScheduleName = Literal["step", "cosine", "flat_cosine", "constant"]
RecipeName = Literal["paper", "fizyr", "modern"]
NonFinitePolicy = Literal["stop", "skip", "restore"]
Winograd = Literal["off", "auto"]
MixedPrecision = Literal["none", "float16", "bfloat16"]
AugmentName = Literal[
    "none", "flip", "flips", "fizyr", "multi_scale", "strong", "large_jitter", "aerial", "mosaic", "copy_paste",
    "heavy",
]  # fmt: skip
MetricName = Literal["coco", "voc", "voc2007", "fizyr", "open_images", "lrp", "f1", "counts"]
ExportFormat = Literal["keras", "saved_model", "onnx", "openvino", "litert"]
ExportDtype = Literal["float32", "float16", "bfloat16", "int8"]
ClipTime = Literal["before_nms", "after_nms", "never"]
Rounding = Literal["nearest", "even", "floor"]
ResizeMethod = Literal["bilinear", "float", "cv2", "pillow", "tf1"]
ShapeMode = Literal["fit", "stretch"]
ClipFrame = Literal["image", "shape"]
SourceName = Literal[
    "fizyr", "torchvision", "detectron2", "mmdetection", "keras_hub", "keras_cv", "tf_object_detection", "model_garden"
]
