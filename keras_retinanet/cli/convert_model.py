"""`retinanet-convert-model`: exports a snapshot as an artefact for production."""

from __future__ import annotations

import argparse
import dataclasses
import importlib
import sys
from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING, get_args

from keras_retinanet.cli.old_flags import refuse_old_flags
from keras_retinanet.cli.parsing import Parser, fail, number, print_note
from keras_retinanet.cli.snapshot_arguments import add_filter_flags, open_detector, read_overrides
from keras_retinanet.cli.startup import import_tensorflow
from keras_retinanet.config import ExifFrame, ExportConfig, ExportDtype, ExportFormat, ServeConfig, Winograd
from keras_retinanet.config.tree import descriptions
from keras_retinanet.snapshots.run_folder import find_snapshot

if TYPE_CHECKING:
    from keras_retinanet.config import DataConfig
    from keras_retinanet.export import Agreement, ValidationData

_KITS = {
    "saved_model": ("kit", "write_kit"),
    "onnx": ("kit_triton", "write_triton_kit"),
    "openvino": ("kit_openvino", "write_openvino_kit"),
}
"""Format → module of `serving` and function that writes the files for its server."""
MAX_VALIDATED = 200
"""Maximum number of validation images on which the AP of an int8 artefact is measured."""


def build_parser() -> Parser:
    """Builds the parser: snapshot, output, format and thresholds.

    Returns:
        The parser.
    """
    parser = Parser(
        prog="retinanet-convert-model",
        description="Convert a snapshot to an inference model that includes anchors, box decoding and NMS.",
    )
    parser.add_argument(
        "snapshot", metavar="SNAPSHOT", help="a .keras file, the folder of a run, or another library's checkpoint"
    )
    parser.add_argument("out", metavar="OUT", help="file to write; saved_model: folder of versions; openvino: folder")
    parser.add_argument(
        "--format", choices=(*get_args(ExportFormat), "torchvision"), default="keras",
        help="torchvision: weights for its RetinaNet (default: %(default)s)",
    )  # fmt: skip
    parser.add_argument("--config", metavar="FILE", help="of a checkpoint: config.ini, pipeline.config, params.yaml")
    parser.add_argument("--class-names", metavar="FILE", help="names that another library's checkpoint does not hold")
    parser.add_argument("--samples", metavar="FOLDER", help="images to compare with the snapshot (default: built-in)")
    _add_export_flags(parser)
    parser.add_argument(
        "--serving-kit",
        metavar="DIR",
        help="also write what a server in a container or in Kubernetes needs, with a README: saved_model for "
        "TensorFlow Serving, onnx for Triton, openvino for OpenVINO Model Server",
    )
    suppression = add_filter_flags(parser).add_mutually_exclusive_group()
    suppression.add_argument("--no-nms", action="store_true", help="keep all overlapping boxes")
    suppression.add_argument(
        "--no-class-specific-filter", action="store_true", help="NMS across classes instead of within each class"
    )
    return parser


def _add_export_flags(parser: Parser) -> None:
    about, side = descriptions(ExportConfig), number(int, least=1)
    own = parser.add_argument_group("settings of the artefact")
    dtype = f"{about['dtype']} (default: %(default)s)"
    own.add_argument("--precision", choices=get_args(ExportDtype), default="float32", help=dtype)
    own.add_argument("--image-size", nargs=2, type=side, metavar=("H", "W"), help=about["image_size"])
    own.add_argument("--with-resize", action="store_true", help=about["has_resize"])
    usual = f"{about['winograd']} (default: %(default)s)"
    own.add_argument("--winograd", choices=get_args(Winograd), default="off", help=usual)
    own.add_argument("--fold-batch-norm", action=argparse.BooleanOptionalAction, help=about["fold_batch_norm"])
    exif = descriptions(ServeConfig)["exif"]
    own.add_argument("--exif", choices=get_args(ExifFrame), help=exif)
    own.add_argument("--representative", metavar="FOLDER", help=about["representative"])


def main(argv: Sequence[str] | None = None) -> int:
    """Runs the command.

    Args:
        argv: Command-line arguments without the program's name. Defaults to those of this process.

    Returns:
        Exit status: 0 done, 2 wrong arguments or snapshot, or an artefact whose detections differ from the snapshot's.
    """
    parser = build_parser()
    refuse_old_flags(parser, sys.argv[1:] if argv is None else argv)
    flags = parser.parse_args(argv)
    import_tensorflow()
    try:
        if flags.format == "torchvision":
            return _convert_to_torchvision(flags)
        written, agreement = _convert(flags)
    except (ValueError, OSError, ImportError) as error:
        return fail("retinanet-convert-model", error)
    print(f"wrote {written}; compared with the snapshot: {agreement}")
    return 0


def _convert(flags: argparse.Namespace) -> tuple[Path, Agreement]:
    from keras_retinanet.export import (
        FORMATS,
        MAX_CALIBRATION_IMAGES,
        MAX_SAMPLES,
        Verification,
        built_in_samples,
        check_settings,
        default_input_size,
        find_run_data,
        folder_images,
        training_files,
    )

    if flags.serving_kit:
        _check_kit(flags)
    snapshot, out = find_snapshot(Path(flags.snapshot)), Path(flags.out)
    if out.exists() and snapshot.exists() and out.samefile(snapshot):
        raise ValueError(f"OUT is the snapshot itself, which would be overwritten: {str(out)!r}; name another file.")
    data = find_run_data(snapshot) if flags.precision == "int8" else None
    representative = flags.representative
    if data is not None and representative is None:
        representative = training_files(data, MAX_CALIBRATION_IMAGES)
    settings = ExportConfig(
        dtype=flags.precision,
        image_size=tuple(flags.image_size) if flags.image_size else None,
        fold_batch_norm=flags.fold_batch_norm,
        representative=representative,
        has_resize=flags.with_resize,
        winograd=flags.winograd,
    )
    check_settings(flags.format, settings)
    if flags.representative:
        folder_images(flags.representative, 1)  # checked now, before the conversion
    samples = folder_images(flags.samples, MAX_SAMPLES) if flags.samples else built_in_samples()
    mode = "none" if flags.no_nms else "agnostic" if flags.no_class_specific_filter else None
    overrides = read_overrides(flags.config, flags.class_names)
    detector = open_detector(snapshot, flags, overrides, **({"nms": mode} if mode else {}))
    if flags.exif:
        detector.network.resize_config = dataclasses.replace(detector.network.resize_config, exif=flags.exif)
    if flags.format == "litert" and settings.image_size is None:
        chosen = default_input_size(detector.network)
        settings = dataclasses.replace(settings, image_size=chosen.size)
        print(f"input {chosen.size[0]} x {chosen.size[1]}: {chosen.reason}")
        if chosen.note:
            print_note(chosen.note)
    check = Verification(flags.format, detector, flags.precision, samples, _validation(data, detector.class_names))
    written = FORMATS[flags.format](detector, out, settings, check)
    if flags.serving_kit:
        module, function = _KITS[flags.format]
        write_kit = getattr(importlib.import_module(f"keras_retinanet.serving.{module}"), function)
        print(f"wrote {write_kit(Path(flags.serving_kit), written, detector.class_names)}")
    return written, check.agreement


def _check_kit(flags: argparse.Namespace) -> None:
    """Refuses a kit that could not be written, before the conversion."""
    from keras_retinanet.serving.kit import check_name

    if flags.format not in _KITS:
        raise ValueError(f"--serving-kit goes with --format {', '.join(_KITS)}, got --format {flags.format}.")
    if flags.format == "openvino" and not flags.with_resize:
        raise ValueError("--serving-kit of --format openvino needs --with-resize: the server does not resize.")
    out = Path(flags.out)
    check_name(out.resolve().name if flags.format != "onnx" else out.stem)


def _validation(data: DataConfig | None, class_names: Sequence[str]) -> ValidationData | None:
    """Annotated images of the run, if it has the classes of the model and validation images."""
    from keras_retinanet.data.open_dataset import has_validation
    from keras_retinanet.export import ValidationData

    if data is None or not has_validation(data):
        return None
    validation = ValidationData(data, MAX_VALIDATED)
    return validation if tuple(validation.class_names) == tuple(class_names) else None


def _convert_to_torchvision(flags: argparse.Namespace) -> int:
    """Writes weights, which have no settings of an artefact."""
    settings = ("serving_kit", "image_size", "with_resize", "fold_batch_norm", "exif", "representative", "no_nms")
    given = [name for name in settings if getattr(flags, name)] + (["precision"] * (flags.precision != "float32"))
    given += ["winograd"] * (flags.winograd != "off")
    if given:
        listed = ", ".join(f"--{name.replace('_', '-')}" for name in given)
        raise ValueError(f"--format torchvision writes weights, to which {listed} does not apply.")
    from keras_retinanet.export import MAX_SAMPLES, built_in_samples, export_torchvision, folder_images

    samples = folder_images(flags.samples, MAX_SAMPLES) if flags.samples else built_in_samples()
    overrides = read_overrides(flags.config, flags.class_names)
    mode = {"nms": "agnostic"} if flags.no_class_specific_filter else {}
    detector = open_detector(find_snapshot(Path(flags.snapshot)), flags, overrides, **mode)
    written = export_torchvision(detector, Path(flags.out), samples)
    for note in written.notes:
        print(f"note: {note}")
    print(f"{written.code}\n")
    print(
        f"wrote {written.path}: {written.tensors} tensors; imported again, raw outputs differ by "
        f"{written.difference:.1e} of their largest. The code above loads it."
    )
    return 0


if __name__ == "__main__":
    sys.exit(main())
