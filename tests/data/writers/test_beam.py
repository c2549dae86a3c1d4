from __future__ import annotations

import importlib.util

import numpy as np
import pytest

from keras_retinanet.data.datasets import CsvDataset, TfRecordDataset
from keras_retinanet.data.writers import OutputSplit, make_jobs
from keras_retinanet.data.writers.beam import write_with_beam

IS_INSTALLED = importlib.util.find_spec("apache_beam") is not None
needs_beam = pytest.mark.skipif(not IS_INSTALLED, reason="Apache Beam is not installed (extra `beam`)")
pytestmark = pytest.mark.filterwarnings("ignore")  # what Beam imports warns of its own future


@pytest.fixture
def jobs(tmp_path, write_images):
    """Three images in two shards."""
    write_images(tmp_path)
    (tmp_path / "boxes.csv").write_text("a.jpg,1,2,3,4,x\nb.jpg,5,6,7,8,x\nc.jpg,,,,,\n")
    samples = CsvDataset(tmp_path / "boxes.csv")[:]
    (tmp_path / "out").mkdir()
    part = OutputSplit("train", samples, [sample["image_id"] for sample in samples], ("x",), (1,))
    return make_jobs("tfrecord", str(tmp_path / "out"), part, "copy", 2)


@needs_beam
def test_the_local_runner_writes_what_a_loop_writes(jobs, tmp_path):
    write_with_beam(jobs, "DirectRunner")
    data = TfRecordDataset(tmp_path / "out")
    assert [sample["image_id"] for sample in data] == ["a.jpg", "b.jpg", "c.jpg"]
    np.testing.assert_allclose(data[1]["boxes"], [[5, 6, 7, 8]], atol=1e-5)


@needs_beam
def test_an_unknown_runner_is_refused(jobs):
    with pytest.raises(ValueError, match="NoRunner"):
        write_with_beam(jobs, "NoRunner")


@pytest.mark.skipif(IS_INSTALLED, reason="Apache Beam is installed")
def test_without_the_package_it_says_what_to_install(jobs):
    with pytest.raises(ImportError, match=r"--runner DirectRunner needs Apache Beam .*pip install '\.\[beam\]'"):
        write_with_beam(jobs, "DirectRunner")
