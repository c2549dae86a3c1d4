"""Reads and writes videos frame by frame with PyAV (FFmpeg), which the extra `video` installs."""

from __future__ import annotations

import contextlib
import os
from collections.abc import Iterator
from fractions import Fraction
from pathlib import Path
from typing import Any

import numpy as np

from keras_retinanet.extras import install_hint
from keras_retinanet.snapshots.atomic_files import naming, remove

VIDEO_SUFFIXES = (".mp4", ".mov", ".avi", ".mkv", ".webm", ".m4v", ".mpg", ".mpeg", ".wmv")
"""Suffixes of video files."""


def _av() -> Any:
    try:
        import av
    except ImportError:
        raise ValueError(f"Videos need PyAV: {install_hint('video')}.") from None
    return av


class VideoReader:
    """The frames of a video file, rotated upright.

    Args:
        path: Path of the file.

    Raises:
        ValueError: It is not a video, or PyAV is not installed.
    """

    def __init__(self, path: Path) -> None:
        self._av = av = _av()
        try:
            self._file = av.open(str(path))
            self._stream = self._file.streams.video[0]
        except (av.FFmpegError, OSError, IndexError) as error:
            reason = "it has no pictures" if isinstance(error, IndexError) else error.strerror
            raise ValueError(f"{str(path)!r} cannot be read as a video: {reason}.") from None
        self._stream.thread_type = "AUTO"
        self._path = path

    @property
    def rate(self) -> Fraction:
        """Average frames per second."""
        return Fraction(self._stream.average_rate or 25)

    @property
    def count(self) -> int | None:
        """Number of frames according to the file; `None` if it is not stored."""
        return self._stream.frames or None

    def __iter__(self) -> Iterator[Any]:
        """Frames `(H, W, 3)` uint8 RGB in presentation order.

        Raises:
            ValueError: The file is damaged.
        """
        try:
            for frame in self._file.decode(self._stream):
                yield np.ascontiguousarray(np.rot90(frame.to_ndarray(format="rgb24"), frame.rotation // 90))
        except self._av.FFmpegError as error:
            raise ValueError(f"{str(self._path)!r} is damaged: {error.strerror}.") from None
        finally:
            self._file.close()


class VideoWriter:
    """Writes an MP4 (H.264) under a temporary name in its folder; `close` moves it into place.

    Args:
        path: Path of the file; its folder is created if absent.
        rate: Frames per second.

    Raises:
        ValueError: PyAV is not installed.
    """

    def __init__(self, path: Path, rate: Fraction) -> None:
        path.parent.mkdir(parents=True, exist_ok=True)
        self._path, self._temporary = path, path.with_name(f".{path.stem}.{os.getpid()}.part{path.suffix}")
        self._av = _av()
        self._file = self._av.open(str(self._temporary), "w")
        self._stream = self._file.add_stream("h264", rate=rate, options={"crf": "20"})
        self._stream.pix_fmt = "yuv420p"
        self._is_empty = True

    def add(self, picture: Any) -> None:
        """Writes the next frame.

        Args:
            picture: `(H, W, 3)` uint8 RGB, all of one size. The codec crops an odd last row or column.
        """
        height, width = (side // 2 * 2 for side in picture.shape[:2])
        if self._is_empty:
            self._stream.height, self._stream.width = height, width
            self._is_empty = False
        frame = self._av.VideoFrame.from_ndarray(np.ascontiguousarray(picture[:height, :width]), format="rgb24")
        self._file.mux(self._stream.encode(frame))

    def close(self) -> None:
        """Completes the file; without frames no file is left."""
        try:
            with naming(self._path):
                if not self._is_empty:
                    self._file.mux(self._stream.encode())
                self._file.close()
                if not self._is_empty:
                    os.replace(self._temporary, self._path)
        finally:
            remove(self._temporary)

    def discard(self) -> None:
        """Ends without the file; one of an earlier run stays."""
        with contextlib.suppress(OSError):  # it writes the end of the file
            self._file.close()
        remove(self._temporary)
