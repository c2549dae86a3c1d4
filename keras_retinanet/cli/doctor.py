"""`retinanet-doctor`: finds faults of a data set and measures its anchor coverage."""

from __future__ import annotations

import functools
import hashlib
import json
import os
import sys
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import TYPE_CHECKING

from keras_retinanet.cli.network_settings import network_parser, parse_network_arguments
from keras_retinanet.cli.parsing import Parser, fail
from keras_retinanet.cli.runner_arguments import (
    SHARD_SIZE,
    add_runner_flags,
    check_runner_flags,
    read_runner,
    run_job,
)
from keras_retinanet.cli.startup import import_tensorflow

if TYPE_CHECKING:
    import argparse

    from keras_retinanet.doctor import Diagnosis
    from keras_retinanet.doctor.image_scan import ImageFacts

PROGRAM = "retinanet-doctor"


def build_parser() -> Parser:
    """Builds the parser: network flags and output files.

    Returns:
        The parser.
    """
    parser = network_parser(
        PROGRAM,
        "Check the training and validation images of a data set for faults, and measure how many boxes have a "
        "positive anchor. Exit status: 0 no faults, 1 warnings, 2 errors.",
    )
    parser.add_argument("--json", metavar="FILE", help="also write everything as JSON")
    parser.add_argument("--page", metavar="FILE", help="also write an HTML page with plots and thumbnails")
    parser.add_argument("--fix", metavar="OUT", help="write a clean copy of the annotations into a new folder")
    parser.add_argument(
        "--optimise-anchors",
        action="store_true",
        help="search for anchors, or sizes of an SSD's default boxes, with higher coverage",
    )
    parser.add_argument(
        "--shards", metavar="DIR", default="doctor", help="--runner: its folder, with which the same command continues"
    )
    add_runner_flags(parser, "millions of images", "reads the image files in shards")
    return parser


def main(argv: Sequence[str] | None = None) -> int:
    """Runs the command.

    Args:
        argv: Command-line arguments without the program's name. Defaults to those of this process.

    Returns:
        Exit status: 0 no faults, 1 warnings, 2 errors in the data or wrong arguments.
    """
    parser = build_parser()
    namespace, config = parse_network_arguments(parser, argv)
    _require_writable(parser, namespace)
    if problem := check_runner_flags(namespace):
        parser.error(problem)
    import_tensorflow()
    from keras_retinanet.doctor import diagnose
    from keras_retinanet.doctor.image_scan import scan_images
    from keras_retinanet.doctor.text_report import format_text

    try:
        bars = _progress_bar("images", " images"), _progress_bar("searching anchors", " candidates")
        scan = functools.partial(_scan_in_shards, namespace) if namespace.runner else scan_images
        diagnosis = diagnose(
            config, use_search=namespace.optimise_anchors, images_bar=bars[0], search_bar=bars[1], scan=scan
        )
        for line in format_text(diagnosis):
            print(line)
        _write_files(diagnosis, namespace)
    except (ValueError, OSError, ImportError) as error:
        return fail(PROGRAM, error)
    return diagnosis.status


def _scan_in_shards(
    flags: argparse.Namespace,
    images: Sequence[str],
    progress: Callable[[int], object] | None = None,
    workers: int | None = None,
) -> list[ImageFacts]:
    """Scans the images of a split with a runner, in a folder named after the images and their times."""
    from keras_retinanet.data.image_files import byte_range
    from keras_retinanet.data.index_cache import file_states
    from keras_retinanet.doctor.sharded_scan import ScanTask, read_facts
    from keras_retinanet.shards.image_shards import Inputs

    del progress  # the shards have a bar of their own
    paths = [os.path.abspath(image) if image else image for image in images]
    states = file_states([part.file if (part := byte_range(path)) else path for path in paths])  # files may be mended
    digest = hashlib.blake2b("\0".join(paths).encode(errors="surrogateescape") + states.tobytes(), digest_size=8)
    folder = Path(flags.shards).absolute() / digest.hexdigest()
    size = flags.shard_size or SHARD_SIZE
    inputs = Inputs([(path, path) for path in paths])
    shards, _ = run_job(ScanTask(workers), {"shard_size": size}, inputs, size, folder, read_runner(flags))
    return [facts for shard in shards for facts in read_facts(folder / shard.file_name)]


def _require_writable(parser: Parser, namespace: argparse.Namespace) -> None:
    """Fails early if an output path is not writable."""
    for flag, name in (("--json", namespace.json), ("--page", namespace.page)):
        if name and (Path(name).is_dir() or not Path(name).absolute().parent.is_dir()):
            found = "is a folder" if Path(name).is_dir() else f"folder {Path(name).absolute().parent} does not exist"
            parser.error(f"{flag} {name}: {found}; give a file in an existing folder")
    if namespace.fix and Path(namespace.fix).is_dir() and any(Path(namespace.fix).iterdir()):
        parser.error(f"--fix {namespace.fix}: the folder is not empty; give a new one")


def _progress_bar(what: str, unit: str) -> Callable[[int], Callable[[int], object]]:
    """A progress bar that appears only on a terminal."""

    def begin(total: int) -> Callable[[int], object]:
        from tqdm import tqdm

        return tqdm(total=total or None, desc=what, unit=unit, leave=False, disable=None).update

    return begin


def _write_files(diagnosis: Diagnosis, namespace: argparse.Namespace) -> None:
    if namespace.json:
        Path(namespace.json).write_text(json.dumps(diagnosis.to_dict(), indent=2, default=str), encoding="utf-8")
        print(f"wrote {namespace.json}")
    if namespace.page:
        from keras_retinanet.doctor.html_report import write_html

        write_html(diagnosis, Path(namespace.page))
        print(f"wrote {namespace.page}")
    if namespace.fix:
        from keras_retinanet.doctor.cleaning import write_clean

        done = write_clean(diagnosis, Path(namespace.fix))
        for note in done.notes:
            print(f"note: {note}")
        sets = ", ".join(f"{name} {count} images" for name, count in done.num_images.items())
        print(f"wrote {done.folder}: {sets}, {done.num_boxes} boxes")


if __name__ == "__main__":
    sys.exit(main())
