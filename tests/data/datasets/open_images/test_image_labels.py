import pytest

from keras_retinanet.data.datasets.open_images.image_labels import read_image_labels
from keras_retinanet.data.datasets.open_images.reader import OpenImagesDataset
from keras_retinanet.data.errors import DataError

HEAD = "ImageID,Source,LabelName,Confidence\n"
NAMES = {"/m/1": "cat", "/m/2": "animal", "/m/3": "dog"}
ABOVE = {"cat": frozenset({"animal"}), "dog": frozenset({"animal"})}


def write(folder, *lines, head=HEAD):
    file = folder / "validation-annotations-human-imagelabels-boxable.csv"
    file.write_text(head + "".join(f"{line}\n" for line in lines))
    return file


def test_what_is_there_is_so_above_and_what_is_not_is_not_below(tmp_path):
    file = write(
        tmp_path, "a,verification,/m/1,1", "a,verification,/m/9,0", "b,verification,/m/2,0", "c,verification,/m/2,1.0",
        "x,verification,/m/2,1",
    )  # fmt: skip
    assert read_image_labels(file, ["a", "b", "c", "d"], NAMES, ABOVE) == {
        "a": {"cat", "animal", "/m/9"}, "b": {"animal", "cat", "dog"}, "c": {"animal"}, "d": set(),
    }  # fmt: skip


def test_the_file_of_a_set_is_found(tmp_path):
    assert OpenImagesDataset.find_image_labels(tmp_path, "validation") is None
    file = write(tmp_path)
    assert OpenImagesDataset.find_image_labels(tmp_path, "validation") == file
    assert OpenImagesDataset.find_image_labels(tmp_path, "train") is None


@pytest.mark.parametrize(
    ("head", "line", "words"),
    [
        ("ImageID,LabelName\n", "a,/m/1", "line 1: has no column Confidence"),
        (HEAD, "a,verification,/m/1", "line 2: is 'a,verification,/m/1'"),
        (HEAD, "a,verification,/m/1,maybe", "line 2: is .*the confidence 0 or 1"),
    ],
)
def test_another_file_is_refused(tmp_path, head, line, words):
    with pytest.raises(DataError, match=words):
        read_image_labels(write(tmp_path, line, head=head), ["a"], NAMES, ABOVE)
