"""The files of detections that flags of `retinanet-detect` name."""

from __future__ import annotations

import argparse
import contextlib
from collections.abc import Callable, Iterator, Mapping, Sequence
from pathlib import Path
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from keras_retinanet.detection.result_files import ResultFile


def open_result_files(
    flags: argparse.Namespace, class_names: Sequence[str], find_id: Callable[[str], int | None]
) -> dict[str, ResultFile]:
    """Opens the result files; if one cannot be opened, none is left.

    Args:
        flags: The parsed flags.
        class_names: Names of the labels.
        find_id: Image name → COCO id, or `None`.

    Returns:
        Flag → the file's writer.
    """
    from keras_retinanet.detection import result_files
    from keras_retinanet.detection.parquet_file import ParquetFile

    writers: dict[str, ResultFile] = {}
    try:
        if flags.json:
            writers["json"] = result_files.CocoResults(Path(flags.json), class_names, find_id)
        if flags.csv:
            writers["csv"] = result_files.CsvTable(Path(flags.csv))
        if flags.yolo:
            writers["yolo"] = result_files.YoloFolder(Path(flags.yolo), class_names)
        if flags.parquet:
            writers["parquet"] = ParquetFile(Path(flags.parquet), class_names)
    except BaseException:
        discard_all(writers)
        raise
    return writers


def discard_all(writers: Mapping[str, ResultFile]) -> None:
    """Ends every output without its file, so that no half of a file looks like a whole one.

    Args:
        writers: Name of an output → its writer.
    """
    with contextlib.ExitStack() as endings:
        for writer in writers.values():
            endings.callback(writer.discard)


@contextlib.contextmanager
def ending(writers: Mapping[str, ResultFile], written: dict[str, list[Path]] | None = None) -> Iterator[None]:
    """Closes every output at the end of the block, and after Ctrl-C; after an error ends all without their files.

    Args:
        writers: Name of an output → its writer.
        written: Gets the paths of their files or folders by name. Defaults to nothing.

    Yields:
        Nothing.
    """
    written = {} if written is None else written
    try:
        yield
    except KeyboardInterrupt:
        written |= close_all(writers)
        raise
    except BaseException:
        discard_all(writers)
        raise
    written |= close_all(writers)


def close_all(writers: Mapping[str, ResultFile]) -> dict[str, list[Path]]:
    """Closes every output, even if closing another one fails.

    Args:
        writers: Name of an output → its writer.

    Returns:
        Name → paths of its files or folders.
    """
    written: dict[str, list[Path]] = {}
    with contextlib.ExitStack() as endings:
        for name, writer in writers.items():
            endings.callback(_close_one, writer, name, written)
    return {name: written[name] for name in writers}


def _close_one(writer: ResultFile, name: str, written: dict[str, list[Path]]) -> None:
    written[name] = writer.close()
