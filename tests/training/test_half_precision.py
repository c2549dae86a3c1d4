"""The half precision of a run by the machine it runs on."""

from __future__ import annotations

import pytest

from keras_retinanet.config.names import MixedPrecision
from keras_retinanet.training import half_precision
from keras_retinanet.training.half_precision import fast_half_precision, gpu_capability, has_accelerator


@pytest.mark.parametrize(
    ("accelerator", "processor", "capability", "expected"),
    [
        (False, True, None, "bfloat16"),
        (False, False, None, "none"),
        (True, False, (8, 0), "bfloat16"),
        (True, True, (7, 5), "float16"),  # a T4 emulates bfloat16
        (True, False, None, "bfloat16"),  # a TPU, or a GPU of another backend
    ],
)
def test_what_each_machine_gets(
    accelerator: bool,
    processor: bool,
    capability: tuple[int, int] | None,
    expected: MixedPrecision,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr(half_precision, "has_accelerator", lambda: accelerator)
    monkeypatch.setattr(half_precision, "computes_bfloat16", lambda: processor)
    monkeypatch.setattr(half_precision, "gpu_capability", lambda: capability)
    assert fast_half_precision() == expected


def test_a_machine_without_an_accelerator_has_no_capability() -> None:
    if has_accelerator():
        pytest.skip("this machine has one")
    assert gpu_capability() is None
