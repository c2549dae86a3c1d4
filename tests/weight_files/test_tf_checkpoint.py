"""Checkpoints of TensorFlow 2, written by TensorFlow itself."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
import tensorflow as tf

from keras_retinanet.weight_files.tf_checkpoint import TfCheckpoint, find_tf_checkpoint


def written(folder: Path) -> tuple[Path, tf.train.Checkpoint]:
    """A model of two parts, one of which two attributes lead to, in a folder of two checkpoints."""
    head = tf.Module()
    head.kernel = tf.Variable([[1.0, 2.0]], name="head/kernel")
    head.list = [tf.Variable(3.0), tf.Variable(4.0)]
    root = tf.train.Checkpoint(head=head, model=tf.train.Checkpoint(_head=head), step=tf.Variable(7))
    manager = tf.train.CheckpointManager(root, str(folder), max_to_keep=5, checkpoint_name="ckpt")
    manager.save()
    head.kernel.assign([[5.0, 6.0]])
    return Path(manager.save()), root


def test_variables_below_an_attribute(tmp_path):
    prefix, _ = written(tmp_path)
    opened = TfCheckpoint(prefix)
    assert set(opened.roots) >= {"head", "model", "step"}
    found = {variable.path: variable for variable in opened.variables("model", "_head")}
    assert set(found) == {
        ("model", "_head", "kernel"),
        ("model", "_head", "list", "0"),
        ("model", "_head", "list", "1"),
    }
    kernel = found["model", "_head", "kernel"]
    assert kernel.key.startswith("head/kernel/"), "it is stored under the shorter path"
    np.testing.assert_array_equal(opened.read(kernel.key), [[5, 6]])
    assert opened.read(found["model", "_head", "list", "1"].key) == 4
    assert list(opened.variables("model", "missing")) == []


def test_what_an_optimizer_keeps_is_no_variable_of_the_model(tmp_path):
    """Each average has a key that begins with the key of its variable."""
    kernel, average = tf.Variable([1.0]), tf.Variable([9.0])
    head, optimizer = tf.Module(), tf.Module()
    head.kernel = kernel
    prefix = tf.train.Checkpoint(head=head).save(str(tmp_path / "ckpt"))
    assert TfCheckpoint(Path(prefix)).slot_keys("average") == {}

    optimizer.get_slot_names = lambda: ["average"]
    optimizer.get_slot = lambda variable, name: average if variable is kernel else None
    optimizer._create_or_restore_slot_variable = optimizer.get_slot
    prefix = tf.train.Checkpoint(head=head, optimizer=optimizer).save(str(tmp_path / "ckpt"))
    opened = TfCheckpoint(Path(prefix))
    (variable,) = opened.variables("head")
    assert opened.read(variable.key) == 1
    assert opened.slot_keys("momentum") == {}
    assert list(opened.slot_keys("average")) == [variable.key]
    assert opened.read(opened.slot_keys("average")[variable.key]) == 9


def test_where_a_checkpoint_is_found(tmp_path):
    prefix, _ = written(tmp_path / "checkpoint")
    first = prefix.with_name("ckpt-1")
    assert prefix.name == "ckpt-2"
    for path in (prefix, prefix.with_name("ckpt-2.index"), prefix.with_name("ckpt-2.data-00000-of-00001")):
        assert find_tf_checkpoint(path) == prefix
    assert find_tf_checkpoint(tmp_path) == find_tf_checkpoint(tmp_path / "checkpoint") == prefix
    (tmp_path / "checkpoint" / "checkpoint").write_text('model_checkpoint_path: "/another/machine/ckpt-1"\n')
    assert find_tf_checkpoint(tmp_path) == first
    (tmp_path / "checkpoint" / "checkpoint").unlink()
    assert find_tf_checkpoint(tmp_path) == prefix, "the newest by number"
    assert find_tf_checkpoint(tmp_path / "absent") is None
    (tmp_path / "empty").mkdir()
    assert find_tf_checkpoint(tmp_path / "empty") is None


def test_variables_of_a_saved_model(tmp_path):
    module = tf.Module()
    module.kernel = tf.Variable([1.0, 2.0])
    tf.saved_model.save(module, str(tmp_path / "saved_model"))
    prefix = find_tf_checkpoint(tmp_path)
    assert prefix == tmp_path / "saved_model" / "variables" / "variables"
    (variable,) = TfCheckpoint(prefix).variables()
    assert variable.path == ("kernel",)
    np.testing.assert_array_equal(TfCheckpoint(prefix).read(variable.key), [1, 2])


def test_damaged_and_incomplete_files(tmp_path):
    prefix, _ = written(tmp_path)
    data = prefix.with_name("ckpt-2.data-00000-of-00001")
    contents = data.read_bytes()
    data.unlink()
    with pytest.raises(ValueError, match="ckpt-2"):
        TfCheckpoint(prefix)
    data.write_bytes(contents[:10])
    with pytest.raises(ValueError, match="ckpt-2"):
        TfCheckpoint(prefix)
    prefix.with_name("ckpt-2.index").write_bytes(b"nothing")
    with pytest.raises(ValueError, match="cannot be opened as a checkpoint"):
        TfCheckpoint(prefix)


def test_a_checkpoint_of_tensorflow_1(tmp_path):
    prefix = str(tmp_path / "model.ckpt-5")
    tf.raw_ops.SaveV2(prefix=prefix, tensor_names=["conv/weights"], shape_and_slices=[""], tensors=[tf.zeros(2)])
    with pytest.raises(ValueError, match="TensorFlow 1"):
        TfCheckpoint(find_tf_checkpoint(prefix))
