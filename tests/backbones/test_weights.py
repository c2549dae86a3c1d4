"""Weight files of every kind, told apart by what they hold."""

from __future__ import annotations

import urllib.error
import zipfile
from collections.abc import Callable
from pathlib import Path
from typing import Any

import h5py
import keras
import numpy as np
import pytest
from keras.src.legacy.saving import legacy_h5_format
from keras.src.utils import file_utils

from keras_retinanet.backbones import BACKBONES, PUBLISHED, load_weights, weights_kind
from keras_retinanet.backbones.application_weights import ApplicationWeights
from keras_retinanet.backbones.applications import APPLICATIONS
from keras_retinanet.backbones.batch_norm import batch_norm_layers
from keras_retinanet.backbones.resnet import ResNetWeights

SMALL = "mobilenet_025"


@pytest.fixture(scope="module")
def application(randomize: Callable[..., Any]) -> keras.Model:
    """The network of `keras.applications`, without classifier, with random weights."""
    return randomize(APPLICATIONS[SMALL].application(include_top=False, weights=None, input_shape=(None, None, 3)))


@pytest.fixture(scope="module")
def trained(randomize: Callable[..., Any]) -> keras.Model:
    return randomize(BACKBONES[SMALL](), seed=1)


@pytest.fixture(scope="module")
def blank() -> keras.Model:
    """What files that do not fit are tried on."""
    return BACKBONES[SMALL]()


@pytest.fixture
def emptied(blank: keras.Model) -> keras.Model:
    """Without any weight that a file could have left, and with batch normalisation to be trained."""
    blank.set_weights([np.zeros(weight.shape) for weight in blank.weights])
    blank.trainable = True
    return blank


@pytest.fixture(scope="module")
def blank_wider() -> keras.Model:
    return BACKBONES["mobilenet_050"]()


def save_keras_2(model: keras.Model, path: Path) -> Path:
    """The layout of the files that Keras downloads."""
    with h5py.File(path, "w") as file:
        legacy_h5_format.save_weights_to_hdf5_group(file, model)
    return path


def is_frozen(model: keras.Model) -> bool:
    return not any(layer.trainable for layer in batch_norm_layers(model))


def assert_same_weights(model: keras.Model, other: keras.Model) -> None:
    np.testing.assert_equal([np.asarray(w) for w in model.weights], [np.asarray(w) for w in other.weights])


@pytest.mark.parametrize("file", ["notop.weights.h5", "notop.h5", "misleading.h5", "misleading.weights.h5"])
def test_weights_of_the_application(file: str, application: keras.Model, emptied: keras.Model, tmp_path: Path) -> None:
    """Keras 3 and Keras 2 files, also under names that promise the other."""
    if file in ("notop.h5", "misleading.weights.h5"):
        path = save_keras_2(application, tmp_path / file)
    else:
        application.save_weights(tmp_path / "saved.weights.h5")
        path = (tmp_path / "saved.weights.h5").rename(tmp_path / file)
    assert weights_kind(path) == "backbone"
    load_weights(emptied, path)
    assert_same_weights(emptied, application)
    assert is_frozen(emptied)


def test_the_shared_mobilenet(blank_wider: keras.Model, shared: Callable[[str], Path]) -> None:
    path = shared("weights/mobilenet_1_0_imagenet_notop.weights.h5")
    model = BACKBONES["mobilenet"](str(path))
    application = keras.applications.MobileNet(include_top=False, weights=None, input_shape=(None, None, 3))
    application.load_weights(path)
    assert_same_weights(model, application)
    with pytest.raises(ValueError, match=r"mobilenet_1_0_imagenet_notop\.weights\.h5.*'mobilenet_050'"):
        load_weights(blank_wider, path)


@pytest.mark.parametrize("name", ["own.weights.h5", "own.keras"])
def test_own_weights_and_own_models(name: str, trained: keras.Model, emptied: keras.Model, tmp_path: Path) -> None:
    save = trained.save if name.endswith(".keras") else trained.save_weights
    save(tmp_path / name)
    assert weights_kind(tmp_path / name) == "backbone"
    load_weights(emptied, tmp_path / name)
    assert_same_weights(emptied, trained)
    assert is_frozen(emptied)


@pytest.mark.parametrize("name", ["resnet10_050", pytest.param("efficientnet_v2_b0", marks=pytest.mark.slow)])
def test_own_weights_of_other_families(name: str, randomize: Callable[..., Any], tmp_path: Path) -> None:
    """No biases to fold; dropout layers have states that are no weights."""
    model = randomize(BACKBONES[name]())
    model.save_weights(tmp_path / "own.weights.h5")
    assert_same_weights(BACKBONES[name](str(tmp_path / "own.weights.h5")), model)


@pytest.mark.slow
@pytest.mark.parametrize("name", ["efficientnet_v2_b0", "mobilenet_v3_small", "convnext_tiny", "resnet50"])
@pytest.mark.parametrize("layout", ["keras 2", "keras 3"])
def test_application_weights_of_other_families(
    name: str, layout: str, randomize: Callable[..., Any], tmp_path: Path
) -> None:
    published = PUBLISHED[name]
    published = published.application if isinstance(published, ResNetWeights) else published
    assert isinstance(published, ApplicationWeights)
    source = randomize(published.application(include_top=False, weights=None, input_shape=(None, None, 3)))
    path = tmp_path / "notop.weights.h5"
    save_keras_2(source, path) if layout == "keras 2" else source.save_weights(path)
    expected = BACKBONES[name]()
    published.carry_over(source, expected)
    assert_same_weights(BACKBONES[name](path), expected)


def test_none_trains_batch_norm(trained: keras.Model) -> None:
    assert not is_frozen(trained)


class Detector(keras.Model):
    """Stands for a class of model that is no backbone."""


def test_a_snapshot_is_told_apart_and_not_loaded(trained: keras.Model, tmp_path: Path) -> None:
    images = keras.Input((None, None, 3))
    Detector(inputs=images, outputs=trained(images)).save(tmp_path / "detector.keras")
    assert weights_kind(tmp_path / "detector.keras") == "snapshot"
    with pytest.raises(ValueError, match=r"detector\.keras.*whole detector.*load_model"):
        load_weights(trained, tmp_path / "detector.keras")


def test_torch_is_told_apart(blank: keras.Model, tmp_path: Path) -> None:
    with zipfile.ZipFile(tmp_path / "new.bin", "w") as archive:
        archive.writestr("archive/data.pkl", b"")
    (tmp_path / "old.bin").write_bytes(b"\x80\x02\x8a\nl\xfc\x9cF\xf9 j\xa8P\x19.rest")
    assert weights_kind(tmp_path / "new.bin") == "torch"
    assert weights_kind(tmp_path / "old.bin") == "torch"
    with pytest.raises(ValueError, match=rf"new\.bin.*{SMALL}"):
        load_weights(blank, tmp_path / "new.bin")


def test_a_missing_file_is_named(blank: keras.Model) -> None:
    with pytest.raises(ValueError, match="no file 'imagenett'"):
        load_weights(blank, "imagenett")


@pytest.mark.parametrize("content", [b"", b"PK\x03\x04 cut short", b"\x89HDF\r\n\x1a\n cut short", bytes(range(256))])
def test_damaged_files_are_named(content: bytes, blank: keras.Model, tmp_path: Path) -> None:
    path = tmp_path / "damaged.weights.h5"
    path.write_bytes(content)
    with pytest.raises(ValueError, match=r"damaged\.weights\.h5"):
        load_weights(blank, path)


def test_files_cut_short_are_named(application: keras.Model, blank: keras.Model, tmp_path: Path) -> None:
    path = save_keras_2(application, tmp_path / "short.h5")
    path.write_bytes(path.read_bytes()[:200_000])
    with pytest.raises(ValueError, match=r"short\.h5"):
        load_weights(blank, path)


@pytest.mark.parametrize("layout", ["own", "keras 2", "keras 3"])
def test_another_width_is_an_error_that_names_file_and_backbone(
    layout: str, application: keras.Model, trained: keras.Model, blank_wider: keras.Model, tmp_path: Path
) -> None:
    path = tmp_path / "other.weights.h5"
    if layout == "keras 2":
        save_keras_2(application, path)
    else:
        (trained if layout == "own" else application).save_weights(path)
    with pytest.raises(ValueError, match=r"other\.weights\.h5' do not fit 'mobilenet_050'.*conv1"):
        load_weights(blank_wider, path)


@pytest.mark.parametrize("layout", ["own", "keras 2", "keras 3"])
def test_another_depth_is_an_error_that_counts(
    layout: str, application: keras.Model, trained: keras.Model, blank: keras.Model, tmp_path: Path
) -> None:
    """A file with more than the network would otherwise load in part, silently."""
    source = trained if layout == "own" else application
    shallow = keras.Model(source.inputs[0], source.get_layer("conv_pw_13_relu").output, name=SMALL)
    extra = keras.layers.Conv2D(3, 1, name="extra")(shallow.output)
    deeper = keras.Model(source.inputs[0], extra)
    path = tmp_path / "deeper.weights.h5"
    save_keras_2(deeper, path) if layout == "keras 2" else deeper.save_weights(path)
    counts = "expected 54 layers, found 55" if layout == "keras 2" else "137 arrays, the model has 135"
    with pytest.raises(ValueError, match=rf"deeper\.weights\.h5' do not fit 'mobilenet_025'.*{counts}"):
        load_weights(blank, path)


def test_a_model_that_is_no_backbone(tmp_path: Path) -> None:
    with pytest.raises(ValueError, match="'other' is not a backbone of this package"):
        load_weights(keras.Sequential(name="other"), tmp_path / "any")


# The ImageNet weights, with the download replaced.


def no_connection(*arguments: Any, **options: Any) -> None:
    raise urllib.error.URLError("Name or service not known")


@pytest.mark.parametrize(
    ("name", "file"),
    [
        (SMALL, "mobilenet_2_5_224_tf_no_top.h5"),
        ("mobilenet_v3_small", "weights_mobilenet_v3_small_224_1.0_float_no_top_v2.h5"),
        pytest.param("resnet50", "resnet50_weights_tf_dim_ordering_tf_kernels_notop.h5", marks=pytest.mark.slow),
        pytest.param("efficientnet_v2_b0", "efficientnetv2-b0_notop.h5", marks=pytest.mark.slow),
    ],
)
def test_offline_tells_which_file_to_put_where(name: str, file: str, monkeypatch: Any, tmp_path: Path) -> None:
    monkeypatch.setattr(file_utils, "urlretrieve", no_connection)
    monkeypatch.setattr(file_utils.config, "keras_home", lambda: str(tmp_path / "cache"))
    monkeypatch.setenv("KERAS_HOME", str(tmp_path / "cache"))
    (tmp_path / "cache").mkdir()
    with pytest.raises(OSError, match="internet") as caught:
        BACKBONES[name]("imagenet")
    message = str(caught.value)
    assert f"'{file}'" in message
    assert repr(str(tmp_path / "cache" / "models")) in message
    assert "https://storage.googleapis.com/" in message


def test_imagenet_uses_the_cached_file(application: keras.Model, monkeypatch: Any, tmp_path: Path) -> None:
    """A file put into the cache by hand is all that an offline machine needs."""
    monkeypatch.setattr(file_utils, "urlretrieve", no_connection)
    monkeypatch.setattr(file_utils.config, "keras_home", lambda: str(tmp_path))
    (tmp_path / "models").mkdir()
    save_keras_2(application, tmp_path / "models/mobilenet_2_5_224_tf_no_top.h5")
    model = BACKBONES[SMALL]("imagenet")
    assert_same_weights(model, application)
    assert is_frozen(model)


@pytest.mark.slow
def test_efficientnet_with_its_imagenet_weights(
    randomize: Callable[..., Any], assert_maps_equal: Callable[..., None], monkeypatch: Any, tmp_path: Path
) -> None:
    """Built by Keras with `weights="imagenet"`, EfficientNet rescales once more than without weights."""
    build = keras.applications.EfficientNetB0
    source = randomize(build(include_top=False, weights=None, input_shape=(None, None, 3)))
    norm = next(layer for layer in source.layers if isinstance(layer, keras.layers.Normalization))
    norm.set_weights([np.array([0.485, 0.456, 0.406]), np.array([0.229, 0.224, 0.225]) ** 2, np.array(0)])
    path = save_keras_2(source, tmp_path / "efficientnetb0_notop.h5")
    monkeypatch.setattr(file_utils, "get_file", lambda *arguments, **options: str(path))
    reference = build(include_top=False, weights="imagenet", input_shape=(None, None, 3))
    model = BACKBONES["efficientnet_b0"]("imagenet")
    images = np.random.default_rng(0).uniform(0, 255, (1, 75, 97, 3)).astype("float32")
    taps = {level: reference.get_layer(name).output for level, name in APPLICATIONS["efficientnet_b0"].taps.items()
            if level != "C2"}  # fmt: skip
    expected = keras.Model(reference.inputs[0], taps)(images)
    ours = model(images)
    assert_maps_equal({level: ours[level] for level in expected}, expected)

    norm.set_weights([np.zeros(3), np.ones(3), np.array(0)])
    with pytest.raises(ValueError, match="normalise with mean"):
        APPLICATIONS["efficientnet_b0"].published.carry_over(source, model)


def test_other_errors_of_the_download_stay_what_they_are(monkeypatch: Any) -> None:
    def damaged(*arguments: Any, **options: Any) -> None:
        raise ValueError("Incomplete or corrupted file detected.")

    monkeypatch.setattr(file_utils, "get_file", damaged)
    with pytest.raises(ValueError, match="Incomplete or corrupted"):
        BACKBONES[SMALL]("imagenet")
