"""Requests over TensorFlow Serving's gRPC API."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any
from urllib.parse import urlsplit

from keras_retinanet.extras import install_hint
from keras_retinanet.serving.predict_messages import MESSAGES, arrays, predict_request
from keras_retinanet.serving.transport import ServerError

METHOD = "/tensorflow.serving.PredictionService/Predict"

_TRANSIENT = ("UNAVAILABLE", "RESOURCE_EXHAUSTED", "ABORTED")
_REFUSED = ("INVALID_ARGUMENT", "OUT_OF_RANGE", "DATA_LOSS")
_TOO_LARGE = "message larger than max"  # what gRPC says of a message, sent or received; with the code of overload
_MAX_MESSAGE = 256 * 2**20


class GrpcTransport:
    """A channel, which gRPC keeps open and threads share.

    Args:
        address: `grpc://HOST:PORT`, or `grpcs://…` for TLS.
        model: Name of the model.
        version: Version of the model; `None` for the newest.
        timeout: Seconds that a request may take.

    Raises:
        ModuleNotFoundError: `grpcio` is not installed.
    """

    def __init__(self, address: str, model: str, version: int | None, timeout: float) -> None:
        try:
            import grpc
        except ModuleNotFoundError as error:
            raise ModuleNotFoundError(
                f"gRPC needs grpcio, which is not installed: {install_hint('grpc')}, or use http://"
            ) from error
        parts = urlsplit(address)
        options = [(f"grpc.max_{way}_message_length", _MAX_MESSAGE) for way in ("send", "receive")]
        if parts.scheme == "grpcs":
            self._channel = grpc.secure_channel(parts.netloc, grpc.ssl_channel_credentials(), options)
        else:
            self._channel = grpc.insecure_channel(parts.netloc, options)
        self._call = self._channel.unary_unary(
            METHOD,
            request_serializer=lambda request: request.SerializeToString(),
            response_deserializer=MESSAGES["PredictResponse"].FromString,
        )
        self._failed: type[Exception] = grpc.RpcError
        self._address, self._model, self._version, self._timeout = address, model, version, timeout

    def predict(self, files: Sequence[bytes]) -> dict[str, Any]:
        """Sends one request; see `Transport`."""
        try:
            return arrays(self._call(predict_request(self._model, files, self._version), timeout=self._timeout))
        except self._failed as failed:
            error: Any = failed
            code = error.code().name
            is_too_large = code == "RESOURCE_EXHAUSTED" and _TOO_LARGE in error.details()
            raise ServerError(
                f"{self._address}, model {self._model!r} answered {code}: {error.details()}",
                is_transient=code in _TRANSIENT and not is_too_large,
                is_refusal=code in _REFUSED or is_too_large,
            ) from failed

    def close(self) -> None:
        """Closes the channel."""
        self._channel.close()
