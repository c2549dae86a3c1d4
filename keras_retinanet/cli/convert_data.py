"""`retinanet-convert-data`: converts a data set to another format."""

from __future__ import annotations

import argparse
import dataclasses
import sys
from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any, get_args

from keras_retinanet.cli.dataset_arguments import add_dataset_arguments, add_reader_flags, parse_arguments
from keras_retinanet.cli.parsing import Parser, fail, number
from keras_retinanet.cli.startup import import_tensorflow
from keras_retinanet.config import CutConfig, DataConfig, ImageMode, WriterName
from keras_retinanet.data.open_dataset import check_data

if TYPE_CHECKING:
    from keras_retinanet.data.conversion import Conversion
    from keras_retinanet.data.open_dataset import Split
    from keras_retinanet.data.writers import WriteJob

PROGRAM = "retinanet-convert-data"


def build_parser() -> Parser:
    """Builds the parser: dataset arguments, output folder and format.

    Returns:
        The parser.
    """
    parser = Parser(
        prog=PROGRAM,
        usage="%(prog)s [flags] {PATH … | FORMAT ARGUMENT …} OUT --to NAME",
        description="Write a data set in another format, training and validation images alike. OUT is a new folder.",
    )
    add_dataset_arguments(parser, trailing=("OUT",))
    parser.add_argument("--to", choices=get_args(WriterName), required=True, help="format to write")
    parser.add_argument("--set", metavar="NAME", help="training images (default: the format's train)")
    parser.add_argument("--val-set", metavar="NAME", help="validation images (default: the format's val, if any)")
    parser.add_argument("--val-annotations", metavar="FILE", help="csv: validation annotations")
    parser.add_argument("--only", choices=("train", "val"), help="write one of the two")
    add_reader_flags(parser)
    parser.add_argument(
        "--images",
        choices=get_args(ImageMode),
        default="copy",
        help="what to do with the image files (default: %(default)s)",
    )
    count = number(int, least=1)
    parser.add_argument("--shards", type=count, metavar="N", help="tfrecord: files a split (default: 200 MB each)")
    add_tile_flags(parser)
    parser.add_argument("--runner", metavar="NAME", help="run as an Apache Beam pipeline: DirectRunner, FlinkRunner …")
    parser.add_argument(
        "--beam-options", metavar="TEXT", default="", help="the runner's own flags: '--project=p --region=r'"
    )
    return parser


def add_tile_flags(parser: Parser) -> None:
    """Adds the flags that cut images into tiles.

    Args:
        parser: Gains the flags; those not given are not in the namespace, except `tile`.
    """
    count, share = number(int, least=1), number(float, least=0, most=1)
    tiles = parser.add_argument_group("large images: tiles as retinanet-detect --tile cuts them")
    tiles.add_argument("--tile", type=count, metavar="SIZE", help="cut images into squares of SIZE pixels")
    given: dict[str, Any] = {"default": argparse.SUPPRESS}
    tiles.add_argument(
        "--overlap", type=number(float, 0, 0.9), metavar="X", help=f"of tiles (default: {CutConfig.overlap})", **given
    )
    tiles.add_argument(
        "--min-visibility",
        type=share,
        metavar="X",
        help="boxes of which a tile shows less are ignore regions there, or left out if the format has none "
        f"(default: {CutConfig.min_visibility})",
        **given,
    )
    tiles.add_argument(
        "--empty-tiles",
        dest="empty_share",
        type=share,
        metavar="X",
        help=f"share of the training tiles without objects to keep (default: {CutConfig.empty_share:g})",
        **given,
    )
    tiles.add_argument("--tile-seed", dest="seed", type=int, metavar="N", help="chooses them (default: 0)", **given)
    tiles.add_argument(
        "--tile-format",
        dest="format",
        choices=("png", "jpg"),
        help=f"png is exact, jpg smaller (default: {CutConfig.format})",
        **given,
    )


def _read_cut(flags: argparse.Namespace, parser: Parser) -> CutConfig | None:
    names = [field.name for field in dataclasses.fields(CutConfig) if field.name != "size"]
    given = {name: getattr(flags, name) for name in names if name in flags}
    if flags.tile is None:
        if given:
            parser.error("--overlap, --min-visibility, --empty-tiles, --tile-seed and --tile-format need --tile")
        return None
    return CutConfig(flags.tile, **given)


def main(argv: Sequence[str] | None = None) -> int:
    """Runs the command.

    Args:
        argv: Command-line arguments without the program's name. Defaults to those of this process.

    Returns:
        Exit status: 0 done, 2 wrong arguments or data.
    """
    parser = build_parser()
    flags, data, (out,) = parse_arguments(parser, argv)
    if flags.shards and flags.to != "tfrecord":
        parser.error("--shards belongs to --to tfrecord")
    if flags.beam_options and not flags.runner:
        parser.error("--beam-options are those of a --runner")
    cut = _read_cut(flags, parser)
    val_annotations = flags.val_annotations or data.val_annotations
    data = dataclasses.replace(data, train_set=flags.set, val_set=flags.val_set, val_annotations=val_annotations)
    try:
        check_data(data)
    except ValueError as error:
        parser.error(str(error))
    import_tensorflow()
    try:
        done = _convert(flags, data, Path(out), cut)
    except (ValueError, OSError, ImportError) as error:
        return fail(PROGRAM, error)
    print(f"data: {done.description}")
    for note in done.notes:
        print(f"note: {note}")
    sets = ", ".join(f"{name} {count} images" for name, count in done.num_images.items())
    print(f"wrote {done.folder}: {sets}, {done.num_boxes} boxes")
    return 0


def _convert(flags: argparse.Namespace, data: DataConfig, out: Path, cut: CutConfig | None) -> Conversion:
    from keras_retinanet.data.conversion import convert
    from keras_retinanet.data.writers.beam import write_with_beam

    def with_beam(jobs: Sequence[WriteJob]) -> None:
        write_with_beam(jobs, flags.runner, flags.beam_options.split())

    splits: Sequence[Split] = (flags.only,) if flags.only else ("train", "val")
    run = with_beam if flags.runner else _show_progress
    return convert(data, out, flags.to, splits=splits, images=flags.images, shards=flags.shards, cut=cut, run=run)


def _show_progress(jobs: Sequence[WriteJob]) -> None:
    from tqdm import tqdm

    from keras_retinanet.data.writers import write_job

    total = sum(len(job.split.samples) for job in jobs)
    with tqdm(total=total, desc="writing", unit=" images", leave=False, disable=None) as bar:
        for job in jobs:
            write_job(job, bar.update)


if __name__ == "__main__":
    sys.exit(main())
