"""The settings that describe a network; a snapshot holds them."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import Literal

from keras_retinanet.config.default_box_settings import DefaultBoxConfig
from keras_retinanet.config.filter_settings import FilterConfig
from keras_retinanet.config.names import (
    ArchitectureName,
    AssignerName,
    BackboneName,
    BoxCoderName,
    BoxLossName,
    BoxWeightingName,
    ClassBalance,
    ClassificationLossName,
    ForcedBox,
    HeadNorm,
    MiningScope,
)
from keras_retinanet.config.resize_settings import ResizeConfig


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
        offset_rule: Whether `offset` applies everywhere, or only along image sides that the stride divides, and is 0
            along others (TensorFlow's Object Detection API with images of fixed size).
        is_clipped: Clip anchors to the padded image, as KerasCV does.
    """

    sizes: tuple[float, ...] = (32.0, 64.0, 128.0, 256.0, 512.0)
    strides: tuple[int, ...] = (8, 16, 32, 64, 128)
    ratios: tuple[float, ...] = (0.5, 1.0, 2.0)
    scales: tuple[float, ...] | tuple[tuple[float, ...], ...] = (1.0, 2 ** (1 / 3), 2 ** (2 / 3))
    offset: float = 0.5
    is_rounded: bool = False
    has_whole_sizes: bool = True
    stride_mode: Literal["nominal", "grid"] = "nominal"
    offset_rule: Literal["always", "divisible"] = "always"
    is_clipped: bool = False


@dataclass(frozen=True)
class AssignerConfig:
    """Which anchors learn what (paper §4.1: object from IoU 0.5, background up to 0.4, ignored between).

    Attributes:
        positive_iou: Anchors whose IoU with a box is at least this are assigned to it.
        negative_iou: Anchors whose largest IoU is at most this are background; those in between are ignored.
        use_force_match: Also assign each box to its best anchor, whatever their IoU.
        assigner: Rule that assigns anchors to boxes: fixed IoU thresholds (paper), a threshold for each box from the
            IoUs of its nearest anchors (ATSS), or the anchors inside a box that predict it best (TOOD).
        nearest_cells: Positions per pyramid level, those nearest to a box's centre, whose anchors ATSS considers.
        aligned_top_k: Anchors per box that task-aligned assignment takes.
        alignment_alpha: Exponent of the score in task-aligned assignment.
        alignment_beta: Exponent of the IoU in task-aligned assignment.
        forced_box: What the best anchor of a box learns under force-matching: its own best box (torchvision's
            RetinaNet), or the box that it was forced for (SSD).
    """

    positive_iou: float = 0.5
    negative_iou: float = 0.4
    use_force_match: bool = False
    assigner: AssignerName = "iou_threshold"
    nearest_cells: int = 9
    aligned_top_k: int = 13
    alignment_alpha: float = 1.0
    alignment_beta: float = 6.0
    forced_box: ForcedBox = "best"


@dataclass(frozen=True)
class LossConfig:
    """Names and constants of the two losses (paper §3, §5.1: α 0.25, γ 2).

    A constant that the chosen loss does not have is refused.

    Attributes:
        classification: Loss of the class scores.
        box: Loss of the boxes; the IoU losses compare decoded boxes.
        alpha: Weight of objects in the focal loss and in balanced cross entropy; background has 1 - alpha. Defaults to
            0.25.
        gamma: Exponent γ of the factor (1 - p)^γ of focal losses; 0 gives the cross entropy. Steepness of focal_star.
            Defaults to 2.
        beta: Error at which smooth L1 turns from quadratic to linear.
        box_weight: Weight of the box loss against the classification loss.
        background_weight: Weight of background in the varifocal loss, its α. Defaults to 0.75.
        box_weighting: Weight of an object in the box loss: the same for all, its best score (GFL), or its quality,
            which is the IoU of its box (VarifocalNet) or the target score of task-aligned assignment (TOOD).
        dfl_weight: Weight of the distribution focal loss, if boxes are distributions.
        quality_weight: Weight of the loss of the predicted IoU, if there is one.
        class_weights: One weight per class, in the order of the labels, on all terms of its scores.
        class_alphas: One alpha per class, in the order of the labels; replaces `alpha`.
        class_balance: Compute them from the training boxes: weights by the effective number of boxes (Cui et al.
            2019), or alphas by their frequency.
        balance_beta: β of the effective number (1 - β^n) / (1 - β) of n boxes; 0 gives equal weights.
        label_smoothing: Targets of the class scores are this share closer to a half.
        shift: Shift β of focal_star. Defaults to 1.
        mined_examples: Anchors that learn their class under ohem, those of largest loss. Defaults to 128.
        mining_nms: ohem leaves out anchors whose IoU with one of larger loss is above this; 1 leaves out none. Defaults
            to 0.5.
        negative_ratio: Background anchors per object that learn; 0 chooses by loss alone (ohem). Defaults to 0 (ohem)
            or 3 (hard_negative).
        mining_scope: ohem chooses from each image, or from the batch. Defaults to image.
        gradient_bins: Bins of gradient sizes of ghm. Defaults to 30.
    """

    classification: ClassificationLossName = "focal"
    box: BoxLossName = "smooth_l1"
    alpha: float | None = None
    gamma: float | None = None
    beta: float = 1 / 9
    box_weight: float = 1.0
    background_weight: float | None = None
    box_weighting: BoxWeightingName = "equal"
    dfl_weight: float = 0.25
    quality_weight: float = 0.5
    class_weights: tuple[float, ...] = ()
    class_alphas: tuple[float, ...] = ()
    class_balance: ClassBalance = "none"
    balance_beta: float = 0.999
    label_smoothing: float = 0.0
    shift: float | None = None
    mined_examples: int | None = None
    mining_nms: float | None = None
    negative_ratio: float | None = None
    mining_scope: MiningScope | None = None
    gradient_bins: int | None = None

    def __post_init__(self) -> None:
        for name in ("class_weights", "class_alphas"):
            object.__setattr__(self, name, tuple(getattr(self, name)))  # JSON has lists


@dataclass(frozen=True)
class ModelConfig:
    """The network. Everything here is stored in the snapshot as the layers' own arguments.

    Attributes:
        backbone: The network that turns the image into features.
        weights: Where the weights start: imagenet, none, or a file (backbone weights, or a snapshot to fine-tune).
        weights_config: Settings of such a file if it is a TensorFlow checkpoint: pipeline.config or params.yaml.
            Defaults to the one in its folder or above.
        min_level: Finest pyramid level, of stride 2 ** level.
        max_level: Coarsest pyramid level.
        p6_source: Map from which level 6 is made: the backbone's C5 (paper) or the pyramid's P5 (torchvision v1).
        stride_padding: Padding of levels 6 and 7: one pixel on each side, or TensorFlow's "same" (fizyr).
        has_relu_before_p7: ReLU between levels 6 and 7; MMDetection has none.
        fpn_width: Channels of every pyramid level.
        head_width: Channels inside the two heads.
        head_depth: Convolutions before the last one of each head.
        head_norm: Normalisation after each of them; batch normalisation has its own weights on each level, and is
            synchronised between replicas.
        head_norm_epsilon: Added to the variance by that normalisation; KerasHub has 0.001.
        has_head_bias: Convolutions have biases before that normalisation too, as Detectron2's.
        has_shared_heads: Use the same head weights on every level.
        box_coder: Box parametrisation: centre and size (paper), corners (fizyr), or a distribution over the distances
            of each side from the anchor's centre (GFL), which costs little with one anchor per cell only.
        activation: Activation of pyramid and heads.
        norm_momentum: Batch normalisation of pyramid and heads: share of the old statistics in each update.
        fpn_norm: Normalisation after the last convolution of each pyramid level.
        fpn_norm_epsilon: Added to the variance by that normalisation.
        has_fpn_bias: The pyramid's 3x3 convolutions have biases.
        has_fpn_activation: Activation after them.
        fpn_carried: What is added to the next finer level: the sum before its 3x3 convolution (paper), or the finished
            output.
        has_top_output: A 3x3 convolution makes P5; without, P5 is its 1x1 convolution alone.
        extra_input: Levels 6 and 7 are made from maps before their normalisation (raw), or from finished ones.
        is_fpn_separable: The pyramid's 3x3 convolutions are depthwise and 1x1 ones.
        is_head_separable: Those of the heads are.
        has_shared_tower: Both heads predict from the same convolutions.
        reg_max: Largest distance of a distribution, in bins of an eighth of the anchor's side.
        has_quality: Let the box head also predict the IoU of each box, which is combined with its score (PAA).
        architecture: The whole network: a RetinaNet of any backbone, or an SSD, which decides backbone, image shape,
            default boxes and losses; flags that do not apply to it are refused.
        prior: Probability π of objects with which the class head starts; 0.5 starts all its biases at 0. Defaults to
            0.01 (multibox: biases of 0).
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
    head_norm: HeadNorm = "none"
    head_norm_epsilon: float = 1e-5
    has_head_bias: bool = False
    has_shared_heads: bool = True
    box_coder: BoxCoderName = "center"
    activation: Literal["relu", "relu6", "swish"] = "relu"
    norm_momentum: float = 0.99
    fpn_norm: Literal["none", "batch"] = "none"
    fpn_norm_epsilon: float = 1e-3
    has_fpn_bias: bool = True
    has_fpn_activation: bool = False
    fpn_carried: Literal["sum", "output"] = "sum"
    has_top_output: bool = True
    extra_input: Literal["raw", "finished"] = "raw"
    is_fpn_separable: bool = False
    is_head_separable: bool = False
    has_shared_tower: bool = False
    reg_max: int = 16
    has_quality: bool = False
    weights_config: str | None = None
    architecture: ArchitectureName = "retinanet"
    prior: float | None = None


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
        default_boxes: The default boxes of an SSD.
    """

    model: ModelConfig = field(default_factory=ModelConfig)
    anchors: AnchorConfig = field(default_factory=AnchorConfig)
    assigner: AssignerConfig = field(default_factory=AssignerConfig)
    loss: LossConfig = field(default_factory=LossConfig)
    resize: ResizeConfig = field(default_factory=ResizeConfig)
    filter: FilterConfig = field(default_factory=FilterConfig)
    default_boxes: DefaultBoxConfig = field(default_factory=DefaultBoxConfig)
