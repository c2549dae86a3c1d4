"""`retinanet-convert-model`: from a training snapshot to an artefact for production."""

from __future__ import annotations

import argparse
import os
import sys
from collections.abc import Sequence
from pathlib import Path
from typing import get_args

from keras_retinanet.cli.parsing import Parser, fail
from keras_retinanet.cli.snapshot_arguments import add_filter_flags, open_detector
from keras_retinanet.config import ExportFormat


def build_parser() -> Parser:
    """The parser of the command.

    Returns:
        The parser.
    """
    parser = Parser(
        prog="retinanet-convert-model",
        description="Turn a snapshot into an inference model: anchors, box decoding and filtered NMS inside.",
    )
    parser.add_argument("snapshot", metavar="SNAPSHOT", help="a .keras file, or the folder of a run")
    parser.add_argument("out", metavar="OUT", help="file to write; saved_model: folder that gets a new version")
    parser.add_argument("--format", choices=get_args(ExportFormat), default="keras", help="(default: %(default)s)")
    suppression = add_filter_flags(parser).add_mutually_exclusive_group()
    suppression.add_argument("--no-nms", action="store_true", help="keep boxes that repeat others")
    suppression.add_argument(
        "--no-class-specific-filter", action="store_true", help="let boxes of all classes suppress each other"
    )
    return parser


def main(argv: Sequence[str] | None = None) -> int:
    """Runs the command.

    Args:
        argv: Sequence. The words after the program's name. Defaults to those of this process.

    Returns:
        Exit status: 0 done, 2 wrong words or snapshot.
    """
    flags = build_parser().parse_args(argv)
    os.environ.setdefault("TF_CPP_MIN_LOG_LEVEL", "2")
    try:
        written = _convert(flags)
    except (ValueError, OSError) as error:
        return fail("retinanet-convert-model", error)
    print(f"wrote {written}")
    return 0


def _convert(flags: argparse.Namespace) -> Path:
    from keras_retinanet.export import FORMATS

    mode = "none" if flags.no_nms else "agnostic" if flags.no_class_specific_filter else None
    detector = open_detector(Path(flags.snapshot), flags, **({"nms": mode} if mode else {}))
    return FORMATS[flags.format](detector, Path(flags.out))


if __name__ == "__main__":
    sys.exit(main())
