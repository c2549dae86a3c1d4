"""The devices of one machine that train together, each on its part of every batch."""

from __future__ import annotations

import functools
from collections.abc import Iterator
from contextlib import contextmanager, nullcontext
from dataclasses import dataclass
from typing import Any

import keras

from keras_retinanet.data.batch_share import BatchShare
from keras_retinanet.training.processes import ALONE, Processes


@dataclass(frozen=True)
class Devices:
    """Devices that train together.

    Attributes:
        names: Their names, as the backend writes them.
        distribution: `tf.distribute.MirroredStrategy`, `keras.distribution.DataParallel`, or `None` for one device.
        processes: Those that the devices belong to, the same number each.
    """

    names: tuple[str, ...] = ()
    distribution: Any = None
    processes: Processes = ALONE

    @property
    def count(self) -> int:
        """How many there are, in all processes."""
        return max(len(self.names), 1)

    @property
    def share(self) -> BatchShare:
        """The part of every batch that this process reads."""
        return self.share_of(self.processes.index)

    def share_of(self, index: int) -> BatchShare:
        """The part of every batch that a process reads.

        Args:
            index: Number of the process.

        Returns:
            The part.
        """
        return BatchShare(index, self.processes.count, self.count // self.processes.count)

    def building(self) -> Any:
        """A context manager inside which models and optimizers are built."""
        return nullcontext() if self.distribution is None else self.distribution.scope()

    def fitting(self) -> Any:
        """A context manager inside which models are fitted; TensorFlow's models remember their strategy themselves."""
        is_jax = keras.backend.backend() == "jax"
        return self.distribution.scope() if self.distribution is not None and is_jax else nullcontext()


@contextmanager
def on_one_device() -> Iterator[None]:
    """Runs models on one device, with batches of any size, inside `Devices.fitting`.

    Yields:
        Nothing.
    """
    former = keras.distribution.distribution()
    keras.distribution.set_distribution(None)
    try:
        yield
    finally:
        keras.distribution.set_distribution(former)


def open_devices(asked: str | None, *, has_growth: bool = True, processes: Processes = ALONE) -> Devices:
    """Prepares the devices of a run; comes before the first tensor on a GPU.

    Args:
        asked: `"all"`, a number of devices, or names with commas such as `"GPU:0,GPU:1"`. `None` for the first one;
            where several processes train together, for all of theirs.
        has_growth: Whether TensorFlow takes GPU memory as it needs it, and not all of it at the start.
        processes: Those that train together.

    Returns:
        The devices.

    Raises:
        ValueError: There are no such devices, or the backend trains on one only.
    """
    if keras.backend.backend() == "tensorflow":
        _set_growth(has_growth)
    if processes.count > 1:
        return _devices_of_all(asked, processes)
    if asked is None:
        return Devices()
    names = _choose(asked, _list_devices())
    if len(names) == 1:
        return Devices(names)
    if keras.backend.backend() == "tensorflow":
        return Devices(names, _mirrored_strategy(names))
    if keras.backend.backend() == "jax":
        return Devices(names, keras.distribution.DataParallel(devices=list(names)))
    raise ValueError(
        f"--devices {asked}: the {keras.backend.backend()} backend of Keras trains on one device; "
        "KERAS_BACKEND=tensorflow and KERAS_BACKEND=jax train on several."
    )


def _devices_of_all(asked: str | None, processes: Processes) -> Devices:
    """The devices of several processes; each loads its own part of every batch."""
    names = tuple(keras.distribution.list_devices())
    if asked not in (None, "all"):
        raise ValueError(
            f"--devices {asked}: {processes.count} processes train together on all their devices; CUDA_VISIBLE_DEVICES "
            "hides some from a process."
        )
    if len(names) % processes.count:
        raise ValueError(f"{processes.count} processes have {len(names)} devices; each needs the same number of them.")
    distribution = keras.distribution.DataParallel(devices=list(names), auto_shard_dataset=False)
    return Devices(names, distribution, processes)


@functools.cache
def _mirrored_strategy(names: tuple[str, ...]) -> Any:
    """One strategy per process: a second one numbers its sums like the first, and TensorFlow mixes them up."""
    import tensorflow as tf

    return tf.distribute.MirroredStrategy(list(names))


def _list_devices() -> list[str]:
    """The accelerators, or the CPUs if there are none."""
    if keras.backend.backend() == "tensorflow":
        import tensorflow as tf

        found = [device.name.removeprefix("/device:") for device in tf.config.list_logical_devices()]
        return [name for name in found if not name.startswith("CPU")] or found
    return list(keras.distribution.list_devices())


def _choose(asked: str, found: list[str]) -> tuple[str, ...]:
    if asked == "all":
        return tuple(found)
    if asked.isdecimal():
        if not 1 <= int(asked) <= len(found):
            raise ValueError(f"--devices {asked}: this machine has {len(found)}: {', '.join(found)}.")
        return tuple(found[: int(asked)])
    by_name = {name.lower(): name for name in found}
    names = [name.strip().lower() for name in asked.split(",")]
    if missing := [name for name in names if name not in by_name]:
        raise ValueError(
            f"--devices {asked}: there is no {missing[0]}; allowed are all, a number, and names with commas of "
            f"{', '.join(found)}."
        )
    return tuple(by_name[name] for name in dict.fromkeys(names))


def _set_growth(has_growth: bool) -> None:
    import tensorflow as tf

    for device in tf.config.list_physical_devices("GPU"):
        try:
            tf.config.experimental.set_memory_growth(device, has_growth)
        except RuntimeError:  # a program of the user's own has used the GPU before
            return


def num_replicas(model: keras.Model) -> int:
    """Replicas that each run a part of a training step; a JAX program is one that sees the whole batch.

    Args:
        model: keras.Model.

    Returns:
        How many there are.
    """
    return model.distribute_strategy.num_replicas_in_sync if keras.backend.backend() == "tensorflow" else 1
