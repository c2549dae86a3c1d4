"""What the server counts, for Prometheus."""

from __future__ import annotations

import contextlib
import importlib.util
import os
from pathlib import Path
from typing import Any

from keras_retinanet.extras import install_hint
from keras_retinanet.serving.peers import is_alive

FOLDER = "PROMETHEUS_MULTIPROC_DIR"
"""Environment variable with the folder in which several processes keep their counts, read by `prometheus_client`."""

_SECONDS = (0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1.0, 2.5, 5.0, 10.0, 30.0, 60.0)
_IMAGES = (1, 2, 4, 8, 16, 32, 64)


class Metrics:
    """Counts requests, images and batches of each model. Without `prometheus_client` nothing is counted.

    If the environment names a folder for several processes, all counts are summed over them.
    """

    def __init__(self) -> None:
        self._kinds: dict[str, Any] = {}
        if not is_available():
            return
        import prometheus_client as prometheus

        self._registry = prometheus.CollectorRegistry()
        if FOLDER not in os.environ:
            prometheus.ProcessCollector(registry=self._registry)
        own = {"registry": self._registry, "namespace": "retinanet"}
        only, by_model = ["model", "status"], ["model"]
        requests = "Requests for detections by HTTP status"
        self._kinds = {
            "requests": prometheus.Counter("requests", requests, only, **own),
            "images": prometheus.Counter("images", "Images with a result", by_model, **own),
            "latency": prometheus.Histogram(
                "request_seconds",
                "Time from headers to result of successful requests",
                by_model,
                buckets=_SECONDS,
                **own,
            ),
            "batch_seconds": prometheus.Histogram(
                "batch_seconds", "Time of a batch in the network", by_model, buckets=_SECONDS, **own
            ),
            "batch_images": prometheus.Histogram(
                "batch_images", "Number of images in a batch", by_model, buckets=_IMAGES, **own
            ),
            "waiting": prometheus.Gauge(
                "images_waiting", "Images waiting or in progress", by_model, multiprocess_mode="livesum", **own
            ),
            "version": prometheus.Gauge(
                "model_version", "Version that answers requests", by_model, multiprocess_mode="livemin", **own
            ),
            "failures": prometheus.Counter("reload_failures", "New versions that could not be served", by_model, **own),
        }

    def count_request(self, model: str, status: int, seconds: float, images: int) -> None:
        """Counts a request for detections.

        Args:
            model: Name of the model.
            status: HTTP status of the response.
            seconds: Time from the headers of the request to its result.
            images: Number of images.
        """
        if self._kinds:
            self._kinds["requests"].labels(model, str(status)).inc()
            if status == 200:
                self._kinds["images"].labels(model).inc(images)
                self._kinds["latency"].labels(model).observe(seconds)

    def count_batch(self, model: str, images: int, seconds: float) -> None:
        """Counts a batch.

        Args:
            model: Name of the model.
            images: Number of images.
            seconds: Time in the network.
        """
        if self._kinds:
            self._kinds["batch_images"].labels(model).observe(images)
            self._kinds["batch_seconds"].labels(model).observe(seconds)

    def add_waiting(self, model: str, images: int) -> None:
        """Adds to the number of images that wait.

        Args:
            model: Name of the model.
            images: Number of images, negative when they leave.
        """
        if self._kinds:
            self._kinds["waiting"].labels(model).inc(images)

    def set_version(self, model: str, version: int) -> None:
        """Records the version that answers requests.

        Args:
            model: Name of the model.
            version: Its version.
        """
        if self._kinds:
            self._kinds["version"].labels(model).set(version)

    def count_reload_failure(self, model: str) -> None:
        """Counts a new version that could not be served.

        Args:
            model: Name of the model.
        """
        if self._kinds:
            self._kinds["failures"].labels(model).inc()

    def render(self) -> tuple[bytes, str]:
        """The counts as text.

        Returns:
            The text and its content type.

        Raises:
            ModuleNotFoundError: `prometheus_client` is not installed.
        """
        if not self._kinds:
            raise ModuleNotFoundError(
                f"Metrics need prometheus_client, which is not installed: {install_hint('serve')}"
            )
        import prometheus_client as prometheus
        from prometheus_client import multiprocess

        registry = self._registry
        if folder := os.environ.get(FOLDER):
            _forget_ended_processes(Path(folder))
            registry = prometheus.CollectorRegistry()
            multiprocess.MultiProcessCollector(registry)
        return prometheus.generate_latest(registry), prometheus.CONTENT_TYPE_LATEST


def is_available() -> bool:
    """Whether `prometheus_client` is installed.

    Returns:
        True if it can be imported.
    """
    return importlib.util.find_spec("prometheus_client") is not None


def _forget_ended_processes(folder: Path) -> None:
    """Removes the gauges of processes that have ended; their counters stay in the sums."""
    from prometheus_client import multiprocess

    for process in {int(file.stem.rpartition("_")[2]) for file in folder.glob("gauge_live*_*.db")}:
        if not is_alive(process):
            with contextlib.suppress(FileNotFoundError):  # another process has just done it
                multiprocess.mark_process_dead(process)
