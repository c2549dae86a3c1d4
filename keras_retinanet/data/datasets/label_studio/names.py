"""Addresses of images in Label Studio, as names of files."""

from __future__ import annotations

import base64
import binascii
import re
from urllib.parse import parse_qs, unquote, urlsplit

from keras_retinanet.data.datasets.shared.text_files import is_image

_PLAIN_PATH = re.compile(r"(?:/[\w.-]+)+")  # without query, escapes and server
_UPLOAD = re.compile(r"(?:^|/)(?:data/)?upload/(?:\d+/)?([^/]+)$")
_PREFIX = re.compile(r"[0-9a-f]{8}-(?=.)")


def is_image_address(address: str) -> bool:
    """Whether the address is that of an image, by its suffix."""
    return is_image(_path_of(address)) or address.startswith("data:image/")


def image_forms(address: str) -> tuple[str, ...]:
    """Names under which the image of an address may be stored.

    Args:
        address: Path or URL of a task.

    Returns:
        The path below the server, bucket or storage; then without the prefix that Label Studio gives to uploads.
    """
    path = _path_of(address)
    uploaded = _UPLOAD.search(path)
    if uploaded is None:
        return (path,)
    name = uploaded[1]
    return tuple(dict.fromkeys([name, _PREFIX.sub("", name, count=1)]))


def _path_of(address: str) -> str:
    """The path that an address leads to, decoded."""
    if _PLAIN_PATH.fullmatch(address):
        return address
    parts = urlsplit(address) if re.match(r"[a-z][a-z0-9+.-]+://|/", address) else None
    if parts is None:
        return address
    query = parse_qs(parts.query)
    if "d" in query and parts.path.endswith("local-files/"):
        return query["d"][0].lstrip("/")
    if "fileuri" in query:
        try:
            hidden = base64.urlsafe_b64decode(query["fileuri"][0] + "==").decode()
        except (binascii.Error, ValueError):
            return address
        return _path_of(hidden) if hidden != address else hidden
    is_url = bool(parts.scheme)
    return unquote(parts.path).lstrip("/") if is_url else unquote(parts.path)
