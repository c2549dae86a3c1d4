"""Settings of the Object Detection API's `pipeline.config` as ours."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from typing import Any

from keras_retinanet.config import FilterConfig, ResizeConfig
from keras_retinanet.importers.blueprint import CheckpointError
from keras_retinanet.importers.tf_settings import Fields
from keras_retinanet.protobuf_text import ProtobufTextError, read_protobuf_text

SETTINGS = "pipeline.config"
_SSD = (
    "num_classes", "add_background_class", "image_resizer", "feature_extractor", "box_coder", "box_predictor",
    "anchor_generator", "post_processing",
)  # fmt: skip
_TRAINING_ALONE = (
    "matcher", "similarity_calculator", "encode_background_as_zeros", "negative_class_weight", "loss",
    "normalize_loss_by_num_matches", "normalize_loc_loss_by_codesize", "freeze_batchnorm", "inplace_batchnorm_update",
    "use_confidences_as_targets", "implicit_example_weight", "return_raw_detections_during_predict",
)  # fmt: skip
_EXTRACTOR = (
    "type", "depth_multiplier", "min_depth", "conv_hyperparams", "override_base_feature_extractor_hyperparams",
    "pad_to_multiple", "use_explicit_padding", "use_depthwise", "fpn", "replace_preprocessor_with_placeholder",
    "num_layers",
)  # fmt: skip
_PREDICTOR = (
    "conv_hyperparams", "apply_conv_hyperparams_to_heads", "apply_conv_hyperparams_pointwise",
    "num_layers_before_predictor", "depth", "kernel_size", "box_code_size", "class_prediction_bias_init",
    "use_dropout", "dropout_keep_probability", "share_prediction_tower", "use_depthwise", "score_converter",
    "box_encodings_clip_range",
)  # fmt: skip
_HYPERPARAMS = (
    "op", "regularizer", "initializer", "activation", "batch_norm", "sync_batch_norm", "regularize_depthwise",
    "force_use_bias",
)  # fmt: skip
_ANCHORS = (
    "min_level", "max_level", "anchor_scale", "aspect_ratios", "scales_per_octave", "normalize_coordinates",
)  # fmt: skip
_KEEPING = (
    "min_dimension", "max_dimension", "resize_method", "pad_to_max_dimension", "convert_to_grayscale",
    "per_channel_pad_value",
)  # fmt: skip
_NMS = (
    "score_threshold", "iou_threshold", "max_detections_per_class", "max_total_detections", "use_static_shapes",
    "use_class_agnostic_nms", "max_classes_per_detection", "soft_nms_sigma", "use_partitioned_nms", "use_combined_nms",
    "change_coordinate_frame", "use_hard_nms", "use_cpu_nms",
)  # fmt: skip
_ACTIVATIONS = {"RELU": "relu", "RELU_6": "relu6", "SWISH": "swish"}


@dataclass(frozen=True)
class Norm:
    """Batch normalisation and activation of a part of the network.

    Attributes:
        activation: Name of the activation.
        epsilon: Added to the variance.
        momentum: Share of the old running statistics in each update.
    """

    activation: str
    epsilon: float
    momentum: float


def read_pipeline(path: Path) -> Fields:
    """Reads `model.ssd` of a `pipeline.config`.

    Args:
        path: The file.

    Returns:
        Its fields.

    Raises:
        CheckpointError: It is not such a file, or describes another kind of detector.
    """
    ssd = _read_messages(path).message("model").only("ssd")
    if not ssd.names:
        raise CheckpointError(f"{path}: has no message model.ssd.")
    ssd.require_known(*_SSD, *_TRAINING_ALONE)
    return ssd


def uses_averages(path: Path) -> bool:
    """Whether a `pipeline.config` evaluates with the averages of the weights that an optimizer keeps."""
    return bool(_read_messages(path).message("eval_config").get("use_moving_averages", False))


def _read_messages(path: Path) -> Fields:
    try:
        return Fields(read_protobuf_text(path.read_text(encoding="utf-8")), SETTINGS)
    except (OSError, UnicodeDecodeError, ProtobufTextError) as error:
        raise CheckpointError(f"{path}: cannot be read as protobuf text: {error}.") from error


def read_extractor(ssd: Fields) -> Fields:
    """Reads the settings of backbone and pyramid."""
    extractor = ssd.message("feature_extractor").require_known(*_EXTRACTOR)
    extractor.message("fpn").require_known("min_level", "max_level", "additional_layer_depth")
    extractor.require({"use_explicit_padding": False, "replace_preprocessor_with_placeholder": False})
    return extractor


def read_predictor(ssd: Fields) -> Fields:
    """Reads the settings of the heads.

    Args:
        ssd: From `read_pipeline`, as for the functions below.

    Returns:
        Its fields.

    Raises:
        CheckpointError: The heads have something that cannot be imported, as for the functions below.
    """
    predictor = ssd.message("box_predictor").only("weight_shared_convolutional_box_predictor")
    predictor.require_known(*_PREDICTOR)
    predictor.require({"kernel_size": 3, "box_code_size": 4, "apply_conv_hyperparams_to_heads": False})
    if "box_encodings_clip_range" in predictor:
        raise CheckpointError(f"{predictor.where}.box_encodings_clip_range limits deltas, which cannot be imported.")
    return predictor


def read_norm(part: Fields) -> Norm:
    """Reads batch normalisation and activation of the feature extractor or the heads."""
    hyperparams = part.message("conv_hyperparams").require_known(*_HYPERPARAMS)
    activation = str(hyperparams.get("activation", "RELU"))
    if activation not in _ACTIVATIONS:
        raise CheckpointError(
            f"{hyperparams.where}.activation is {activation}; {', '.join(_ACTIVATIONS)} can be imported."
        )
    kind = "sync_batch_norm" if "sync_batch_norm" in hyperparams else "batch_norm"
    batch_norm = hyperparams.message(kind).require_known("decay", "center", "scale", "epsilon", "train")
    return Norm(_ACTIVATIONS[activation], batch_norm.get("epsilon", 0.001), batch_norm.get("decay", 0.999))


def read_anchors(ssd: Fields, levels: range) -> dict[str, Any]:
    """Reads the anchors of the pyramid's levels, as fields of `AnchorConfig`."""
    generator = ssd.message("anchor_generator").only("multiscale_anchor_generator")
    generator.require_known(*_ANCHORS)
    stated = generator.get("min_level", 3), generator.get("max_level", 7)
    if stated != (levels[0], levels[-1]):
        raise CheckpointError(
            f"{generator.where}: min_level is {stated[0]}, max_level is {stated[1]}; those of the feature extractor's "
            f"fpn are {levels[0]} and {levels[-1]}."
        )
    octave = generator.get("scales_per_octave", 2)
    resizer = ssd.message("image_resizer")
    is_padded = resizer.message("keep_aspect_ratio_resizer").get("pad_to_max_dimension", False)
    has_known_sides = "fixed_shape_resizer" in resizer or is_padded
    return {
        "sizes": tuple(generator.get("anchor_scale", 4.0) * 2**level for level in levels),
        "ratios": generator.inverses("aspect_ratios", ()),  # they are width over height
        "scales": tuple(2 ** (index / octave) for index in range(octave)),
        "offset": 0.5,
        "offset_rule": "divisible" if has_known_sides else "always",
    }


def read_box_std(ssd: Fields) -> tuple[float, ...]:
    """Reads the factors on deltas (x, y, w, h)."""
    coder = ssd.message("box_coder").only("faster_rcnn_box_coder")
    coder.require_known("y_scale", "x_scale", "height_scale", "width_scale")
    defaults = (("x_scale", 10.0), ("y_scale", 10.0), ("width_scale", 5.0), ("height_scale", 5.0))
    return tuple(coder.inverses(name, (default,))[-1] for name, default in defaults)


def read_resize(ssd: Fields, extractor: Fields) -> ResizeConfig:
    """Reads the resize rule.

    Args:
        ssd: From `read_pipeline`.
        extractor: Its `feature_extractor`.

    Returns:
        The rule.

    Raises:
        CheckpointError: It cannot be expressed here.
    """
    resizer = ssd.message("image_resizer")
    multiple = max(extractor.get("pad_to_multiple", 1), 1)
    if "fixed_shape_resizer" in resizer:
        fixed = resizer.message("fixed_shape_resizer")
        fixed.require_known("height", "width", "resize_method", "convert_to_grayscale")
        fixed.require({"resize_method": "BILINEAR", "convert_to_grayscale": False})
        shape = fixed.get("height", 300), fixed.get("width", 300)
        return ResizeConfig(shape=shape, shape_mode="stretch", method="tf1", pad_multiple=multiple)
    keeping = resizer.only("keep_aspect_ratio_resizer")
    keeping.require_known(*_KEEPING)
    keeping.require({"resize_method": "BILINEAR", "convert_to_grayscale": False})
    least, most = keeping.get("min_dimension", 600), keeping.get("max_dimension", 1024)
    if not keeping.get("pad_to_max_dimension", False):
        return ResizeConfig(least, most, rounding="even", method="tf1", pad_multiple=multiple)
    if most % multiple:
        raise CheckpointError(
            f"{keeping.where}: images are padded to {most} pixels, then to a multiple of {extractor.where}."
            f"pad_to_multiple, {multiple}; a max_dimension that is such a multiple can be imported."
        )
    if any(keeping.numbers("per_channel_pad_value", ())):
        raise CheckpointError(f"{keeping.where}.per_channel_pad_value can be imported where it is 0, the mean.")
    return ResizeConfig(least, most, rounding="even", method="tf1", pad_multiple=most)  # no side is longer


def read_filter(ssd: Fields) -> FilterConfig:
    """Reads how scored boxes become detections."""
    processing = ssd.message("post_processing")
    processing.require_known("batch_non_max_suppression", "score_converter", "logit_scale")
    processing.require({"logit_scale": 1.0})
    if (converter := str(processing.get("score_converter", "IDENTITY"))) != "SIGMOID":
        raise CheckpointError(f"{processing.where}.score_converter is {converter}; SIGMOID can be imported.")
    nms = processing.message("batch_non_max_suppression")
    nms.require_known(*_NMS)
    nms.require({"soft_nms_sigma": 0.0})
    is_agnostic = nms.get("use_class_agnostic_nms", False)
    if is_agnostic:
        nms.require({"max_classes_per_detection": 1})
    return FilterConfig(
        nms.get("score_threshold", 0.0),
        nms.get("iou_threshold", 0.6),
        nms.get("max_total_detections", 100),
        top_k=5000,
        nms="agnostic" if is_agnostic else "per_class",
        clip="after_nms",
        drop_empty=True,
        max_per_class=None if is_agnostic else nms.get("max_detections_per_class", 100),
        counts_empty=bool(is_agnostic),  # one limit, of the suppression
    )


def read_label_map(settings: Path, count: int, notes: list[str]) -> dict[int, str] | None:
    """Reads the label map that the settings name, or that lies in their folder.

    Args:
        settings: Path of the `pipeline.config`.
        count: Classes of the heads, without background.
        notes: A remark is appended if there is a label map.

    Returns:
        Names by id, ascending; `None` if the file that they name is nowhere, and in their folder is neither exactly one
        `.pbtxt` file nor a `label_map.pbtxt`.

    Raises:
        CheckpointError: The file is not a label map, or is another model's.
    """
    file = _find_label_map(settings)
    if file is None:
        return None
    try:
        items = [Fields(item, file.name) for item in read_protobuf_text(file.read_text(encoding="utf-8"))["item"]]
    except (OSError, KeyError, UnicodeDecodeError, ProtobufTextError) as error:
        raise CheckpointError(f"{file}: is not a label map: {error}.") from error
    named = {item.get("id", 0): item.get("display_name", "") or item.get("name", "") for item in items}
    named = {number: name for number, name in sorted(named.items()) if number}
    if not named or max(named) > count or min(named) < 1:
        raise CheckpointError(
            f"{file}: has ids from {min(named, default=0)} to {max(named, default=0)}; the model has {count} "
            "classes, with ids from 1."
        )
    notes.append(f"Class names are those of {file.name}.")
    return named


def _find_label_map(settings: Path) -> Path | None:
    """The file of `label_map_path`, which is relative to where training began; else one in the settings' folder."""
    message = read_protobuf_text(settings.read_text(encoding="utf-8"))
    readers = [reader for part in ("train_input_reader", "eval_input_reader") for reader in message.get(part, ())]
    for reader in readers:
        named = Path(str(Fields(reader, SETTINGS).get("label_map_path", "")))
        places = (named, *(folder / named for folder in settings.absolute().parents[:4]), settings.parent / named.name)
        if named.suffix == ".pbtxt" and (found := next((file for file in places if file.is_file()), None)):
            return found
    files = sorted(settings.parent.glob("*.pbtxt"))
    if len(files) > 1:
        files = [file for file in files if file.name == "label_map.pbtxt"]
    return files[0] if len(files) == 1 else None
