"""Detections from a server, TensorFlow Serving or `retinanet-serve`, over REST or gRPC. Needs no TensorFlow."""

from __future__ import annotations

import base64
import binascii
import random
import re
import time
from collections.abc import Callable, Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any
from urllib.parse import urlsplit

import numpy as np

from keras_retinanet.schema import Detections
from keras_retinanet.serving.grpc_transport import GrpcTransport
from keras_retinanet.serving.rest_transport import RestTransport
from keras_retinanet.serving.transport import ServerError, Transport

ImageFile = str | Path | bytes | bytearray | memoryview | Mapping[str, str]
"""An image file: its path, its bytes, or `{"b64": …}` with its bytes in base64."""

_MAGIC = re.compile(rb"\xff\xd8\xff|\x89PNG\r\n|GIF8[79]a|BM|RIFF....WEBP", re.DOTALL)
_NAMED = re.compile(r"image (\d+) of the request")


class Client:
    """Requests detections from one model. Threads may share it.

    After overload or a connection error the request is repeated, after a pause that doubles each time, with a random
    part so that many clients do not return at once. A request that timed out is not repeated, because the server is
    still busy with it.

    Args:
        transport: Sends the requests.
        retries: Maximum number of repetitions. Defaults to 4.
        pause: Seconds before the first repetition. Defaults to 0.2.
        batch_size: Maximum number of images per request. Defaults to 8.
        sleep: Function that waits for a number of seconds. Defaults to `time.sleep`.
        class_names: Names of the labels for servers that return none. Defaults to the server's.
    """

    def __init__(
        self,
        transport: Transport,
        *,
        retries: int = 4,
        pause: float = 0.2,
        batch_size: int = 8,
        sleep: Callable[[float], None] = time.sleep,
        class_names: Sequence[str] | None = None,
    ) -> None:
        if batch_size < 1 or retries < 0:
            raise ValueError(f"batch_size must be at least 1 and retries 0 or more, got {batch_size} and {retries}.")
        self._transport, self._retries, self._pause = transport, retries, pause
        self._batch_size, self._sleep, self._class_names = batch_size, sleep, class_names

    def detect(self, images: Sequence[ImageFile]) -> list[Detections]:
        """Finds the objects in image files.

        TensorFlow Serving pads the images of one request to a common shape, which may change the last digits of the
        scores. If they matter, send images of one aspect ratio together, or one at a time.

        Args:
            images: Paths of files, their bytes, or these as `{"b64": …}`: JPEG, PNG, BMP, GIF or WebP.

        Returns:
            One entry per image.

        Raises:
            ValueError: One of them is not an image file; no request was sent.
            OSError: A file cannot be read; no request was sent.
            ServerError: The server refuses a request, fails, or cannot be reached.
        """
        if isinstance(images, (str, Path, bytes, bytearray, memoryview, Mapping)):
            raise ValueError("detect takes a list of images; put the one image into a list.")
        names = [_name_image(index, image) for index, image in enumerate(images)]
        files = [_read_contents(image, name) for image, name in zip(images, names, strict=True)]
        found: list[Detections] = []
        for start in range(0, len(files), self._batch_size):
            part = slice(start, start + self._batch_size)
            found += self._ask(files[part], names[part])
        return found

    def close(self) -> None:
        """Closes the connection."""
        self._transport.close()

    def __enter__(self) -> Client:
        return self

    def __exit__(self, *_: object) -> None:
        self.close()

    def _ask(self, files: Sequence[bytes], names: Sequence[str]) -> list[Detections]:
        try:
            answer = self._predict_with_retries(files)
        except ServerError as error:
            if not error.is_refusal:
                raise
            named = _NAMED.search(str(error))
            if named or len(files) == 1:
                index = min(int(named.group(1)), len(files) - 1) if named else 0
                raise error.about(names[index]) from None
        else:
            return list(_split_response(answer, len(files), self._class_names))
        # One image is refused, or all together are too large: halving the request finds out which.
        half = len(files) // 2
        return [*self._ask(files[:half], names[:half]), *self._ask(files[half:], names[half:])]

    def _predict_with_retries(self, files: Sequence[bytes]) -> dict[str, Any]:
        for attempt in range(self._retries + 1):
            try:
                return self._transport.predict(files)
            except ServerError as error:
                if not error.is_transient or attempt == self._retries:
                    raise
                pause = self._pause * 2**attempt * random.uniform(0.5, 1.5)
                self._sleep(max(pause, error.retry_after or 0.0))
        raise AssertionError


def connect(address: str, model: str, *, version: int | None = None, timeout: float = 30.0, **options: Any) -> Client:
    """Creates a client of one model.

    Args:
        address: `http://HOST:PORT` or `https://…` for REST, `grpc://HOST:PORT` or `grpcs://…` (with TLS) for gRPC,
            which needs the extra `grpc`.
        model: Name of the model on the server.
        version: Version of the model. Defaults to the newest one on the server.
        timeout: Seconds that one attempt may take. Defaults to 30.
        **options: Arguments of `Client`.

    Returns:
        The client; a context manager that closes the connection.

    Raises:
        ValueError: The address has another form.
        ModuleNotFoundError: `grpcio` is not installed, which gRPC needs.
    """
    parts = urlsplit(address)
    transports: dict[str, Callable[..., Transport]] = {
        "http": RestTransport,
        "https": RestTransport,
        "grpc": GrpcTransport,
        "grpcs": GrpcTransport,
    }
    if parts.scheme not in transports or not parts.hostname:
        raise ValueError(f"The address is {address!r}; expected http://HOST:PORT, https://…, grpc://… or grpcs://….")
    return Client(transports[parts.scheme](address, model, version, timeout), **options)


def _name_image(index: int, image: ImageFile) -> str:
    return f"image {index} ({image})" if isinstance(image, (str, Path)) else f"image {index}"


def _read_contents(image: ImageFile, name: str) -> bytes:
    if isinstance(image, Mapping):
        contents = _decode_base64(image, name)
    else:
        contents = Path(image).read_bytes() if isinstance(image, (str, Path)) else bytes(image)
    if not _MAGIC.match(contents):
        wrong = "is empty" if not contents else f"is not an image file: it begins with {contents[:12]!r}"
        raise ValueError(f"{name} {wrong}; expected a JPEG, PNG, BMP, GIF or WebP file.")
    return contents


def _decode_base64(image: Mapping[str, str], name: str) -> bytes:
    try:
        return base64.b64decode(image["b64"], validate=True)
    except (KeyError, TypeError, binascii.Error, ValueError):
        given = ", ".join(map(repr, image)) or "nothing"
        raise ValueError(f'{name} is no {{"b64": "…base64 of an image file…"}}; it is a mapping of {given}.') from None


def _split_response(answer: dict[str, Any], count: int, class_names: Sequence[str] | None) -> Iterator[Detections]:
    try:
        for row in range(count):
            found = int(answer["num_detections"][row])
            if class_names is None:
                names = [_decode_text(name) for name in answer["class_names"][row][:found]]
            else:
                names = [class_names[label] for label in answer["labels"][row][:found]]
            yield {
                "boxes": np.asarray(answer["boxes"][row][:found], np.float32).reshape(-1, 4),
                "scores": np.asarray(answer["scores"][row][:found], np.float32),
                "labels": np.asarray(answer["labels"][row][:found], np.int32),
                "names": names,
            }
    except (KeyError, IndexError, TypeError, ValueError) as error:
        given = {name: np.shape(value) for name, value in answer.items()}
        raise ServerError(
            f"The server's answer is not that of a model of this package: {type(error).__name__}: {error} in {given}"
        ) from error


def _decode_text(name: Any) -> str:
    return name.decode() if isinstance(name, bytes) else str(name)
