"""Every setting, once: frozen dataclasses with the defaults, and the names that flags may choose from.

Imports nothing of ours and no framework, so that command lines can be parsed in milliseconds. The dataclasses that
describe a *model* (`AnchorConfig` … `ResizeConfig`) travel inside the snapshot; `TrainConfig` goes into the run's
`config.yaml`. The `Attributes:` of each class are also the help texts of the command-line flags made from it.
"""

from __future__ import annotations

import dataclasses
from dataclasses import dataclass, field
from typing import Any, Literal

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
VocOrigin = Literal["auto", "0", "1"]
YoloRows = Literal["auto", "polygon", "keypoints"]
ClassificationLossName = Literal["focal", "cross_entropy", "balanced_cross_entropy", "quality_focal", "varifocal"]
AssignerName = Literal["iou_threshold", "atss"]
BoxLossName = Literal["smooth_l1", "l1", "giou", "diou", "ciou"]
BoxCoderName = Literal["center", "corner"]
NmsMode = Literal["per_class", "agnostic", "none"]
OptimizerName = Literal["sgd", "adam", "adamw", "muon"]
ScheduleName = Literal["step", "cosine", "constant"]
MixedPrecision = Literal["none", "float16", "bfloat16"]
AugmentName = Literal[
    "none", "flip", "flips", "fizyr", "multi_scale", "strong", "large_jitter", "aerial", "mosaic", "heavy"
]
MetricName = Literal["coco", "voc"]
ExportFormat = Literal["keras", "saved_model", "onnx", "openvino", "litert"]
ExportDtype = Literal["float32", "float16", "bfloat16", "int8"]
ClipTime = Literal["before_nms", "after_nms", "never"]
Rounding = Literal["nearest", "even", "floor"]
ResizeMethod = Literal["bilinear", "float", "cv2", "pillow"]
SourceName = Literal["fizyr", "torchvision", "detectron2", "mmdetection", "keras_hub"]

DEMO_PATH = "./demo-scenes"
"""Default folder of the `demo` data set."""


@dataclass(frozen=True)
class AnchorConfig:
    """Anchors of each pyramid level (paper §4.1; fizyr's order and centring).

    Attributes:
        sizes: Side of the square base anchor in pixels, one per level.
        strides: Pixels between neighbouring anchors, one per level.
        ratios: Height over width.
        scales: Factors on `sizes`; a tuple of tuples gives each level its own.
        offset: Position of the first centre as a share of the stride (0.5 fizyr, 0 torchvision and Detectron2).
        is_rounded: Round the base anchors' corners to integers, as torchvision does.
        has_whole_sizes: Before that, round size × scale down to an integer, as in torchvision's default anchors; sizes
            passed to its `AnchorGenerator` are not rounded.
        stride_mode: `"nominal"` takes `strides`; `"grid"` takes `image side // grid side`, as torchvision does.
    """

    sizes: tuple[float, ...] = (32.0, 64.0, 128.0, 256.0, 512.0)
    strides: tuple[int, ...] = (8, 16, 32, 64, 128)
    ratios: tuple[float, ...] = (0.5, 1.0, 2.0)
    scales: tuple[float, ...] | tuple[tuple[float, ...], ...] = (1.0, 2 ** (1 / 3), 2 ** (2 / 3))
    offset: float = 0.5
    is_rounded: bool = False
    has_whole_sizes: bool = True
    stride_mode: Literal["nominal", "grid"] = "nominal"


@dataclass(frozen=True)
class AssignerConfig:
    """Which anchors learn what (paper §4.1: object from IoU 0.5, background up to 0.4, ignored between).

    Attributes:
        positive_iou: Anchors whose IoU with a box is at least this are assigned to it.
        negative_iou: Anchors whose largest IoU is at most this are background; those in between are ignored.
        use_force_match: Also assign each box to its best anchor, whatever their IoU.
        assigner: Rule that assigns anchors to boxes: fixed IoU thresholds (paper), or a threshold for each box from
            the IoUs of its nearest anchors (ATSS).
        nearest_cells: Positions per pyramid level, those nearest to a box's centre, whose anchors ATSS considers.
    """

    positive_iou: float = 0.5
    negative_iou: float = 0.4
    use_force_match: bool = False
    assigner: AssignerName = "iou_threshold"
    nearest_cells: int = 9


@dataclass(frozen=True)
class LossConfig:
    """Names and constants of the two losses (paper §3, §5.1: α 0.25, γ 2).

    A constant that the chosen loss does not have is refused.

    Attributes:
        classification: Loss of the class scores.
        box: Loss of the boxes; the IoU losses compare decoded boxes.
        alpha: Weight of objects in the focal loss and in balanced cross entropy; background has 1 - alpha. Defaults to
            0.25.
        gamma: Exponent γ of the factor (1 - p)^γ of focal losses; 0 gives the cross entropy. Defaults to 2.
        beta: Error at which smooth L1 turns from quadratic to linear.
        box_weight: Weight of the box loss against the classification loss.
        background_weight: Weight of background in the varifocal loss, its α. Defaults to 0.75.
    """

    classification: ClassificationLossName = "focal"
    box: BoxLossName = "smooth_l1"
    alpha: float | None = None
    gamma: float | None = None
    beta: float = 1 / 9
    box_weight: float = 1.0
    background_weight: float | None = None


@dataclass(frozen=True)
class FilterConfig:
    """From scored boxes to detections (paper §4.1: score 0.05, 1,000 a level, NMS 0.5).

    Attributes:
        score_threshold: Boxes with this score or a lower one are dropped.
        nms_threshold: IoU above which the lower scored of two boxes is removed.
        max_detections: Maximum number of detections per image.
        top_k: Maximum number of (anchor, class) pairs per pyramid level that enter NMS.
        nms: Suppress boxes within their class, across classes, or not at all.
        clip: When boxes are clipped to the image: before NMS, after it (Detectron2), or never (KerasHub).
        clip_margin: Pixels by which boxes end before the image's right and lower edge: 1 in fizyr.
        drop_empty: Drop boxes without area: before NMS (MMDetection), or once clipped after it (Detectron2).
        class_thresholds: One score threshold per class, in the order of the labels; replaces `score_threshold`.
    """

    score_threshold: float = 0.05
    nms_threshold: float = 0.5
    max_detections: int = 300
    top_k: int = 1000
    nms: NmsMode = "per_class"
    clip: ClipTime = "before_nms"
    clip_margin: int = 0
    drop_empty: bool = False
    class_thresholds: tuple[float, ...] = ()

    def __post_init__(self) -> None:
        object.__setattr__(self, "class_thresholds", tuple(self.class_thresholds))  # JSON has lists


@dataclass(frozen=True)
class ResizeConfig:
    """How an image becomes network input; training, detection and export share it.

    Attributes:
        min_side: Target length of the shorter side in pixels.
        max_side: Upper limit for the longer side in pixels; it overrides the target for the shorter side.
        is_square: Scale the longer side to `max_side` and pad to a `max_side` square: one shape for every image.
        antialias: Low-pass before shrinking. Defaults to `False`, as cv2, torchvision and fizyr do.
        pad_multiple: Pad images on the right and at the bottom to a multiple of this.
        rounding: How a scaled side becomes whole pixels: nearest (halves up), nearest with halves to even (OpenCV
            given a scale), or down (torchvision).
        method: Arithmetic: bilinear, rounded once; float, not rounded (torchvision); cv2, whose weights have 11 bits;
            pillow, antialiased and rounded after each axis (Detectron2).
        has_one_scale: Pixels and boxes follow the unrounded scale, the same on both axes, as in fizyr.
    """

    min_side: int = 800
    max_side: int = 1333
    is_square: bool = False
    antialias: bool = False
    pad_multiple: int = 32
    rounding: Rounding = "nearest"
    method: ResizeMethod = "bilinear"
    has_one_scale: bool = False


@dataclass(frozen=True)
class TileConfig:
    """How a large image is cut into tiles, which are detected one by one.

    Attributes:
        size: Side of the square tiles in pixels of the image.
        overlap: Share of a tile that neighbours have in common, at least.
        has_whole_pass: Also detect once in the whole image, to find what is larger than the overlap.
    """

    size: int = 800
    overlap: float = 0.25
    has_whole_pass: bool = True


@dataclass(frozen=True)
class ModelConfig:
    """The network. Everything here is stored in the snapshot as the layers' own arguments.

    Attributes:
        backbone: The network that turns the image into features.
        weights: Where the weights start: imagenet, none, or a file (backbone weights, or a snapshot to fine-tune).
        min_level: Finest pyramid level, of stride 2 ** level.
        max_level: Coarsest pyramid level.
        p6_source: Map from which level 6 is made: the backbone's C5 (paper) or the pyramid's P5 (torchvision v1).
        stride_padding: Padding of levels 6 and 7: one pixel on each side, or TensorFlow's "same" (fizyr).
        has_relu_before_p7: ReLU between levels 6 and 7; MMDetection has none.
        fpn_width: Channels of every pyramid level.
        head_width: Channels inside the two heads.
        head_depth: Convolutions before the last one of each head.
        head_norm: Normalisation after each of them.
        head_norm_epsilon: Added to the variance by that normalisation; KerasHub has 0.001.
        has_head_bias: Convolutions have biases before that normalisation too, as Detectron2's.
        has_shared_heads: Use the same head weights on every level.
        box_coder: Box parametrisation: centre and size (paper) or corners (fizyr).
    """

    backbone: BackboneName = "resnet50"
    weights: str = "imagenet"
    min_level: int = 3
    max_level: int = 7
    p6_source: Literal["C5", "P5"] = "C5"
    stride_padding: Literal["symmetric", "same"] = "symmetric"
    has_relu_before_p7: bool = True
    fpn_width: int = 256
    head_width: int = 256
    head_depth: int = 4
    head_norm: Literal["none", "group"] = "none"
    head_norm_epsilon: float = 1e-5
    has_head_bias: bool = False
    has_shared_heads: bool = True
    box_coder: BoxCoderName = "center"


@dataclass(frozen=True)
class NetworkConfig:
    """The settings that a network is built from and that its snapshot holds.

    Attributes:
        model: The network.
        anchors: The anchors.
        assigner: Which anchors learn what.
        loss: The two losses.
        resize: How an image becomes network input.
        filter: How scored boxes become detections.
    """

    model: ModelConfig = field(default_factory=ModelConfig)
    anchors: AnchorConfig = field(default_factory=AnchorConfig)
    assigner: AssignerConfig = field(default_factory=AssignerConfig)
    loss: LossConfig = field(default_factory=LossConfig)
    resize: ResizeConfig = field(default_factory=ResizeConfig)
    filter: FilterConfig = field(default_factory=FilterConfig)


@dataclass(frozen=True)
class DataConfig:
    """Which images, and how they are fed.

    Attributes:
        dataset: Format of the data: a key of `data.datasets.DATASETS`.
        path: Folder of the data (tfds: its name); for CSV, see `annotations`.
        train_set: Name of the split to train on. Defaults to the format's own.
        val_set: Name of the split to evaluate on. Defaults to the format's own.
        annotations: CSV file with the training annotations.
        classes: File with the class names: CSV lines of name and id, or the label map of TFRecords.
        val_annotations: CSV file with the validation annotations.
        labels_filter: Open Images: only these classes, in this order.
        parent_label: Open Images: only this class and those below it in the hierarchy.
        difficult: Pascal VOC: treat difficult objects as ignore regions, keep them as ordinary objects, or drop them.
        image_dir: COCO, YOLO, Open Images: folder of the images, if they are not in one of the usual places.
        voc_origin: Pascal VOC: number of the first pixel; auto decides by the coordinates of the whole data set.
        yolo_rows: YOLO: read rows of more than six numbers as polygons or as boxes with keypoints; auto decides by the
            data set.
        bad_data: Boxes outside their image or without area, and images that cannot be decoded: stop, or report them
            and continue.
        use_index_cache: Cache the parsed annotations of a large data set until the files change.
        limit: Use only the first N training images.
        workers: Threads that read and decode images. Defaults to the number of cores.
        use_cache: Keep the decoded images in memory.
        augment: Name of the preset of random changes to training images.
    """

    dataset: str = "coco"
    path: str = ""
    train_set: str | None = None
    val_set: str | None = None
    annotations: str | None = None
    classes: str | None = None
    val_annotations: str | None = None
    labels_filter: tuple[str, ...] | None = None
    parent_label: str | None = None
    difficult: DifficultRule = "ignore"
    image_dir: str | None = None
    voc_origin: VocOrigin = "auto"
    yolo_rows: YoloRows = "auto"
    bad_data: BadDataPolicy = "skip"
    use_index_cache: bool = True
    limit: int | None = None
    workers: int | None = None
    use_cache: bool = False
    augment: AugmentName = "flip"


@dataclass(frozen=True)
class OptimizerConfig:
    """Optimizer and schedule (paper §4.1: SGD, momentum 0.9, 0.01 for 16 images, decay 1e-4, ÷10 at 2/3 and 8/9).

    Attributes:
        optimizer: SGD with momentum as in the paper, Adam, AdamW, or Muon, which learned faster than AdamW from random
            weights (docs/training.md).
        learning_rate: Peak learning rate. Defaults to 0.01 (adam, adamw: 0.0001, muon: 0.001) for 16 images, scaled
            with the batch.
        schedule: Decay after the warm-up: divide by 10 at 2/3 and 8/9 of the run, half a cosine, or none.
        warmup_steps: Steps of linear warm-up. Defaults to 500, but at most a tenth of the run.
        weight_decay: Weight decay, applied to kernels only. Defaults to 0.0001 (sgd), 0 (adam), 0.05 (adamw, muon).
        clip_norm: Largest norm of the whole gradient; 0 turns clipping off.
        momentum: Momentum of SGD.
    """

    optimizer: OptimizerName = "sgd"
    learning_rate: float | None = None
    schedule: ScheduleName = "step"
    warmup_steps: int | None = None
    weight_decay: float | None = None
    clip_norm: float = 10.0
    momentum: float = 0.9


@dataclass(frozen=True)
class TrainConfig:
    """One training run.

    Attributes:
        data: Which images, and how they are fed.
        model: The network.
        anchors: The anchors.
        assigner: Which anchors learn what.
        loss: The two losses.
        resize: How an image becomes network input.
        filter: How scored boxes become detections.
        optimizer: Optimizer and schedule.
        batch_size: Images per step.
        epochs: Passes over the training images.
        steps: Steps per epoch. Defaults to one pass over all images.
        seed: Seed of everything random: new weights, order and augmentation of the images.
        mixed_precision: Compute convolutions in half precision; boxes and losses are always float32.
        freeze_backbone: Do not train the backbone.
        snapshot_path: Folder in which each run creates its own folder.
        tensorboard_dir: Also write TensorBoard logs here.
        use_evaluation: Evaluate on the validation split.
        evaluate_every: Epochs between two evaluations; the last epoch is always evaluated.
        metric: Metric of these evaluations; best.keras holds the weights with the best AP
            (coco) or mAP at IoU 0.5 (voc).
    """

    data: DataConfig = field(default_factory=DataConfig)
    model: ModelConfig = field(default_factory=ModelConfig)
    anchors: AnchorConfig = field(default_factory=AnchorConfig)
    assigner: AssignerConfig = field(default_factory=AssignerConfig)
    loss: LossConfig = field(default_factory=LossConfig)
    resize: ResizeConfig = field(default_factory=ResizeConfig)
    filter: FilterConfig = field(default_factory=FilterConfig)
    optimizer: OptimizerConfig = field(default_factory=OptimizerConfig)
    batch_size: int = 2
    epochs: int = 12
    steps: int | None = None
    seed: int = 0
    mixed_precision: MixedPrecision = "none"
    freeze_backbone: bool = False
    snapshot_path: str = "./snapshots"
    tensorboard_dir: str | None = None
    use_evaluation: bool = True
    evaluate_every: int = 1
    metric: MetricName = "coco"

    @property
    def network(self) -> NetworkConfig:
        """The settings that the network is built from."""
        return NetworkConfig(self.model, self.anchors, self.assigner, self.loss, self.resize, self.filter)


@dataclass(frozen=True)
class ExportConfig:
    """How an artefact is written.

    Attributes:
        dtype: Number format of the network; boxes and scores are always float32.
        image_size: Height and width of the only input that the artefact takes. Defaults to any size; for litert, to
            the square that holds every image.
        fold_batch_norm: Multiply batch normalisation into the convolutions before it. Defaults to on, except for the
            keras format.
        representative: Folder of sample images for calibrating int8 quantisation.
    """

    dtype: ExportDtype = "float32"
    image_size: tuple[int, int] | None = None
    fold_batch_norm: bool | None = None
    representative: str | None = None


@dataclass(frozen=True)
class ServeConfig:
    """The server of `retinanet-serve`.

    Attributes:
        host: Address to listen on. The default is reachable from this machine only.
        port: Port to listen on; 0 takes a free one.
        name: Name of the model in URLs. Defaults to the name of its folder or file.
        max_batch: Maximum batch size.
        max_wait_ms: Milliseconds that an image waits for others of its shape before it is detected alone.
        max_queue: Maximum number of images waiting or in progress; further requests get status 503.
        max_pixels: Largest image, in pixels, read from its header before anything is decoded.
        max_request_mb: Largest request, in megabytes.
        max_connections: Maximum number of connected clients; further ones get status 503.
        client_timeout: Seconds that a client may take to send its headers, to send its body, and to read the response.
        answer_timeout: Seconds after which a received request fails with status 504.
        use_log: Log one line per request.
    """

    host: str = "127.0.0.1"
    port: int = 8501
    name: str | None = None
    max_batch: int = 8
    max_wait_ms: float = 5.0
    max_queue: int = 256
    max_pixels: int = 50_000_000
    max_request_mb: int = 32
    max_connections: int = 1000
    client_timeout: float = 30.0
    answer_timeout: float = 60.0
    use_log: bool = True


def to_dict(config: Any) -> dict[str, Any]:
    """Plain nested dict of a config dataclass, tuples as lists, ready for YAML or JSON."""
    plain: dict[str, Any] = _listed(dataclasses.asdict(config))
    return plain


def _listed(value: Any) -> Any:
    if isinstance(value, dict):
        return {key: _listed(item) for key, item in value.items()}
    if isinstance(value, (list, tuple)):
        return [_listed(item) for item in value]
    return value
