"""ResNets of torchvision and timm: files written by hand, under names and layouts spelled out here."""

from __future__ import annotations

import json
import struct
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from keras_retinanet.backbones import BACKBONES, load_weights, weights_kind
from keras_retinanet.backbones.normalize import CAFFE, TORCH
from keras_retinanet.backbones.resnet import _variant, torch_names
from keras_retinanet.backbones.torch_weights import fill_from_torch

NORM = {"gamma": "weight", "beta": "bias", "moving_mean": "running_mean", "moving_variance": "running_var"}


def torch_tensors(backbone: Any) -> dict[str, np.ndarray]:
    """The state dict of a network of four basic blocks, as torchvision would name and turn its arrays."""
    names = {"stem_conv": "conv1", "stem_bn": "bn1"}
    for stage in (2, 3, 4, 5):
        for index in (1, 2):
            names[f"stage{stage}_block1_conv{index}"] = f"layer{stage - 1}.0.conv{index}"
            names[f"stage{stage}_block1_bn{index}"] = f"layer{stage - 1}.0.bn{index}"
        if stage > 2:
            names[f"stage{stage}_block1_shortcut_conv"] = f"layer{stage - 1}.0.downsample.0"
            names[f"stage{stage}_block1_shortcut_bn"] = f"layer{stage - 1}.0.downsample.1"
    tensors = {}
    for layer in backbone.layers:
        for variable in layer.weights:
            value = np.asarray(variable.value)
            value = value.transpose(3, 2, 0, 1) if value.ndim == 4 else value
            tensors[f"{names[layer.name]}.{NORM.get(variable.name, 'weight')}"] = np.ascontiguousarray(value)
    tensors["fc.weight"] = np.zeros((1000, 256), np.float32)
    tensors["bn1.num_batches_tracked"] = np.array(7, np.int64)
    return tensors


def write(path: Path, tensors: dict[str, np.ndarray]) -> Path:
    header, data = {}, b""
    for name, value in tensors.items():
        kind = {"f": "F32", "i": "I64"}[value.dtype.kind]
        header[name] = {
            "dtype": kind,
            "shape": list(value.shape),
            "data_offsets": [len(data), len(data) + value.nbytes],
        }
        data += value.tobytes()
    text = json.dumps(header).encode()
    path.write_bytes(struct.pack("<Q", len(text)) + text + data)
    return path


@pytest.fixture(scope="module")
def network(randomize: Any) -> Any:
    return randomize(BACKBONES["resnet10_050"]())


def test_a_file_of_torch_fills_a_resnet(network: Any, tmp_path: Path) -> None:
    path = write(tmp_path / "resnet.safetensors", torch_tensors(network))
    assert weights_kind(path) == "torch"
    again = BACKBONES["resnet10_050"](weights=path)
    for ours, theirs in zip(again.weights, network.weights, strict=True):
        np.testing.assert_array_equal(ours, theirs)
    assert not any(layer.trainable for layer in again.layers if "bn" in layer.name)


def test_what_does_not_fit_is_named(network: Any, tmp_path: Path) -> None:
    tensors = torch_tensors(network)
    del tensors["layer2.0.bn1.bias"]
    with pytest.raises(ValueError, match=r"a\.bin' do not fit 'resnet10_050'.*'layer2\.0\.bn1\.bias'.*missing"):
        load_weights(network, write(tmp_path / "a.bin", tensors))
    with pytest.raises(ValueError, match=r"\['layer1\.0\.se\.weight'\] have no place"):
        load_weights(
            network, write(tmp_path / "b.bin", torch_tensors(network) | {"layer1.0.se.weight": np.zeros(1, np.float32)})
        )


def test_a_file_of_torch_makes_the_variant_it_was_trained_in(network: Any, tmp_path: Path) -> None:
    path = write(tmp_path / "a.bin", torch_tensors(network))
    found = _variant(path, {})
    assert (found.stride_on, found.epsilon, found.normalization) == ("3x3", 1e-5, TORCH)
    assert _variant(path, {"epsilon": 1e-3}).epsilon == 1e-3
    assert _variant("imagenet", {}).normalization == CAFFE
    assert _variant(None, {}).stride_on == "1x1"


def test_names_of_a_bottleneck() -> None:
    names = torch_names(BACKBONES["resnet10_050"]())
    assert names["layer4.0.downsample.1"] == "stage5_block1_shortcut_bn"
    assert names["bn1"] == "stem_bn"
    assert len(names) == 24


@pytest.mark.parametrize(
    ("tensors", "reason"),
    [
        ({"conv1.0.weight": (32, 3, 3, 3)}, "deep stem of three convolutions"),
        ({"layer1.0.downsample.1.weight": (256, 64, 1, 1)}, "average pooling"),
        ({"layer1.0.se.fc1.weight": (16, 256, 1, 1)}, "squeeze-and-excitation"),
        ({"layer1.0.se.conv.weight": (1, 1, 5)}, "channel attention"),
        ({"bn1.weight": (64,)}, "group normalisation"),
    ],
)
def test_other_kinds_of_resnet_are_refused_by_what_they_are(tensors: dict[str, tuple[int, ...]], reason: str) -> None:
    with pytest.raises(ValueError, match=f"It has .*{reason}"):
        fill_from_torch({name: np.zeros(shape, np.float32) for name, shape in tensors.items()}, None, {}, "fc.")


def test_what_is_left_over_is_named_in_part(network: Any) -> None:
    tensors = torch_tensors(network) | {f"layer9.{index}.weight": np.zeros(1) for index in range(20)}
    with pytest.raises(ValueError, match=r"'layer9\.0\.weight'.* and 12 more have no place in 'resnet10_050'"):
        fill_from_torch(tensors, network, torch_names(network), "fc.")


@pytest.mark.parametrize(
    ("prefix", "others"),
    [
        ("module.encoder_q.", ("module.encoder_k.", "module.queue", "module.encoder_q.fc.0.weight")),  # MoCo
        ("teacher.backbone.", ("student.backbone.", "teacher.head.mlp.0.weight", "dino_loss.center")),  # DINO
        ("student.", ("student.projector.0.weight",)),
        ("backbone.", ("projection_head.layers.0.weight",)),  # lightly
        ("module.", ("module.projection_head.0.weight", "module.prototypes.weight")),  # SwAV
        ("", ("projector.0.weight", "head.weight")),
    ],
)
def test_self_supervised_checkpoints(network: Any, tmp_path: Path, prefix: str, others: tuple[str, ...]) -> None:
    """The network of the preferred prefix, without the heads of projection; a second one has other numbers."""
    own = {name: value for name, value in torch_tensors(network).items() if not name.startswith("fc.")}
    tensors: dict[str, np.ndarray] = {}
    for other in others:
        is_network = other.endswith(".")
        tensors |= (
            {other + name: value + 1 for name, value in own.items()} if is_network else {other: np.zeros(3, "f4")}
        )
    tensors |= {prefix + name: value for name, value in own.items()}
    again = BACKBONES["resnet10_050"](weights=write(tmp_path / "ssl.safetensors", tensors))
    for ours, theirs in zip(again.weights, network.weights, strict=True):
        np.testing.assert_array_equal(ours, theirs)
