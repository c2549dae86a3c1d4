#!/usr/bin/env python
"""Trains on a Ray cluster: the loop of Ray Train's `JaxTrainer` calls `retinanet-train` in every worker.

    python tools/ray_train.py --workers 4 --gpu -- coco PATH --batch-size 64 --snapshot-path /shared/runs

Needs `ray[train]`. Without `--gpu` the workers train on their CPUs.
"""

from __future__ import annotations

import argparse
import os
import socket
import sys
from collections.abc import Sequence
from typing import Any


def find_address() -> str:
    """An address of this worker at which the others can reach it, with a free port."""
    import ray

    with socket.socket() as place:
        place.bind(("", 0))
        return f"{ray.util.get_node_ip_address()}:{place.getsockname()[1]}"


def train_in_worker(config: dict[str, Any]) -> None:
    """The loop of a worker.

    Args:
        config: `"arguments"` of `retinanet-train`; `"joins"`: whether Ray leaves it to us to join the workers.
    """
    import ray.train
    import ray.train.collective

    from keras_retinanet.cli.train import main as train

    if config["joins"]:
        context = ray.train.get_context()
        os.environ["JAX_COORDINATOR_ADDRESS"] = ray.train.collective.broadcast_from_rank_zero(find_address())
        os.environ["JAX_NUM_PROCESSES"] = str(context.get_world_size())
        os.environ["JAX_PROCESS_ID"] = str(context.get_world_rank())
    if status := train(config["arguments"]):
        raise RuntimeError(f"retinanet-train ended with status {status}")


def main(argv: Sequence[str] | None = None) -> int:
    """Runs the trainer.

    Args:
        argv: Command-line arguments. Defaults to those of this process.

    Returns:
        0 where all workers trained to the end.
    """
    parser = argparse.ArgumentParser(description=(__doc__ or "").split("\n\n")[0])
    parser.add_argument("--workers", type=int, default=2)
    parser.add_argument("--gpu", action="store_true", help="One GPU per worker.")
    parser.add_argument("arguments", nargs="+", help="Those of retinanet-train, after --.")
    given = parser.parse_args(argv)
    from ray.train import RunConfig, ScalingConfig
    from ray.train.v2.jax import JaxTrainer

    variables = {"KERAS_BACKEND": "jax", "JAX_PLATFORMS": "cuda" if given.gpu else "cpu"}
    trainer = JaxTrainer(
        train_in_worker,
        train_loop_config={"arguments": given.arguments, "joins": not given.gpu},  # Ray joins those on GPUs
        scaling_config=ScalingConfig(num_workers=given.workers, use_gpu=given.gpu),
        run_config=RunConfig(worker_runtime_env={"env_vars": variables}),
    )
    trainer.fit()
    return 0


if __name__ == "__main__":
    sys.exit(main())
