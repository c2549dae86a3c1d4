"""Keeps the detections of `retinanet-evaluate` on disk, so that an evaluation that was killed continues.

The file lies in the user's cache folder. Its name is a digest of the snapshot, the images and every setting that
detections depend on: the same command finds it again, another command does not. It is removed once the numbers are out.
"""

from __future__ import annotations

import argparse
import contextlib
import dataclasses
import hashlib
import os
import tempfile
import time
from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path
from typing import TYPE_CHECKING

from keras_retinanet.version import __version__

if TYPE_CHECKING:
    from keras_retinanet.cli.evaluation_inputs import Evaluation
    from keras_retinanet.evaluation.detection_file import DetectionFile

_MAX_AGE = 14 * 24 * 3600  # seconds after which a file that nobody came back to is removed
_BROKEN, _CUT_OFF = 1, 2  # flags of an image


@contextlib.contextmanager
def open_detection_files(
    evaluation: Evaluation, flags: argparse.Namespace, stages: Sequence[str]
) -> Iterator[Mapping[str, DetectionFile]]:
    """Opens the files of an evaluation, and removes them if it ends without an error.

    Args:
        evaluation: Model and data.
        flags: The parsed flags.
        stages: What is kept apart: one file each.

    Yields:
        The file of each stage, with what an earlier process left.
    """
    from keras_retinanet.data.index_cache import cache_folder

    folder = cache_folder() / "evaluations"
    _remove_old(folder)
    digest = _digest(evaluation, flags)
    with contextlib.ExitStack() as stack:
        try:
            files = _open(folder, digest, evaluation, stages)
        except OSError as error:
            reason = "another process runs the same" if isinstance(error, BlockingIOError) else error
            print(f"note      this evaluation cannot be continued if it is interrupted ({reason})")
            folder = Path(stack.enter_context(tempfile.TemporaryDirectory(prefix="retinanet-evaluate-")))
            files = _open(folder, digest, evaluation, stages)
        if flags.no_resume:
            for file in files.values():
                file.clear()
        _take_over(evaluation, files, stages)
        try:
            yield files
        except BaseException:
            for file in files.values():
                file.close()
            raise
        for file in files.values():
            file.remove()


def _open(folder: Path, digest: str, evaluation: Evaluation, stages: Sequence[str]) -> dict[str, DetectionFile]:
    from keras_retinanet.evaluation.detection_file import DetectionFile

    files: dict[str, DetectionFile] = {}
    for number, stage in enumerate(stages):
        try:
            files[stage] = DetectionFile(folder / f"{digest}-{number}.detections", digest, len(evaluation.samples))
        except OSError:
            for file in files.values():
                file.close()
            raise
    return files


def _take_over(evaluation: Evaluation, files: Mapping[str, DetectionFile], stages: Sequence[str]) -> None:
    """Says what an earlier process did, and takes over which images it found broken; keeps this for later ones."""
    samples, bad_images, cut_off = evaluation.samples, evaluation.bad_images, evaluation.cut_off

    def flag_of(position: int) -> int:
        name = samples[position]["image"]
        is_broken = bad_images is not None and name in bad_images.found
        return _BROKEN * is_broken + _CUT_OFF * (name in cut_off.found)

    for file in files.values():
        file.flag_of = flag_of
    first = files[stages[0]]
    for position in first.flags.nonzero()[0].tolist():
        name = samples[position]["image"]
        if bad_images is not None and first.flags[position] & _BROKEN:
            bad_images.found[name] = "could not be read"
        if first.flags[position] & _CUT_OFF:
            cut_off.add(name)
    if first.done.any():
        print(f"resumed   {first.done.sum()} of {len(samples)} images were searched before; --no-resume starts afresh")


def _remove_old(folder: Path) -> None:
    for file in folder.glob("*.detections"):
        with contextlib.suppress(OSError):
            if time.time() - file.stat().st_mtime > _MAX_AGE:
                file.unlink()


def _digest(evaluation: Evaluation, flags: argparse.Namespace) -> str:
    """32 hexadecimal digits that stand for everything that the detections depend on."""
    import keras

    from keras_retinanet.data.image_files import byte_range
    from keras_retinanet.data.index_cache import file_states

    snapshot = evaluation.snapshot.resolve()
    parts = [snapshot, *sorted(snapshot.rglob("*"))] if snapshot.is_dir() else [snapshot]
    tiles = (flags.tile, flags.overlap, flags.no_whole_pass, flags.score_threshold, flags.max_detections, flags.tta)
    settings = dataclasses.asdict(evaluation.filter), dataclasses.asdict(evaluation.resize), tiles
    digest = hashlib.blake2b(repr((__version__, keras.backend.backend(), parts, settings)).encode(), digest_size=16)
    digest.update(file_states([str(part) for part in parts]).tobytes())
    images = [sample["image"] for sample in evaluation.samples]
    for sample in evaluation.samples:
        shown = os.path.abspath(sample["image"]), sample.get("size"), sample.get("orientation")
        digest.update(repr(shown).encode())
    files = [part.file if (part := byte_range(image)) else image for image in images]
    digest.update(file_states(list(dict.fromkeys(files))).tobytes())
    return digest.hexdigest()
