"""Settings that belong together, by dotted name; flags given on the command line go before them."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

DEMO: Mapping[str, Any] = {
    "model.backbone": "resnet18",
    "model.weights": "none",
    "model.fpn_width": 64,
    "model.head_width": 64,
    "model.head_depth": 2,
    "resize.min_side": 256,
    "resize.max_side": 320,
    "anchors.sizes": (16.0, 32.0, 64.0, 128.0, 256.0),
    "optimizer.optimizer": "adam",
    "optimizer.learning_rate": 1e-3,
    "optimizer.schedule": "cosine",
    "batch_size": 8,
    "epochs": 10,
    "evaluate_every": 5,
}
"""What `retinanet-train demo` takes where no flag says otherwise: made for two cores and no downloaded weights."""
