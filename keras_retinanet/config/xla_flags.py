"""Flags of XLA, which TensorFlow reads from the environment when it starts."""

from __future__ import annotations

import os

VARIABLE = "TF_XLA_FLAGS"
CLUSTER_FLAGS = " ".join(
    [
        "--tf_xla_cpu_global_jit",  # on CPUs, too, wherever the context asks for it
        "--tf_xla_ops_to_cluster=PW",  # pointwise operations only
        "--tf_xla_min_cluster_size=1",  # single ones, too: what counts is the kernel
        "--tf_xla_enable_lazy_compilation=false",  # all steps alike: a resumed run has the same bits
    ]
)
"""What `training.pointwise_clusters` needs; without it they change nothing."""


def allow_clusters() -> None:
    """Sets `CLUSTER_FLAGS`; call it before TensorFlow is imported. A `TF_XLA_FLAGS` that is set stays."""
    os.environ.setdefault(VARIABLE, CLUSTER_FLAGS)


def has_clusters() -> bool:
    """Whether the flags are those of `allow_clusters`."""
    return os.environ.get(VARIABLE) == CLUSTER_FLAGS
