"""CrowdHuman's odgt files."""

from __future__ import annotations

import json

import pytest

from keras_retinanet.data.datasets import CrowdHumanDataset, find_layouts
from keras_retinanet.data.errors import DataError


def person(box_id, *, fbox, vbox=(1, 2, 3, 4), hbox=(2, 2, 5, 5), tag="person", ignore=None, head_ignore=0):
    extra = {"box_id": box_id, "occ": 0} | ({} if ignore is None else {"ignore": ignore})
    head = {"ignore": head_ignore, "occ": 0, "unsure": 0}
    return {"fbox": list(fbox), "tag": tag, "hbox": list(hbox), "extra": extra, "vbox": list(vbox), "head_attr": head}


LINES = [
    {
        "ID": "273271,c9db000d5146c15",
        "gtboxes": [
            person(0, fbox=[-5, 2, 30, 50]),
            person(1, fbox=[10, 10, 8, 9], ignore=1, head_ignore=1),
            person(2, fbox=[20, 5, 10, 12], tag="mask", ignore=1),
        ],
    },
    {"ID": "273278,c9db000f4b4e7f", "gtboxes": []},
]
NAMES = {"273271,c9db000d5146c15.jpg": (40, 60), "273278,c9db000f4b4e7f.jpg": (60, 40)}


def text(lines):
    return "".join(json.dumps(line) + "\n" for line in lines)


@pytest.fixture
def folder(make_set):
    files = {"annotation_train.odgt": text(LINES), "annotation_val.odgt": text(LINES[:1])}
    return make_set(files, {"Images": NAMES})


def test_whole_persons_by_default(folder, contents_of):
    data = CrowdHumanDataset(folder)
    assert contents_of(data) == {
        "273271,c9db000d5146c15": [
            ("person", [0, 2, 25, 40]),  # clipped: whole persons reach beyond the image
            ("!person", [10, 10, 18, 19]),
            ("!person", [20, 5, 30, 17]),
        ],
        "273278,c9db000f4b4e7f": [],
    }
    assert data.report.num_clipped == 1
    assert data[0]["image"] == f"{folder}/Images/273271,c9db000d5146c15.jpg"


def test_visible_parts_and_heads(folder, contents_of):
    visible = contents_of(CrowdHumanDataset(folder, person_box="vbox"))
    assert visible["273271,c9db000d5146c15"] == [(name, [1, 2, 4, 6]) for name in ("person", "!person", "!person")]
    heads = contents_of(CrowdHumanDataset(folder, person_box="hbox"))
    assert heads["273271,c9db000d5146c15"] == [(name, [2, 2, 7, 7]) for name in ("head", "!head", "!head")]


def test_splits_and_recognition(folder):
    assert CrowdHumanDataset.default_sets(folder) == ("train", "val")
    (layout,) = find_layouts(folder)
    assert (layout.format, layout.certainty, layout.evidence) == ("crowdhuman", 3, "annotation_train.odgt")
    assert len(CrowdHumanDataset(folder, "val")) == 1
    assert len(CrowdHumanDataset(folder / "annotation_val.odgt")) == 1


def test_persons_without_such_a_box_and_broken_lines(folder):
    lines = [
        *LINES,
        {"ID": "273271,c9db000d5146c15", "gtboxes": [person(0, fbox=[1, 2, 3], hbox=[]), person(1, fbox=[])]},
    ]
    (folder / "annotation_train.odgt").write_text(text(lines) + '{"ID": 3}\n{\n')
    notes = CrowdHumanDataset(folder).report.notes
    assert any("1 persons have no fbox and are left out" in note for note in notes)
    (note,) = [note for note in notes if "left out: " in note]
    assert note.startswith("3 annotations left out: ")
    assert "train.odgt, line 3, box 1: fbox is [1, 2, 3]; " in note
    assert "train.odgt, line 4: ID is 3; " in note
    with pytest.raises(DataError, match="line 3, box 1: fbox is"):
        CrowdHumanDataset(folder, on_error="error")
