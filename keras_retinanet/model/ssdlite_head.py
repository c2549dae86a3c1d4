"""The heads of SSDLite: a depthwise 3x3 convolution in place of a full one."""

from __future__ import annotations

import keras

from keras_retinanet.backbones.normalization import BatchNormalization
from keras_retinanet.model.heads import Head


@keras.saving.register_keras_serializable(package="keras_retinanet")
class LiteHead(Head):
    """A depthwise 3x3 convolution, batch normalisation and ReLU6 before a 1x1 convolution that predicts.

    Arguments are those of `Head`; `norm_epsilon` and `norm_momentum` are those of the normalisation. Each level has its
    own weights.

    Reference:
        Sandler et al., MobileNetV2, 2018, §6.2; torchvision `SSDLiteHead`.
    """

    final_size = 1

    def make_tower(self) -> keras.Sequential:
        """The layers before the prediction, `conv0`, `norm0` and `relu0`."""
        policy = self.dtype_policy
        return keras.Sequential(
            [
                keras.layers.DepthwiseConv2D(3, padding="same", use_bias=False, name="conv0", dtype=policy),
                BatchNormalization(self.norm_epsilon, self.norm_momentum, name="norm0", dtype=policy),
                keras.layers.ReLU(6.0, name="relu0", dtype=policy),
            ],
            name="tower",
        )
