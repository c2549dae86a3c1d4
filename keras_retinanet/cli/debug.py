"""`retinanet-debug`: draws training images after augmentation, and marks boxes without a positive anchor."""

from __future__ import annotations

import argparse
import dataclasses
import itertools
import os
import sys
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, get_args

from keras_retinanet.cli.network_settings import network_parser, parse_network_arguments
from keras_retinanet.cli.old_flags import refuse_old_flags
from keras_retinanet.cli.parsing import Parser, fail
from keras_retinanet.cli.startup import import_tensorflow
from keras_retinanet.config import AugmentName, DataConfig, TrainConfig
from keras_retinanet.config.rules import check

if TYPE_CHECKING:
    from keras_retinanet.doctor.training_pictures import TrainingPicture

PROGRAM = "retinanet-debug"
SHEET_COLUMNS, SHEET_WIDTH = 4, 480


def build_parser() -> Parser:
    """Builds the parser: network flags, which images to draw, and output files.

    Returns:
        The parser.
    """
    parser = network_parser(
        PROGRAM,
        "Draw training images after augmentation: green boxes have a positive anchor, red ones have none, "
        "grey ones are ignore regions, blue ones are positive anchors (--anchors).",
    )
    preset = DataConfig().augment
    parser.add_argument(
        "--augment", metavar="NAME", default=preset,
        help=f"presets ({', '.join(get_args(AugmentName))}) or MODULE:FUNCTION, with commas (default: %(default)s)",
    )  # fmt: skip
    parser.add_argument("--split", choices=("train", "val"), default="train", help="which images (default: train)")
    parser.add_argument("--anchors", action="store_true", help="also draw the positive anchors")
    parser.add_argument(
        "--out", metavar="FOLDER", help="write one picture per image (default without --sheet: ./debug)"
    )
    parser.add_argument("--sheet", metavar="FILE", help="write all images into one picture")
    parser.add_argument("--window", action="store_true", help="show the sheet, if there is a display")
    return parser


def main(argv: Sequence[str] | None = None) -> int:
    """Runs the command.

    Args:
        argv: Command-line arguments without the program's name. Defaults to those of this process.

    Returns:
        Exit status: 0 done, 2 wrong arguments or data.
    """
    parser = build_parser()
    refuse_old_flags(parser, sys.argv[1:] if argv is None else argv)
    namespace, config = parse_network_arguments(parser, argv)
    if namespace.window and not (os.environ.get("DISPLAY") or sys.platform in ("darwin", "win32")):
        parser.error("--window needs a display, and none was found; write pictures with --out or --sheet")
    config = dataclasses.replace(config, data=dataclasses.replace(config.data, augment=namespace.augment))
    try:
        check(config)
    except ValueError as error:
        parser.error(str(error))
    import_tensorflow()
    try:
        return _draw(namespace, config)
    except (ValueError, OSError, ImportError) as error:
        return fail(PROGRAM, error)


def _draw(namespace: argparse.Namespace, config: TrainConfig) -> int:
    from keras_retinanet.data.data_summary import describe_data
    from keras_retinanet.data.open_dataset import open_dataset
    from keras_retinanet.doctor.training_pictures import training_pictures
    from keras_retinanet.training.fit import readable_data_errors

    dataset = open_dataset(config.data, namespace.split)
    print(f"data: {describe_data(config.data, {namespace.split: dataset}, dataset.class_names)}")
    for note in dataset.report.notes:
        print(f"note: {note}")
    samples = list(dataset)
    count = min(len(samples), config.data.limit or 16)
    pictures = training_pictures(samples, dataset.class_names, config, has_anchors=namespace.anchors)
    folder = Path(namespace.out) if namespace.out else None
    if folder is None and not namespace.sheet and not namespace.window:
        folder = Path("debug")
    with readable_data_errors():
        made = list(_write_each(itertools.islice(pictures, count), folder))
    covered, missed, ignored = (sum(getattr(one, key) for one in made) for key in ("covered", "missed", "ignored"))
    print(
        f"{len(made)} images: {covered} boxes with a positive anchor (green), {missed} without (red), "
        f"{ignored} ignore regions (grey)"
    )
    if folder is not None:
        print(f"wrote {folder}")
    _show_sheet(made, namespace)
    return 0


def _write_each(pictures: Iterator[TrainingPicture], folder: Path | None) -> Iterator[TrainingPicture]:
    """Yields the pictures, and writes each to its own file if there is a folder."""
    from PIL import Image

    if folder is not None:
        folder.mkdir(parents=True, exist_ok=True)
    for place, picture in enumerate(pictures):
        if folder is not None:
            stem = "".join(letter if letter.isalnum() else "_" for letter in Path(picture.image).stem)
            Image.fromarray(picture.pixels).save(folder / f"{place:04d}_{stem[:80]}.png")
        yield picture


def _show_sheet(made: Sequence[TrainingPicture], namespace: argparse.Namespace) -> None:
    if not namespace.sheet and not namespace.window:
        return
    import numpy as np
    from PIL import Image

    from keras_retinanet.drawing.visualize import contact_sheet

    small = []
    for picture in made:
        image = Image.fromarray(picture.pixels)
        scale = min(1.0, SHEET_WIDTH / image.width)
        size = max(1, round(image.width * scale)), max(1, round(image.height * scale))
        small.append(np.array(image.resize(size, Image.Resampling.LANCZOS)))
    sheet = Image.fromarray(contact_sheet(small, SHEET_COLUMNS))
    if namespace.sheet:
        sheet.save(namespace.sheet)
        print(f"wrote {namespace.sheet}")
    if namespace.window:
        sheet.show(PROGRAM)


if __name__ == "__main__":
    sys.exit(main())
