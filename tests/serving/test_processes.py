"""Processes that share a socket, with a function in place of a server."""

from __future__ import annotations

import os
import signal
import socket
import subprocess
import sys
import threading
import time
from pathlib import Path
from typing import Any

import pytest

from keras_retinanet.serving.processes import Processes


def answer_pids(listening: socket.socket, folder: Path, end: str) -> int:
    """Answers each connection with the number of this process, once it is ready; `end` says how it ends."""
    if end == "wrong":
        return 7
    listening.listen(5)
    (folder / f"{os.getpid()}.ready").touch()
    while True:
        connection, _ = listening.accept()
        with connection:
            if connection.recv(1) == b"x":
                return 3
            connection.sendall(str(os.getpid()).encode())


def test_a_process_that_ends_is_replaced_and_a_signal_ends_all() -> None:
    """Asked from a thread: the first process ends by itself, another one answers; then this one gets SIGTERM."""
    seen: list[int] = []

    def ask(address: tuple[str, int], word: bytes) -> bytes:
        with socket.create_connection(address, timeout=30) as connection:
            connection.sendall(word)
            return connection.recv(20)

    with socket.create_server(("127.0.0.1", 0)) as listening:
        address = listening.getsockname()

        def act() -> None:
            seen.append(int(ask(address, b"?")))
            ask(address, b"x")
            seen.append(int(ask(address, b"?")))
            os.kill(os.getpid(), signal.SIGTERM)

        thread = threading.Thread(target=act)
        thread.start()
        former = signal.getsignal(signal.SIGTERM)
        assert Processes(1, answer_pids, "by signal").run(listening) == 0
        thread.join(30)
    assert len(set(seen)) == 2
    assert signal.getsignal(signal.SIGTERM) == former
    for process in seen:
        with pytest.raises(ProcessLookupError):
            os.kill(process, 0)


def test_the_error_of_a_first_process_ends_the_server() -> None:
    began: Any = time.monotonic()
    with socket.create_server(("127.0.0.1", 0)) as listening:
        assert Processes(2, answer_pids, "wrong").run(listening) == 7
    assert time.monotonic() - began < 60


def test_the_command_starts_them_and_reports_a_broken_model(tmp_path: Path) -> None:
    (tmp_path / "m.onnx").write_bytes(b"x")
    script = Path(__file__).resolve().parents[2] / "bin" / "retinanet-serve"
    words = [sys.executable, str(script), str(tmp_path / "m.onnx"), "--port", "0", "--processes", "2"]
    done = subprocess.run(words, capture_output=True, text=True, check=False, timeout=120)
    lines = set(done.stderr.splitlines())
    assert done.returncode == 2, done.stderr
    assert len(lines) == 1, "each process may say it"
    assert lines.pop().startswith("retinanet-serve: error: ")
