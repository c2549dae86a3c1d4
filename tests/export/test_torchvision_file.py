"""Weights for torchvision: what can be written and what is refused; the keys are those of the reference data."""

from __future__ import annotations

from pathlib import Path

import keras
import numpy as np
import pytest

from keras_retinanet import DetectionModel, build
from keras_retinanet.backbones.normalize import CAFFE
from keras_retinanet.cli import convert_model
from keras_retinanet.config import AnchorConfig, FilterConfig, ModelConfig, ResizeConfig
from keras_retinanet.export import export_torchvision, torchvision_file
from keras_retinanet.export.torchvision_file import _loading_code, torchvision_tensors
from keras_retinanet.export.torchvision_settings import (
    V1,
    UnsupportedSettingError,
    builder_arguments,
    choose_builder,
    list_differences,
)
from keras_retinanet.geometry.box_coder import BoxCoder
from keras_retinanet.model.retinanet import RetinaNet
from keras_retinanet.weight_files.safetensors_file import read_safetensors_file

ANCHORS = AnchorConfig((16, 32, 64, 128, 256), offset=0.0, is_rounded=True, stride_mode="grid", scales=(1, 1.5))


@pytest.fixture(scope="module")
def network() -> RetinaNet:
    keras.utils.set_random_seed(0)
    return build(
        ModelConfig(weights="none", p6_source="P5"),
        class_names=["ant", "bee"],
        anchors=ANCHORS,
        resize=ResizeConfig(300, 500, rounding="floor", method="float"),
        filter=FilterConfig(0.06, top_k=100),
        backbone_options={"stride_on": "3x3", "epsilon": 1e-3, "normalization": CAFFE},
        box_coder=BoxCoder(std=(0.1, 0.1, 0.2, 0.2)),
    )


def test_settings_go_into_weights_and_arguments(network: RetinaNet) -> None:
    assert choose_builder(network) == V1
    network.backbone.get_layer("stem_bn").moving_variance.assign([0.5] * 64)
    tensors = torchvision_tensors(network)
    stem = np.asarray(network.backbone.get_layer("stem_conv").kernel)
    np.testing.assert_array_equal(tensors["backbone.body.conv1.weight"][:, 0], stem[:, :, 2].transpose(2, 0, 1))
    expected = np.sqrt((0.5 + 1e-5) / (0.5 + 1e-3))
    np.testing.assert_allclose(tensors["backbone.body.bn1.weight"], [expected] * 64, rtol=1e-6)
    final = np.asarray(network.box_head.predictors[0].kernel)
    found = tensors["head.regression_head.bbox_reg.weight"]
    np.testing.assert_allclose(found[6], 0.2 * final[..., 6].transpose(2, 0, 1), rtol=1e-6)  # dw of anchor 1
    detector = DetectionModel(network)
    assert builder_arguments(detector) == {
        "min_size": 300, "max_size": 500, "score_thresh": 0.06, "topk_candidates": 100,
        "image_mean": [0.485019608, 0.457956863, 0.407603922], "image_std": [round(1 / 255, 9)] * 3,
    }  # fmt: skip
    code = _loading_code(detector, V1, Path("a.pth"))
    assert "AnchorGenerator(((16, 24), (32, 48), (64, 96), (128, 192), (256, 384)), ((0.5, 1.0, 2.0),) * 5)" in code
    assert "num_classes=2" in code
    assert "anchor_generator=anchors" in code


def test_settings_that_prevent_it_are_named(network: RetinaNet) -> None:
    with pytest.raises(UnsupportedSettingError, match=r"anchors.offset is 0.5, not 0.0; .*--weights"):
        choose_builder(network.replaced(anchors=type(network.anchors)(ANCHORS.sizes, scales=ANCHORS.scales)))
    with pytest.raises(UnsupportedSettingError, match=r"box coder coder is 'corner', not 'center'\.$"):
        choose_builder(network.replaced(box_coder=BoxCoder("corner")))
    head = type(network.class_head)(2, 6, norm="group", name="class_head")
    with pytest.raises(UnsupportedSettingError, match=r"model.head_norm is 'group' with model.p6_source 'P5'"):
        choose_builder(network.replaced(class_head=head))


def test_a_resnet_of_keras_is_refused() -> None:
    model = build(ModelConfig(weights="none"), class_names=["ant"], anchors=ANCHORS)
    with pytest.raises(UnsupportedSettingError, match="backbone stride_on is '1x1', not '3x3'"):
        choose_builder(model)


def test_what_torchvision_does_otherwise_is_said() -> None:
    assert list_differences(ResizeConfig(rounding="floor", method="float"), FilterConfig(0.1, 0.6, 10, 50)) == []
    notes = list_differences(ResizeConfig(), FilterConfig(nms="agnostic"))
    assert "pads to a multiple of 32" in notes[0]
    assert "nms 'agnostic'" in notes[1]


def test_another_ending_is_refused(network: RetinaNet, tmp_path: Path) -> None:
    with pytest.raises(ValueError, match=r"end in \.pth, \.pt, \.safetensors; got '.*a\.onnx'"):
        export_torchvision(DetectionModel(network), tmp_path / "a.onnx", [])


def test_the_command_writes_weights_and_says_how_to_load_them(
    network: RetinaNet, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture
) -> None:
    """The comparison of outputs, which takes seconds, is that of `test_torchvision_gets_its_tensors_back`."""
    monkeypatch.setattr(convert_model, "open_detector", lambda *_, **__: DetectionModel(network))
    monkeypatch.setattr(torchvision_file, "_compare", lambda path, *_: 1e-6 if path.is_file() else 1.0)
    (tmp_path / "last.keras").touch()
    out = tmp_path / "weights.safetensors"
    assert convert_model.main([str(tmp_path / "last.keras"), str(out), "--format", "torchvision"]) == 0
    printed = capsys.readouterr().out
    assert "from torchvision.models.detection import retinanet_resnet50_fpn\n" in printed
    assert f"model.load_state_dict(load_file({str(out)!r}))" in printed
    assert "names = ['ant', 'bee']" in printed
    tensors = read_safetensors_file(out)
    assert f"wrote {out}: {len(tensors)} tensors; imported again, raw outputs differ by 1.0e-06" in printed
    assert tensors["head.classification_head.cls_logits.weight"].shape == (2 * 6, 256, 3, 3)

    words = [str(tmp_path / "last.keras"), str(out), "--format", "torchvision", "--precision", "int8"]
    assert convert_model.main(words) == 2
    assert "writes weights, to which --precision does not apply" in capsys.readouterr().err
