#!/usr/bin/env bash
# OpenCV 5.0.0 (opencv-python-headless 5.0.0.93) beside 4.13.0 (4.13.0.90): resize and warpAffine on the CPU.
#
# Guess before running: a new major version changes names and modules; pixels of the same call stay equal, at least for
# the mode that has "exact" in its name.
#
# Seen: `INTER_NEAREST_EXACT` of 4.13 takes the source pixel floor((x + 0.5) * n / m), as Pillow and PyTorch do, in all
# columns of 640 -> 800 and 480 -> 600. 5.0.0 takes the neighbour in 4.6 % of them: some positions that are whole numbers
# are rounded down by one. `warpAffine` with `INTER_LINEAR` of 4.13 rounds positions to 1/32 pixel: a shift by 0.3 pixel moves
# a ramp by 0.3125; 5.0.0 moves it by 0.3. `resize` with `INTER_LINEAR`, `INTER_AREA` and `INTER_CUBIC` is equal.
#
# Why it matters: albumentations and other augmentation code run on these two functions. Masks and label maps that were
# resized in the exact mode no longer agree with those of torchvision or Pillow at object borders, and stored augmented
# images or golden arrays differ after the upgrade although the random numbers are the same.
set -euo pipefail
folder=$(mktemp -d)
trap 'rm -rf "$folder"' EXIT
cd "$folder"
cat >interpolate.py <<'PY'
import sys

import cv2
import numpy as np

answers = {}
for n, m in ((640, 800), (480, 600)):
    row = np.arange(n, dtype=np.float32)[None]
    found = cv2.resize(row, (m, 1), interpolation=cv2.INTER_NEAREST_EXACT)[0].astype(int)
    exact = np.array([(2 * x + 1) * n // (2 * m) for x in range(m)])
    wrong = np.flatnonzero(found != exact)
    answers[f"nearest {n}"] = len(wrong) / m
    first = f", first column {wrong[0]}: {found[wrong[0]]}, not {exact[wrong[0]]}" if len(wrong) else ""
    print(f"{cv2.__version__}: {n} -> {m}: {len(wrong) / m:.1%} of the columns take the neighbour{first}")
ramp = np.tile(4 * np.arange(64, dtype=np.float32), (4, 1))
moved = cv2.warpAffine(ramp, np.float32([[1, 0, 0.3], [0, 1, 0]]), (64, 4), flags=cv2.INTER_LINEAR)
answers["shift"] = float(ramp[1, 8] - moved[1, 8]) / 4
print(f"{cv2.__version__}: a shift by 0.3 pixel moves a ramp by {answers['shift']:.4f}")
picture = np.random.default_rng(0).integers(0, 256, (480, 640, 3), dtype=np.uint8)
for mode in ("LINEAR", "AREA", "CUBIC"):
    answers[mode] = cv2.resize(picture, (800, 600), interpolation=getattr(cv2, f"INTER_{mode}"))
np.savez(sys.argv[1], **answers)
PY
for version in 4.13.0.90 5.0.0.93; do
    python3 -m venv "venv-$version"
    "venv-$version/bin/pip" install --quiet opencv-python-headless==$version numpy==2.4.0
    "venv-$version/bin/python" interpolate.py $version.npz
done
venv-5.0.0.93/bin/python - <<'PY'
import numpy as np

former, now = np.load("4.13.0.90.npz"), np.load("5.0.0.93.npz")
for mode in ("LINEAR", "AREA", "CUBIC"):
    assert np.array_equal(former[mode], now[mode]), mode
for name in ("nearest 640", "nearest 480"):
    assert former[name] == 0 and 0.04 < now[name] < 0.05, (name, former[name], now[name])
assert abs(former["shift"] - 0.3125) < 1e-5 and abs(now["shift"] - 0.3) < 1e-5, (former["shift"], now["shift"])
PY
