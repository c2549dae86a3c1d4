"""The load test, briefly: see `benchmarks/serving_load.py`."""

from __future__ import annotations

import os
import re
import subprocess
import sys
from pathlib import Path

import pytest

SCRIPT = Path(__file__).resolve().parents[2] / "benchmarks" / "serving_load.py"


@pytest.mark.slow
def test_twenty_clients_and_a_reload() -> None:
    pytest.importorskip("uvicorn", reason="needs the extra `serve`")
    words = [sys.executable, str(SCRIPT), "--clients", "20", "--seconds", "15", "--images", "18"]
    done = subprocess.run(words, capture_output=True, text=True, check=False, env={**os.environ})
    assert done.returncode == 0, done.stdout + done.stderr
    assert "wrong answers: 0" in done.stdout
    assert "lost requests: 0" in done.stdout
    assert "other problems: none" in done.stdout
    good = re.search(r"good: 200 +(\d+)", done.stdout)
    assert good is not None
    assert int(good.group(1)) > 20
