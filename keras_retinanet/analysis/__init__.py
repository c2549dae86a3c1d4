"""What the numbers of an evaluation mean: where a detector fails, what to deploy, and which of several is better.

Everything here is NumPy on annotations and detections; no model is needed. `analyse` computes where it fails.
"""

from __future__ import annotations

from keras_retinanet.analysis.analysis import Analysis, AnalysisSettings, analyse
from keras_retinanet.analysis.json_values import to_json

__all__ = ["Analysis", "AnalysisSettings", "analyse", "to_json"]
