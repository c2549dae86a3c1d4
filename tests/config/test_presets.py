from __future__ import annotations

from pathlib import Path

import pytest

from keras_retinanet.config import TrainConfig
from keras_retinanet.config.presets import DEMO, computes_bfloat16, has_amx, has_avx2_only
from keras_retinanet.config.rules import check
from keras_retinanet.config.tree import changed


@pytest.mark.parametrize(
    ("words", "expected"), [("fpu avx512_bf16 sse", True), ("fpu amx_bf16\n", True), ("fpu avx512_bf16x sse", False)]
)
def test_bfloat16_is_read_from_the_processors_description(tmp_path, words, expected):
    (tmp_path / "cpuinfo").write_text(f"flags : {words}")
    assert computes_bfloat16(tmp_path / "cpuinfo") is expected


@pytest.mark.parametrize(("words", "expected"), [("fma avx2", True), ("avx2 avx512f", False), ("avx sse4_2", False)])
def test_the_widest_instructions_are_read_from_it(tmp_path, words, expected):
    (tmp_path / "cpuinfo").write_text(f"flags : {words}")
    assert has_avx2_only(tmp_path / "cpuinfo") is expected


@pytest.mark.parametrize(
    ("words", "expected"), [("avx512_bf16 amx_bf16 amx_tile", True), ("avx512_bf16 amx_int8", False)]
)
def test_units_for_matrices_are_read_from_it(tmp_path, words, expected):
    (tmp_path / "cpuinfo").write_text(f"flags : {words}")
    assert has_amx(tmp_path / "cpuinfo") is expected


def test_no_description_means_no():
    assert has_amx(Path("nowhere")) is False
    assert computes_bfloat16(Path("nowhere")) is False
    assert has_avx2_only(Path("nowhere")) is False


def test_the_demo_is_a_valid_configuration():
    config = changed(TrainConfig(), {**DEMO, "data.dataset": "demo", "data.path": "demo-scenes"})
    check(config)
    assert (config.model.backbone, config.anchors.ratios) == ("resnet10_050", (1.0,))
    assert config.optimizer.optimizer == "muon"
