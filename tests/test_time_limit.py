"""A test that hangs fails and names itself; the others still run, and slow ones have more time."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path

import pytest

ROOT = Path(__file__).resolve().parents[1]
HOOKS = f"""
import runpy
hooks = runpy.run_path({str(ROOT / "tests/conftest.py")!r})
globals().update((name, hook) for name, hook in hooks.items() if name.startswith("pytest_"))
"""
TESTS = """
import asyncio, itertools, time
import pytest

def test_hangs():
    {line}

def test_next():
    pass

@pytest.mark.slow
def test_slow():
    time.sleep(1.5)
"""
WAITS = "asyncio.run(asyncio.sleep(1000))"
NEVER_RETURNS_TO_PYTHON = "sum(itertools.repeat(1))"


@pytest.mark.parametrize(
    ("line", "cause"), [(WAITS, "Failed: Timeout (>1.0s)"), (NEVER_RETURNS_TO_PYTHON, "crashed while running")]
)
def test_a_hung_test_fails_and_names_itself(line: str, cause: str, tmp_path: Path) -> None:
    (tmp_path / "conftest.py").write_text(HOOKS)
    (tmp_path / "test_it.py").write_text(TESTS.format(line=line))
    command = [sys.executable, "-m", "pytest", "-c", str(ROOT / "pyproject.toml"), "--rootdir", str(tmp_path)]
    limits = ["-o", "timeout=1", "-o", "faulthandler_timeout=3"]
    done = subprocess.run(
        [*command, *limits, "-n", "1", "-m", "slow or not slow", "-p", "no:cacheprovider", str(tmp_path)],
        capture_output=True, text=True, timeout=200, check=False,
    )  # fmt: skip
    assert done.returncode == 1, done.stdout + done.stderr
    (failed,) = [row for row in done.stdout.splitlines() if row.startswith("FAILED")]
    assert "test_it.py::test_hangs" in failed
    assert cause in done.stdout
    assert "1 failed, 2 passed" in done.stdout
