"""The stages of a backbone: the layers up to C1, C2 … C5, told apart by the stride of their maps."""

from __future__ import annotations

import keras

_SIDE = 256  # divisible by the strides of all stages
LAST_STAGE = 5


def layer_stages(backbone: keras.Model) -> dict[str, int]:
    """The stage of each layer.

    Args:
        backbone: An entry of `BACKBONES`, built.

    Returns:
        Layer name → n for maps of stride 2ⁿ, 1 to 5. The stem of stride 2 is stage 1; what precedes it counts as 1.

    Reference:
        Detectron2's `FREEZE_AT` counts the same way: 2 freezes the stem and res2, whose stride is 4.
    """
    layers = [layer for layer in backbone.layers if layer.weights]
    maps = keras.Model(backbone.inputs, [layer.output for layer in layers])
    outputs = maps(keras.Input(batch_shape=(1, _SIDE, _SIDE, 3)))
    stages, stage = {}, 1
    for layer, output in zip(layers, outputs if isinstance(outputs, list) else [outputs], strict=True):
        side = output.shape[1] if len(output.shape) == 4 else 1
        if side >= _SIDE >> LAST_STAGE:  # squeeze-and-excitation pools its map: it belongs to the layers before it
            stage = max((_SIDE // side).bit_length() - 1, 1)
        stages[layer.name] = stage
    return stages
