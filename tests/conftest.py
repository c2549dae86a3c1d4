"""Fixtures of the whole suite: where reference data may stand, and a fixed seed for every test."""

from __future__ import annotations

import gc
import os
from collections.abc import Callable
from pathlib import Path

import pytest

os.environ.setdefault("TF_CPP_MIN_LOG_LEVEL", "2")
os.environ.setdefault("CUDA_VISIBLE_DEVICES", "-1")  # figures of the tests are those of the CPU
os.environ.setdefault("MPLBACKEND", "Agg")
# Code for a few pixels is compiled more often than run: what XLA computes is tested, not how fast.
os.environ.setdefault("XLA_FLAGS", "--xla_backend_optimization_level=0 --xla_llvm_disable_expensive_passes=true")

SHARED = Path(__file__).resolve().parents[2] / "shared"


@pytest.fixture(scope="session", autouse=True)
def _few_collections() -> None:
    """The frameworks' million objects stay: searching them for garbage again and again took a fifth of the time."""
    gc.collect()
    gc.freeze()
    gc.set_threshold(50_000, 20, 20)


@pytest.fixture(scope="session")
def shared() -> Callable[[str], Path]:
    """Path of reference data beside the checkout; skips the test where they are absent."""

    def find(name: str) -> Path:
        path = SHARED / name
        if not path.exists():
            pytest.skip(f"reference data {name!r} are not beside this checkout")
        return path

    return find


@pytest.fixture(autouse=True)
def _seeded() -> None:
    """The same random numbers in every test, whatever ran before it."""
    import keras

    keras.utils.set_random_seed(0)
