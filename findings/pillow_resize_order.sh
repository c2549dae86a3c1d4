#!/usr/bin/env bash
# Pillow 13.0.0 beside 12.3.0: `Image.resize` of the same image to the same size.
#
# Guess before running: equal bit for bit, as in all versions since 7.0; resizing is what preprocessing rests on.
#
# Seen: 12.3.0 always scales horizontally first, then vertically; 13.0.0 begins with the pass that makes the whole
# cheaper. Values are rounded and clipped between the passes, so that other pixels come out where the order changed. A
# drawn scene of 480 x 640 (upright), scaled to 800 x 600: bilinear differs by 1 in 0.1 % of the values, bicubic by up
# to 24 and Lanczos by up to 42 at edges. The same scene of 640 x 480, whose aspect ratio is kept, comes out equal.
# 13.0.0 also begins with the vertical pass from 640 x 480 to 800 x 400 and from 480 x 640 to 512 x 512, but not to
# 320 x 320 or 224 x 224, nor where the aspect ratio is kept (480 x 640 to 600 x 800), as two separate resizes show.
#
# Why it matters: torchvision's, Hugging Face's and many converters' preprocessing resizes with Pillow. After an upgrade
# images whose aspect ratio is changed may give other inputs, while others of the same data set do not: golden arrays
# and caches of resized images differ, and a detector that was trained with one version gets other pixels in production.
set -euo pipefail
folder=$(mktemp -d)
trap 'rm -rf "$folder"' EXIT
cd "$folder"
cat >resize.py <<'PY'
import sys

import numpy as np
from PIL import Image, ImageDraw

for width, height in ((480, 640), (640, 480)):
    picture = Image.radial_gradient("L").resize((width, height), Image.Resampling.NEAREST).convert("RGB")
    draw = ImageDraw.Draw(picture)
    for place in range(0, 400, 40):
        draw.ellipse((place, place, place + 60, place + 90), fill=(255, place // 2, 0), outline="white")
    for name in ("BILINEAR", "BICUBIC", "LANCZOS"):
        changed = picture.resize((800, 600), Image.Resampling[name])
        np.save(f"{sys.argv[1]}-{width}-{name}.npy", np.asarray(changed))
PY
for version in 12.3.0 13.0.0; do
    python3 -m venv "venv-$version"
    "venv-$version/bin/pip" install --quiet pillow==$version numpy==2.4.0
    "venv-$version/bin/python" resize.py $version
done
venv-13.0.0/bin/python - <<'PY'
import numpy as np

largest = {}
for width in (480, 640):
    for name in ("BILINEAR", "BICUBIC", "LANCZOS"):
        former, now = (np.load(f"{version}-{width}-{name}.npy").astype(int) for version in ("12.3.0", "13.0.0"))
        difference = np.abs(now - former)
        largest[width, name] = int(difference.max())
        share = (difference > 0).mean()
        print(f"{width} wide, {name:8s} to 800 x 600: {share:.1%} of the values differ, by at most {difference.max()}")
assert all(largest[640, name] == 0 for name in ("BILINEAR", "BICUBIC", "LANCZOS")), largest
assert largest[480, "BILINEAR"] == 1, largest
assert min(largest[480, "BICUBIC"], largest[480, "LANCZOS"]) > 1, largest
PY
