"""The processes that answer on one port, and the state of each."""

from __future__ import annotations

import os
from pathlib import Path


class Peers:
    """State of this process and of the others, as files in a folder.

    A process that listens before its models are loaded answers probes only. Once another one is ready, a process loads
    first and listens then: all requests are answered by processes that are ready.

    Args:
        folder: Folder of the files. Defaults to `None`: there are no others.
    """

    def __init__(self, folder: Path | None = None) -> None:
        self._folder = folder

    def start_listening(self) -> None:
        """Records that this process listens and is not ready."""
        if self._folder is not None:
            (self._folder / f"{os.getpid()}.loading").touch()

    def set_ready(self) -> None:
        """Records that this process is ready."""
        if self._folder is not None:
            (self._folder / f"{os.getpid()}.ready").touch()
            (self._folder / f"{os.getpid()}.loading").unlink(missing_ok=True)

    def is_any_ready(self) -> bool:
        """Whether another process is ready.

        Returns:
            False if there are no others.
        """
        return self._has_living("ready")

    def is_any_loading(self) -> bool:
        """Whether another process listens and is not ready.

        Returns:
            False if there are no others.
        """
        return self._has_living("loading")

    def forget(self, process: int) -> None:
        """Removes the state of a process that has ended, whose id another program may get.

        Args:
            process: Its id.
        """
        if self._folder is not None:
            for state in ("ready", "loading"):
                (self._folder / f"{process}.{state}").unlink(missing_ok=True)

    def _has_living(self, state: str) -> bool:
        if self._folder is None:
            return False
        processes = (int(file.stem) for file in self._folder.glob(f"*.{state}"))
        return any(process != os.getpid() and is_alive(process) for process in processes)


def is_alive(process: int) -> bool:
    """Whether there is a process of an id.

    Args:
        process: The id.

    Returns:
        True also for processes of other users.
    """
    try:
        os.kill(process, 0)
    except ProcessLookupError:
        return False
    except PermissionError:
        pass
    return True
