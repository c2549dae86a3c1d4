"""Two processes come to what one comes to; one is killed, and the run resumes with another number of processes."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path

import pytest

ROOT = Path(__file__).resolve().parents[2]


@pytest.mark.slow
def test_two_processes_and_a_loss(tmp_path: Path) -> None:
    command = [sys.executable, str(ROOT / "tools/many_hosts.py"), str(tmp_path / "runs"), "--loopback", "--short"]
    result = subprocess.run(command, capture_output=True, text=True, timeout=1700, check=False)
    assert result.returncode == 0, result.stderr[-3000:]
    assert "sgd: 2 processes: weights" in result.stdout
    assert "kill: process 1 of 2: others ended after" in result.stdout
    assert "exported on TensorFlow" in result.stdout
