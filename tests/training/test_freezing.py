"""Frozen stages, rates by stage, and a backbone that joins later, on a backbone of five convolutions."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import keras
import numpy as np
import pytest

from keras_retinanet.backbones.batch_norm import batch_norm_layers
from keras_retinanet.config import OptimizerConfig, TrainConfig
from keras_retinanet.config.rules import check
from keras_retinanet.config.tree import changed
from keras_retinanet.optimizers.averaging import averages_of
from keras_retinanet.optimizers.build import build_optimizer
from keras_retinanet.optimizers.schedules import WarmupSchedule
from keras_retinanet.training.freezing import carry_state, freeze, is_waiting, rate_factors, unfreeze


@pytest.fixture
def network(small_network: Callable[..., Any]) -> Any:
    return small_network()


def trained_stages(network: Any) -> set[str]:
    return {variable.path.split("/")[0] for variable in network.backbone.trainable_variables}


def test_first_stages_are_frozen(network: Any) -> None:
    everything = trained_stages(network)
    freeze(network, changed(TrainConfig(), {"freeze_stages": 2}), epoch=0)
    frozen = everything - trained_stages(network)
    assert {"stem_conv", "stem_bn"} < frozen
    assert frozen == {name for name in everything if name.startswith(("stem", "c2"))} or len(frozen) == 6
    assert all(layer.trainable for layer in network.class_head._flatten_layers())


def test_rates_fall_by_stage(network: Any) -> None:
    """Half for the backbone; C5 has it whole, C4 a tenth of it, and so on; the heads have 1."""
    assert rate_factors(network, OptimizerConfig()) == ()
    flat = rate_factors(network, OptimizerConfig(backbone_rate=0.5))
    layered = rate_factors(network, OptimizerConfig(backbone_rate=0.5, layer_decay=0.1))
    inside = {id(variable) for variable in network.backbone.trainable_variables}
    names = [v.path for v in network.trainable_variables]
    for variable, one, own in zip(network.trainable_variables, flat, layered, strict=True):
        assert one == (0.5 if id(variable) in inside else 1.0)
        assert own in ((0.5, 0.05, 0.005, 0.0005, 0.00005) if id(variable) in inside else (1.0,)) or own == (
            pytest.approx(0.5 * 0.1 ** round(-np.log10(own / 0.5)))
        )
    assert layered[names.index(next(name for name in names if "stem" in name))] == pytest.approx(0.5e-4)


def test_a_backbone_that_joins_keeps_the_state_of_the_rest(network: Any) -> None:
    config = changed(TrainConfig(), {"unfreeze_at": 2, "freeze_stages": 1, "optimizer.ema_decay": 0.9})
    freeze(network, config, epoch=1)
    assert network.backbone.trainable_variables == []
    assert (is_waiting(network, config, 1), is_waiting(network, config, 2)) == (False, True)
    schedule = WarmupSchedule(0.1, 10, decay="constant")
    former = build_optimizer(config.optimizer, network, schedule)
    former.apply([keras.ops.ones(v.shape) for v in network.trainable_variables])
    heads = {v.path: v.numpy() for v in network.trainable_variables}

    unfreeze(network, config)
    optimizer = build_optimizer(config.optimizer, network, schedule)
    carry_state(former, optimizer, network)
    assert not is_waiting(network, config, 2)
    assert "stem_conv" not in trained_stages(network)
    assert not any(layer.trainable for layer in batch_norm_layers(network.backbone))
    assert int(optimizer.iterations) == 1
    for momentum, average, variable in zip(
        optimizer.momentums, averages_of(optimizer), network.trainable_variables, strict=True
    ):
        assert (np.abs(momentum.numpy()).max() > 0) == (variable.path in heads)
        np.testing.assert_array_equal(average.numpy(), variable.numpy())
    for path, value in heads.items():
        np.testing.assert_array_equal(next(v for v in network.trainable_variables if v.path == path).numpy(), value)


@pytest.mark.parametrize(
    ("values", "message"),
    [
        ({"freeze_backbone": True, "unfreeze_at": 3}, "leave it away, or --unfreeze-at"),
        ({"model.weights": "none", "freeze_stages": 1}, "--freeze-stages with --weights none"),
        ({"freeze_stages": 6}, "at most 5"),
        ({"optimizer.ema_decay": 0.9, "optimizer.swa_epochs": 1}, "both average the weights"),
        ({"optimizer.swa_epochs": 13}, "more than the 12 epochs"),
        ({"data.augment": "strnog"}, "'strnog'; allowed are none"),
        ({"data.repeat_threshold": 2.0}, "--repeat-threshold must lie between 0 and 1"),
    ],
)
def test_settings_that_contradict_each_other_are_refused(values: dict[str, Any], message: str) -> None:
    with pytest.raises(ValueError, match=message):
        check(changed(TrainConfig(), values))
