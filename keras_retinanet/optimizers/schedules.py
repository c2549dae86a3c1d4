"""Learning rate over a run: linear warm-up, then steps, a cosine, a late cosine or nothing."""

from __future__ import annotations

import math
from typing import Any

import keras
from keras import ops

from keras_retinanet.config import ScheduleName
from keras_retinanet.schema import Tensor


@keras.saving.register_keras_serializable(package="keras_retinanet")
class WarmupSchedule(keras.optimizers.schedules.LearningRateSchedule):
    """Linear warm-up to a peak, times a decay over the whole run.

    Step `s` (counted from 0) of a run of `total_steps` has progress `p = s / total_steps` and the rate
    `peak · warmup(s) · decay(p)`, where `warmup` rises linearly from `warmup_factor` to 1 in `warmup_steps` steps, and
    `decay` is

    - `"step"`: 1, from `p = 2/3` on 0.1, from `p = 8/9` on 0.01;
    - `"cosine"`: `(1 + cos(π p)) / 2`;
    - `"flat_cosine"`: 1 up to `p = f`, the flat share, then `(1 + cos(π (p - f) / (1 - f))) / 2`;
    - `"constant"`: 1.

    Args:
        peak: The learning rate after the warm-up, before any decay.
        total_steps: Steps of the whole run, at least 1.
        warmup_steps: Steps of warm-up. Defaults to 0, none.
        decay: `"step"`, `"cosine"`, `"flat_cosine"` or `"constant"`. Defaults to `"step"`.
        warmup_factor: Share of the peak at step 0 where there is a warm-up. Defaults to 0.001.
        flat_share: Part of the run before `"flat_cosine"` begins to fall: at least 0, below 1. Defaults to 0.5.

    Raises:
        ValueError: If a count is negative, `total_steps` is 0, `decay` is not one of these, or `flat_share` is out of
            range.

    Example:
        >>> schedule = WarmupSchedule(0.01, total_steps=90, decay="step")
        >>> [round(float(schedule(step)), 6) for step in (0, 59, 60, 80)]
        [0.01, 0.01, 0.001, 0.0001]

    Reference:
        Focal Loss for Dense Object Detection, §4.1 (60k and 80k of 90k steps); warm-up as in Detectron2; flat cosine:
        Lyu et al. 2022, RTMDet, table 1.
    """

    DECAYS: tuple[ScheduleName, ...] = ("step", "cosine", "flat_cosine", "constant")

    def __init__(
        self,
        peak: float,
        total_steps: int,
        warmup_steps: int = 0,
        decay: ScheduleName = "step",
        warmup_factor: float = 1e-3,
        flat_share: float = 0.5,
    ) -> None:
        super().__init__()
        if total_steps < 1 or warmup_steps < 0:
            raise ValueError(f"A run needs steps: got total_steps={total_steps}, warmup_steps={warmup_steps}.")
        if decay not in self.DECAYS:
            raise ValueError(f"Unknown decay {decay!r}; known are {', '.join(self.DECAYS)}.")
        if not 0 <= flat_share < 1:
            raise ValueError(f"flat_share must be at least 0 and below 1, got {flat_share}.")
        self.peak = float(peak)
        self.total_steps = int(total_steps)
        self.warmup_steps = int(warmup_steps)
        self.decay = decay
        self.warmup_factor = float(warmup_factor)
        self.flat_share = float(flat_share)

    def __call__(self, step: Tensor) -> Tensor:
        """Learning rate of a step.

        Args:
            step: `()` integer tensor, or an int. Steps done before this one.

        Returns:
            `()` float32. The learning rate.
        """
        step = ops.cast(step, "float32")
        return self.peak * self._warmup(step) * self._decay(step)

    def _warmup(self, step: Tensor) -> Tensor:
        if not self.warmup_steps:
            return 1.0
        share = ops.minimum(step / self.warmup_steps, 1.0)
        return self.warmup_factor + (1.0 - self.warmup_factor) * share

    def _decay(self, step: Tensor) -> Tensor:
        if self.decay in ("cosine", "flat_cosine"):
            flat_steps = self.flat_share * self.total_steps if self.decay == "flat_cosine" else 0.0
            progress = ops.clip((step - flat_steps) / (self.total_steps - flat_steps), 0.0, 1.0)
            return 0.5 * (1.0 + ops.cos(math.pi * progress))
        if self.decay == "step":
            # Boundaries as whole steps: 2/3 · 90 must be step 60, not 60.000004.
            first, second = math.ceil(self.total_steps * 2 / 3), math.ceil(self.total_steps * 8 / 9)
            return ops.where(step < first, 1.0, ops.where(step < second, 0.1, 0.01))
        return 1.0

    def get_config(self) -> dict[str, Any]:
        """The constructor's arguments.

        Returns:
            Argument name → value.
        """
        return {
            "peak": self.peak,
            "total_steps": self.total_steps,
            "warmup_steps": self.warmup_steps,
            "decay": self.decay,
            "warmup_factor": self.warmup_factor,
            "flat_share": self.flat_share,
        }
