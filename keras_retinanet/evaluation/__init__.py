"""Metrics of detection, and the tables and files that report them.

To add a metric, write `evaluation/<name>.py` with a function of the same arguments and result as `f1.evaluate`, and
add its entry to `METRICS` and its name to `config.MetricName`. See docs/extending.md.
"""

from __future__ import annotations

from keras_retinanet.evaluation import coco, counts, f1, fizyr, lrp, open_images, report, voc
from keras_retinanet.evaluation.detections import detect_dataset
from keras_retinanet.evaluation.metric import EvaluationResult, Metric, MetricSettings

METRICS: dict[str, Metric] = {
    "coco": Metric(
        coco.evaluate, "AP", logged=("AP", "AP50", "AP75", "APs", "APm", "APl"), choose_monitor=coco.choose_monitor
    ),
    "voc": Metric(voc.evaluate_2010, "mAP", match_once=voc.match_once_2010),
    "voc2007": Metric(voc.evaluate_2007, "mAP", match_once=voc.match_once_2007),
    "fizyr": Metric(fizyr.evaluate, "mAP", choose_monitor=fizyr.choose_monitor, match_once=fizyr.match_once),
    "open_images": Metric(open_images.evaluate, "mAP", match_once=open_images.match_once),
    "lrp": Metric(lrp.evaluate, "oLRP", lower_is_better=frozenset(lrp.STATS), match_once=lrp.match_once),
    "f1": Metric(f1.evaluate, "F1", match_once=f1.match_once),
    "counts": Metric(
        counts.evaluate, "MAE", lower_is_better=frozenset({"MAE", "RMSE", "relative"}), match_once=counts.match_once
    ),
}

__all__ = [
    "METRICS",
    "EvaluationResult",
    "Metric",
    "MetricSettings",
    "coco",
    "detect_dataset",
    "report",
    "voc",
]
