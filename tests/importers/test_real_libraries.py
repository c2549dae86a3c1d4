"""Checkpoints that torchvision and MMDetection themselves write, against what these libraries answer.

They are no dependency: the tests skip where a library is not installed. Where only its compiled suppression is missing,
as in packages for another build of PyTorch, the same greedy algorithm in NumPy takes its place.
"""

from __future__ import annotations

import sys
from pathlib import Path
from types import ModuleType
from typing import Any

import keras
import numpy as np
import pytest
import tensorflow as tf
from PIL import Image

from keras_retinanet.backbones.normalize import CAFFE
from keras_retinanet.config import AnchorConfig, FilterConfig, ModelConfig, ResizeConfig
from keras_retinanet.data.image import decode
from keras_retinanet.data.preparation import fit_image, prepare_batch, restore_by_fit
from keras_retinanet.export import built_in_samples, export_torchvision
from keras_retinanet.geometry.box_coder import BoxCoder
from keras_retinanet.importers import Overrides, import_checkpoint
from keras_retinanet.model.build import build
from keras_retinanet.model.detection_model import DetectionModel

pytestmark = [pytest.mark.slow, pytest.mark.filterwarnings("ignore")]  # other libraries' warnings are theirs
SIZES = ((67, 101), (27, 150))
"""Odd, and so long that the longer side decides."""


def suppress(boxes: Any, scores: Any, threshold: float) -> Any:
    """Greedy suppression of boxes that overlap more than the threshold, as the compiled operators do it."""
    torch = sys.modules["torch"]
    order = torch.sort(scores, stable=True, descending=True)[1].numpy()
    x1, y1, x2, y2 = boxes.numpy()[order].T
    areas, kept, left = (x2 - x1) * (y2 - y1), list[int](), np.arange(len(order))
    while len(left):
        best, left = left[0], left[1:]
        kept.append(best)
        width = np.clip(np.minimum(x2[best], x2[left]) - np.maximum(x1[best], x1[left]), 0, None)
        height = np.clip(np.minimum(y2[best], y2[left]) - np.maximum(y1[best], y1[left]), 0, None)
        shared = width * height
        with np.errstate(invalid="ignore"):
            left = left[~(shared / (areas[best] + areas[left] - shared) > np.float32(threshold))]
    return torch.from_numpy(order[np.array(kept, int)].copy())


@pytest.fixture(scope="module")
def torch() -> Any:
    """PyTorch, and torchvision with an operator for suppression."""
    torch: Any = pytest.importorskip("torch")
    try:
        import torchvision  # noqa: F401
    except ModuleNotFoundError:
        pytest.skip("torchvision is not installed")
    except RuntimeError:  # its operators are compiled for another PyTorch
        library = torch.library.Library("torchvision", "DEF")
        for name in ("nms", "qnms"):
            library.define(f"{name}(Tensor dets, Tensor scores, float iou_threshold) -> Tensor")
        library.impl("nms", suppress, "CPU")
        for name in [name for name in sys.modules if name.partition(".")[0] == "torchvision"]:
            del sys.modules[name]
        import torchvision.ops.boxes as boxes

        boxes._assert_has_ops = lambda: None
        torch.kept_library = library
    return torch


def randomized(torch: Any, model: Any, final: str, scale: str, level: float = -6) -> Any:
    """The model in evaluation, with numbers that show; `final` is the bias of the logits, scattered about `level`."""
    generator = torch.Generator().manual_seed(0)
    with torch.no_grad():
        for name, value in [*model.named_parameters(), *model.named_buffers()]:
            z = torch.randn(value.shape, generator=generator)
            if value.ndim == 4:
                is_linear = any(part in name for part in ("downsample", "fpn", "neck"))
                value.copy_(z * ((1 if is_linear else 2) / value[0].numel()) ** 0.5 * (0.3 if scale in name else 1))
            elif name == final:
                value.copy_(0.5 * z + level)
            elif name.endswith("running_var"):
                value.copy_(1 + 0.2 * z.abs())
            elif name.endswith("weight"):
                value.copy_((0.4 if "bn2" in name else 1) + 0.1 * z)
            elif value.is_floating_point() and value.ndim == 1:
                value.copy_(0.1 * z)
    return model.eval()


def paint(path: Path, size: tuple[int, int]) -> np.ndarray:
    rng = np.random.default_rng(size[0])
    coarse = Image.fromarray(rng.integers(0, 255, (size[0] // 9, size[1] // 9, 3)).astype(np.uint8))
    image = np.asarray(coarse.resize(size[::-1], Image.Resampling.BICUBIC)).astype(int)
    image = np.clip(image + rng.integers(-20, 20, image.shape), 0, 255).astype(np.uint8)
    Image.fromarray(image).save(path)
    return image


def detections(model: Any, path: Path) -> dict[str, np.ndarray]:
    image = decode(tf.io.read_file(str(path))).numpy()
    fit = fit_image(*image.shape[:2], model.resize_config)
    batch, sizes = prepare_batch([image], [fit], model.resize_config, model.pad_value)
    found = DetectionModel(model)({"images": batch, "sizes": sizes})
    found = {name: np.asarray(value) for name, value in found.items()}
    return restore_by_fit(found, 0, fit, model.resize_config)


def check_detections(found: dict[str, np.ndarray], expected: dict[str, np.ndarray]) -> None:
    """One to one; two whose scores differ by rounding may stand in either order."""
    assert len(found["scores"]) == len(expected["scores"]) > 3
    np.testing.assert_allclose(found["scores"], expected["scores"], atol=2e-4)
    left = set(range(len(found["scores"])))
    for box, score, label in zip(expected["boxes"], expected["scores"], expected["labels"], strict=True):
        like = [i for i in left if found["labels"][i] == label and abs(found["scores"][i] - score) < 2e-4]
        nearest = min(like, key=lambda i: float(np.abs(found["boxes"][i] - box).max()))
        np.testing.assert_allclose(found["boxes"][nearest], box, atol=2e-2)
        left.remove(nearest)


def check_raw(model: Any, network_input: np.ndarray, logits: np.ndarray, deltas: np.ndarray) -> None:
    pixels = model.backbone.get_layer("normalize")
    rgb = network_input[..., ::-1] if pixels.is_bgr else network_input
    answers = model((rgb.astype(np.float64) * pixels.std + pixels.mean).astype(np.float32))
    np.testing.assert_allclose(answers["logits"][0], logits, atol=1e-3)
    np.testing.assert_allclose(answers["deltas"][0], deltas, atol=1e-4)


@pytest.mark.parametrize("kind", ["v1 on ResNet-18", "C5, own anchors and pixels", "v2", "v1 on ResNeXt"])
def test_torchvision(kind: str, torch: Any, tmp_path: Path) -> None:
    from torchvision.models import detection
    from torchvision.models.detection.anchor_utils import AnchorGenerator
    from torchvision.models.detection.backbone_utils import resnet_fpn_backbone
    from torchvision.models.detection.retinanet import RetinaNet
    from torchvision.ops.feature_pyramid_network import LastLevelP6P7

    given: dict[str, Any] = {"resize": {"min_side": 96, "max_side": 160}}
    sides = {"min_size": 96, "max_size": 160}
    if kind == "v2":
        model = detection.retinanet_resnet50_fpn_v2(weights=None, weights_backbone=None, num_classes=91, **sides)
    elif kind.startswith("v1"):
        body = resnet_fpn_backbone(
            backbone_name="resnext50_32x4d" if "ResNeXt" in kind else "resnet18", weights=None,
            returned_layers=[2, 3, 4], extra_blocks=LastLevelP6P7(256, 256),
        )  # fmt: skip
        model = RetinaNet(body, 3, **sides)  # frozen batch normalisation of epsilon 1e-5
    else:
        body = resnet_fpn_backbone(
            backbone_name="resnet18", weights=None, returned_layers=[2, 3, 4], extra_blocks=LastLevelP6P7(512, 256),
            norm_layer=torch.nn.BatchNorm2d,
        )  # fmt: skip
        cells = tuple((side, side + side // 2) for side in (16, 30, 64, 128, 256))
        anchors = AnchorGenerator(cells, ((0.4, 1.0, 2.5),) * 5)
        model = RetinaNet(
            body, 2, anchor_generator=anchors, image_mean=[0.5, 0.4, 0.3], image_std=[0.5, 0.4, 0.3], **sides
        )
        given["anchors"] = {"sizes": (16, 30, 64, 128, 256), "scales": (1, 1.5), "ratios": (0.4, 1, 2.5)}
        given["pixels"] = {"mean": (127.5, 102, 76.5), "std": (127.5, 102, 76.5)}
    level = -4 if given.get("pixels") else -6  # that some boxes are found, and not more than may be
    randomized(torch, model, "head.classification_head.cls_logits.bias", "bbox_reg", level)
    torch.save({"model": model.state_dict(), "epoch": 1}, tmp_path / "a.pth")
    ours, report, _ = import_checkpoint(tmp_path / "a.pth", overrides=Overrides(**given))
    assert report.unused == report.missing == ()
    for size in SIZES:
        image = paint(tmp_path / "a.png", size)
        pixels = torch.from_numpy(image.astype(np.float32) / 255).permute(2, 0, 1)
        with torch.no_grad():
            prepared = model.transform([pixels.clone()])[0].tensors
            raw = model.head(list(model.backbone(prepared).values()))
            expected = {name: value.numpy() for name, value in model([pixels])[0].items()}
        network_input = prepared.permute(0, 2, 3, 1).numpy()
        check_raw(ours, network_input, raw["cls_logits"][0].numpy(), raw["bbox_regression"][0].numpy())
        check_detections(detections(ours, tmp_path / "a.png"), expected)


@pytest.mark.parametrize(("kind", "suffix"), [("v1", ".pth"), ("v2", ".safetensors")])
def test_torchvision_loads_what_is_exported(kind: str, suffix: str, torch: Any, tmp_path: Path) -> None:
    """Strictly, with the arguments that the export prints; pixels, factors and epsilon are not torchvision's."""
    keras.utils.set_random_seed(3)
    is_v1 = kind == "v1"
    network = build(
        ModelConfig(weights="none", p6_source="P5" if is_v1 else "C5", head_norm="none" if is_v1 else "group"),
        class_names=["ant", "bee", "wasp"],
        anchors=AnchorConfig((16, 32, 64, 128, 256), offset=0.0, is_rounded=True, stride_mode="grid"),
        resize=ResizeConfig(96, 160, rounding="floor", method="float"),
        filter=FilterConfig(0.06, 0.4, 20, 100),
        backbone_options={"stride_on": "3x3", "epsilon": 1e-3, "normalization": CAFFE},
        box_coder=BoxCoder(std=(0.1, 0.1, 0.2, 0.2)),
    )
    rng = np.random.default_rng(0)
    for variable in network.weights:
        z = rng.standard_normal(variable.shape).astype(np.float32)
        if len(variable.shape) == 4:
            gain = 0.05 if "final" in variable.path else 1.5  # no score saturates
            variable.assign(z * np.sqrt(gain / np.prod(variable.shape[:3])))
        elif variable.name in ("gamma", "moving_variance"):
            variable.assign(0.5 + 0.1 * np.abs(z))
        elif "class_head/final" in variable.path:
            variable.assign(0.5 * z - (4 if is_v1 else 2.5))
        else:
            variable.assign(0.1 * z)
    written = export_torchvision(DetectionModel(network), tmp_path / f"a{suffix}", built_in_samples()[:1])
    if suffix == ".safetensors":
        pytest.importorskip("safetensors")
    variables: dict[str, Any] = {}
    exec(written.code, variables)  # strict: a missing or unexpected key is an error
    model = variables["model"]
    for size in SIZES:
        image = paint(tmp_path / "a.png", size)
        pixels = torch.from_numpy(image.astype(np.float32) / 255).permute(2, 0, 1)
        with torch.no_grad():
            prepared = model.transform([pixels.clone()])[0].tensors
            raw = model.head(list(model.backbone(prepared).values()))
            expected = {name: value.numpy() for name, value in model([pixels])[0].items()}
        normalized = prepared.permute(0, 2, 3, 1).numpy()[..., ::-1]  # CAFFE is BGR, check_raw turns it round
        check_raw(
            network, normalized, raw["cls_logits"][0].numpy(), raw["bbox_regression"][0].numpy() / network.box_coder.std
        )
        check_detections(detections(network, tmp_path / "a.png"), expected)


class Operators(ModuleType):
    """Stands for compiled operators, of which only the suppression is called."""

    nms: Any

    def __getattr__(self, name: str) -> Any:
        if name.startswith("__"):
            raise AttributeError(name)
        return suppress


@pytest.fixture(scope="module")
def mmdetection(torch: Any) -> Any:
    """MMDetection with an operator for suppression; `mmcv-lite` comes without compiled ones."""
    mmcv: Any = pytest.importorskip("mmcv")
    try:
        import mmcv._ext
    except ModuleNotFoundError:
        operators = Operators("mmcv._ext")
        operators.nms = lambda boxes, scores, iou_threshold, offset: suppress(boxes, scores, iou_threshold)
        sys.modules["mmcv._ext"] = operators
    mmcv.__version__ = "2.1.0"  # MMDetection 3.3 wants less than 2.2
    mmdet: Any = pytest.importorskip("mmdet")
    from mmdet.utils import register_all_modules

    register_all_modules()
    return mmdet


OTHER_SETTINGS = {
    "model.neck.add_extra_convs": "on_output",
    "model.neck.relu_before_extra_convs": True,
    "model.bbox_head.norm_cfg": {"type": "GN", "num_groups": 32},
    "model.bbox_head.anchor_generator": {
        "_delete_": True, "type": "AnchorGenerator", "scales": [2, 3, 5], "ratios": [0.4, 1.0, 3.0],
        "strides": [8, 16, 32, 64, 128], "center_offset": 0.5,
    },
    "model.bbox_head.bbox_coder.target_stds": [0.1, 0.1, 0.2, 0.2],
    "model.test_cfg": {
        "nms_pre": 50, "min_bbox_size": 0, "score_thr": 0.03, "nms": {"type": "nms", "iou_threshold": 0.3},
        "max_per_img": 20,
    },
    "model.data_preprocessor": {"mean": [100, 110, 120], "std": [50, 60, 70], "bgr_to_rgb": False},
}  # fmt: skip


@pytest.mark.parametrize("changes", [{}, OTHER_SETTINGS], ids=["published", "other settings"])
def test_mmdetection(changes: dict[str, Any], mmdetection: Any, torch: Any, tmp_path: Path) -> None:
    from mmdet.apis import inference_detector
    from mmdet.registry import MODELS
    from mmengine.config import Config
    from mmengine.dataset import Compose
    from mmengine.logging import MessageHub

    config = Config.fromfile(Path(mmdetection.__file__).parent / ".mim/configs/retinanet/retinanet_r18_fpn_1x_coco.py")
    config.merge_from_dict({"model.backbone.init_cfg": None, "model.bbox_head.num_classes": 3, **changes})
    config.test_pipeline[1].scale = (160, 96)
    config.test_dataloader.dataset.pipeline = config.test_pipeline
    model = MODELS.build(config.model)
    model.cfg, model.dataset_meta = config, {"classes": ("x", "y", "z")}
    randomized(torch, model, "bbox_head.retina_cls.bias", "retina_reg")
    hub = MessageHub.get_instance("tests")
    hub.update_scalar("loss", 0.5)
    checkpoint = {
        "meta": {"cfg": config.pretty_text, "mmdet_version": "3.3.0", "dataset_meta": model.dataset_meta},
        "state_dict": model.state_dict(), "message_hub": hub.state_dict(),
    }  # fmt: skip
    torch.save(checkpoint, tmp_path / "a.pth")
    ours, report, blueprint = import_checkpoint(tmp_path / "a.pth")
    assert report.unused == report.missing == blueprint.notes == ()
    assert ours.class_names == ("x", "y", "z")
    for size in SIZES:
        paint(tmp_path / "a.png", size)
        found = inference_detector(model, str(tmp_path / "a.png")).pred_instances
        data = Compose(config.test_pipeline)({"img_path": str(tmp_path / "a.png"), "img_id": 0})
        batch = {"inputs": [data["inputs"]], "data_samples": [data["data_samples"]]}
        with torch.no_grad():
            prepared = model.data_preprocessor(batch, False)["inputs"]
            raw = [
                torch.cat([level.permute(0, 2, 3, 1).reshape(-1, values) for level in levels]).numpy()
                for levels, values in zip(model.bbox_head(model.extract_feat(prepared)), (3, 4), strict=True)
            ]
        check_raw(ours, prepared.permute(0, 2, 3, 1).numpy(), *raw)
        wanted = {name.replace("bboxes", "boxes"): found[name].numpy() for name in ("bboxes", "scores", "labels")}
        check_detections(detections(ours, tmp_path / "a.png"), wanted)
