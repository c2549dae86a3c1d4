"""The section on metrics in docs/extending.md, followed literally in a copy of the package: three edits."""

from __future__ import annotations

import os
import re
import shutil
import subprocess
import sys
from pathlib import Path

ROOT = Path(__file__).resolve().parents[2]

CHECK = """
import sys
from typing import get_args
import numpy as np
import keras_retinanet
from keras_retinanet.cli.train import parse
from keras_retinanet.config import MetricName
from keras_retinanet.evaluation import METRICS, report

assert keras_retinanet.__file__.startswith(sys.argv[1])
assert get_args(MetricName) == tuple(METRICS)
assert parse(["coco", "data", "--metric", "counting"]).config.metric == "counting"
metric = METRICS["counting"]
boxes = np.array([[3, 4, 50, 61], [10, 10, 150, 160]], np.float32)
sample = {"image_id": 1, "boxes": boxes, "labels": np.array([0, 1]), "ignore": np.zeros(2, bool)}
found = {"image_id": 1, "boxes": boxes[:1], "labels": np.array([0]), "scores": np.array([0.5])}
result = metric.evaluate([sample], [found], ["cat", "dog"])
assert (metric.monitor, metric.mode) == ("count_error", "min")
assert metric.logged_stats(result) == {"count_error": 1.0, "exact": 0.0}
assert metric.logged_stats(metric.evaluate([], [], ["cat", "dog"])) == {}
assert report.class_table(result).splitlines()[2].split() == ["dog", "1", "1.000"]
"""


def test_a_metric_is_three_edits(tmp_path: Path) -> None:
    section = (
        (ROOT / "docs" / "extending.md").read_text(encoding="utf-8").partition("## A metric")[2].partition("\n## ")[0]
    )
    (code,) = re.findall(r"```python\n(.*?)```", section, flags=re.DOTALL)
    (entry,) = re.findall(r"```\n( +\"counting\": .*?)```", section, flags=re.DOTALL)
    shutil.copytree(
        ROOT / "keras_retinanet", tmp_path / "keras_retinanet", ignore=shutil.ignore_patterns("__pycache__")
    )
    package = tmp_path / "keras_retinanet"

    (package / "evaluation" / "counting.py").write_text(code, encoding="utf-8")
    table = package / "evaluation" / "__init__.py"
    text = table.read_text(encoding="utf-8").replace("import coco, report, voc", "import coco, counting, report, voc")
    table.write_text(re.sub(r'( +"voc": Metric\(.*?\),\n)', lambda found: found[1] + entry, text), encoding="utf-8")
    settings = package / "config" / "settings.py"
    text = settings.read_text(encoding="utf-8")
    settings.write_text(text.replace('Literal["coco", "voc"]', 'Literal["coco", "voc", "counting"]'), encoding="utf-8")

    out = subprocess.run(
        [sys.executable, "-c", CHECK, str(tmp_path)],
        check=False,
        capture_output=True,
        text=True,
        env=os.environ | {"PYTHONPATH": str(tmp_path)},
        cwd=tmp_path,
    )
    assert out.returncode == 0, out.stderr
