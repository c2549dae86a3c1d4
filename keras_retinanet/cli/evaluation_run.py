"""Detection for `retinanet-evaluate`: in whole images, in tiles of them, or in several views."""

from __future__ import annotations

import argparse
import contextlib
import dataclasses
import os
import time
from collections.abc import Callable, Iterator, Mapping, Sequence
from typing import TYPE_CHECKING, Any

from keras_retinanet.cli.evaluation_inputs import Evaluation
from keras_retinanet.cli.exported_run import detect_with_runtime
from keras_retinanet.cli.interrupted_evaluation import open_detection_files
from keras_retinanet.config import TileConfig, ViewConfig

if TYPE_CHECKING:
    from keras_retinanet.evaluation.detection_file import DetectionFile
    from keras_retinanet.model.detection_model import DetectionModel
    from keras_retinanet.runtimes import Runtime
    from keras_retinanet.schema import Detections

SEPARATE, MERGED = "before merging", "after merging"
Stages = Mapping[str, "Sequence[Detections]"]
"""Detections by what was done to them, `""` where there is nothing to tell apart."""
_OF_SCORES = ("class_thresholds", "temperature", "score_bias")
_NOTHING: Detections = {"boxes": (), "scores": (), "labels": ()}


@contextlib.contextmanager
def detect(evaluation: Evaluation, flags: argparse.Namespace) -> Iterator[tuple[Stages, str]]:
    """Detects in all images, and prints what was wrong with them.

    Args:
        evaluation: Model and data.
        flags: The parsed flags.

    Yields:
        The detections; with `--tile`, before and after the boxes of tiles are merged. They are on disk, where the same
        command finds them again unless the caller's block ends without an error. And the speed in words, empty if
        nothing was left to detect.
    """
    from keras_retinanet.evaluation.columns import count_detections

    names = ("",) if flags.tile is None else (SEPARATE, MERGED)
    with open_detection_files(evaluation, flags, names) as files:
        stages, count, seconds = _run(evaluation, flags, files)
        _report_images(evaluation)
        speed = f"{count} images in {seconds:.1f} s ({count / seconds:.2f} images/s)" if count else ""
        for stage, found in stages.items():
            words = f"{count_detections(found)} boxes", stage, speed and f"in {speed}"
            print(f"detected  {' '.join(filter(None, words))}")
        print()
        yield stages, speed


def _run(
    evaluation: Evaluation, flags: argparse.Namespace, files: Mapping[str, DetectionFile]
) -> tuple[Stages, int, float]:
    """The detections, the number of images that were searched, and the seconds it took."""
    from tqdm import tqdm

    from keras_retinanet.data.errors import from_tensorflow
    from keras_retinanet.evaluation import detect_dataset
    from keras_retinanet.evaluation.columns import list_ids

    start = time.perf_counter()
    samples, done = evaluation.samples, int(next(iter(files.values())).done.sum())
    try:
        with tqdm(total=len(samples), initial=done, unit=" images", disable=None) as bar:
            model: Any = evaluation.model
            if flags.tile is not None or flags.tta is not None:
                _detect_in_images(evaluation, flags, files, bar.update)
            elif evaluation.batches is None:
                detect_with_runtime(evaluation, flags, files[""], bar.update)
            else:
                detect_dataset(model, evaluation.batches, samples, progress=bar.update, file=files[""])
    except Exception as error:
        broken_file = from_tensorflow(error)
        if broken_file is None:
            raise
        raise broken_file from error
    stages = {stage: file.detections(list_ids(samples)) for stage, file in files.items()}
    return stages, len(samples) - done, time.perf_counter() - start


def _report_images(evaluation: Evaluation) -> None:
    from keras_retinanet.data.thumbnails import describe_near_duplicates

    if evaluation.bad_images is not None and (summary := evaluation.bad_images.summary()) is not None:
        print(f"warning   {summary}; their boxes count as missed")
    if (summary := evaluation.cut_off.summary()) is not None:
        print(f"warning   {summary}")
    images = [sample["image"] for sample in evaluation.samples]
    for sentence in describe_near_duplicates([(evaluation.set_name, images, evaluation.thumbnails)]):
        print(f"warning   {sentence}")


def _detect_in_images(
    evaluation: Evaluation,
    flags: argparse.Namespace,
    files: Mapping[str, DetectionFile],
    progress: Callable[[int], object],
) -> None:
    """Detects image by image: keeps the boxes of all tiles as they were found, and merged; or those of all views."""
    from keras_retinanet.data.given_images import GivenImage, load_ahead
    from keras_retinanet.evaluation.metric import keep_counted

    runtime = _open_runtime(evaluation.model, flags)
    due = [k for k in range(len(evaluation.samples)) if not all(file.done[k] for file in files.values())]
    images = (GivenImage(name, name) for name in (evaluation.samples[k]["image"] for k in due))
    workers = flags.workers or min(8, os.cpu_count() or 1)
    loaded_images = load_ahead(images, workers, flags.batch_size, evaluation.resize)
    for position, (image, loaded, error) in zip(due, loaded_images, strict=True):
        if loaded is None:
            assert error is not None
            if evaluation.bad_images is None:
                raise error
            evaluation.bad_images.report(image.name, error.found)
            found = dict.fromkeys(files, _NOTHING)
        else:
            if loaded.is_cut_off:
                evaluation.cut_off.add(image.name)
            found = _detect_image(runtime, loaded.pixels)
        for stage, entry in found.items():
            files[stage].add([(position, keep_counted(entry, flags.score_threshold, flags.max_detections))])
        progress(1)


def _detect_image(runtime: Runtime, pixels: Any) -> dict[str, Detections]:
    from keras_retinanet.detection.tiling import TiledRuntime

    if not isinstance(runtime, TiledRuntime):
        return {"": runtime.detect([pixels])[0]}
    tiles = runtime.detect_tiles(pixels)
    separate: Detections = {"boxes": tiles.boxes, "scores": tiles.scores, "labels": tiles.labels}
    return {SEPARATE: separate, MERGED: runtime.merge(tiles)}


def _open_runtime(model: DetectionModel | Runtime, flags: argparse.Namespace) -> Runtime:
    """As `retinanet-detect --tile` or `--tta`: less certain boxes take part in merging, and show what is a fragment.

    Thresholds of classes apply to the fused scores of several views.
    """
    from keras_retinanet.detection.tiling import TiledRuntime
    from keras_retinanet.detection.views import ViewsRuntime
    from keras_retinanet.runtimes import Runtime
    from keras_retinanet.runtimes.open_model import open_model, with_thresholds
    from keras_retinanet.runtimes.stricter_runtime import StricterRuntime

    if isinstance(model, Runtime):
        runtime = model  # fused already
    else:
        wanted = {name: getattr(flags, name) for name in ("score_threshold", "nms_threshold")}
        changes = {name: value for name, value in wanted.items() if value is not None}
        is_fused = flags.tta is not None
        runtime = with_thresholds(
            open_model(model.network), changes, is_tiled=flags.tile is not None, is_fused=is_fused
        )
        own = runtime.filter
        if flags.class_threshold or flags.thresholds:
            own = dataclasses.replace(own, **{name: getattr(model.filter_config, name) for name in _OF_SCORES})
            loose = dataclasses.replace(own, class_thresholds=()) if is_fused else own
            runtime = runtime.with_filter(loose) or runtime
        if is_fused:
            runtime = ViewsRuntime(runtime, ViewConfig(flags.tta))
            runtime = StricterRuntime(runtime, own) if own.class_thresholds else runtime
    if flags.tile is None:
        return runtime
    overlap = TileConfig.overlap if flags.overlap is None else flags.overlap
    return TiledRuntime(runtime, TileConfig(flags.tile, overlap, not flags.no_whole_pass), flags.batch_size)
