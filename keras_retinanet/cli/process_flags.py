"""Flags and variables by which several processes that train together find each other."""

from __future__ import annotations

import argparse
import os

from keras_retinanet.training.launchers import ProcessSettings, find_processes, refuse_tf_config


def add_process_flags(parser: argparse.ArgumentParser) -> None:
    """Adds the flags.

    Args:
        parser: The parser.
    """
    group = parser.add_argument_group(
        "several processes (JAX)",
        "Started by SLURM, Kubernetes or torchrun, the command finds these itself (docs/scaling.md).",
    )
    group.add_argument("--coordinator-address", metavar="HOST:PORT", help="Where process 0 listens for the others.")
    group.add_argument("--num-processes", type=int, metavar="N", help="Processes that train together.")
    group.add_argument("--process-id", type=int, metavar="K", help="Number of this process, from 0.")


def find_launched(namespace: argparse.Namespace) -> ProcessSettings | None:
    """The processes of a run, from the flags or the environment.

    Args:
        namespace: The parsed flags.

    Returns:
        The settings; `None` for a run of one process.

    Raises:
        ValueError: They are incomplete, or of a launcher that cannot train.
    """
    found = find_processes(
        os.environ,
        coordinator=namespace.coordinator_address,
        count=namespace.num_processes,
        index=namespace.process_id,
    )
    if found is None:
        refuse_tf_config(os.environ)
    return found
