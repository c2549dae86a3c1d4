"""The stage of a layer, for a backbone whose strides are known by name."""

from __future__ import annotations

from keras_retinanet.backbones import BACKBONES
from keras_retinanet.backbones.stages import layer_stages


def test_stages_of_mobilenet_end_where_its_stride_doubles() -> None:
    """Its depthwise convolutions 2, 4, 6 and 12 have stride 2."""
    stages = layer_stages(BACKBONES["mobilenet_025"]())
    numbers = {int(name.split("_")[2]): stage for name, stage in stages.items() if name.startswith("conv_dw")}
    expected = {1: 1, 2: 2, 3: 2, 4: 3, 5: 3, 6: 4, 7: 4, 11: 4, 12: 5, 13: 5}
    assert {number: numbers[number] for number in expected} == expected
    assert (stages["conv1"], stages["conv_pw_13"]) == (1, 5)


def test_squeeze_and_excitation_belongs_to_its_block() -> None:
    """Its maps have one pixel."""
    stages = layer_stages(BACKBONES["mobilenet_v3_small"]())
    names = ("conv", "expanded_conv_squeeze_excite_conv", "expanded_conv_3_squeeze_excite_conv_1")
    assert [stages[name] for name in names] == [1, 2, 4]
