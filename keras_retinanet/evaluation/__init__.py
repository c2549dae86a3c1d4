"""How good are the detections? COCO's and Pascal VOC's numbers, and the tables and files that report them.

To add a metric, write `evaluation/<name>.py` with a function of the same arguments and result as `coco.evaluate`, and
list it here and in `config.MetricName`.
"""

from __future__ import annotations

from collections.abc import Callable

from keras_retinanet.evaluation import coco, report, voc
from keras_retinanet.evaluation.detections import detect_dataset
from keras_retinanet.evaluation.result import EvaluationResult

METRICS: dict[str, Callable[..., EvaluationResult]] = {"coco": coco.evaluate, "voc": voc.evaluate}

__all__ = ["METRICS", "EvaluationResult", "coco", "detect_dataset", "report", "voc"]
