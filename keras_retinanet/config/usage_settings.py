"""The settings of tiles, exports and the server."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Literal

from keras_retinanet.config.names import ExifFrame, ExportDtype, Winograd


@dataclass(frozen=True)
class TileConfig:
    """How a large image is cut into tiles, which are detected one by one.

    Attributes:
        size: Side of the square tiles in pixels of the image.
        overlap: Share of a tile that neighbours have in common, at least.
        has_whole_pass: Also detect once in the whole image, to find what is larger than the overlap.
    """

    size: int = 800
    overlap: float = 0.25
    has_whole_pass: bool = True


@dataclass(frozen=True)
class ViewConfig:
    """Which views of an image are detected and fused (test-time augmentation).

    Attributes:
        scales: Factors on the sides that the resize rule gives an image.
        has_flip: Also detect in the mirrored image, at each scale.
    """

    scales: tuple[float, ...] = (0.8, 1.0, 1.25)
    has_flip: bool = True


@dataclass(frozen=True)
class CutConfig:
    """How the images of a data set are cut into tiles for training.

    Attributes:
        size: Side of the square tiles in pixels of the image.
        overlap: Share of a tile that neighbours have in common, at least.
        min_visibility: A box of which a tile shows a smaller share of the area becomes an ignore region there.
        empty_share: Share of the training tiles without objects that is kept.
        seed: Decides which of them.
        format: Format of the files of tiles: png is exact, jpg smaller.
    """

    size: int = TileConfig.size
    overlap: float = TileConfig.overlap
    min_visibility: float = 0.5
    empty_share: float = 1.0
    seed: int = 0
    format: Literal["png", "jpg"] = "png"


@dataclass(frozen=True)
class ExportConfig:
    """How an artefact is written.

    Attributes:
        dtype: Number format of the network; boxes and scores are always float32.
        image_size: Height and width of the only input that the artefact takes. Defaults to any size; for litert, to
            the smallest that holds nearly all training images, or a square if the snapshot does not know them.
        fold_batch_norm: Multiply batch normalisation into the convolutions before it. Defaults to on, except for the
            keras format.
        representative: Folder of sample images for calibrating int8 quantisation, or names of such files. Defaults to
            training images of the snapshot's run.
        has_resize: The artefact resizes by itself: uint8 images of any size in, boxes in their pixels out.
        winograd: In a saved_model in float32, compute large 3x3 convolutions by Winograd's algorithm: on a CPU a
            ResNet-50 takes about 0.6 of the time.
    """

    dtype: ExportDtype = "float32"
    image_size: tuple[int, int] | None = None
    fold_batch_norm: bool | None = None
    representative: str | tuple[str, ...] | None = None
    has_resize: bool = False
    winograd: Winograd = "off"


@dataclass(frozen=True)
class ServeConfig:
    """The server of `retinanet-serve`.

    Attributes:
        host: Address to listen on. The default is reachable from this machine only.
        port: Port to listen on; 0 takes a free one.
        name: Name of the model in URLs. Defaults to the name of its folder or file.
        max_batch: Maximum batch size.
        max_wait_ms: Milliseconds that an image waits for others of its shape before it is detected alone.
        max_queue: Maximum number of images waiting or in progress; further requests get status 503.
        max_pixels: Largest image, in pixels, read from its header before anything is decoded.
        max_request_mb: Largest request, in megabytes.
        max_connections: Maximum number of connected clients; further ones get status 503.
        client_timeout: Seconds that a client may take to send its headers, to send its body, and to read the response.
        answer_timeout: Seconds after which a received request fails with status 504.
        exif: Turn images upright by their EXIF orientation, or leave them as stored. Defaults to the model's rule.
        thresholds: File of `retinanet-evaluate --save-thresholds`: score threshold of each class, and calibration.
        use_log: Log one line per request.
        max_latency_ms: Milliseconds from the arrival of a request to its response. Requests that would take longer are
            refused at once with status 503. Defaults to `answer_timeout`.
        reload_seconds: Seconds between two looks for a new version of a model; 0 never looks.
        processes: Number of processes that answer requests, each with its own copy of the models.
    """

    host: str = "127.0.0.1"
    port: int = 8501
    name: str | None = None
    max_batch: int = 8
    max_wait_ms: float = 5.0
    max_queue: int = 256
    max_pixels: int = 50_000_000
    max_request_mb: int = 32
    max_connections: int = 1000
    client_timeout: float = 30.0
    answer_timeout: float = 60.0
    exif: ExifFrame | None = None
    thresholds: str | None = None
    use_log: bool = True
    max_latency_ms: float | None = None
    reload_seconds: float = 5.0
    processes: int = 1
