import contextlib
import io
import json

import numpy as np
import pytest
from PIL import Image
from pycocotools.coco import COCO
from pycocotools.cocoeval import COCOeval

from keras_retinanet.config import DataConfig
from keras_retinanet.data.open_dataset import open_dataset
from keras_retinanet.evaluation import coco, coco_engine, columns
from keras_retinanet.evaluation import detections as pairing
from keras_retinanet.evaluation.metric import MetricSettings

EXPECTED = {  # of the COCO API's own example, all 100 images
    "AP": 0.505, "AP50": 0.697, "AP75": 0.573, "APs": 0.586, "APm": 0.519, "APl": 0.501,
    "AR1": 0.387, "AR10": 0.594, "AR100": 0.595, "ARs": 0.640, "ARm": 0.566, "ARl": 0.564,
}  # fmt: skip


def sample(image_id, boxes=(), labels=None, ignore=None, **more):
    boxes = np.asarray(boxes, np.float32).reshape(-1, 4)
    labels = np.zeros(len(boxes)) if labels is None else labels
    ignore = np.zeros(len(boxes)) if ignore is None else ignore
    arrays = {"labels": np.asarray(labels, np.int32), "ignore": np.asarray(ignore, bool)}
    return {"image": f"{image_id}.jpg", "image_id": image_id, "boxes": boxes, **arrays, **more}


def found(image_id, boxes=(), scores=(), labels=None):
    boxes = np.asarray(boxes, np.float32).reshape(-1, 4)
    labels = np.zeros(len(boxes)) if labels is None else labels
    arrays = {"scores": np.asarray(scores, np.float32), "labels": np.asarray(labels, np.int32)}
    return {"image_id": image_id, "boxes": boxes, **arrays}


def to_coco(entries, is_truth):
    """COCO's dicts, written apart from the package's own."""
    records = []
    for entry in entries:
        for index, box in enumerate(np.asarray(entry["boxes"], np.float64)):
            x, y, w, h = float(box[0]), float(box[1]), float(box[2] - box[0]), float(box[3] - box[1])
            record = {"image_id": entry["image_id"], "category_id": int(entry["labels"][index]) + 1, "iscrowd": 0}
            record |= {"bbox": [x, y, w, h], "area": w * h, "id": len(records) + 1}
            if is_truth:
                record["area"] = float(entry["areas"][index]) if "areas" in entry else w * h
                record["iscrowd"] = int(entry["ignore"][index])
            else:
                record["score"] = float(entry["scores"][index])
            records.append(record)
    return records


def run_pycocotools(truth, results):
    with contextlib.redirect_stdout(io.StringIO()):
        sides = []
        for records in (truth["annotations"], results):
            side = COCO()
            side.dataset = {**truth, "annotations": records}
            side.createIndex()
            sides.append(side)
        evaluator = COCOeval(*sides, "bbox")
        evaluator.evaluate()
        evaluator.accumulate()
        evaluator.summarize()
    precision = evaluator.eval["precision"][:, :, :, 0, -1]  # (T, R, K)
    present = precision[0, 0] > -1
    ap = {name: np.where(present, part.mean((0, 1)), np.nan) for name, part in
          (("AP", precision), ("AP50", precision[:1]))}  # fmt: skip
    return dict(zip(coco.STATS, evaluator.stats, strict=True)), ap


def assert_equal_to_pycocotools(samples, detections, num_classes):
    """Both engines, to the last bit."""
    names = [f"class {k}" for k in range(num_classes)]
    result = coco.evaluate(samples, detections, names, engine="hotcoco")
    fallback = coco.evaluate(samples, detections, names, engine="pycocotools")
    assert fallback.stats == result.stats
    np.testing.assert_array_equal(fallback.per_class["AP"], result.per_class["AP"])
    truth = {
        "images": [{"id": entry["image_id"]} for entry in samples],
        "categories": [{"id": k + 1, "name": name} for k, name in enumerate(names)],
        "annotations": to_coco(samples, is_truth=True),
    }
    stats, ap = run_pycocotools(truth, to_coco(detections, is_truth=False))
    assert {name: result.stats[name] for name in coco.STATS} == stats
    for name, expected in ap.items():
        np.testing.assert_allclose(result.per_class[name], expected, rtol=0, atol=1e-12)
    return result


def random_set(seed, num_images=40, num_classes=4, absent=(2,)):
    """Noisy detections of random boxes: crowds, empty images, absent classes, tied scores, ids not in order."""
    rng = np.random.default_rng(seed)
    samples, detections = [], []
    for image_id in rng.permutation(1000)[:num_images].tolist():
        count = int(rng.integers(0, 8)) if rng.uniform() > 0.2 else 0
        corners = rng.uniform(0, 300, (count, 2))
        boxes = np.concatenate([corners, corners + rng.uniform(2, 200, (count, 2))], axis=1)
        labels = rng.choice([k for k in range(num_classes) if k not in absent], count)
        areas = np.prod(boxes[:, 2:] - boxes[:, :2], axis=1) * rng.uniform(0.3, 1, count)
        samples.append(sample(image_id, boxes, labels, rng.uniform(size=count) < 0.15, areas=areas))
        if rng.uniform() < 0.1:
            continue  # an image without an entry
        kept = boxes[rng.uniform(size=count) < 0.9]
        hits = np.repeat(kept, rng.integers(1, 4, len(kept)), axis=0)
        hits = hits + rng.normal(0, 6, hits.shape)
        hits[:, 2:] = np.maximum(hits[:, 2:], hits[:, :2] + 1)
        stray = rng.uniform(0, 300, (int(rng.integers(0, 150)), 2))
        stray = np.concatenate([stray, stray + rng.uniform(2, 100, stray.shape)], axis=1)
        everything = np.concatenate([hits, stray])
        scores = np.round(rng.uniform(0, 1, len(everything)), 2)
        detections.append(found(image_id, everything, scores, rng.integers(0, num_classes, len(everything))))
    return samples, detections[::-1]


@pytest.mark.parametrize("seed", range(6))
def test_random_sets_equal_pycocotools(seed):
    result = assert_equal_to_pycocotools(*random_set(seed), num_classes=4)
    assert np.isnan(result.per_class["AP"]).tolist() == [False, False, True, False]
    assert 0 < result.stats["AP"] < 1


def test_more_detections_than_coco_counts_equal_pycocotools():
    rng = np.random.default_rng(0)
    boxes = np.array([[10, 10, 60, 60]]) + rng.normal(0, 12, (250, 1))
    entry = found(7, boxes, rng.uniform(size=250))
    assert_equal_to_pycocotools([sample(7, [[10, 10, 60, 60], [100, 100, 120, 130]])], [entry], 1)


@pytest.mark.parametrize("seed", range(3))
def test_areas_on_the_borders_of_sizes_equal_pycocotools(seed):
    """Objects of exactly 32² and 96² px count on both sides of the border; some samples state no areas, some NaN."""
    rng = np.random.default_rng(seed)
    samples, detections = [], []
    for image_id in range(20):
        sides = rng.choice([16, 31, 32, 33, 95, 96, 97, 128], (6, 2))
        sides[:2] = [[32, 32], [96, 96]]
        corners = rng.integers(0, 200, (6, 2))
        boxes = np.concatenate([corners, corners + sides], axis=1)
        areas = rng.choice([1023.999, 1024, 1024.001, 9215.999, 9216, 9216.001, np.nan], 6)
        samples.append(sample(image_id, boxes, rng.integers(0, 2, 6), **({"areas": areas} if image_id % 2 else {})))
        shift = rng.integers(-4, 5, (6, 2))
        detections.append(
            found(image_id, boxes + np.tile(shift, 2), rng.choice([0.5, 0.6, 0.7], 6), rng.integers(0, 2, 6))
        )
    given = coco.evaluate(samples, detections, ["a", "b"])
    for entry in samples[1::2]:  # pycocotools needs a number
        size = np.prod(entry["boxes"][:, 2:] - entry["boxes"][:, :2], axis=1)
        entry["areas"] = np.where(np.isnan(entry["areas"]), size, entry["areas"])
    result = assert_equal_to_pycocotools(samples, detections, 2)
    assert given.stats == result.stats
    assert min(result.stats[name] for name in ("APs", "APm", "APl")) > 0


def test_blocks_of_images_and_groups_of_classes_equal_one_pass(monkeypatch):
    samples, detections = random_set(11)
    whole = coco.evaluate(samples, detections, list("abcd"))
    monkeypatch.setattr(columns, "_BLOCK", 7)
    assert coco.evaluate(samples, detections, list("abcd")).stats == whole.stats
    monkeypatch.setattr(coco_engine, "_MAX_ROWS", 1500)
    pairs = pairing.pair_detections(samples, detections, 4)
    assert coco_engine._groups(pairs, 4) == [range(2), range(2, 4)]
    for engine in ("hotcoco", "pycocotools"):
        grouped = coco.evaluate(samples, detections, list("abcd"), engine=engine)
        assert grouped.stats == whole.stats
        np.testing.assert_array_equal(grouped.per_class["AP"], whole.per_class["AP"])


def test_an_annotation_of_id_0_counts(tmp_path):
    """pycocotools takes a match with annotation 0 for no match: AP .0 here instead of 1."""
    record = {"id": 0, "image_id": 1, "category_id": 5, "bbox": [10, 10, 40, 40], "area": 1600, "iscrowd": 0}
    truth = {"images": [{"id": 1, "file_name": "a.png", "width": 64, "height": 64}],
             "categories": [{"id": 5, "name": "cat"}], "annotations": [record]}  # fmt: skip
    wrong, _ = run_pycocotools(truth, [{**record, "id": 1, "score": 0.9}])
    assert wrong["AP"] == 0
    (tmp_path / "boxes.json").write_text(json.dumps(truth))
    Image.new("RGB", (64, 64)).save(tmp_path / "a.png")
    dataset = open_dataset(DataConfig("coco", str(tmp_path / "boxes.json")), "train")
    result = coco.evaluate(list(dataset), [found(1, [[10, 10, 50, 50]], [0.9])], ["cat"])
    assert result.stats["AP"] == pytest.approx(1)


def test_the_package_that_is_installed_is_taken(monkeypatch):
    assert coco_engine.installed_engine() == "hotcoco"
    monkeypatch.setattr(coco_engine.importlib.util, "find_spec", lambda name: name == "pycocotools" or None)
    assert coco_engine.installed_engine() == "pycocotools"
    monkeypatch.setattr(coco_engine.importlib.util, "find_spec", lambda name: None)
    with pytest.raises(ImportError, match="pip install hotcoco"):
        coco_engine.installed_engine()


GRID = np.array([[20 * x, 20 * y, 20 * x + 15, 20 * y + 15] for y in range(15) for x in range(20)])
"""300 boxes."""


@pytest.mark.parametrize("engine", ["hotcoco", "pycocotools"])
def test_more_boxes_than_coco_counts(engine):
    """A perfect detector finds 300 of 300, and COCO counts 100: 34 of the 101 recalls 0, .01 … .33."""
    pair = [sample(1, GRID)], [found(1, GRID, np.linspace(1, 0.5, 300))]
    result = coco.evaluate(*pair, ["tree"], engine=engine)
    assert result.stats["AP"] == pytest.approx(34 / 101)
    assert result.stats["AP maxDets=300"] == result.stats["AP50 maxDets=300"] == pytest.approx(1)
    assert list(result.stats)[:12] == list(coco.STATS)
    assert result.comparable_with == dict.fromkeys(coco.STATS, "COCO leaderboard")
    assert result.notes == (
        "1 images have more boxes of a class (up to 300) than the 100 detections that AP counts; "
        "AP maxDets=300 counts 300",
    )
    settings = MetricSettings(detector_limit=500)
    assert coco.evaluate(*pair, ["tree"], settings, engine=engine).stats["AP maxDets=500"] == pytest.approx(1)
    assert coco.choose_monitor(pair[0], settings) == "AP maxDets=500"
    assert coco.choose_monitor([sample(1, GRID[:100])], settings) == "AP"
    few = coco.evaluate(*pair, ["tree"], MetricSettings(detector_limit=200))
    assert few.stats["AP maxDets=200"] == pytest.approx(67 / 101)  # recalls 0 … .66
    assert few.notes[1] == "an image has 300 boxes, and the detector returns at most 200: raise --max-detections"


def test_other_settings_reach_every_number():
    truth = [sample(1, [[0, 0, 100, 100], [300, 300, 400, 400]])]
    detections = [found(1, [[0, 0, 100, 62], [500, 500, 600, 600], [300, 300, 400, 400]], [0.9, 0.8, 0.3])]
    plain = coco.evaluate(truth, detections, ["cat"], MetricSettings(iou_thresholds=(0.3, 0.62, 0.9)))
    # Right: the first and third at IoU .3 and .62 (precision 1 to recall .5, 2/3 to 1); the third alone at .9 (1/3).
    both = (51 + 50 * 2 / 3) / 101
    assert plain.stats["AP30"] == plain.stats["AP62"] == pytest.approx(both)
    assert plain.stats["AP90"] == pytest.approx(51 / 3 / 101)
    assert plain.stats["AP"] == pytest.approx((2 * both + 51 / 3 / 101) / 3)
    assert list(plain.per_class) == ["AP", "AP30"]
    assert set(plain.comparable_with.values()) == {"own extension"}
    scored = coco.evaluate(truth, detections, ["cat"], MetricSettings(iou_thresholds=(0.5,), score_threshold=0.3))
    assert scored.stats["AP50"] == pytest.approx(51 / 101)
    limited = coco.evaluate(truth, detections, ["cat"], MetricSettings(max_detections=2))
    assert limited.stats["AP50"] == pytest.approx(51 / 101)
    assert [name for name in limited.stats if name.startswith("AR")] == ["AR1", "AR2", "ARs", "ARm", "ARl"]
    wide = coco.evaluate([sample(1, GRID)], [found(1, GRID, np.linspace(1, 0.5, 300))], ["cat"],
                         MetricSettings(max_detections=300))  # fmt: skip
    assert (wide.stats["AP"], wide.notes) == (pytest.approx(1), ())
    assert wide.comparable_with["AP"] == "own extension"


def test_perfect_detections_score_one():
    boxes = [[10.25, 20.5, 30, 50], [0, 0, 200, 100.75]]
    result = coco.evaluate([sample(1, boxes, [0, 1])], [found(1, boxes, [0.9, 0.8], [0, 1])], ["cat", "dog"])
    assert result.stats == pytest.approx({
        "AP": 1, "AP50": 1, "AP75": 1, "APs": 1, "APm": -1, "APl": 1,
        "AR1": 1, "AR10": 1, "AR100": 1, "ARs": 1, "ARm": -1, "ARl": 1,
    }, abs=1e-12)  # fmt: skip
    assert result.per_class["AP"].tolist() == pytest.approx([1, 1])
    assert (result.num_boxes.tolist(), result.num_images, result.num_detections) == ([1, 1], 1, 2)
    assert result.class_names == ("cat", "dog")


def test_a_worked_case():
    # Best detection IoU 0.62: right at 0.50, 0.55, 0.60; second one misses; one of two boxes found.
    truth = [sample(1, [[0, 0, 100, 100], [300, 300, 400, 400]])]
    detections = [found(1, [[0, 0, 100, 62], [500, 500, 600, 600]], [0.9, 0.8])]
    result = coco.evaluate(truth, detections, ["cat"])
    # Precision is 1 at the recalls 0, .01 … .50 (51 of 101), at 3 of 10 thresholds.
    assert result.stats["AP50"] == pytest.approx(51 / 101, abs=1e-12)
    assert result.stats["AP"] == pytest.approx(0.3 * 51 / 101, abs=1e-12)
    assert result.stats["AP75"] == 0
    assert result.stats["AR100"] == pytest.approx(0.15, abs=1e-12)


def test_ignore_regions_count_neither_way():
    truth = sample(1, [[0, 0, 50, 50], [100, 100, 300, 300]], ignore=[False, True])
    inside = found(1, [[0, 0, 50, 50], [110, 110, 150, 150], [200, 200, 240, 240]], [0.5, 0.9, 0.8])
    result = assert_equal_to_pycocotools([truth], [inside], 1)
    assert result.stats["AP"] == pytest.approx(1)
    assert result.num_boxes.tolist() == [1]


def test_size_is_told_by_the_annotated_area():
    box = [0, 0, 40, 40]  # 1,600 px² as a box: medium
    by_box = coco.evaluate([sample(1, [box])], [found(1, [box], [0.5])], ["cat"])
    by_area = coco.evaluate([sample(1, [box], areas=np.array([900.0]))], [found(1, [box], [0.5])], ["cat"])
    assert (by_box.stats["APs"], by_box.stats["APm"]) == (-1, pytest.approx(1))
    assert (by_area.stats["APs"], by_area.stats["APm"]) == (pytest.approx(1), -1)


def test_nothing_found_is_zero_and_nothing_annotated_is_minus_one(capfd):
    nothing_found = assert_equal_to_pycocotools([sample(1, [[0, 0, 10, 10]]), sample(2)], [], 2)
    assert nothing_found.stats["AP"] == nothing_found.stats["AR100"] == nothing_found.stats["APs"] == 0
    assert nothing_found.stats["APl"] == -1
    assert nothing_found.per_class["AP"][0] == 0
    assert np.isnan(nothing_found.per_class["AP"][1])
    nothing_annotated = assert_equal_to_pycocotools([sample(1)], [found(1, [[0, 0, 10, 10]], [0.9])], 2)
    assert set(nothing_annotated.stats.values()) == {-1}
    assert np.isnan(nothing_annotated.per_class["AP50"]).all()
    assert set(coco.evaluate([], [], ["cat"]).stats.values()) == {-1}
    assert coco.evaluate([], [], []).per_class["AP"].shape == (0,)
    assert capfd.readouterr() == ("", "")


def test_ids_may_be_names_and_ties_go_by_id():
    truth = [sample("b", [[0, 0, 10, 10]]), sample("a", [[0, 0, 10, 10]]), sample(3)]
    detections = [found("a", [[50, 50, 60, 60]], [0.5]), found("b", [[0, 0, 10, 10]], [0.5])]
    # "a" comes first: its wrong detection outranks the equally scored right one.
    assert coco.evaluate(truth, detections, ["cat"]).stats["AP50"] == pytest.approx(0.5 * 51 / 101)
    with pytest.raises(ValueError, match="detections of image 'c', which is not among the 3 samples"):
        coco.evaluate(truth, [found("c")], ["cat"])


def test_the_coco_fixture_digit_for_digit(shared, capfd):
    truth = json.loads((shared("data/coco_eval") / "instances_val2014_100.json").read_text())
    results = json.loads((shared("data/coco_eval") / "instances_val2014_fakebbox100_results.json").read_text())
    samples, detections, names = read_fixture(truth, results)
    result = coco.evaluate(samples, detections, names)
    assert {name: round(value, 3) for name, value in result.stats.items()} == EXPECTED
    for index, record in enumerate(results):
        record |= {"id": index + 1, "area": record["bbox"][2] * record["bbox"][3], "iscrowd": 0}
    stats, ap = run_pycocotools(truth, results)
    assert result.stats == stats
    np.testing.assert_allclose(result.per_class["AP"], ap["AP"], rtol=0, atol=1e-12)
    np.testing.assert_allclose(result.per_class["AP50"], ap["AP50"], rtol=0, atol=1e-12)
    assert capfd.readouterr() == ("", "")


def read_fixture(truth, results):
    """Samples as a reader gives them, float32 corners included."""
    labels = {category["id"]: k for k, category in enumerate(sorted(truth["categories"], key=lambda c: c["id"]))}

    def gather(records, image_id):
        mine = [record for record in records if record["image_id"] == image_id]
        boxes = np.array([record["bbox"] for record in mine], np.float64).reshape(-1, 4)
        boxes[:, 2:] += boxes[:, :2]
        return mine, boxes.astype(np.float32), [labels[record["category_id"]] for record in mine]

    samples, detections = [], []
    for image_id in [image["id"] for image in truth["images"]]:
        mine, boxes, classes = gather(truth["annotations"], image_id)
        areas, crowd = np.array([record["area"] for record in mine]), [record["iscrowd"] for record in mine]
        samples.append(sample(image_id, boxes, classes, crowd, areas=areas))
        mine, boxes, classes = gather(results, image_id)
        detections.append(found(image_id, boxes, [record["score"] for record in mine], classes))
    names = [category["name"] for category in sorted(truth["categories"], key=lambda c: c["id"])]
    return samples, detections, names
