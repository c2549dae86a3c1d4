from __future__ import annotations

import importlib.util
import warnings
from pathlib import Path

import numpy as np
import pytest

from keras_retinanet.data.datasets import TfdsDataset, find_layouts
from keras_retinanet.data.error_collector import ErrorCollector
from keras_retinanet.data.errors import DataError
from keras_retinanet.data.image_files import read_bytes

IS_INSTALLED = importlib.util.find_spec("tensorflow_datasets") is not None
needs_tfds = pytest.mark.skipif(not IS_INSTALLED, reason="tensorflow-datasets is not installed (extra `tfds`)")
pytestmark = pytest.mark.filterwarnings("ignore")  # what TensorFlow Datasets imports warns of its own future


@pytest.fixture(scope="module")
def prepared(tmp_path_factory):
    """The folder of a tiny data set in tfds' own files: three images, one of them validation."""
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        import tensorflow_datasets as tfds

        class TinyBoxes(tfds.core.GeneratorBasedBuilder):
            VERSION = tfds.core.Version("1.0.0")

            def _info(self):
                box = {
                    "bbox": tfds.features.BBoxFeature(),
                    "label": tfds.features.ClassLabel(names=["dog", "cat"]),
                    "is_crowd": np.bool_,
                }
                image = tfds.features.Image(encoding_format="png")
                features = {"image": image, "image/id": np.int64, "objects": tfds.features.Sequence(box)}
                return self.dataset_info_from_configs(features=tfds.features.FeaturesDict(features))

            def _split_generators(self, manager):
                return {"train": self._generate_examples([1, 2]), "validation": self._generate_examples([3])}

            def _generate_examples(self, numbers):
                for number in numbers:
                    yield (
                        number,
                        {
                            "image": np.full((40, 60, 3), 10 * number, np.uint8),
                            "image/id": number,
                            "objects": [
                                {"bbox": tfds.features.BBox(0.25, 0.5, 0.75, 1.0), "label": 1, "is_crowd": number == 2}
                            ],
                        },
                    )

        builder = TinyBoxes(data_dir=str(tmp_path_factory.mktemp("tfds")))
        builder.download_and_prepare()
        return str(builder.data_dir)


@needs_tfds
def test_reads_a_prepared_data_set(prepared):
    data = TfdsDataset(prepared)
    assert data.class_names == ("dog", "cat")
    assert sorted(sample["image_id"] for sample in data) == [1, 2]
    for sample in data:
        assert sample["boxes"].tolist() == [[30, 10, 60, 30]]  # y1, x1, y2, x2 as shares of 40 x 60
        assert sample["labels"].tolist() == [1]
        assert sample["ignore"].tolist() == [sample["image_id"] == 2]
        assert sample["size"] == (40, 60)
        assert read_bytes(sample["image"]).startswith(b"\x89PNG")
    assert TfdsDataset.default_sets(prepared) == ("train", "validation")
    assert [sample["image_id"] for sample in TfdsDataset(prepared, "validation")] == [3]
    assert len(TfdsDataset(prepared, "train[:50%]")) == 1
    home = Path(prepared).parent
    assert sorted(sample["image_id"] for sample in TfdsDataset(home)) == [1, 2]
    assert TfdsDataset(prepared, class_names=("cat", "dog"))[0]["labels"].tolist() == [0]


@needs_tfds
def test_what_is_missing_is_named(prepared):
    with pytest.raises(DataError, match=r"no split 'test' .*allowed: train, validation"):
        TfdsDataset(prepared, "test")
    with pytest.raises(DataError, match="tfds:no_such_set_of_boxes: cannot be opened"):
        TfdsDataset("no_such_set_of_boxes")
    with pytest.raises(DataError, match="unknown class 'cat'"):
        TfdsDataset(prepared, class_names=("dog",))
    collector = ErrorCollector()
    assert sum(len(sample["labels"]) for sample in TfdsDataset(prepared, class_names=("dog",), on_error=collector)) == 0
    assert [error.found for error in collector.errors] == ["unknown class 'cat'"] * 2


def test_prepared_folders_are_recognised(tmp_path):
    for version in ("1.0.0", "1.10.0", "1.9.0"):
        folder = tmp_path / "voc" / "2007" / version
        folder.mkdir(parents=True)
        for name in ("features.json", "dataset_info.json", "voc-train.tfrecord-00000-of-00001"):
            (folder / name).write_text("{}")
    for path in (tmp_path / "voc", tmp_path / "voc" / "2007", tmp_path / "voc" / "2007" / "1.10.0"):
        (layout,) = find_layouts(path)
        assert (layout.format, layout.certainty, layout.tool) == ("tfds", 3, "TensorFlow Datasets")
        assert layout.evidence.endswith("features.json")
    assert find_layouts(tmp_path / "voc")[0].evidence == "2007/1.10.0/features.json"
    assert TfdsDataset.find_layout(tmp_path / "gone") is None


@pytest.mark.skipif(IS_INSTALLED, reason="tensorflow-datasets is installed")
def test_without_the_package_it_says_what_to_install():
    with pytest.raises(ImportError, match=r"tfds:voc/2007 needs TensorFlow Datasets .*pip install '\.\[tfds\]'"):
        TfdsDataset("voc/2007")
