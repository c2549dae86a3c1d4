"""Who starts a run as several processes: flags, JAX's variables, Kubernetes, SLURM, or torchrun and what imitates it.

Nothing is imported that needs a framework: a command line is checked before anything starts.
"""

from __future__ import annotations

import json
from collections.abc import Mapping
from dataclasses import dataclass

SLURM_PORTS = (61440, 4096)
"""First port, and how many there are: the job's number decides, as in JAX."""


@dataclass(frozen=True)
class ProcessSettings:
    """Where the processes of a run meet, and which of them this one is.

    Attributes:
        coordinator: `HOST:PORT` at which process 0 listens.
        count: Processes of the run.
        index: Number of this process, from 0.
        launcher: What these settings were read from.
        local_device: The only accelerator of this machine that this process uses; `None` for all.
    """

    coordinator: str
    count: int
    index: int
    launcher: str
    local_device: int | None = None


def find_processes(
    environ: Mapping[str, str],
    *,
    coordinator: str | None = None,
    count: int | None = None,
    index: int | None = None,
) -> ProcessSettings | None:
    """Finds the processes of a run: in flags first, then in the variables of a launcher.

    Args:
        environ: The environment.
        coordinator: The flag `--coordinator-address`.
        count: The flag `--num-processes`.
        index: The flag `--process-id`.

    Returns:
        The settings; `None` for a run of one process.

    Raises:
        ValueError: Some of what belongs together is missing, or is out of range.
    """
    flags = {"--coordinator-address": coordinator, "--num-processes": count, "--process-id": index}
    given = {name: str(value) for name, value in flags.items() if value is not None}
    sources = (_from_jax, _from_slurm, _from_torchrun)
    if given:
        found: ProcessSettings | None = _read(given, tuple(flags), "flags")
    else:
        found = next(filter(None, (read(environ) for read in sources)), None)
    return found if found is not None and found.count > 1 else None


def refuse_tf_config(environ: Mapping[str, str]) -> None:
    """Refuses a run that `TF_CONFIG` starts on several machines.

    Args:
        environ: The environment.

    Raises:
        ValueError: It names more than one worker.
    """
    try:
        cluster = json.loads(environ.get("TF_CONFIG") or "{}").get("cluster", {})
    except (ValueError, AttributeError):  # not ours to read
        return
    if sum(len(cluster.get(kind, ())) for kind in ("chief", "master", "worker")) > 1:
        raise ValueError(f"TF_CONFIG names several workers: {NO_MULTI_WORKER}")


NO_MULTI_WORKER = (
    "Keras 3 does not support MultiWorkerMirroredStrategy. Several machines train with KERAS_BACKEND=jax, and the "
    "snapshots open in TensorFlow."
)


def _from_jax(environ: Mapping[str, str]) -> ProcessSettings | None:
    """`JAX_COORDINATOR_ADDRESS` and the others; in an Indexed Job of Kubernetes the index is its completion index."""
    names = ("JAX_COORDINATOR_ADDRESS", "JAX_NUM_PROCESSES", "JAX_PROCESS_ID")
    if names[0] not in environ:
        return None
    values = {name: environ[name] for name in names if name in environ}
    if "JOB_COMPLETION_INDEX" in environ:
        values.setdefault(names[2], environ["JOB_COMPLETION_INDEX"])
    return _read(values, names, "JAX's variables")


def _from_torchrun(environ: Mapping[str, str]) -> ProcessSettings | None:
    """`MASTER_ADDR`, `MASTER_PORT`, `WORLD_SIZE` and `RANK`; several processes of one machine take a device each."""
    names = ("MASTER_ADDR", "MASTER_PORT", "WORLD_SIZE", "RANK")
    if "MASTER_ADDR" not in environ or environ.get("WORLD_SIZE", "1") == "1":
        return None
    _require_all({name: environ[name] for name in names if name in environ}, names)
    address = f"{environ['MASTER_ADDR']}:{environ['MASTER_PORT']}"
    values = {"coordinator": address, "WORLD_SIZE": environ["WORLD_SIZE"], "RANK": environ["RANK"]}
    is_shared = environ.get("LOCAL_WORLD_SIZE", "1") != "1"
    return _read(values, tuple(values), "torchrun's variables", environ.get("LOCAL_RANK") if is_shared else None)


def _from_slurm(environ: Mapping[str, str]) -> ProcessSettings | None:
    """The variables of a step that `srun` started; those of the job alone mean nothing, a batch script has them too."""
    count = environ.get("SLURM_STEP_NUM_TASKS", "1")
    if count == "1":
        return None
    names = ("SLURM_JOB_ID", "SLURM_STEP_NODELIST", "SLURM_PROCID")
    _require_all({name: environ[name] for name in names if name in environ}, names)
    first, size = SLURM_PORTS
    port = first + _number("SLURM_JOB_ID", environ["SLURM_JOB_ID"]) % size
    values = {
        "coordinator": f"{first_node(environ['SLURM_STEP_NODELIST'])}:{port}",
        "SLURM_STEP_NUM_TASKS": count,
        "SLURM_PROCID": environ["SLURM_PROCID"],
    }
    is_shared = environ.get("SLURM_STEP_NUM_NODES", count) != count
    return _read(values, tuple(values), "SLURM", environ.get("SLURM_LOCALID") if is_shared else None)


def first_node(nodes: str) -> str:
    """The first machine of a list as SLURM writes it.

    Args:
        nodes: Such as `"gpu[007,009-012],login1"`.

    Returns:
        Its name, `"gpu007"`.
    """
    prefix, bracket, rest = nodes.partition("[")
    if "," in prefix or not bracket:
        return nodes.partition(",")[0]
    numbers, _, _ = rest.partition("]")
    return prefix + numbers.partition(",")[0].partition("-")[0]


def _read(
    values: Mapping[str, str], names: tuple[str, ...], launcher: str, local_device: str | None = None
) -> ProcessSettings:
    """Settings from an address, a number of processes and the index of this one, each under its name."""
    _require_all(values, names)
    address, count_name, index_name = names
    count, index = _number(count_name, values[count_name]), _number(index_name, values[index_name])
    host, _, port = values[address].rpartition(":")
    if not host or not port.isdecimal():
        raise ValueError(f"{address} is {values[address]!r}; allowed is HOST:PORT, such as node1:6006.")
    if not count:
        raise ValueError(f"{count_name} is 0; allowed is a whole number from 1.")
    if not 0 <= index < count:
        raise ValueError(f"{index_name} is {index}; with {count} processes it is 0 to {count - 1}.")
    device = None if local_device is None else _number("the local rank", local_device)
    return ProcessSettings(values[address], count, index, launcher, device)


def _require_all(values: Mapping[str, str], names: tuple[str, ...]) -> None:
    if missing := [name for name in names if name not in values]:
        found, lacking = " and ".join(values), " and ".join(missing)
        raise ValueError(f"{found} given without {lacking}; several processes need {', '.join(names)}.")


def _number(name: str, text: str) -> int:
    if not text.isdecimal():
        raise ValueError(f"{name} is {text!r}; allowed is a whole number from 0.")
    return int(text)
