"""`retinanet-detect`: detects objects in images and videos, and writes the boxes to files and pictures."""

from __future__ import annotations

import argparse
import itertools
import sys
from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING, get_args

from keras_retinanet.cli.detect_outputs import ending, open_result_files
from keras_retinanet.cli.detect_sharded import run_with_runner
from keras_retinanet.cli.detect_sources import Source, find_sources, numbered, refuse_overwriting
from keras_retinanet.cli.detect_summary import INTERRUPTED, SOME_UNREAD, Tally, summary
from keras_retinanet.cli.detector_settings import USUAL_THRESHOLD, detector_settings
from keras_retinanet.cli.parsing import Parser, fail, number
from keras_retinanet.cli.runner_arguments import add_runner_flags, check_runner_flags
from keras_retinanet.cli.snapshot_arguments import add_views_flag, add_winograd_flag, print_winograd_note
from keras_retinanet.cli.startup import import_tensorflow_for
from keras_retinanet.config import ExifFrame, TileConfig

if TYPE_CHECKING:
    from keras_retinanet.detection.detector import Detector
    from keras_retinanet.detection.result_files import ResultFile


def build_parser() -> Parser:
    """Builds the parser: model, sources, thresholds and outputs.

    Returns:
        The parser.
    """
    parser = Parser(
        prog="retinanet-detect",
        description="Find objects in images and videos: pictures with boxes, and files that other programs read.",
        epilog="Exit status: 0 done, 1 some images could not be read and were left out, 2 wrong word, model or source.",
    )
    count, share = number(int, least=1), number(float, least=0, most=1)
    parser.add_argument(
        "model",
        metavar="SNAPSHOT",
        help="a .keras file, the folder of a run, another library's file, or an exported model",
    )
    parser.add_argument("sources", metavar="SOURCE", nargs="+", help="image, folder, pattern ('*.jpg') or video")
    parser.add_argument("--recursive", action="store_true", help="look into the subfolders of folders, too")
    parser.add_argument("--limit", type=count, metavar="N", help="take only the first N images, and frames of a video")
    found = parser.add_argument_group("what counts as found")
    found.add_argument(
        "--score-threshold", type=share, metavar="X", help=f"drop boxes that score less (default: {USUAL_THRESHOLD})"
    )
    found.add_argument(
        "--thresholds", metavar="FILE", help="of retinanet-evaluate --save-thresholds, in place of one threshold"
    )
    found.add_argument("--nms-threshold", type=share, metavar="X", help="of two boxes that overlap more, drop one")
    found.add_argument("--max-detections", type=count, metavar="N", help="most boxes of an image")
    found.add_argument("--class", dest="classes", action="append", metavar="NAME", help="only this class; repeatable")
    parser.add_argument(
        "--exif", choices=get_args(ExifFrame),
        help="turn images upright by their EXIF orientation, or leave them as stored (default: the model's rule)",
    )  # fmt: skip
    add_views_flag(parser)
    large = parser.add_argument_group("large images")
    large.add_argument("--tile", type=count, metavar="SIZE", help="cut images into squares of SIZE pixels")
    large.add_argument(
        "--overlap", type=number(float, 0, 0.9), metavar="X", help=f"of tiles (default: {TileConfig.overlap})"
    )
    large.add_argument("--no-whole-pass", action="store_true", help="do not look at the whole image, too")
    out = parser.add_argument_group("output")
    out.add_argument("--out", default="detections", metavar="DIR", help="pictures with boxes (default: %(default)s)")
    out.add_argument("--no-pictures", action="store_true", help="draw nothing")
    out.add_argument("--json", metavar="FILE", help="COCO results, and FILE's name with _images: ids and file names")
    out.add_argument("--csv", metavar="FILE", help="lines of image,x1,y1,x2,y2,class,score")
    out.add_argument("--yolo", metavar="DIR", help="one text file per image with lines `label x y width height score`")
    out.add_argument("--parquet", metavar="FILE", help="a row per image for DuckDB, pandas, Spark (extra `parquet`)")
    add_runner_flags(
        parser,
        "millions of images: --out has the results by shard; the same command continues",
        "SOURCE may also be tar files (WebDataset) and TFRecords; draws nothing",
    )
    parser.add_argument("--batch-size", type=count, default=4, metavar="N", help="(default: %(default)s)")
    parser.add_argument("--workers", type=count, metavar="N", help="threads that read images (default: all cores)")
    add_winograd_flag(parser)
    return parser


def main(argv: Sequence[str] | None = None) -> int:
    """Runs the command.

    Args:
        argv: Command-line arguments without the program's name. Defaults to those of this process.

    Returns:
        Exit status: 0 done, 1 some images could not be read, 2 wrong arguments, model or sources, 130 Ctrl-C.
    """
    parser = build_parser()
    flags = parser.parse_intermixed_args(argv)
    if flags.tile is None and (flags.overlap is not None or flags.no_whole_pass):
        parser.error("--overlap and --no-whole-pass need --tile")
    if flags.no_pictures and not (flags.json or flags.csv or flags.yolo or flags.parquet):
        parser.error("--no-pictures leaves nothing to write: name a --json, --csv, --yolo or --parquet")
    if flags.limit and flags.runner:
        parser.error("--limit does not go with --runner")
    if problem := check_runner_flags(flags):
        parser.error(problem)
    if flags.thresholds and flags.score_threshold is not None:
        parser.error("--thresholds has the score threshold of each class: leave out --score-threshold")
    print_winograd_note(flags, Path(flags.model))
    import_tensorflow_for(flags.model, keeps_memory=True)
    try:
        return run_with_runner(flags) if flags.runner else _run(flags)
    except (ValueError, OSError, ImportError) as error:
        return fail("retinanet-detect", error)


def _run(flags: argparse.Namespace) -> int:
    images, videos = find_sources(flags.sources, flags.recursive)
    images = images[: flags.limit]
    if not flags.no_pictures:
        refuse_overwriting(images, videos, Path(flags.out))
    detector = _open(flags)
    writers = _writers(flags, images, videos, detector.class_names)
    tally, status = Tally(), 0
    written: dict[str, list[Path]] = {}
    try:
        with ending(writers, written):
            _detect_images(detector, images, writers, tally)
            for video in videos:
                _detect_video(detector, video, writers, tally, flags)
    except KeyboardInterrupt:
        status = INTERRUPTED
    print(summary(tally, written, is_whole=not status))
    return status or (SOME_UNREAD if tally.unread else 0)


def _open(flags: argparse.Namespace) -> Detector:
    from keras_retinanet.detection.detector import Detector
    from keras_retinanet.runtimes.open_model import open_model
    from keras_retinanet.runtimes.stricter_runtime import with_threshold_file

    runtime = with_threshold_file(open_model(flags.model), flags.thresholds)
    return Detector(runtime, **detector_settings(flags, runtime.filter))


def _writers(
    flags: argparse.Namespace, images: Sequence[Source], videos: Sequence[Source], class_names: Sequence[str]
) -> dict[str, ResultFile]:
    from keras_retinanet.detection import result_files as detection_files

    writers: dict[str, ResultFile] = {}
    if not flags.no_pictures:
        writers["pictures"] = detection_files.PictureFolder(Path(flags.out), class_names)
    ids = {} if videos else numbered([image.name for image in images])
    return {**writers, **open_result_files(flags, class_names, ids.get)}


def _detect_images(detector: Detector, images: Sequence[Source], writers: dict[str, ResultFile], tally: Tally) -> None:
    from tqdm import tqdm

    paths = [image.path for image in images]
    results = detector.detect(paths, on_error="skip", keeps_pixels="pictures" in writers)
    progress = tqdm(results, total=len(images), unit=" images", disable=None if images else True)
    for image, found in zip(images, progress, strict=True):
        tally.add(found)
        if found.error is None:
            for writer in writers.values():
                writer.add(image.name, found)


def _detect_video(
    detector: Detector, video: Source, writers: dict[str, ResultFile], tally: Tally, flags: argparse.Namespace
) -> None:
    from tqdm import tqdm

    from keras_retinanet.detection.result_files import AnnotatedVideo
    from keras_retinanet.detection.video import VideoReader

    reader = VideoReader(video.path)
    own = {name: writer for name, writer in writers.items() if name != "pictures"}
    if not flags.no_pictures:
        path = (Path(flags.out) / video.name).with_suffix(".mp4")
        own["video"] = AnnotatedVideo(path, reader.rate, detector.class_names)
    total = min((n for n in (reader.count, flags.limit) if n is not None), default=None)
    frames = itertools.islice(reader, flags.limit)
    results = detector.detect(frames, keeps_pixels=True)
    with ending({name: own[name] for name in own if name == "video"}):
        for number, found in enumerate(tqdm(results, desc=video.name, total=total, unit=" frames", disable=None), 1):
            tally.add(found)
            for writer in own.values():
                writer.add(f"{video.name}/{number:06d}.jpg", found)


if __name__ == "__main__":
    sys.exit(main())
