#!/usr/bin/env bash
# TensorFlow 2.21.0 (and Pillow 13.0.0 for comparison): tf.io.decode_jpeg(try_recover_truncated=True).
#
# Guess before running: with try_recover_truncated every JPEG that lacks its last bytes is decoded as far as it goes, and
# the pixels are those that Pillow gives with LOAD_TRUNCATED_IMAGES.
#
# Seen: a JPEG without its last TWO bytes (the whole end mark FF D9) is decoded, equal to Pillow. Without its last ONE
# byte it is an error (InvalidArgumentError; "Unsupported marker type" on stderr), with the flag and without. Without its
# last fifty bytes it is decoded, but rows that the data still hold have other values than Pillow's (here by 155 levels).
#
# Why it matters: scrapers and SKU-110K leave JPEGs short of their last bytes; a data set of them fails on some files
# and trains on different pixels than the server sees. A second end mark, appended before decoding, avoids both.
set -euo pipefail
folder=$(mktemp -d)
trap 'rm -rf "$folder"' EXIT
python3 -m venv "$folder/venv"
"$folder/venv/bin/pip" install --quiet tensorflow==2.21.0 pillow==13.0.0
TF_CPP_MIN_LOG_LEVEL=3 "$folder/venv/bin/python" - <<'PY'
import io

import numpy as np
import tensorflow as tf
from PIL import Image, ImageFile

ImageFile.LOAD_TRUNCATED_IMAGES = True
y, x = np.mgrid[:120, :160]
pixels = np.stack([x % 256, y * 2 % 256, (x + y) % 256], -1).astype(np.uint8)
buffer = io.BytesIO()
Image.fromarray(pixels).save(buffer, "JPEG", quality=90)
content = buffer.getvalue()


def compare(missing, suffix=b""):
    cut = content[: len(content) - missing] + suffix
    with Image.open(io.BytesIO(cut)) as opened:
        pillow = np.asarray(opened.convert("RGB")).astype(int)
    try:
        found = tf.io.decode_jpeg(cut, try_recover_truncated=not suffix, dct_method="INTEGER_ACCURATE").numpy()
    except tf.errors.InvalidArgumentError:
        return "error"
    return int(np.abs(found - pillow).max())


seen = {missing: compare(missing) for missing in (0, 1, 2, 50)}
mended = {missing: compare(missing, b"\xff\xd9") for missing in (1, 2, 50)}
print("bytes missing → largest difference to Pillow:", seen, "with a second end mark:", mended)
assert seen[0] == 0 and seen[1] == "error" and seen[2] == 0, seen
assert isinstance(seen[50], int) and seen[50] > 20, seen
assert mended == {1: 0, 2: 0, 50: 0}, mended
PY
echo "as described"
