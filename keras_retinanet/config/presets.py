"""Presets: values of several settings by dotted name. Flags on the command line override them."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import Any

from keras_retinanet.config import TrainConfig
from keras_retinanet.config.architectures import with_own_settings
from keras_retinanet.config.tree import flag_name, flattened

_CPU_DESCRIPTION = Path("/proc/cpuinfo")


def computes_bfloat16(description: Path = _CPU_DESCRIPTION) -> bool:
    """Checks whether the processor has bfloat16 instructions; without them bfloat16 is emulated slowly.

    Args:
        description: Linux' description of the processors; if it is missing, the result is `False`.

    Returns:
        True if the description lists `amx_bf16` or `avx512_bf16`.
    """
    try:
        words = set(description.read_text(encoding="utf-8").split())
    except OSError:
        return False
    return bool(words & {"amx_bf16", "avx512_bf16"})


DEMO: Mapping[str, Any] = {
    "model.backbone": "resnet10_050",
    "model.weights": "none",
    "model.max_level": 5,
    "model.fpn_width": 64,
    "model.head_width": 64,
    "model.head_depth": 1,
    "model.head_norm": "group",
    "resize.min_side": 256,
    "resize.max_side": 256,
    "resize.is_square": True,
    "anchors.sizes": (9.0, 25.0, 72.0),
    "anchors.strides": (8, 16, 32),
    "anchors.ratios": (1.0,),
    "anchors.scales": (1.0, 2**0.5, 2.0),
    "assigner.assigner": "task_aligned",
    "loss.classification": "quality_focal",
    "loss.box": "giou",
    "optimizer.optimizer": "muon",
    "optimizer.learning_rate": 8e-3,
    "optimizer.weight_decay": 1e-4,
    "optimizer.schedule": "flat_cosine",
    "optimizer.flat_share": 0.75,
    "mixed_precision": "bfloat16" if computes_bfloat16() else "none",
    "data.use_cache": True,
    "data.augment": "flips",
    "batch_size": 8,
    "epochs": 8,
    "evaluate_every": 2,
}
"""Settings of `retinanet-train demo` for two cores and no downloaded weights.

A few square anchors learn the shapes from fewer images than the paper's nine, and three levels give large objects as
many anchors as small ones. Muon needs far fewer images than AdamW. The rate falls late, because the averaged weights of
the recipe profit from a high one: AP50 0.85 against 0.82 with a cosine over the whole run, and 0.88 to 0.89 with
task-aligned assignment and quality focal loss in place of an IoU threshold of 0.45 and the focal loss.
"""


_OTHER_CONSTANTS: Mapping[str, frozenset[str]] = {
    "assigner.assigner": frozenset({"positive_iou", "negative_iou", "use_force_match", "forced_box", "nearest_cells"}),
    "loss.classification": frozenset(
        {
            "alpha", "class_alphas", "background_weight", "shift", "mined_examples", "mining_nms", "negative_ratio",
            "mining_scope", "gradient_bins",
        }
    ),
}  # fmt: skip
"""A choice of the demo → constants that only the other entries of its table have."""


def demo_preset(given: Mapping[str, Any]) -> Mapping[str, Any]:
    """The demo's settings that agree with what was given.

    Args:
        given: Dotted name → value, such as the flags of a command line.

    Returns:
        `DEMO`, without its assigner or its classification loss if a constant was given that these do not have.
    """
    excluded = _find_excluded_choices(given)
    return {name: value for name, value in DEMO.items() if name not in excluded}


def list_replaced_choices(given: Mapping[str, Any], config: TrainConfig) -> list[str]:
    """Names the choices of the demo that a constant replaced without anybody naming another.

    Args:
        given: Dotted name → value of what was given.
        config: The settings that followed.

    Returns:
        One sentence for each choice.
    """
    values, demo = flattened(config), with_own_settings(DEMO, config.model.architecture, given)
    sentences = []
    for choice, constant in _find_excluded_choices(given).items():
        if choice in demo and choice not in given:
            flag = flag_name(choice)
            sentences.append(
                f"{flag_name(constant)} does not apply to the demo's {flag} {DEMO[choice]}; this run has {flag} "
                f"{values[choice]}."
            )
    return sentences


def _find_excluded_choices(given: Mapping[str, Any]) -> dict[str, str]:
    """Choices of the demo → the given setting that does not apply to them."""
    found = {}
    for choice, constants in _OTHER_CONSTANTS.items():
        group = choice.partition(".")[0]
        names = [name for name in given if name.startswith(f"{group}.") and name.partition(".")[2] in constants]
        if names:
            found[choice] = names[0]
    if given.get("loss.class_balance") == "alpha_by_frequency":  # computes alphas
        found.setdefault("loss.classification", "loss.class_balance")
    return found
