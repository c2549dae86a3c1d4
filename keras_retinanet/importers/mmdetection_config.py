"""Settings in the text of an MMDetection config. It is Python: literals and `dict(…)` are read, nothing is executed."""

from __future__ import annotations

import ast
from collections.abc import Iterator, Mapping
from typing import Any

from keras_retinanet.backbones.normalize import TORCH, PixelStatistics
from keras_retinanet.importers.blueprint import CheckpointError
from keras_retinanet.importers.detectron2 import MEAN_ONLY
from keras_retinanet.importers.head_shapes import MAX_SCALES

UNKNOWN = object()
"""In place of an expression that is not a literal."""


def read_config(text: str) -> dict[str, Any]:
    """Reads the settings of a config.

    Args:
        text: `cfg.pretty_text`, as the file stores it.

    Returns:
        Name → value of every top-level assignment; empty if the text is not Python.
    """
    try:
        body = ast.parse(text).body
        return {
            line.targets[0].id: _evaluate_literal(line.value)
            for line in body
            if isinstance(line, ast.Assign) and isinstance(line.targets[0], ast.Name)
        }
    except (SyntaxError, ValueError, RecursionError, MemoryError):
        return {}


def _evaluate_literal(node: ast.expr) -> Any:
    if isinstance(node, ast.Call) and isinstance(node.func, ast.Name) and node.func.id == "dict":
        return {keyword.arg: _evaluate_literal(keyword.value) for keyword in node.keywords if keyword.arg}
    if isinstance(node, ast.Dict):
        pairs = zip(node.keys, node.values, strict=True)
        return {key.value: _evaluate_literal(value) for key, value in pairs if isinstance(key, ast.Constant)}
    if isinstance(node, (ast.List, ast.Tuple)):
        return [_evaluate_literal(item) for item in node.elts]
    try:
        return ast.literal_eval(node)
    except (ValueError, TypeError):
        return UNKNOWN


def part(settings: Mapping[str, Any], *names: str) -> dict[str, Any]:
    """A nested dict of the settings; empty if it does not exist."""
    found: Any = settings
    for name in names:
        found = found.get(name) if isinstance(found, dict) else None
    return dict(found) if isinstance(found, dict) else {}


def require_known_parts(settings: Mapping[str, Any]) -> None:
    """Raises if a part computes something else than ours, although its tensors might fit.

    Args:
        settings: From `read_config`; empty if the file holds none.

    Raises:
        CheckpointError: The message names the part, its value, and what can be imported.
    """
    model = part(settings, "model")
    allowed = {
        ("backbone", "type"): "ResNet",
        ("backbone", "deep_stem"): False,
        ("backbone", "avg_down"): False,
        ("backbone", "dcn"): None,
        ("neck", "type"): "FPN",
        ("bbox_head", "anchor_generator", "type"): "AnchorGenerator",
        ("bbox_head", "bbox_coder", "type"): "DeltaXYWHBBoxCoder",
        ("bbox_head", "loss_cls", "use_sigmoid"): True,
    }
    for (*path, name), wanted in allowed.items():
        given = part(model, *path).get(name, wanted)
        if (*path, name) == ("backbone", "type"):
            given = {"ResNeXt": "ResNet", "mmdet.ResNeXt": "ResNet"}.get(given, given)  # its tensors show the groups
        if given not in (wanted, f"mmdet.{wanted}"):
            raise CheckpointError(f"Its {'.'.join(path)} has {name}={given!r}; {wanted!r} can be imported.")
    coder = part(model, "bbox_head", "bbox_coder")
    if any(_read_numbers(coder.get("target_means", [0.0]))) or coder.get("add_ctr_clamp"):
        raise CheckpointError("Its box coder has target_means or add_ctr_clamp; a mean of 0 without can be imported.")
    if part(model, "neck").get("add_extra_convs") == "on_lateral":
        raise CheckpointError("Its P6 is made from a lateral map (add_extra_convs='on_lateral'), which ours has not.")
    if part(model, "bbox_head", "norm_cfg").get("num_groups", 32) != 32:
        raise CheckpointError("Its heads normalise in other than 32 groups.")


def anchors_of(settings: Mapping[str, Any]) -> dict[str, Any]:
    """Fields of `AnchorConfig` that the anchor generator sets.

    Args:
        settings: From `read_config`.

    Returns:
        Field → value. Anchors are ordered as ours, ratio by ratio, which the library calls `scale_major`.
    """
    stored = part(settings, "model", "bbox_head", "anchor_generator")
    if not stored:
        return {"offset": 0.0}
    strides = [_read_numbers(stride) for stride in stored.get("strides", ())]
    if any(len(set(stride)) != 1 for stride in strides):
        raise CheckpointError(f"Its anchors have the strides {stored.get('strides')}, which differ in x and y.")
    if stored.get("scale_major", True) is not True:
        raise CheckpointError("Its anchors count scale by scale (scale_major=False).")
    steps = [stride[0] for stride in strides]
    bases = _read_numbers(stored["base_sizes"]) if stored.get("base_sizes") else steps
    offset = float(stored.get("center_offset", 0.0))
    if offset and list(bases) != steps:
        raise CheckpointError("Its anchors have a center_offset that refers to base_sizes other than the strides.")
    if stored.get("octave_base_scale"):
        count = min(int(stored["scales_per_octave"]), MAX_SCALES)
        base, scales = float(stored["octave_base_scale"]), tuple(2 ** (index / count) for index in range(count))
    else:
        base, scales = 1.0, _read_numbers(stored["scales"])
    return {
        "sizes": tuple(base * size for size in bases),
        "strides": tuple(int(step) for step in steps),
        "ratios": _read_numbers(stored["ratios"]),
        "scales": scales,
        "offset": offset,
    }


def filter_of(settings: Mapping[str, Any], notes: list[str]) -> dict[str, Any]:
    """Fields of `FilterConfig` that the config sets.

    Args:
        settings: Of `read_config`.
        notes: Gets a sentence per difference to this package.

    Returns:
        Field → value.
    """
    stored = part(settings, "model", "test_cfg") or part(settings, "test_cfg")
    if "score_thr" not in stored:
        return {}
    nms = part(stored, "nms")
    if nms.get("type", "nms") != "nms":
        notes.append(f"Its suppression is {nms['type']!r}; here boxes are suppressed by greedy NMS.")
    if stored.get("min_bbox_size", 0) > 0:
        notes.append(
            f"It drops boxes below {stored['min_bbox_size']} pixels; here only those without area are removed."
        )
    found = {
        "score_threshold": float(stored["score_thr"]),
        "nms_threshold": float(nms.get("iou_threshold", nms.get("iou_thr", 0.5))),
        "max_detections": int(stored.get("max_per_img", 100)),
        "top_k": max(int(stored.get("nms_pre", 1000)), 0),
        "nms": "agnostic" if nms.get("class_agnostic") else "per_class",
    }
    if part(settings, "model", "bbox_head", "bbox_coder").get("clip_border") is False:
        found["clip"] = "never"
    return found


def pixels_of(settings: Mapping[str, Any], style: str) -> PixelStatistics:
    """The normalisation of pixels: that of the config, else that of the published models of the ResNet's style.

    Args:
        settings: From `read_config`.
        style: `"pytorch"` or `"caffe"`.

    Returns:
        Mean, standard deviation, and the order of the channels.
    """
    stored = part(settings, "model", "data_preprocessor")
    is_bgr = not stored.get("bgr_to_rgb", False)
    if not stored:  # version 2
        stored = next((step for step in _iterate_steps(settings) if step.get("type") == "Normalize"), {})
        stored = stored if "mean" in stored else part(settings, "img_norm_cfg")
        is_bgr = not stored.get("to_rgb", True)
    if not {"mean", "std"} <= set(stored):
        return MEAN_ONLY if style == "caffe" else TORCH
    mean, std = _read_numbers(stored["mean"]), _read_numbers(stored["std"])
    if len(mean) != 3 or len(std) != 3:
        raise CheckpointError(f"It normalises pixels with mean {mean} and std {std}; images have three colours.")
    return PixelStatistics(mean[::-1], std[::-1], True) if is_bgr else PixelStatistics(mean, std)


def resize_of(settings: Mapping[str, Any], notes: list[str]) -> dict[str, Any]:
    """Fields of `ResizeConfig` that the config sets.

    Args:
        settings: From `read_config`.
        notes: A remark is appended for each difference to this package.

    Returns:
        Field → value.
    """
    found: dict[str, Any] = {}
    for step in _iterate_steps(settings):
        scale = step.get("scale", step.get("img_scale"))
        if step.get("type") in ("Resize", "FixScaleResize", "MultiScaleFlipAug") and isinstance(scale, list):
            sides = sorted(_read_numbers(scale))
            if len(sides) == 2:
                found |= {"min_side": int(sides[0]), "max_side": int(sides[1])}
        # Where it is not said, version 2 keeps the ratio, and 3, which calls the size `scale`, does not.
        if step.get("type") == "Resize" and not step.get("keep_ratio", "scale" not in step):
            notes.append("It stretches images to one size (keep_ratio=False); here they keep their shape.")
        divisor = step.get("size_divisor") if step.get("type") == "Pad" else None
        if isinstance(divisor, int):
            found["pad_multiple"] = divisor
    divisor = part(settings, "model", "data_preprocessor").get("pad_size_divisor")
    return found | ({"pad_multiple": divisor} if isinstance(divisor, int) else {})


def _iterate_steps(settings: Mapping[str, Any]) -> Iterator[dict[str, Any]]:
    """The steps of the test pipeline, including nested ones."""
    pipeline = settings.get("test_pipeline") or part(settings, "data", "test").get("pipeline")
    waiting = list(pipeline) if isinstance(pipeline, list) else []
    while waiting:
        step = waiting.pop(0)
        if isinstance(step, dict):
            yield step
            inner = step.get("transforms")
            waiting[:0] = inner if isinstance(inner, list) else []


def _read_numbers(values: Any) -> tuple[float, ...]:
    try:
        return tuple(float(value) for value in (values if isinstance(values, (list, tuple)) else [values]))
    except (TypeError, ValueError) as error:
        raise CheckpointError(f"Its config has {values!r} where numbers belong.") from error
