"""`exif` inside a TensorFlow graph, in ops that every TensorFlow runtime has: for what a server runs."""

from __future__ import annotations

from collections.abc import Callable

import tensorflow as tf

from keras_retinanet.data.exif import (
    EXIF_MARK,
    FIRST_PNG_CHUNK,
    FIRST_TRANSPOSED,
    FIRST_WEBP_CHUNK,
    FLIPS,
    HAS_WEBP_EXIF,
    JPEG_WINDOW,
    ORIENTATION_TAG,
    PNG_MAGIC,
    PNG_WINDOW,
    SHORT,
    UPRIGHT,
)
from keras_retinanet.schema import Tensor

_MAY_HAVE_EXIF = r"\C{12}VP8X\C*|\CPNG\C*eXIf\C*"
"""Pattern of files other than JPEG that are searched; one operation rules out the others."""
_PLAIN_JPEG = b"\xff\xd8\xff\xe0\0\x10JFIF" + bytes(10) + b"\xff\xdb"
"""First bytes of a JPEG whose JFIF segment, of which ten bytes vary, is followed by tables: it has no EXIF data."""
_VARIES = [10 <= at < 20 for at in range(len(_PLAIN_JPEG))]


def _in_own_graph(*signature: tf.TensorSpec) -> Callable[[Callable[..., Tensor]], Callable[..., Tensor]]:
    """Keep a function out of the graphs that call it: they run for every image, and it for the few that need it."""
    decorate: Callable[[Callable[..., Tensor]], Callable[..., Tensor]] = tf.function(
        input_signature=signature, autograph=False, experimental_attributes={"_noinline": True}
    )
    return decorate


def turn_in_graph(image: Tensor, orientation: Tensor) -> Tensor:
    """`exif.turn` in a graph.

    Args:
        image: `(H, W, 3)` uint8 as stored.
        orientation: Scalar int32, 0 (none) to 8.

    Returns:
        `(H, W, 3)` uint8, or `(W, H, 3)` for orientations from 5 on.
    """
    image = tf.cond(orientation > UPRIGHT, lambda: _turn(image, orientation), lambda: image)
    return tf.ensure_shape(image, (None, None, 3))


@_in_own_graph(tf.TensorSpec((None, None, 3), tf.uint8), tf.TensorSpec((), tf.int32))
def _turn(image: Tensor, orientation: Tensor) -> Tensor:
    is_transposed = orientation >= FIRST_TRANSPOSED
    image = tf.cond(is_transposed, lambda: tf.transpose(image, (1, 0, 2)), lambda: image)
    return tf.raw_ops.Reverse(tensor=image, dims=tf.concat([tf.gather(tf.constant(FLIPS), orientation), [False]], 0))


def orientation_in_graph(content: Tensor) -> Tensor:
    """`exif.read_orientation` in a graph.

    Args:
        content: Scalar string. The bytes of an image file.

    Returns:
        Scalar int32, 1 to 8.
    """

    def may_have_exif() -> Tensor:
        return tf.strings.regex_full_match(tf.strings.substr(content, 0, PNG_WINDOW), _MAY_HAVE_EXIF)

    count = len(_PLAIN_JPEG)
    start = tf.io.decode_raw(tf.strings.substr(content, 0, count), tf.uint8, fixed_length=count)
    is_as_plain = (start == tf.constant(list(_PLAIN_JPEG), tf.uint8)) | tf.constant(_VARIES)
    is_jpeg, is_plain = tf.reduce_all(is_as_plain[:2]), tf.reduce_all(is_as_plain)
    is_searched = tf.cond(is_jpeg, lambda: ~is_plain, may_have_exif)
    return tf.cond(is_searched, lambda: _search(content), lambda: tf.constant(UPRIGHT))


@_in_own_graph(tf.TensorSpec((), tf.string))
def _search(content: Tensor) -> Tensor:
    places = [
        (_text(content, 0, 2) == b"\xff\xd8", lambda: _find_in_jpeg(content)),
        (_text(content, 0, 8) == PNG_MAGIC, lambda: _find_in_png(content)),
        (_text(content, 0, 4) == b"RIFF", lambda: _find_in_webp(content)),
    ]
    return _orientation_of_tiff(tf.case(places, default=lambda: tf.constant(b"")))


def _text(content: Tensor, at: Tensor, count: Tensor) -> Tensor:
    """`content[at : at + count]`, as in Python also beyond the end."""
    at, count = tf.minimum(at, tf.strings.length(content)), tf.maximum(count, 0)
    return tf.strings.substr(content, at, count)


def _bytes(content: Tensor, at: Tensor, count: int) -> Tensor:
    """`(count,)` int32, zero beyond the end."""
    return tf.cast(tf.io.decode_raw(_text(content, at, count), tf.uint8, fixed_length=count), tf.int32)


def _number(digits: Tensor, is_little: Tensor) -> Tensor:
    """Numbers from bytes `(…, n)`; large ones become the largest that counts as beyond the end of any file."""
    digits = tf.cast(tf.where(is_little, digits, tf.reverse(digits, [-1])), tf.int64)
    values = tf.reduce_sum(digits * tf.constant([256**k for k in range(digits.shape[-1])], tf.int64), axis=-1)
    return tf.cast(tf.minimum(values, 2**30), tf.int32)


def _find_in_jpeg(content: Tensor) -> Tensor:
    """The TIFF structure among the leading application and comment segments, empty if there is none."""

    def is_skipped(at: Tensor, head: Tensor) -> Tensor:
        is_leading = ((head[1] >= 0xE0) & (head[1] <= 0xEF)) | (head[1] >= 0xFE)
        return (at + 10 <= JPEG_WINDOW) & (head[0] == 0xFF) & is_leading & ~is_exif(head)

    def is_exif(head: Tensor) -> Tensor:
        return (head[1] == 0xE1) & tf.reduce_all(head[4:] == tf.constant(list(EXIF_MARK)))

    def skip(at: Tensor, head: Tensor) -> tuple[Tensor, Tensor]:
        at += tf.where(head[1] == 0xFF, 1, 2 + head[2] * 256 + head[3])
        return at, _bytes(content, at, 10)

    at, head = tf.while_loop(is_skipped, skip, (tf.constant(2), _bytes(content, 2, 10)))
    is_found = (at + 10 <= JPEG_WINDOW) & (head[0] == 0xFF) & is_exif(head)
    length = tf.where(is_found, head[2] * 256 + head[3] - 8, 0)
    return _text(content, at + 10, length)


def _find_in_png(content: Tensor) -> Tensor:
    def length_of(at: Tensor) -> Tensor:
        return _number(_bytes(content, at, 4), tf.constant(False))

    def is_skipped(at: Tensor, name: Tensor) -> Tensor:
        is_other = (name != b"eXIf") & (name != b"IDAT") & (name != b"IEND")
        return (at + 8 <= PNG_WINDOW) & is_other & (tf.strings.length(name) == 4)

    def skip(at: Tensor, name: Tensor) -> tuple[Tensor, Tensor]:
        del name
        at += length_of(at) + 12
        return at, _text(content, at + 4, 4)

    start = tf.constant(FIRST_PNG_CHUNK)
    at, name = tf.while_loop(is_skipped, skip, (start, _text(content, start + 4, 4)))
    return _without_mark(_text(content, at + 8, tf.where((name == b"eXIf") & (at + 8 <= PNG_WINDOW), length_of(at), 0)))


def _find_in_webp(content: Tensor) -> Tensor:
    def length_of(at: Tensor) -> Tensor:
        return _number(_bytes(content, at + 4, 4), tf.constant(True))

    def is_skipped(at: Tensor, name: Tensor) -> Tensor:
        return (name != b"EXIF") & (tf.strings.length(name) == 4) & (at < tf.strings.length(content))

    def skip(at: Tensor, name: Tensor) -> tuple[Tensor, Tensor]:
        del name
        at += (length_of(at) + 1) // 2 * 2 + 8
        return at, _text(content, at, 4)

    def search() -> Tensor:
        start = tf.constant(FIRST_WEBP_CHUNK)
        at, name = tf.while_loop(is_skipped, skip, (start, _text(content, start, 4)))
        return _without_mark(_text(content, at + 8, tf.where(name == b"EXIF", length_of(at), 0)))

    has_exif = _bytes(content, 20, 1)[0] // HAS_WEBP_EXIF % 2 == 1
    is_extended = _text(content, 8, 8) == b"WEBPVP8X"
    return tf.cond(is_extended & has_exif, search, lambda: tf.constant(b""))


def _without_mark(tiff: Tensor) -> Tensor:
    return tf.where(_text(tiff, 0, 6) == EXIF_MARK, _text(tiff, 6, tf.strings.length(tiff)), tiff)


def _orientation_of_tiff(tiff: Tensor) -> Tensor:
    magic = _text(tiff, 0, 4)
    is_little, is_big = magic == b"II*\0", magic == b"MM\0*"
    start = _number(_bytes(tiff, 4, 4), is_little)
    count = _number(_bytes(tiff, start, 2), is_little)
    entries = _text(tiff, start + 2, 12 * count)
    count = tf.strings.length(entries) // 12
    rows = tf.io.decode_raw(_text(entries, 0, 12 * count), tf.uint8)
    rows = tf.cast(tf.reshape(rows, (-1, 12)), tf.int32)
    tags, kinds, values = (_number(rows[:, at : at + 2], is_little) for at in (0, 2, 8))
    values = tf.where((kinds == SHORT) & (values >= 1) & (values < len(FLIPS)), values, UPRIGHT)
    found = tf.concat([tf.boolean_mask(values, tags == ORIENTATION_TAG), [UPRIGHT]], axis=0)
    return tf.where(is_little | is_big, found[0], UPRIGHT)
