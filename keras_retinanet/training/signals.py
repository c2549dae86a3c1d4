"""Handles SIGINT and SIGTERM: the first sets a flag that is read after each step."""

from __future__ import annotations

import signal
import threading
from types import FrameType, TracebackType
from typing import Any


class StopRequest:
    """Turns the first Ctrl-C or SIGTERM into a request to stop; the second Ctrl-C aborts at once.

    A context manager: handlers are installed on entry, in the main thread only, and restored on exit.
    """

    def __init__(self) -> None:
        self.number: int | None = None
        self._former: dict[int, Any] = {}

    @property
    def is_made(self) -> bool:
        """Whether the run stops here."""
        return self.stopped_by is not None

    @property
    def stopped_by(self) -> int | None:
        """The signal at which the run stops here."""
        return self.number

    @property
    def is_asked_here(self) -> bool:
        """Whether a signal came to this process."""
        return self.number is not None

    def pass_on(self) -> None:
        """Called where this process alone gives up something because a signal came to it."""

    def agree_in_epoch(self) -> None:
        """Called between two steps; one process has nobody to agree with."""

    def agree_at_epoch_end(self) -> None:
        """Called at the end of an epoch."""

    def __enter__(self) -> StopRequest:
        if threading.current_thread() is threading.main_thread():
            self._former = {number: signal.signal(number, self._ask) for number in (signal.SIGINT, signal.SIGTERM)}
        return self

    def __exit__(self, kind: type | None, error: BaseException | None, trace: TracebackType | None) -> None:
        for number, handler in self._former.items():
            signal.signal(number, handler)
        self._former = {}

    def _ask(self, number: int, frame: FrameType | None) -> None:
        del frame
        self.number = number
        name = signal.Signals(number).name
        print(f"\n{name}: saving after this step; Ctrl-C again to abort at once.", flush=True)
        signal.signal(signal.SIGINT, signal.default_int_handler)
