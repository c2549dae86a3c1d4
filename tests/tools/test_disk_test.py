"""A run whose disk is full, read-only or gone ends with a message, and is resumed without a loss."""

from __future__ import annotations

import shutil
import subprocess
import sys
from pathlib import Path

import pytest

ROOT = Path(__file__).resolve().parents[2]


def can_mount() -> bool:
    if shutil.which("unshare") is None:
        return False
    command = ["unshare", "--mount", "sh", "-c", "mount -t tmpfs tmpfs /mnt"]
    return subprocess.run(command, capture_output=True, check=False).returncode == 0


@pytest.mark.slow
def test_a_disk_that_is_lost_costs_nothing(tmp_path: Path) -> None:
    if not can_mount():
        pytest.skip("needs the rights of root, for mounts of its own")
    command = [
        sys.executable,
        str(ROOT / "tools/disk_test.py"),
        str(tmp_path / "runs"),
        "--rounds",
        "1",
        "--epochs",
        "2",
    ]
    result = subprocess.run(command, capture_output=True, text=True, timeout=1700, check=False)
    assert result.returncode == 0, result.stderr[-3000:]
    for case in ("full (step)", "read-only (evaluation)", "vanished (start)"):
        assert f"{case}: ended at step" in result.stdout
    assert result.stdout.count("resumed: equal to the last bit") == 3
