"""Requests for `serving_load.py`: good ones with their answers, and all that a server must survive."""

from __future__ import annotations

import base64
import dataclasses
import io
import json
import random
import struct
import zlib
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

import numpy as np
from PIL import Image


@dataclass(frozen=True)
class Attempt:
    """One request: its body, the statuses that are right, and if it is good the answers of each version."""

    kind: str
    body: bytes
    statuses: tuple[int, ...]
    expected: tuple[Any, ...] = ()
    stops_at: float = 1.0  # share of the body that is sent
    hangs_up: bool = False
    seconds: float = 0.0  # that the body takes, in pieces
    path: str = "/v1/models/load:predict"
    header_length: int = 0  # of the JSON in front of binary tensors


def png(image: np.ndarray) -> bytes:
    buffer = io.BytesIO()
    Image.fromarray(image).save(buffer, "png")
    return buffer.getvalue()


def bomb(side: int = 40_000) -> bytes:
    """A few hundred bytes that say they are a PNG of 1.6 thousand million pixels."""

    def chunk(name: bytes, content: bytes) -> bytes:
        return struct.pack(">I", len(content)) + name + content + struct.pack(">I", zlib.crc32(name + content))

    header = struct.pack(">IIBBBBB", side, side, 8, 2, 0, 0, 0)
    rows = zlib.compress(b"\0" * 100_000)
    return b"\x89PNG\r\n\x1a\n" + chunk(b"IHDR", header) + chunk(b"IDAT", rows) + chunk(b"IEND", b"")


class Requests:
    """Makes requests of all kinds at random."""

    def __init__(self, images: list[np.ndarray], answers: list[list[Any]], seed: int, limit_mb: int) -> None:
        self._images, self._files, self._answers = images, [png(image) for image in images], answers
        self._random = random.Random(seed)
        self._too_large_mb = limit_mb + 1
        bad, late = [400], [408]  # a large body may not arrive in time
        self._kinds: list[tuple[float, Callable[[], Attempt]]] = [
            (0.50, self.good),
            (0.15, self._by_infer),
            (0.10, self._pixels),
            (0.02, lambda: dataclasses.replace(self.good(), kind="in pieces", seconds=3.0)),
            (0.04, lambda: self._spoilt("damaged", self._files[0][:200], bad)),
            (0.03, lambda: self._spoilt("bomb", bomb(), bad)),
            (0.03, lambda: self._spoilt("no image", b"hello", bad)),
            (0.03, lambda: self._plain("wrong JSON", self._random.choice([b"{", b"[]", b'{"instances": [3]}']), bad)),
            (0.01, lambda: self._plain("too large", b" " * (self._too_large_mb * 2**20), [413, *late])),
            (0.03, lambda: self._partly("stops half-way", hangs_up=False)),
            (0.03, lambda: self._partly("hangs up", hangs_up=True)),
            (0.03, lambda: dataclasses.replace(self.good(), kind="does not wait", hangs_up=True)),
        ]

    def __call__(self) -> Attempt:
        """The next one."""
        shares, makers = zip(*self._kinds, strict=True)
        return self._random.choices(makers, shares)[0]()

    def good(self) -> Attempt:
        """One to three images, in rows or columns."""
        chosen = self._chosen(self._random.randint(1, 3))
        return Attempt("good", self._body([self._files[index] for index in chosen]), (200,), self._expected(chosen))

    def one(self, index: int) -> Attempt:
        """A certain image."""
        return Attempt("good", self._body([self._files[index]]), (200,), self._expected([index]))

    def _by_infer(self) -> Attempt:
        """Files in binary, by the Open Inference Protocol."""
        chosen = self._chosen(self._random.randint(1, 3))
        framed = b"".join(struct.pack("<I", len(self._files[k])) + self._files[k] for k in chosen)
        return self._tensor("files by infer", "image_bytes", "BYTES", (len(chosen),), framed, chosen)

    def _pixels(self) -> Attempt:
        """An image as pixels, by the Open Inference Protocol."""
        chosen = self._chosen(1)
        image = self._images[chosen[0]][None]
        return self._tensor("pixels by infer", "images", "UINT8", image.shape, image.tobytes(), chosen)

    def _tensor(
        self, kind: str, name: str, datatype: str, shape: tuple[int, ...], content: bytes, chosen: list[int]
    ) -> Attempt:
        size = {"binary_data_size": len(content)}
        tensor = {"name": name, "datatype": datatype, "shape": list(shape), "parameters": size}
        head = json.dumps({"inputs": [tensor]}).encode()
        path = "/v2/models/load/infer"
        return Attempt(kind, head + content, (200,), self._expected(chosen), path=path, header_length=len(head))

    def _chosen(self, count: int) -> list[int]:
        return self._random.choices(range(len(self._files)), k=count)

    def _expected(self, chosen: list[int]) -> tuple[Any, ...]:
        return tuple(tuple(answers[index] for index in chosen) for answers in self._answers)

    def _body(self, files: list[bytes]) -> bytes:
        encoded = [{"b64": base64.b64encode(file).decode()} for file in files]
        is_columnar = self._random.random() < 0.3
        return json.dumps({"inputs": {"image_bytes": encoded}} if is_columnar else {"instances": encoded}).encode()

    def _spoilt(self, kind: str, file: bytes, statuses: list[int]) -> Attempt:
        return Attempt(kind, self._body([self._files[1], file]), tuple(statuses))

    def _plain(self, kind: str, body: bytes, statuses: list[int]) -> Attempt:
        return Attempt(kind, body, tuple(statuses))

    def _partly(self, kind: str, hangs_up: bool) -> Attempt:
        return Attempt(kind, self.good().body, (408,), stops_at=0.5, hangs_up=hangs_up)
