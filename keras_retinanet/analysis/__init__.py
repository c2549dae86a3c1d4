"""Where a detector fails: errors by kind, confusion, calibration, slices, worst images, and labels that look wrong.

Everything here is NumPy on annotations and detections; no model is needed. `analyse` computes all of it.
"""

from __future__ import annotations

from keras_retinanet.analysis.analysis import Analysis, AnalysisSettings, analyse
from keras_retinanet.analysis.json_values import to_json

__all__ = ["Analysis", "AnalysisSettings", "analyse", "to_json"]
