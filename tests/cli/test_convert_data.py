import pytest
from PIL import Image

from keras_retinanet.cli import convert_data
from keras_retinanet.config import DataConfig, WriterName
from keras_retinanet.data.datasets import find_layouts
from keras_retinanet.data.open_dataset import open_dataset
from keras_retinanet.data.writers import WRITERS


@pytest.fixture
def boxes(tmp_path):
    Image.new("RGB", (20, 10)).save(tmp_path / "a.png")
    (tmp_path / "boxes.csv").write_text("a.png,1,2,8,9,cow\na.png,5,5,5,9,cow\n")
    return str(tmp_path / "boxes.csv")


def test_the_names_are_those_of_the_table():
    assert set(WRITERS) == set(WriterName.__args__)


def formats_of(path):
    return [layout.format for layout in find_layouts(path)]


def test_by_format_by_path_and_back(boxes, tmp_path, capsys):
    yolo, coco, again = (str(tmp_path / name) for name in ("yolo", "coco", "again"))
    assert convert_data.main(["csv", boxes, yolo, "--to", "yolo"]) == 0
    text = capsys.readouterr().out
    assert "note: train: 1 boxes left out, 0 clipped to their image: " in text
    assert text.endswith(f"wrote {yolo}: train 1 images, 1 boxes\n")
    assert convert_data.main([yolo, coco, "--to=coco", "--images", "link"]) == 0
    assert convert_data.main([coco, "--to=tfrecord", again, "--shards=1"]) == 0
    found = open_dataset(DataConfig("tfrecord", again), "train")
    assert found[0]["boxes"].round(3).tolist() == [[1, 2, 8, 9]]
    assert found.class_names == ("cow",)
    assert [formats_of(place) for place in (yolo, coco, again, boxes)] == [["yolo"], ["coco"], ["tfrecord"], ["csv"]]


@pytest.mark.parametrize(
    ("line", "message"),
    [
        (
            "{csv} {out} --to csv --bad-data error",
            "boxes.csv, line 2: box [5., 5., 5., 9.] has no area",
        ),
        ("csv gone.csv {out} --to csv", "gone.csv: cannot be read"),
        ("{other} {out} --to csv", "{other}: has files of no known layout: "),
        ("csv {csv} {here} --to csv", "{here} already exists and is not empty; give a new folder"),
        ("csv {csv} {out}", "the following arguments are required: --to"),
        ("csv {csv} {out} --to csv --set train", "--set and --val-set name splits; csv takes files"),
        ("coco {here} {out} --to csv --val-annotations x", "--val-annotations belongs to csv"),
        ("csv {csv} {out} --to csv --shards 2", "--shards belongs to --to tfrecord"),
        ("csv {csv} {out} --to csv --beam-options=--x", "--beam-options are those of a --runner"),
        ("csv {csv} {out} --to csv --parent-label Food", "--parent-label belongs to oid; csv does not know it"),
        (
            "oid {here} {out} --to csv --parent-label a --labels-filter b",
            "--labels-filter and --parent-label both",
        ),
        ("csv {csv} {out} --to yolo --images none", "--images none does not go with --to yolo"),
    ],
)
def test_a_mistake_is_told_in_one_line(boxes, tmp_path, capsys, line, message):
    places = {"csv": boxes, "here": str(tmp_path), "out": str(tmp_path / "out"), "other": str(tmp_path / "other")}
    (tmp_path / "other").mkdir()
    (tmp_path / "other" / "a.txt").touch()
    try:
        status = convert_data.main(line.format(**places).split())
    except SystemExit as stop:
        status = stop.code
    error = capsys.readouterr().err
    assert status == 2
    assert message.format(**places) in error
    assert "Traceback" not in error
    assert not (tmp_path / "out").exists()


@pytest.mark.parametrize(
    ("files", "word"),
    [
        (["annotations/instances_x.json"], "coco"),
        (["JPEGImages/a.jpg", "Annotations/a.xml"], "pascal"),
        (["a.jpg", "a.xml"], "pascal"),
        (["training/label_2/a.txt"], "kitti"),
        (["oidv6-train-annotations-bbox.csv"], "oid"),
        (["train.record-00000-of-00001"], "tfrecord"),
        (["data.yaml"], "yolo"),
        (["a.jpg"], None),
    ],
)
def test_formats_are_told_by_their_files(tmp_path, files, word):
    for name in files:
        (tmp_path / name).parent.mkdir(parents=True, exist_ok=True)
        (tmp_path / name).write_text(
            {".xml": "<annotation/>", ".yaml": "names: [cat]"}.get(name[name.rfind(".") :], "")
        )
    assert formats_of(tmp_path) == ([] if word is None else [word])
    assert formats_of(tmp_path / "x.record-00000-of-00002") == ["tfrecord"]


def test_tiles(tmp_path, capsys):
    Image.new("RGB", (60, 40)).save(tmp_path / "照片.png")
    (tmp_path / "b.csv").write_text("照片.png,2,2,30,30,猫\n照片.png,41,2,59,30,猫\n", encoding="utf-8")
    words = ["csv", str(tmp_path / "b.csv"), str(tmp_path / "out"), "--to", "coco"]
    assert convert_data.main([*words, "--tile", "40", "--overlap", "0.5", "--empty-tiles", "0"]) == 0
    told = capsys.readouterr().out
    assert "1 images are cut into 2 tiles of 40 pixels with an overlap of at least 0.5; 1 fragments" in told
    assert "equal bytes" not in told  # of black tiles
    assert f"wrote {tmp_path / 'out'}: train2017 2 images, 3 boxes" in told
    assert sorted(path.name for path in (tmp_path / "out" / "train2017").iterdir()) == [
        "照片_x0_y0.png",
        "照片_x20_y0.png",
    ]
    with pytest.raises(SystemExit):
        convert_data.main([*words, "--overlap", "0.5"])
    assert "--tile-seed and --tile-format need --tile" in capsys.readouterr().err
