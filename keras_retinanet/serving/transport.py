"""The interface of transports, and their error."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any, Protocol


class ServerError(Exception):
    """A server refuses a request, fails, or cannot be reached.

    Args:
        message: The server and its response.
        is_transient: Whether the same request may succeed later: overload, or a connection error.
        is_refusal: Whether the server reports an error in the request itself.
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
        """Adds the name of the image to the message.

        Args:
            name: Name of the image.

        Returns:
            The new error.
        """
        return ServerError(f"{name}: {self}", is_refusal=self.is_refusal)


class Transport(Protocol):
    """Sends requests to one model. Threads may share it."""

    def predict(self, files: Sequence[bytes]) -> dict[str, Any]:
        """Sends one request.

        Args:
            files: The bytes of each image file.

        Returns:
            Name → output, an array or nested lists with the images along axis 0.

        Raises:
            ServerError: The server refuses the request, fails, or cannot be reached.
        """

    def close(self) -> None:
        """Closes the connection."""
