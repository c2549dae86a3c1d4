"""Ends every process of a run within a minute after one of them was lost, and says how to resume."""

from __future__ import annotations

import os
import signal
import socket
import subprocess
import sys
import threading
import time
import traceback
from collections.abc import Iterator
from contextlib import contextmanager, suppress

from keras_retinanet.training.processes import Processes

LIMIT = 30.0
"""Seconds without a sign of life after which a process counts as lost."""
EVERY = 1.0
"""Seconds between two signs of life."""
LOST = 4
"""Exit status of a process that ended because another one was lost."""
BEATS, ENDED = "keras_retinanet_beat", "keras_retinanet_end"

_LAST_WORDS = """
import signal, sys
for number in (signal.SIGINT, signal.SIGTERM, signal.SIGHUP):
    signal.signal(number, signal.SIG_IGN)
text = sys.stdin.read()
if not text.endswith(chr(0)):
    sys.stderr.write(text)
"""


class LastWords:
    """A small process that prints a text when this one ends without having said that all is well.

    JAX ends a process by `abort` when its coordinator is gone, and the operating system by SIGKILL when memory is used
    up: neither leaves time for a message.
    """

    def __init__(self) -> None:
        self._process = subprocess.Popen([sys.executable, "-S", "-c", _LAST_WORDS], stdin=subprocess.PIPE, text=True)

    def set(self, text: str) -> None:
        """Adds to what is printed.

        Args:
            text: Lines.
        """
        assert self._process.stdin is not None
        with suppress(OSError):  # it was ended first; what this process does must not depend on it
            self._process.stdin.write(text)
            self._process.stdin.flush()

    def withdraw(self) -> None:
        """Prints nothing."""
        if self._process.stdin is not None and not self._process.stdin.closed:
            self.set("\0")
            with suppress(OSError):
                self._process.stdin.close()
            self._process.wait()


class Watch(threading.Thread):
    """Gives a sign of life every second, and ends this process where another one gives none.

    Args:
        processes: Those of the run.
        program: Begins every message.
        limit: Seconds without a sign of life after which a process counts as lost.
    """

    def __init__(self, processes: Processes, program: str, limit: float = LIMIT) -> None:
        super().__init__(daemon=True)
        self._processes, self._program, self._limit = processes, program, limit
        self._resume = "start all processes again"
        self._is_over = threading.Event()
        self._words = LastWords()
        self._words.set(
            f"{program}: process {processes.index} of {processes.count} was ended, as happens when process 0 is lost.\n"
        )

    def name_resume(self, command: str) -> None:
        """Says how the run is resumed.

        Args:
            command: The command line.
        """
        self._resume = f"resume with any number of processes: {command}"
        self._words.set(f"{self._program}: {self._resume}\n")

    def run(self) -> None:
        """Exchanges signs of life until `stop`."""
        client, own = self._processes.client, self._processes.index
        seen = {index: ("", time.monotonic()) for index in range(self._processes.count) if index != own}
        number, looked = 0, time.monotonic()
        while not self._is_over.wait(EVERY):
            # Code that holds Python's lock, such as that which parses a large JSON file, stops this thread, and that of
            # other processes at the same time.
            pause = max(0.0, time.monotonic() - looked - 2 * EVERY)
            seen = {index: (value, since + pause) for index, (value, since) in seen.items()}
            number += 1
            try:
                client.key_value_set(f"{BEATS}/{own}", f"{number} {socket.gethostname()}", allow_overwrite=True)
                beats = {int(key.rpartition("/")[2]): value for key, value in client.key_value_dir_get(BEATS)}
                ended = client.key_value_dir_get(ENDED)
            except Exception:  # process 0 is lost, or the network; the clock decides
                beats, ended = {}, []
            now = time.monotonic()
            for index, (former, _) in seen.items():
                if beats.get(index, former) != former:
                    seen[index] = beats[index], now
            for key, why in ended:
                self._end(f"process {key.rpartition('/')[2]} ended: {why}")
            for index, (value, since) in seen.items():
                if now - since > self._limit:
                    host = value.partition(" ")[2] or "never seen"
                    self._end(f"process {index} ({host}) is lost: no sign of life for {self._limit:.0f} s")
            looked = time.monotonic()

    def stop(self, status: int, *, is_aborted: bool = False) -> None:
        """Ends the exchange. The other processes hear of a failure, and this one ends without waiting for them.

        Args:
            status: Exit status of this process; 0, and those of signals at which all processes stop, are no failure.
            is_aborted: Whether this process alone ends at a signal, which is a failure. Defaults to `False`.
        """
        is_failure = is_aborted or status not in (0, 128 + signal.SIGINT, 128 + signal.SIGTERM)
        if is_failure:
            why = f"with status {status}; what it printed says why"
            with suppress(Exception):  # nobody may be left to read it
                self._processes.client.key_value_set(f"{ENDED}/{self._processes.index}", why)
        self._is_over.set()
        self._words.withdraw()
        if is_failure:  # JAX would wait at its exit for processes that wait for this one
            sys.stdout.flush()
            sys.stderr.flush()
            os._exit(status)

    def wait_for_loss(self) -> None:
        """Waits while it may turn out that an error is that of another process, which ends this one."""
        self._is_over.wait(self._limit + 2 * EVERY)

    def _end(self, reason: str) -> None:
        if self._is_over.is_set():
            return
        self._words.withdraw()
        sys.stdout.flush()
        print(f"{self._program}: {reason}, so process {self._processes.index} ends, too.", file=sys.stderr)
        print(f"{self._program}: {self._resume}", file=sys.stderr, flush=True)
        os._exit(LOST)


@contextmanager
def watched(processes: Processes, program: str) -> Iterator[Watch | None]:
    """Watches the other processes, and lets them know if this one fails.

    Args:
        processes: Those of the run.
        program: Begins every message.

    Yields:
        The watch, whose `stop` is to be called with the exit status; `None` for one process.
    """
    if processes.count == 1:
        yield None
        return
    watch = Watch(processes, program)
    watch.start()
    try:
        yield watch
    except KeyboardInterrupt:
        print(f"{program}: aborted; the snapshots on disk are complete.", file=sys.stderr)
        watch.stop(128 + signal.SIGINT, is_aborted=True)
    except BaseException:
        traceback.print_exc()
        watch.stop(1)
