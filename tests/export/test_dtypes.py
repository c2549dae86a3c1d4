"""A network in another dtype: what becomes small, what stays float32, and the way back."""

from __future__ import annotations

import ml_dtypes
import numpy as np
import pytest
from keras import layers

from keras_retinanet import RetinaNet, build
from keras_retinanet.config import AnchorConfig, ModelConfig
from keras_retinanet.export.dtypes import with_dtype
from keras_retinanet.export.folding import fold_batch_norm
from keras_retinanet.framework_internals import nested_layers

IMAGES = np.random.default_rng(1).uniform(0, 255, (1, 64, 96, 3)).astype(np.float32)


@pytest.fixture(scope="module")
def network() -> RetinaNet:
    return build(
        ModelConfig("resnet10_050", "none", 3, 5, fpn_width=32, head_width=32, head_depth=1, head_norm="group"),
        class_names=["ant", "bee"],
        anchors=AnchorConfig((16.0, 32.0, 64.0), (8, 16, 32)),
    )


def test_float32_is_what_it_was(network: RetinaNet) -> None:
    assert with_dtype(network, "float32") is network


def test_kernels_become_small_and_what_needs_float32_keeps_it(network: RetinaNet) -> None:
    small = with_dtype(network, "bfloat16")
    stem, norm = small.backbone.get_layer("stem_conv"), small.backbone.get_layer("stem_bn")
    assert (stem.compute_dtype, stem.kernel.dtype) == ("bfloat16", "bfloat16")
    assert (norm.compute_dtype, norm.gamma.dtype) == ("bfloat16", "float32")
    assert small.neck.laterals["C3"].kernel.dtype == "bfloat16"
    for head in (small.class_head, small.box_head):
        group = next(layer for layer in head.towers[0].layers if isinstance(layer, layers.GroupNormalization))
        assert (group.compute_dtype, group.gamma.dtype) == ("bfloat16", "float32")
    final = small.box_head.predictors[0]
    assert (final.compute_dtype, final.kernel.dtype) == ("float32", "float32")
    final = small.class_head.predictors[0]
    assert (final.compute_dtype, final.kernel.dtype) == ("bfloat16", "bfloat16")
    assert small.backbone.get_layer("normalize").compute_dtype == "float32"
    given = np.asarray(stem.kernel).astype(np.float32)
    rounded = np.asarray(network.backbone.get_layer("stem_conv").kernel).astype(ml_dtypes.bfloat16)
    np.testing.assert_array_equal(given, rounded.astype(np.float32))
    assert network.backbone.get_layer("stem_conv").kernel.dtype == "float32"


def test_half_precision_answers_nearly_the_same_and_float32_brings_a_snapshot_back(network: RetinaNet) -> None:
    """A snapshot of mixed-precision training has float32 weights: computing in float32 again, it answers exactly."""
    wanted = {name: np.asarray(value) for name, value in network(IMAGES, training=False).items() if name != "anchors"}
    small = with_dtype(fold_batch_norm(network), "bfloat16")(IMAGES, training=False)
    for name, value in wanted.items():
        assert str(small[name].dtype.name) == "float32"
        distance = np.abs(np.asarray(small[name]) - value).max() / np.abs(value).max()
        assert 1e-4 < distance < 0.05
    mixed = RetinaNet.from_config(network.get_config())
    mixed.set_weights(network.get_weights())
    for part in (mixed.backbone, mixed.neck, mixed.class_head, mixed.box_head):
        for layer in nested_layers(part):
            if layer.name not in ("normalize", "final"):
                layer.dtype_policy = "mixed_bfloat16"
    back = with_dtype(mixed, "float32")
    assert back is not mixed
    for name, value in back(IMAGES, training=False).items():
        if name != "anchors":
            np.testing.assert_allclose(value, wanted[name], atol=1e-6)
