"""What of the backbone learns: its first stages frozen, its rates lowered, the whole of it from a later epoch on."""

from __future__ import annotations

import keras

from keras_retinanet.backbones import freeze_batch_norm
from keras_retinanet.backbones.stages import LAST_STAGE, layer_stages
from keras_retinanet.config import OptimizerConfig, TrainConfig
from keras_retinanet.framework_internals import nested_layers
from keras_retinanet.model.retinanet import RetinaNet
from keras_retinanet.optimizers.averaging import averages_of


def freeze(model: RetinaNet, config: TrainConfig, epoch: int) -> None:
    """Freezes what the settings say, before the optimizer is built.

    Args:
        model: The network, not compiled yet or to be compiled again.
        config: `freeze_backbone`, `unfreeze_at` and `freeze_stages`.
        epoch: Complete epochs of the run.
    """
    if config.freeze_backbone or epoch < config.unfreeze_at:
        model.backbone.trainable = False
    else:
        freeze_stages(model.backbone, config.freeze_stages)


def freeze_stages(backbone: keras.Model, count: int) -> None:
    """Freezes the first stages of a backbone.

    Args:
        backbone: Changed in place.
        count: Stages: 1 is the stem, n all maps of strides up to 2ⁿ.
    """
    if count:
        stages = layer_stages(backbone)
        for layer in backbone.layers:
            if stages.get(layer.name, LAST_STAGE + 1) <= count:
                layer.trainable = False


def is_waiting(model: RetinaNet, config: TrainConfig, epoch: int) -> bool:
    """Whether a frozen backbone is now to be trained.

    Args:
        model: The network.
        config: `unfreeze_at`.
        epoch: Complete epochs of the run.

    Returns:
        True if `unfreeze_at` epochs are complete and no variable of the backbone is trainable.
    """
    return 0 < config.unfreeze_at <= epoch and not model.backbone.trainable_variables


def unfreeze(model: RetinaNet, config: TrainConfig) -> None:
    """Makes the backbone trainable, except for its batch normalisation and its first stages where settings say so.

    Args:
        model: The network, to be compiled again with an optimizer that `carry_state` filled.
        config: `freeze_stages`.
    """
    for layer in nested_layers(model.backbone):
        layer.trainable = True
    freeze_batch_norm(model.backbone)  # only a pretrained backbone may be frozen: see `config.rules`
    freeze_stages(model.backbone, config.freeze_stages)


def carry_state(former: keras.optimizers.Optimizer, optimizer: keras.optimizers.Optimizer, model: RetinaNet) -> None:
    """Gives a new optimizer the state of one that was built for some of the same variables.

    Args:
        former: The optimizer so far.
        optimizer: The new one, built for all trainable variables. What the former one lacks begins at zero, and an
            average at the variable itself.
        model: The network.
    """
    known = {_place(variable): variable for variable in former.variables}
    own = zip(averages_of(optimizer), model.trainable_variables, strict=False)  # the first is empty without averages
    averages = {id(average): variable for average, variable in own}
    for variable in optimizer.variables:
        if (source := known.get(_place(variable))) is not None:
            variable.assign(source.value)
        elif id(variable) in averages:
            variable.assign(averages[id(variable)].value)


def rate_factors(model: RetinaNet, config: OptimizerConfig) -> tuple[float, ...]:
    """The factor on the learning rate of each trainable variable.

    Args:
        model: The network, with `trainable` set as it will be trained.
        config: `backbone_rate` and `layer_decay`.

    Returns:
        One factor per trainable variable: `backbone_rate · layer_decay ** (5 - stage)` in the backbone, else 1.

    Reference:
        Liu et al. 2022, A ConvNet for the 2020s, appendix A.1: layer-wise decay by stages; Carion et al. 2020, DETR,
        §4: a tenth of the rate for the backbone.
    """
    if config.backbone_rate == config.layer_decay == 1:
        return ()
    stages = layer_stages(model.backbone) if config.layer_decay != 1 else {}
    factors = {
        id(variable): config.backbone_rate * config.layer_decay ** (LAST_STAGE - stages.get(layer.name, LAST_STAGE))
        for layer in model.backbone.layers
        for variable in layer.trainable_variables
    }
    return tuple(factors.get(id(variable), 1.0) for variable in model.trainable_variables)


def _place(variable: keras.Variable) -> str:
    """Path without the first part, the name of the optimizer."""
    return str(variable.path).partition("/")[2]
