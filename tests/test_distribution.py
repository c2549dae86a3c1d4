"""Several devices train as one does: logical CPUs in a process of their own, since they must exist from its start."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from pathlib import Path

import pytest

SCRIPT = Path(__file__).parent / "fixtures" / "distributed_steps.py"
FIRST_STEP, TEN_STEPS = 1e-6, 1e-5
HALF = 2e-2
"""float16 has 11 bits, and convolutions of other batch sizes sum in another order."""


def differences(backend: str, devices: int, *cases: str) -> dict[str, dict[str, float]]:
    """The largest differences from one device, by case."""
    flags = f"{os.environ.get('XLA_FLAGS', '')} --xla_force_host_platform_device_count={devices}"
    environment = os.environ | {"KERAS_BACKEND": backend, "XLA_FLAGS": flags, "JAX_PLATFORMS": "cpu"}
    command = [sys.executable, str(SCRIPT), str(devices), *cases]
    result = subprocess.run(command, env=environment, capture_output=True, text=True, timeout=1700, check=False)
    assert result.returncode == 0, result.stderr[-3000:]
    found = [json.loads(line) for line in result.stdout.splitlines() if line.startswith("{")]
    assert [case["case"] for case in found] == list(cases)
    return {case.pop("case"): case for case in found}


@pytest.mark.slow
@pytest.mark.parametrize(("backend", "devices"), [("tensorflow", 2), ("tensorflow", 4), ("jax", 2), ("jax", 4)])
def test_several_devices_learn_what_one_learns(backend: str, devices: int) -> None:
    """The last of the ten batches cannot be divided among the devices; JAX's mean loss counts what fills it up."""
    found = differences(backend, devices, "gradient", "sgd", "detections")
    assert found["detections"]["detections"] == 0  # each device runs the program of one
    assert max(found["gradient"].values()) < FIRST_STEP
    assert found["sgd"]["weights"] < TEN_STEPS
    assert found["sgd"]["losses"] < (TEN_STEPS if backend == "tensorflow" else 1e-2)


@pytest.mark.slow
def test_what_optimizers_and_layers_do_across_replicas() -> None:
    """Clipping, averages, Muon, parts of batches, synchronised batch normalisation, and loss scaling."""
    cases = ("clipped averages", "muon", "parts", "batch norm", "float16")
    found = differences("tensorflow", 2, *cases)
    for case in cases[:-1]:
        assert max(found[case].values()) < (1e-4 if case in ("muon", "batch norm") else TEN_STEPS), (case, found[case])
    assert max(found["float16"].values()) < HALF
