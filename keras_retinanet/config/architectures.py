"""Architectures: the settings that each one decides, and those that do not apply to it. Flags override the former."""

from __future__ import annotations

from collections.abc import Collection, Iterable, Mapping
from dataclasses import dataclass, field
from typing import Any, TypeVar

from keras_retinanet.config.names import ArchitectureName, AssignerName
from keras_retinanet.config.network_settings import AssignerConfig, ModelConfig, NetworkConfig
from keras_retinanet.config.tree import changed, flag_name, flattened

ConfigT = TypeVar("ConfigT", bound=NetworkConfig)

_SSD: Mapping[str, Any] = {
    "assigner.positive_iou": 0.5,
    "assigner.negative_iou": 0.5,
    "assigner.use_force_match": True,
    "assigner.forced_box": "own",
    "loss.beta": 1.0,
    "resize.shape_mode": "stretch",
    "resize.pad_multiple": 1,
    "filter.top_k_scope": "class",
}
_SSD_MODEL = ("model.architecture", "model.weights", "model.weights_config", "model.prior")
_IMAGE_SHAPE = (
    "min_side", "max_side", "is_square", "shape", "shape_mode", "pad_multiple", "rounding", "has_one_scale",
)  # fmt: skip
_OF_OTHER_BOX_HEADS = ("loss.dfl_weight", "loss.quality_weight", "filter.quality_score")


@dataclass(frozen=True)
class Architecture:
    """What an architecture decides.

    Attributes:
        title: Its name as people write it.
        defaults: Dotted name of a setting → its value where nobody sets it.
        map_sides: Rows, and columns, of its maps, finest first; empty if images may have any shape.
        blocks: Of each extra block of SSD the channels of its two convolutions, and kernel size, stride and padding of
            the second; of SSDLite the channels of its first and last convolution.
        is_lite: Whether it is an SSDLite, of depthwise convolutions.
    """

    title: str
    defaults: Mapping[str, Any] = field(default_factory=dict)
    map_sides: tuple[int, ...] = ()
    blocks: tuple[tuple[int, ...], ...] = ()
    is_lite: bool = False

    @property
    def has_default_boxes(self) -> bool:
        """Whether its anchors are the default boxes of SSD, and images of one shape."""
        return bool(self.map_sides)

    def defaults_beside(self, assigner: AssignerName) -> dict[str, Any]:
        """The defaults, without the constants of the architecture's own assigner if it is another one."""
        is_own = assigner == AssignerConfig().assigner
        return {name: value for name, value in self.defaults.items() if is_own or not name.startswith("assigner.")}

    def applies(self, name: str) -> bool:
        """Whether a setting has an effect.

        Args:
            name: Dotted name, such as `"anchors.sizes"`.

        Returns:
            True if it has, and for settings that do not describe a network.
        """
        group, _, leaf = name.partition(".")
        if not self.has_default_boxes:
            return group != "default_boxes"
        if group == "model":
            return name in _SSD_MODEL
        if name in _OF_OTHER_BOX_HEADS:
            return False
        return group != "anchors" and not (group == "resize" and leaf in _IMAGE_SHAPE)


_SHRINK, _KEEP = (3, 2, 1), (3, 1, 0)  # kernel, stride, padding
_STEPS = (8.0, 16.0, 32.0, 64.0, 100.0, 300.0)

ARCHITECTURES: Mapping[ArchitectureName, Architecture] = {
    "retinanet": Architecture("RetinaNet"),
    "ssd300_vgg16": Architecture(
        "SSD300 with VGG-16",
        {
            **_SSD,
            "resize.shape": (300, 300),
            "default_boxes.sizes": (21.0, 45.0, 99.0, 153.0, 207.0, 261.0, 315.0),
            "default_boxes.ratios": ((2.0,), (2.0, 3.0), (2.0, 3.0), (2.0, 3.0), (2.0,), (2.0,)),
            "default_boxes.strides": _STEPS,
            "filter.score_threshold": 0.01,
            "filter.nms_threshold": 0.45,
            "filter.max_detections": 200,
            "filter.top_k": 400,
        },
        (38, 19, 10, 5, 3, 1),
        ((256, 512, *_SHRINK), (128, 256, *_SHRINK), (128, 256, *_KEEP), (128, 256, *_KEEP)),
    ),
    "ssd512_vgg16": Architecture(
        "SSD512 with VGG-16",
        {
            **_SSD,
            "resize.shape": (512, 512),
            "default_boxes.sizes": (20.48, 51.2, 133.12, 215.04, 296.96, 378.88, 460.8, 542.72),
            "default_boxes.ratios": ((2.0,), *((2.0, 3.0),) * 4, (2.0,), (2.0,)),
            "default_boxes.strides": (8.0, 16.0, 32.0, 64.0, 128.0, 256.0, 512.0),
            "filter.score_threshold": 0.01,
            "filter.nms_threshold": 0.45,
            "filter.max_detections": 200,
            "filter.top_k": 400,
        },
        (64, 32, 16, 8, 4, 2, 1),
        ((256, 512, *_SHRINK), *((128, 256, *_SHRINK),) * 3, (128, 256, 4, 1, 1)),
    ),
    "ssdlite320_mobilenet_v3_large": Architecture(
        "SSDLite320 with MobileNetV3-Large",
        {
            **_SSD,
            "resize.shape": (320, 320),
            "default_boxes.sizes": (64.0, 112.0, 160.0, 208.0, 256.0, 304.0, 320.0),
            "default_boxes.ratios": ((2.0, 3.0),) * 6,
            "filter.score_threshold": 0.001,
            "filter.nms_threshold": 0.55,
            "filter.max_detections": 300,
            "filter.top_k": 300,
        },
        (20, 10, 5, 3, 2, 1),
        ((256, 512), (128, 256), (128, 256), (64, 128)),
        is_lite=True,
    ),
}
"""Every architecture by name.

Sizes of default boxes: torchvision's, of the models for COCO; of SSD512 those of the authors' model for COCO, whose
smallest is 4 % of the image's side and whose others are 10 % to 90 %.
"""


def with_architecture(config: ConfigT, chosen: Collection[str] | None = None) -> ConfigT:
    """Fills in what the architecture decides.

    Args:
        config: Settings of a network or of a run.
        chosen: Dotted names of the settings that were set: they stay as they are. Defaults to those that are not the
            defaults of their class.

    Returns:
        The settings; the same ones for a RetinaNet.
    """
    defaults = ARCHITECTURES[config.model.architecture].defaults_beside(config.assigner.assigner)
    if chosen is None:
        plain, values = flattened(type(config)()), flattened(config)
        chosen = [name for name in defaults if values[name] != plain[name]]
    return changed(config, {name: value for name, value in defaults.items() if name not in chosen})


def default_network(model: ModelConfig) -> NetworkConfig:
    """The settings of a network of which only the model is given."""
    return with_architecture(NetworkConfig(model=model))


def with_own_settings(
    preset: Mapping[str, Any], name: ArchitectureName, given: Mapping[str, Any] | None = None
) -> dict[str, Any]:
    """A preset with what an architecture decides.

    Args:
        preset: Dotted name → value.
        name: The architecture.
        given: What the user sets; another assigner has other constants. Defaults to nothing.

    Returns:
        Its entries as far as they apply, overridden by the architecture's own.
    """
    architecture = ARCHITECTURES[name]
    defaults = architecture.defaults_beside((given or {}).get("assigner.assigner", AssignerConfig().assigner))
    return {key: value for key, value in preset.items() if architecture.applies(key)} | defaults


def refuse_inapplicable(names: Iterable[str], name: ArchitectureName) -> None:
    """Refuses settings without effect.

    Args:
        names: Dotted names of the settings that a user gave.
        name: The architecture.

    Raises:
        ValueError: One of them does not apply to the architecture; the message has its flag.
    """
    for key in sorted(names):
        if not ARCHITECTURES[name].applies(key):
            raise ValueError(f"{flag_name(key)} does not apply to --architecture {name}. Leave it out.")


def inapplicable_changes(config: NetworkConfig) -> list[str]:
    """The settings without effect that are set all the same.

    Args:
        config: Settings of a network or of a run.

    Returns:
        Dotted names of those that do not apply to the architecture and have neither its value nor their default.
    """
    architecture, values = ARCHITECTURES[config.model.architecture], flattened(config)
    plain = flattened(type(config)())
    return [
        name
        for name, value in values.items()
        if not architecture.applies(name) and value not in (plain[name], architecture.defaults.get(name, plain[name]))
    ]
