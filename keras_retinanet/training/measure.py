"""Measures a model in training on the validation images."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field

from tqdm import tqdm

from keras_retinanet.config import TrainConfig
from keras_retinanet.data.pipeline import InferenceBatches
from keras_retinanet.evaluation import METRICS, MetricSettings
from keras_retinanet.model.detection_model import DetectionModel
from keras_retinanet.model.retinanet import RetinaNet
from keras_retinanet.schema import Detections
from keras_retinanet.training.callbacks import EvaluateMetric
from keras_retinanet.training.devices import Devices, on_one_device
from keras_retinanet.training.local_detector import detector_on
from keras_retinanet.training.monitor import Monitor
from keras_retinanet.training.run_data import RunData
from keras_retinanet.training.shared_detections import detect_shared
from keras_retinanet.training.signals import StopRequest


def metric_settings(model: RetinaNet) -> MetricSettings:
    """How the metrics of a run are computed: by their definition, and up to the detector's limit where that is larger.

    Args:
        model: The model.

    Returns:
        The settings.
    """
    return MetricSettings(detector_limit=model.filter_config.max_detections)


@dataclass
class Measured:
    """What the last evaluation found.

    Attributes:
        found: Detections of the validation images.
        classes: First number of each class, such as `"AP/cat"`.
    """

    found: Sequence[Detections] = ()
    classes: Mapping[str, float] = field(default_factory=dict)


def measuring(
    config: TrainConfig,
    model: RetinaNet,
    data: RunData,
    monitor: Monitor,
    measured: Measured,
    request: StopRequest,
    devices: Devices,
) -> list[EvaluateMetric]:
    """Builds the callback that measures on the validation images.

    Args:
        config: All settings.
        model: The model in training.
        data: The images.
        monitor: The number that ranks epochs.
        measured: Receives what each evaluation found.
        request: An evaluation is abandoned if a stop is requested.
        devices: Those that train; each measures a part of the images.

    Returns:
        The callback; none without validation images.
    """
    samples = data.val_samples
    if samples is None:
        return []
    detector = detector_on(devices, DetectionModel(model))
    batches = InferenceBatches(
        samples,
        resize=model.resize_config,
        pad_value=model.pad_value,
        batch_size=max(config.batch_size // config.accumulate, 1),
        workers=config.data.workers,
        bad_images=data.bad_images,
        cut_off=data.cut_off,
        thumbnails=data.thumbnails[1],
    )

    def measure(progress: Callable[[int], None]) -> Mapping[str, float]:
        is_quiet = None if devices.processes.is_first else True  # None: where the output is no terminal
        with tqdm(total=len(samples), desc="measuring", unit=" images", leave=False, disable=is_quiet) as bar:

            def step(count: int) -> None:
                bar.update(count)
                progress(count)

            with on_one_device():
                found = detect_shared(detector, batches, samples, step, devices)

        def compute() -> tuple[Mapping[str, float], Mapping[str, float]]:
            assert found is not None  # they are gathered in the first process, which computes
            measured.found = found
            return monitor.log(config.metric, samples, found, model.class_names, metric_settings(model))

        figures, measured.classes = devices.processes.broadcast(compute)
        return figures

    return [EvaluateMetric(measure, every=config.evaluate_every, epochs=config.epochs, request=request)]


def describe_monitor(monitor: Monitor, metric: str) -> str | None:
    """Says by which number epochs are ranked, where it is not the usual one.

    Args:
        monitor: The number.
        metric: Name of the metric of the run.

    Returns:
        A sentence, or `None`.
    """
    usual = METRICS[metric].monitor
    if monitor.is_chosen:
        return f"best.keras follows {monitor.name}"
    if monitor.name != usual:
        return f"best.keras follows {monitor.name}: some validation images have more boxes than {usual} counts"
    return None
