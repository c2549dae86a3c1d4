"""COCO and Pascal VOC metrics, and the tables and files that report them.

To add a metric, write `evaluation/<name>.py` with a function of the same arguments and result as `coco.evaluate`, and
add its entry to `METRICS` and its name to `config.MetricName`. See docs/extending.md.
"""

from __future__ import annotations

from keras_retinanet.evaluation import coco, report, voc
from keras_retinanet.evaluation.detections import detect_dataset
from keras_retinanet.evaluation.metric import EvaluationResult, Metric

METRICS: dict[str, Metric] = {
    "coco": Metric(coco.evaluate, "AP", logged=("AP", "AP50", "AP75", "APs", "APm", "APl")),
    "voc": Metric(voc.evaluate, "mAP"),
}

__all__ = ["METRICS", "EvaluationResult", "Metric", "coco", "detect_dataset", "report", "voc"]
