"""What counts as the same answer: worked by hand, and on a small network whose artefact is made to lie."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import keras
import numpy as np
import pytest

from keras_retinanet import DetectionModel
from keras_retinanet.config import FilterConfig
from keras_retinanet.export import Verification, VerificationError, verification
from keras_retinanet.export.sample_images import built_in_samples, folder_images
from keras_retinanet.export.tolerances import TOLERANCES, Tolerance
from keras_retinanet.export.verification import Agreement, partners
from keras_retinanet.runtimes.keras_file import KerasRuntime

IMAGES = [np.random.default_rng(1).integers(0, 256, (50, 91, 3), np.uint8)]
LIMIT = Tolerance(raw=None, score=0.1, iou=0.9)


def found(*rows: tuple[list[float], float, int]) -> Any:
    boxes, scores, labels = zip(*rows, strict=True)
    return {"boxes": np.array(boxes, float), "scores": np.array(scores), "labels": np.array(labels)}


def test_partners_by_hand() -> None:
    """A box 100 × 100 moved by 5 has IoU 9500 / 10500 = 0.905, by 6 has 9400 / 10600 = 0.887."""
    one = found(([0, 0, 100, 100], 0.8, 0), ([0, 0, 9, 9], 0.3, 0))  # 0.3 is not above 0.3
    same = ([5, 0, 105, 100], 0.75, 0)
    assert partners(one, found(same), LIMIT) == (1, pytest.approx(0.05))
    assert partners(one, found(([6, 0, 106, 100], 0.75, 0)), LIMIT) == (0, 0.0)
    assert partners(one, found((same[0], 0.75, 1)), LIMIT) == (0, 0.0)
    assert partners(one, found((same[0], 0.65, 0)), LIMIT) == (0, 0.0)
    assert partners(one, found((same[0], 0.75, 1), ([0, 0, 9, 9], 0.8, 0), same), LIMIT) == (1, pytest.approx(0.05))


def test_boxes_without_area_are_compared_by_their_corners() -> None:
    one = found(([7, 0, 7, 9], 0.8, 0))
    assert partners(one, found(([7, 0.5, 7, 9.5], 0.8, 0)), LIMIT)[0] == 1
    assert partners(one, found(([8, 0, 8, 9], 0.8, 0)), LIMIT)[0] == 0


def test_what_is_told() -> None:
    agreement = Agreement(raw=2e-6, detections=40, agreeing=39, score=0.0123, anchors=100, agreeing_anchors=1)
    assert agreement.share == 39 / 40
    assert str(agreement) == (
        "raw outputs differ by 2.0e-06 of their largest, 39 of 40 detections above 0.3 have a partner, "
        "scores within 1.2e-02"
    )
    agreement = Agreement(raw=2e-6, anchors=100, agreeing_anchors=99)
    assert agreement.share == 0.99
    assert "no detection scores above 0.3, so the best anchors were compared" in str(agreement)
    assert "99 of 100 agree" in str(agreement)
    agreement = Agreement(raw=2e-6, anchors=100, agreeing_anchors=99, default_hint="bf16", default_raw=0.0213)
    assert str(agreement).endswith(
        ". Without INFERENCE_PRECISION_HINT, OpenVINO computes in bf16 on this processor: "
        "raw outputs then differ by 2.1e-02"
    )


class Altered(KerasRuntime):
    """A runtime that answers something else than its model."""

    def __init__(self, model: DetectionModel, change: str) -> None:
        super().__init__(model)
        self.change = change

    def detect(self, images: Any) -> Any:
        answers = super().detect(images)
        for answer in answers:
            if self.change == "shift":
                answer["boxes"] = answer["boxes"] + 3
            elif self.change == "invent":
                every = ("boxes", "scores", "labels")
                answer |= {name: np.concatenate([answer[name], answer[name] * 0 + 0.9]) for name in every}
        return answers

    def raw_outputs(self, images: Any) -> Any:
        raw = super().raw_outputs(images)
        if self.change in ("raw", "nan"):
            raw["logits"] = raw["logits"] * (1.001 if self.change == "raw" else np.nan)
        return raw


@pytest.mark.parametrize(
    ("agreeing", "precisions", "images", "is_allowed"),
    [
        (38, None, 0, True),  # 95 %
        (37, None, 0, False),
        (20, (0.6165, 0.6156), 87, True),  # 0.0009 lower
        (20, (0.6165, 0.6130), 87, False),  # 0.0035 lower
        (20, (0.6165, 0.6156), 49, False),
        (20, (0.04, 0.04), 87, False),  # a detector that has learned nothing
        (38, (0.6165, 0.6), 87, True),
    ],
)
def test_a_small_loss_of_ap_is_allowed_where_partners_are_missing(
    agreeing: int, precisions: tuple[float, float] | None, images: int, is_allowed: bool
) -> None:
    agreement = Agreement(0.2, 40, agreeing, average_precisions=precisions, num_validated=images)
    limit = TOLERANCES["openvino", "int8"]
    assert agreement.is_within(limit) is is_allowed
    assert not Agreement(2e-4, 40, 40).is_within(TOLERANCES["onnx", "float32"])


@pytest.fixture(scope="module")
def detector(small_network: Any) -> DetectionModel:
    return DetectionModel(small_network(filter=FilterConfig(max_detections=20)))


def confident(detector: DetectionModel) -> None:
    final = detector.network.class_head.predictors[0]
    kernel, bias = final.get_weights()
    final.set_weights([np.random.default_rng(5).normal(0, 0.3, kernel.shape), 0 * bias])


def check(detector: DetectionModel, change: str, monkeypatch: pytest.MonkeyPatch) -> Agreement:
    monkeypatch.setattr(verification, "open_runtime", lambda path: Altered(detector, change))
    verify = Verification("keras", detector, "float32", IMAGES)
    verify(Path("any"))
    return verify.agreement


def test_a_fresh_network_is_compared_at_its_best_anchors(
    detector: DetectionModel, monkeypatch: pytest.MonkeyPatch
) -> None:
    """It scores everything 0.01."""
    agreement = check(detector, "", monkeypatch)
    assert (agreement.detections, agreement.anchors, agreement.agreeing_anchors) == (0, 100, 100)
    assert agreement.raw < 1e-5
    with pytest.raises(VerificationError, match=r"raw outputs differ by 1\.0e-03 of their largest"):
        check(detector, "raw", monkeypatch)
    with pytest.raises(VerificationError, match="raw outputs differ by inf"):
        check(detector, "nan", monkeypatch)


def test_detections_are_compared_where_there_are_any(detector: DetectionModel, monkeypatch: pytest.MonkeyPatch) -> None:
    confident(detector)
    agreement = check(detector, "", monkeypatch)
    assert agreement.detections == agreement.agreeing == 40  # twenty on either side
    with pytest.raises(VerificationError, match=r"was not kept: .* 0 of 40 detections above 0\.3 have a partner"):
        check(detector, "shift", monkeypatch)
    with pytest.raises(VerificationError, match=r"40 of 60 detections above 0\.3"):
        check(detector, "invent", monkeypatch)


@pytest.mark.parametrize(
    ("dtype", "message"),
    [
        (
            "int8",
            r"within 0\.1, or an AP lower by up to 0\.003 on 50 validation images\. Put more images into the folder",
        ),
        ("float16", r"scores within 0\.02\. Use --precision float32\.$"),
        ("float32", r"Allowed are raw outputs within 0\.0001 of their largest, and partners for 95%, .* Please report"),
    ],
)
def test_a_refusal_tells_what_to_do(
    detector: DetectionModel, monkeypatch: pytest.MonkeyPatch, dtype: Any, message: str
) -> None:
    confident(detector)
    monkeypatch.setattr(verification, "open_runtime", lambda path: Altered(detector, "shift"))
    with pytest.raises(VerificationError, match=message):
        Verification("onnx", detector, dtype, IMAGES)(Path("any"))


def test_samples(tmp_path: Path) -> None:
    assert [image.shape for image in built_in_samples()] == [(403, 379, 3), (438, 363, 3)]
    with pytest.raises(ValueError, match="There is no folder"):
        folder_images(tmp_path / "none", 3)
    (tmp_path / "notes.txt").write_text("none")
    with pytest.raises(ValueError, match=r"has no images; their names end in \.jpg"):
        folder_images(tmp_path, 3)
    for name, side in (("b", 5), ("a", 4), ("c", 6)):
        keras.utils.save_img(tmp_path / f"{name}.png", np.zeros((side, 3, 3)))
    assert [image.shape[0] for image in folder_images(tmp_path, 2)] == [4, 5]
    (tmp_path / "0.jpg").write_bytes(b"\xff\xd8no")
    with pytest.raises(ValueError, match=r"0\.jpg' cannot be decoded"):
        folder_images(tmp_path, 2)
