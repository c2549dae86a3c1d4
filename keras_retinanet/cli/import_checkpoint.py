"""`retinanet-import`: converts a checkpoint of another library to a snapshot."""

from __future__ import annotations

import argparse
import dataclasses
import sys
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any, get_args

from keras_retinanet.cli.parsing import Parser, add_flags, fail, join_numbers, number
from keras_retinanet.cli.snapshot_arguments import read_overrides
from keras_retinanet.cli.startup import import_tensorflow
from keras_retinanet.config import AnchorConfig, FilterConfig, ResizeConfig, SourceName
from keras_retinanet.config.architectures import refuse_inapplicable
from keras_retinanet.config.tree import flag_name, settings

if TYPE_CHECKING:
    from keras_retinanet.importers import Blueprint, Overrides, Report

PROGRAM = "retinanet-import"
GROUPS: Mapping[str, type] = {"anchors": AnchorConfig, "resize": ResizeConfig, "filter": FilterConfig}
"""Groups of settings that may replace those of a checkpoint."""


def build_parser() -> Parser:
    """Builds the parser: checkpoint, output, and settings that replace or complete those of the checkpoint.

    Returns:
        The parser.
    """
    parser = Parser(
        prog=PROGRAM,
        description="Read a detector of another library and write it as a snapshot. Nothing in the file is run, and "
        "the other library is not needed.",
    )
    parser.add_argument(
        "checkpoint", metavar="CHECKPOINT", help=".h5, .pth, .pkl, .safetensors, KerasHub's folder; of "
        "TensorFlow: a prefix such as ckpt-0, or the folder of a detector",
    )  # fmt: skip
    parser.add_argument("out", metavar="OUT", help="snapshot to write, a file that ends in .keras")
    parser.add_argument(
        "--source",
        choices=("auto", *get_args(SourceName)),
        default="auto",
        help="library (default: recognised by content)",
    )
    parser.add_argument("--class-names", metavar="FILE", help="class names: one per line, or lines `name,index`")
    parser.add_argument("--config", metavar="FILE", help="of a checkpoint: config.ini, pipeline.config, params.yaml")
    parser.add_argument("--drop-unused-classes", action="store_true", help="torchvision: 80 classes in place of 91")
    parser.add_argument("--allow-unused", action="store_true", help="accept tensors that have no place in the model")
    parser.add_argument("--allow-missing", action="store_true", help="keep random weights where tensors are missing")
    parser.add_argument("--verify", action="store_true", help="check every number of the written snapshot, and run it")
    quirks = parser.add_argument_group("settings that a checkpoint may not contain")
    quirks.add_argument(
        "--norm-epsilon", type=number(float, least=0), metavar="X", help="torchvision v1 without COCO weights: 1e-5"
    )
    quirks.add_argument(
        "--style", choices=("pytorch", "caffe"), help="MMDetection, Detectron2: where ResNet has strides"
    )
    quirks.add_argument("--pixel-mean", type=_numbers_type(3), metavar="R,G,B", help="subtracted from pixels of 0–255")
    quirks.add_argument("--pixel-std", type=_numbers_type(3), metavar="R,G,B", help="divisor after the subtraction")
    quirks.add_argument("--pixel-order", choices=("rgb", "bgr"), help="order of the network's input channels")
    quirks.add_argument(
        "--box-std",
        type=_numbers_type(4),
        metavar="X,Y,W,H",
        help="factors on deltas: 1 / BBOX_REG_WEIGHTS of Detectron2",
    )
    quirks.add_argument("--stem", choices=("padded", "same"), help="fizyr: stem of keras-resnet 0.1 or 0.2")
    own = parser.add_argument_group("settings that replace those of the checkpoint")
    for group, config in GROUPS.items():
        add_flags(own, (dataclasses.replace(s, default=None) for s in settings(config, f"{group}.")))
    return parser


def main(argv: Sequence[str] | None = None) -> int:
    """Runs the command.

    Args:
        argv: Command-line arguments without the program's name. Defaults to those of this process.

    Returns:
        Exit status: 0 done, 2 the checkpoint cannot be imported, or not all of its tensors.
    """
    lists = [flag_name(s.name) for group, config in GROUPS.items() for s in settings(config, f"{group}.") if s.is_tuple]
    lists += ["--pixel-mean", "--pixel-std", "--box-std"]
    flags = build_parser().parse_args(join_numbers(sys.argv[1:] if argv is None else argv, lists))
    import_tensorflow()
    try:
        _import_checkpoint(flags)
    except (ValueError, OSError) as error:
        return fail(PROGRAM, error)
    return 0


def _import_checkpoint(flags: argparse.Namespace) -> None:
    from keras_retinanet.importers import assemble, describe_checkpoint
    from keras_retinanet.snapshots.atomic_files import write_whole

    out = Path(flags.out)
    if out.suffix != ".keras":
        raise ValueError(f"a snapshot is a file that ends in .keras; got {str(out)!r}")
    source = None if flags.source == "auto" else flags.source
    blueprint = describe_checkpoint(flags.checkpoint, source, overrides(flags))
    given = [f"{group}.{name}" for group in GROUPS for name in _read_group(flags, group)]
    refuse_inapplicable(given, blueprint.model.architecture)
    print(describe(blueprint), flush=True)
    model, report = assemble(blueprint)
    print(format_report(report))
    report.require_complete(allow_unused=flags.allow_unused, allow_missing=flags.allow_missing)
    out.parent.mkdir(parents=True, exist_ok=True)
    write_whole(out, model.save)
    print(f"wrote {out}")
    if flags.verify:
        from keras_retinanet.importers.snapshot_check import verify_snapshot

        print(f"verified  {verify_snapshot(out, (model, report, blueprint))}")


def overrides(flags: argparse.Namespace) -> Overrides:
    """Collects the settings that replace or complete those of the checkpoint.

    Args:
        flags: The parsed flags.

    Returns:
        Overrides for `import_checkpoint`.

    Raises:
        ValueError: A file of names or anchors is invalid.
        OSError: Such a file cannot be opened.
    """
    files = read_overrides(flags.config, flags.class_names)
    given = {group: _read_group(flags, group) for group in GROUPS}
    return dataclasses.replace(
        files,
        anchors={**files.anchors, **given["anchors"]},
        resize=given["resize"],
        filter=given["filter"],
        pixels=_read_pixel_flags(flags),
        box_std=flags.box_std,
        drop_unused_classes=flags.drop_unused_classes,
        norm_epsilon=flags.norm_epsilon,
        style=flags.style,
        stem=flags.stem,
    )


def _read_group(flags: argparse.Namespace, group: str) -> dict[str, Any]:
    found = {name.partition(".")[2]: value for name, value in vars(flags).items() if name.startswith(f"{group}.")}
    return {name: value for name, value in found.items() if value is not None}


def _read_pixel_flags(flags: argparse.Namespace) -> dict[str, Any]:
    order = None if flags.pixel_order is None else flags.pixel_order == "bgr"
    found = {"mean": flags.pixel_mean, "std": flags.pixel_std, "is_bgr": order}
    return {name: value for name, value in found.items() if value is not None}


def _numbers_type(count: int) -> Callable[[str], tuple[float, ...]]:
    """An argument type for a fixed count of numbers, separated by commas."""

    def read(text: str) -> tuple[float, ...]:
        values = tuple(float(value) for value in text.split(","))
        if len(values) != count:
            raise argparse.ArgumentTypeError(f"{count} numbers are needed, as in {','.join('1' * count)}; got {text!r}")
        return values

    read.__name__ = f"list of {count} numbers"
    return read


def describe(blueprint: Blueprint) -> str:
    """Describes a checkpoint for people.

    Args:
        blueprint: Blueprint of the checkpoint.

    Returns:
        Lines about architecture, classes, anchors, images and thresholds, and assumptions.
    """
    resize, filter = blueprint.resize, blueprint.filter
    options = ", ".join(f"{name} {_format_option(value)}" for name, value in blueprint.backbone_options.items())
    names = ", ".join(blueprint.class_names[:5]) + (" …" if len(blueprint.class_names) > 5 else "")
    network, *others, anchors = _describe_ssd(blueprint) if blueprint.default_boxes else _describe_retinanet(blueprint)
    lines = [
        f"source    {blueprint.source}",
        f"network   {network} ({options})",
        *others,
        f"classes   {len(blueprint.class_names)}: {names}",
        anchors,
        f"images    {resize}, rounded {resize.rounding}, method {resize.method}, padded to {resize.pad_multiple}",
        f"filter    score {filter.score_threshold:g}, NMS {filter.nms_threshold:g} {filter.nms}, "
        f"{filter.max_detections} detections, {filter.top_k or 'all'} a {filter.top_k_scope}, clipped {filter.clip}",
    ]
    return "\n".join([*lines, *(f"note      {note}" for note in blueprint.notes)])


def _describe_retinanet(blueprint: Blueprint) -> list[str]:
    """Name of the network, and lines on its parts, the anchors last."""
    model, anchors = blueprint.model, blueprint.anchors
    norm = f", {model.head_norm} normalisation ε {model.head_norm_epsilon:g}" if model.head_norm != "none" else ""
    scales = anchors.scales if not isinstance(anchors.scales[0], tuple) else anchors.scales[0]
    return [
        model.backbone,
        f"pyramid   P{model.min_level}–P{model.max_level} of {model.fpn_width} channels, P6 from {model.p6_source}, "
        f"{model.stride_padding} padding{'' if model.has_relu_before_p7 else ', no ReLU before P7'}",
        f"heads     {model.head_depth} convolutions of {model.head_width} channels{norm}, {model.box_coder} coding",
        f"anchors   sizes {_format_numbers(anchors.sizes)}, ratios {_format_numbers(anchors.ratios)}, "
        f"scales {_format_numbers(scales)}, offset {anchors.offset:g}{', rounded' if anchors.is_rounded else ''}, "
        f"strides {anchors.stride_mode}",
    ]


def _describe_ssd(blueprint: Blueprint) -> list[str]:
    """The same of an SSD."""
    boxes = blueprint.default_boxes
    assert boxes is not None
    ratios = " ".join("/".join(f"{ratio:g}" for ratio in level) for level in boxes.ratios)
    return [
        blueprint.model.architecture,
        f"anchors   default boxes of {_format_numbers(boxes.sizes)} px, ratios {ratios}",
    ]


def _format_option(value: Any) -> str:
    if hasattr(value, "mean"):
        mean = ", ".join(f"{number:.4g}" for number in value.mean)
        return f"mean {mean} std {', '.join(f'{n:.4g}' for n in value.std)} {'BGR' if value.is_bgr else 'RGB'}"
    return f"{value:g}" if isinstance(value, float) else str(value)


def _format_numbers(values: Sequence[float]) -> str:
    return " ".join(f"{value:.4g}" for value in values)


def format_report(report: Report) -> str:
    """Formats the counts of used, unused and missing tensors.

    Args:
        report: Report of an import.

    Returns:
        One line.
    """
    return f"tensors   {len(report.used)} used, {len(report.unused)} unused, {len(report.missing)} missing"


if __name__ == "__main__":
    sys.exit(main())
