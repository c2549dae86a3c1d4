"""Which input size an artefact of one size takes, and what is said about it."""

from __future__ import annotations

from pathlib import Path

import pytest

import keras_retinanet
from keras_retinanet import RetinaNet, build
from keras_retinanet.config import AnchorConfig, ModelConfig, ResizeConfig
from keras_retinanet.export.input_size import InputSize, default_input_size, largest_square, smallest_size
from keras_retinanet.snapshots.training_shapes import TrainingShape, with_shapes

FIXTURES = Path(__file__).parents[1] / "fixtures" / "snapshots"
SQUARE = "the square that holds every image: the snapshot has no shapes of training images under this rule"


@pytest.mark.parametrize(
    ("shapes", "size"),
    [
        ([(800, 1088, 7)], (800, 1088)),
        ([(800, 1088, 19), (1088, 800, 1)], (800, 1088)),  # 95%
        ([(800, 1088, 94), (1088, 800, 6)], (1088, 1088)),
        ([(1088, 800, 5), (800, 1088, 5)], (1088, 1088)),
        ([(800, 1088, 50), (800, 1216, 46), (416, 1344, 4)], (800, 1216)),  # panoramas do not decide
        ([(608, 1344, 40), (800, 1088, 56), (1088, 800, 4)], (800, 1344)),  # the height of one, the width of another
        ([(416, 1344, 1), (800, 1088, 89), (800, 800, 10)], (800, 1088)),  # what is smaller fits
    ],
)
def test_the_smallest_size_that_holds_nearly_all_images(
    shapes: list[tuple[int, int, int]], size: tuple[int, int]
) -> None:
    assert smallest_size([TrainingShape(*shape) for shape in shapes]) == size


def test_the_square_holds_wide_and_tall_images() -> None:
    """1333 padded to a multiple of 32 is 1344; of a square rule, the side decides alone."""
    assert largest_square(ResizeConfig()) == (1344, 1344)
    assert largest_square(ResizeConfig(300, 500, is_square=True, pad_multiple=128)) == (512, 512)


@pytest.fixture(scope="module", params=["none", "group"])
def network(request: pytest.FixtureRequest) -> RetinaNet:
    """A small network; 4:3 becomes 64 x 96 under its rule (64 x 85 padded to 32)."""
    return build(
        ModelConfig("resnet10_050", "none", 3, 5, fpn_width=32, head_width=32, head_depth=1, head_norm=request.param),
        class_names=["ant"],
        anchors=AnchorConfig((16.0, 32.0, 64.0), (8, 16, 32)),
        resize=ResizeConfig(64, 128),
    )


def chosen(network: RetinaNet, *shapes: tuple[int, int, int]) -> InputSize:
    """The choice for a network that was trained on such images."""
    metadata = with_shapes(network.metadata, network.resize_config, shapes)
    return default_input_size(network.replaced(metadata=metadata))


def is_normalised(network: RetinaNet) -> bool:
    return network.metadata["model"]["head_norm"] == "group"


def test_images_of_one_shape_decide(network: RetinaNet) -> None:
    assert chosen(network, (64, 96, 960), (128, 64, 40)) == InputSize(
        (64, 96), "the smallest that holds 96% of the training images; what is larger is reduced until it fits"
    )


def test_padding_that_training_did_not_have_is_named(network: RetinaNet) -> None:
    """A group normalisation counts it; of 10 images, 6 are wide."""
    found = chosen(network, (64, 96, 6), (96, 64, 4))
    reason = "the smallest that holds 100% of the training images; what is larger is reduced until it fits"
    assert (found.size, found.reason) == ((96, 96), reason)
    if not is_normalised(network):
        assert found.note is None
        return
    assert found.note == (
        "100% of the training images had other shapes; group normalisation includes the padding, so detections differ "
        "from the snapshot's. For images of the most common shape (60%): --image-size 64 96. Compare with "
        "retinanet-evaluate."
    )
    note = chosen(network, (64, 128, 6), (64, 96, 4)).note  # the most common shape is the size
    assert note is not None
    assert note.startswith("40% of the training images had other shapes; ")
    assert note.endswith("from the snapshot's. Compare with retinanet-evaluate.")


def test_unknown_images_get_the_square(network: RetinaNet) -> None:
    found = default_input_size(network)
    assert (found.size, found.reason) == ((128, 128), SQUARE)
    expected = "every image is padded to 128 x 128; group normalisation includes the padding, so detections differ "
    expected += "from the snapshot's. If all images have one shape, give it, for photos of 4:3 --image-size 64 96; "
    assert found.note == (f"{expected}then compare both with retinanet-evaluate." if is_normalised(network) else None)


def test_another_resize_rule_gets_its_square(network: RetinaNet) -> None:
    metadata = with_shapes(network.metadata, network.resize_config, [(64, 96, 10)])
    changed = network.replaced(metadata=metadata, resize_config=ResizeConfig(64, 160))
    found = default_input_size(changed)
    assert (found.size, found.reason) == ((160, 160), SQUARE)


@pytest.mark.parametrize(
    ("rule", "size"),
    [
        (ResizeConfig(64, 100, is_square=True), (128, 128)),
        (ResizeConfig(shape=(60, 90), shape_mode="stretch"), (64, 96)),
        (ResizeConfig(shape=(60, 90)), (64, 96)),
    ],
)
def test_a_rule_of_one_size_needs_no_images(network: RetinaNet, rule: ResizeConfig, size: tuple[int, int]) -> None:
    found = default_input_size(network.replaced(resize_config=rule))
    assert found == InputSize(size, "the only size of the resize rule")


def test_a_snapshot_of_older_code_gets_the_square() -> None:
    network = keras_retinanet.load_model(FIXTURES / "mobilenet.keras")
    assert "training_shapes" not in network.metadata
    found = default_input_size(network)
    assert found.size == largest_square(network.resize_config)
