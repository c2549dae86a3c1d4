"""Muon for convolutions: Keras' optimizer takes matrices only, and convolution kernels have four axes."""

from __future__ import annotations

from typing import Any

import keras
from keras import ops

from keras_retinanet.framework_internals import MuonForAnyShape
from keras_retinanet.schema import Tensor

PREDICTORS = "/final/"
"""Part of the paths of the last layers of the heads."""

IMAGE_CHANNELS = 4
"""Kernels with at most this many input channels read the image itself and are trained by AdamW."""


@keras.saving.register_keras_serializable(package="keras_retinanet")
class ConvolutionMuon(MuonForAnyShape):
    """Orthogonalised momentum for kernels, as matrices of (rows · columns · inputs) × outputs.

    All other variables are trained by AdamW at the same rate: biases, scales and shifts, depthwise kernels, kernels
    that read the image, and those of the heads' predictors (`final`). An update has the root mean square 0.2 of an
    AdamW update (`rms_rate`), so both share one learning rate and one weight decay.

    The Newton–Schulz iteration runs on the Gram matrix of the shorter side, which is small: the long kernel is
    multiplied twice instead of ten times.

    Reference:
        Jordan et al. 2024, Muon: An optimizer for hidden layers in neural networks (convolutions flattened as there);
        Liu et al. 2025, Muon is Scalable for LLM Training, §2.2 (decay and root mean square).

    Example:
        >>> optimizer = ConvolutionMuon(3e-3, weight_decay=1e-4, adam_weight_decay=1e-4)
    """

    def __init__(self, learning_rate: Any = 1e-3, **kwargs: Any) -> None:
        kwargs.setdefault("exclude_layers", [PREDICTORS])
        super().__init__(learning_rate, **kwargs)

    def uses_adamw(self, variable: keras.Variable) -> bool:
        """Decide by its shape and its name whether AdamW updates a variable and decays its weights."""
        shape = variable.shape
        is_hidden_kernel = len(shape) == 4 and shape[-2] > IMAGE_CHANNELS and shape[-1] > 1
        return not is_hidden_kernel or any(name in f"/{variable.path}/" for name in self.exclude_layers)

    def update_by_muon(
        self, gradient: Tensor, variable: keras.Variable, learning_rate: Tensor, momentum: keras.Variable
    ) -> None:
        """One step: Nesterov momentum, flattened, made orthogonal, scaled to the size of an AdamW update."""
        self.assign_add(momentum, (gradient - momentum) * (1 - self.momentum))
        update = gradient * (1 - self.momentum) + momentum * self.momentum if self.nesterov else momentum
        matrix = ops.reshape(update, (-1, variable.shape[-1]))
        matrix = self.zeropower_via_newtonschulz5(matrix, self.ns_steps)
        scale = (max(matrix.shape) ** 0.5) * self.rms_rate
        self.assign_sub(variable, ops.reshape(matrix, variable.shape) * (learning_rate * scale))

    def zeropower_via_newtonschulz5(self, x: Tensor, steps: int) -> Tensor:
        """Approximates the orthogonal factor of a matrix: all singular values become about 1.

        With the Gram matrix G of X, one iteration is X ← X P, P = aI + bG + cG², and then G ← P G P. All P are
        polynomials of the first G, so the product of them is formed first.

        Args:
            x: `(rows, columns)` float32.
            steps: Iterations.

        Returns:
            `(rows, columns)` float32.
        """
        is_tall = x.shape[0] > x.shape[1]
        x = x / (ops.norm(x) + 1e-7)
        gram = ops.matmul(ops.transpose(x), x) if is_tall else ops.matmul(x, ops.transpose(x))
        unit = ops.eye(min(x.shape), dtype=x.dtype)
        product = unit
        for _ in range(steps):
            factor = self.muon_a * unit + self.muon_b * gram + self.muon_c * ops.matmul(gram, gram)
            product = ops.matmul(product, factor)
            gram = ops.matmul(ops.matmul(factor, gram), factor)
        return ops.matmul(x, product) if is_tall else ops.matmul(product, x)
