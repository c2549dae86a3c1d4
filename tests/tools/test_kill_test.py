"""A run that is killed at random moments comes to what one comes to that is left alone."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path

import pytest

ROOT = Path(__file__).resolve().parents[2]


@pytest.mark.slow
def test_five_kills_change_nothing(tmp_path: Path) -> None:
    command = [sys.executable, str(ROOT / "tools/kill_test.py"), str(tmp_path / "runs"), "--seed", "5"]
    result = subprocess.run(
        [*command, "--kills", "5", "--during-writes", "2"], capture_output=True, text=True, timeout=1700, check=False
    )
    assert result.returncode == 0, result.stderr[-3000:]
    assert "equal to the last bit; kills 5, in writes 2" in result.stdout
