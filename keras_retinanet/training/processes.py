"""Several processes, each on a machine of its own, that train together: their number, and what they exchange.

Gradients travel by JAX. What is here goes through the key-value store of its coordination service, at process 0: who
stops when, detections, and the numbers of an evaluation.
"""

from __future__ import annotations

import functools
import json
import time
from collections.abc import Callable
from dataclasses import dataclass, field
from typing import Any

import keras

from keras_retinanet.framework_internals import coordination_client
from keras_retinanet.training.launchers import NO_MULTI_WORKER, ProcessSettings

POLL_MS = 1000
"""Time after which a process that waits looks at its signals."""
CHUNK = 1 << 20
"""Largest value of the store, in bytes."""


@dataclass(eq=False)
class Processes:
    """The processes of a run. All of them call the same methods in the same order.

    Attributes:
        index: Number of this process, from 0. The first one writes the files of the run.
        count: How many there are.
        client: JAX's client of the coordination service; `None` for one process.
    """

    index: int = 0
    count: int = 1
    client: Any = None
    _calls: int = field(default=0, repr=False)

    @property
    def is_first(self) -> bool:
        """Whether this process writes the files of the run."""
        return self.index == 0

    def broadcast(self, make: Callable[[], Any]) -> Any:
        """What process 0 computes, in every process.

        Args:
            make: Computes it, in process 0 only; plain values, as in JSON.

        Returns:
            The value.
        """
        if self.count == 1:
            return make()
        key = self.next_key()
        if self.is_first:
            value = make()
            self.client.key_value_set_bytes(key, json.dumps(value).encode())
            return value
        return json.loads(self._wait_for(key))

    def gather(self, data: bytes) -> list[bytes]:
        """What every process has, in process 0.

        Args:
            data: Of this process.

        Returns:
            One entry per process in process 0; elsewhere only that of this process.
        """
        if self.count == 1:
            return [data]
        key = self.next_key()
        if not self.is_first:
            parts = [data[start : start + CHUNK] for start in range(0, len(data), CHUNK)]
            for number, part in enumerate(parts):
                self.client.key_value_set_bytes(f"{key}/{self.index}/{number}", part)
            self.client.key_value_set_bytes(f"{key}/{self.index}", str(len(parts)).encode())
            return [data]
        others = [self._collect(f"{key}/{index}") for index in range(1, self.count)]
        return [data, *others]

    def require_equal(self, values: dict[str, str]) -> None:
        """Checks that all processes have the same, so that they train the same model on the same images.

        Args:
            values: Name → text or fingerprint.

        Raises:
            ValueError: They differ; the message names what, and where.
        """
        first = self.broadcast(lambda: values)
        if wrong := [name for name in values if values[name] != first.get(name)]:
            raise ValueError(
                f"process {self.index} has other {' and '.join(wrong)} than process 0; give every process the same "
                "files, the same flags and the same versions."
            )

    def next_key(self) -> str:
        """A key of the store that has not been used, the same in every process.

        Returns:
            The key.
        """
        self._calls += 1
        return f"keras_retinanet/{self._calls}"

    def _collect(self, key: str) -> bytes:
        """A value in parts, which are removed from the store."""
        count = int(self._wait_for(key))
        parts = [self._wait_for(f"{key}/{number}") for number in range(count)]
        self.client.key_value_delete(f"{key}/")
        return b"".join(parts)

    def _wait_for(self, key: str) -> bytes:
        """A value that another process sets; if that process is lost, `watch_processes` ends this one."""
        while True:
            try:
                return bytes(self.client.blocking_key_value_get_bytes(key, POLL_MS))
            except Exception as error:
                if "DEADLINE_EXCEEDED" not in str(error):
                    raise


ALONE = Processes()
"""A run of one process."""


def join_processes(settings: ProcessSettings | None) -> Processes:
    """Joins the processes of a run; comes before the first tensor.

    Args:
        settings: Where they meet; `None` where there is one process, or a program such as Ray Train has joined them.

    Returns:
        The processes.

    Raises:
        ValueError: The backend trains in one process, or the processes do not meet.
    """
    backend = keras.backend.backend()
    if backend != "jax":
        if settings is None:
            return ALONE
        on_torch = "Keras trains in one process on PyTorch; KERAS_BACKEND=jax trains in many."
        reason = NO_MULTI_WORKER if backend == "tensorflow" else on_torch
        raise ValueError(f"{settings.count} processes ({settings.launcher}) with KERAS_BACKEND={backend}: {reason}")
    import jax

    if not jax.distributed.is_initialized():
        if settings is None:
            return ALONE
        _initialize(settings)
    if jax.process_count() == 1:
        return ALONE
    return _joined()


@functools.cache
def _joined() -> Processes:
    """The processes that JAX has joined; one object, so that a second run in them uses other keys than the first."""
    import jax

    return Processes(jax.process_index(), jax.process_count(), coordination_client())


def _initialize(settings: ProcessSettings) -> None:
    import jax

    for name, value in {"jax_cpu_collectives_implementation": "gloo", "jax_enable_preemption_service": False}.items():
        if hasattr(jax.config, name):  # JAX's own handler of SIGTERM would swallow the signal
            jax.config.update(name, value)
    start = time.monotonic()
    try:
        jax.distributed.initialize(
            settings.coordinator,
            settings.count,
            settings.index,
            local_device_ids=settings.local_device,
            cluster_detection_method="deactivate",
        )
    except RuntimeError as error:
        raise ValueError(
            f"The {settings.count} processes ({settings.launcher}) did not meet at {settings.coordinator} within "
            f"{time.monotonic() - start:.0f} s: {str(error).splitlines()[0]}. Start all of them, and let each reach "
            "that address."
        ) from error
