"""How a request reaches a server, and what may go wrong on the way."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any, Protocol


class ServerError(Exception):
    """A server refuses, fails, or cannot be reached.

    Args:
        message: Who answered what.
        is_transient: Whether the same request may succeed in a moment: overload, or a failing connection.
        is_refusal: Whether the server finds something wrong with the request itself.
        retry_after: Seconds that the server asks to wait.
    """

    def __init__(
        self,
        message: str,
        *,
        is_transient: bool = False,
        is_refusal: bool = False,
        retry_after: float | None = None,
    ) -> None:
        super().__init__(message)
        self.is_transient, self.is_refusal, self.retry_after = is_transient, is_refusal, retry_after

    def about(self, name: str) -> ServerError:
        """The same error, that says which image it is about.

        Args:
            name: The image.

        Returns:
            The error.
        """
        return ServerError(f"{name}: {self}", is_refusal=self.is_refusal)


class Transport(Protocol):
    """A way to one model. Threads may share it."""

    def predict(self, files: Sequence[bytes]) -> dict[str, Any]:
        """Asks once.

        Args:
            files: The bytes of each image file.

        Returns:
            The outputs by name, axis 0 the images; arrays or nested lists.

        Raises:
            ServerError: The server refuses, fails, or cannot be reached.
        """

    def close(self) -> None:
        """Closes the connection."""
