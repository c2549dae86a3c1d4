"""What several processes agree on before they train."""

from __future__ import annotations

from types import SimpleNamespace
from typing import Any

import keras
import pytest

from keras_retinanet.config import TrainConfig
from keras_retinanet.config.tree import changed
from keras_retinanet.snapshots.run_folder import Progress
from keras_retinanet.training.devices import Devices
from keras_retinanet.training.fit_memory import check_parts
from keras_retinanet.training.processes import ALONE, Processes
from keras_retinanet.training.shared_run import check_shared, describe_state

TWO = Processes(0, 2)


@pytest.mark.parametrize(
    ("values", "words"),
    [({"batch_size": 0}, "--batch-size auto tries steps in one process"), ({"accumulate": 0}, "--accumulate auto"),
     ({"time": "30m"}, "give --epochs")],
)  # fmt: skip
def test_what_each_process_would_decide_differently_is_refused(values: dict[str, Any], words: str) -> None:
    config = changed(TrainConfig(), values)
    check_shared(config, ALONE)
    with pytest.raises(ValueError, match=words):
        check_shared(config, TWO)


def test_the_state_tells_weights_progress_and_images_apart(model: keras.Model) -> None:
    progress = Progress(epoch=1, step=2, data={"images": "a", "boxes": "b"})
    before = describe_state(TrainConfig(), progress, model)
    assert (before["progress"], before["training images"], before["boxes"]) == ("1 2", "a", "b")
    model.trainable_weights[0].assign([[1.5]])
    after = describe_state(TrainConfig(seed=1), progress, model)
    assert {name for name in before if before[name] != after[name]} == {"weights", "settings"}


def batch_norm(is_trained: bool) -> Any:
    """A network with one layer, as far as `check_parts` looks at it."""
    layer = keras.layers.BatchNormalization(trainable=is_trained)
    network = keras.Sequential([keras.Input((2,)), layer])
    network.backbone = keras.Sequential([keras.Input((2,))])
    return network


def test_batches_that_are_filled_up_need_frozen_batch_normalisation() -> None:
    devices = Devices(("a", "b", "c"), None, Processes(0, 3))
    check_parts(TrainConfig(batch_size=4), batch_norm(False), devices)
    check_parts(TrainConfig(batch_size=6), batch_norm(True), devices)
    with pytest.raises(ValueError, match="would see the images that fill it up"):
        check_parts(TrainConfig(batch_size=4), batch_norm(True), devices)
    with pytest.raises(ValueError, match="each needs at least one image"):
        check_parts(TrainConfig(batch_size=2), batch_norm(False), devices)


def test_devices_share_a_batch_by_process() -> None:
    share = Devices(tuple("abcdef"), SimpleNamespace(), Processes(1, 3)).share
    assert (share.index, share.count, share.multiple) == (1, 3, 2)
