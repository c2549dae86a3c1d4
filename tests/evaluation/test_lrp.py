import contextlib
import io
import json

import numpy as np
import pytest
from pycocotools.coco import COCO
from pycocotools.cocoeval import COCOeval

from keras_retinanet.evaluation import lrp
from keras_retinanet.evaluation.metric import MetricSettings


def sample(image_id, boxes, labels):
    arrays = {"labels": np.array(labels, int), "ignore": np.zeros(len(labels), bool)}
    return {"image": "a.jpg", "image_id": image_id, "boxes": np.array(boxes, np.float32).reshape(-1, 4), **arrays}


def found(image_id, boxes, scores, labels):
    arrays = {"scores": np.array(scores), "labels": np.array(labels, int)}
    return {"image_id": image_id, "boxes": np.array(boxes, np.float32).reshape(-1, 4), **arrays}


TRUTH = [sample(1, [[0, 0, 10, 10], [20, 0, 30, 10], [40, 0, 50, 10]], [0, 0, 1])]
FOUND = [
    # class 0: IoU .9, a miss, IoU .8; class 1: nothing
    found(1, [[0, 0, 10, 9], [90, 90, 99, 99], [20, 0, 30, 8]], [0.9, 0.6, 0.5], [0, 0, 0])
]  # fmt: skip


def test_a_worked_case():
    result = lrp.evaluate(TRUTH, FOUND, ["cat", "dog", "cow"])
    # After 1 detection: (.1/.5 + 1) / 2 = .6; after 2: (.2 + 1 + 1) / 3 = .733; after 3: (.2 + .4 + 1) / 3 = .533.
    cat = {name: column[0] for name, column in result.per_class.items()}
    assert cat == pytest.approx(
        {"oLRP": 1.6 / 3, "oLRP_box": 0.15, "oLRP_fp": 1 / 3, "oLRP_fn": 0, "LRP": 1.6 / 3}, abs=1e-6
    )
    dog = {name: column[1] for name, column in result.per_class.items()}
    assert (dog["oLRP"], dog["oLRP_fn"], dog["LRP"]) == (1, 1, 1)
    assert np.isnan([dog["oLRP_box"], dog["oLRP_fp"]]).all()  # nothing is found
    assert np.isnan([column[2] for column in result.per_class.values()]).all()  # no boxes
    assert result.stats == pytest.approx(
        {"oLRP": (1.6 / 3 + 1) / 2, "oLRP_box": 0.15, "oLRP_fp": 1 / 3, "oLRP_fn": 0.5, "LRP": (1.6 / 3 + 1) / 2},
        abs=1e-6,
    )
    assert set(result.comparable_with.values()) == {"LRP paper"}


def test_the_best_threshold_leaves_wrong_detections_out():
    wrong = found(1, [[0, 0, 10, 10], *[[90, 90, 99, 99]] * 3], [0.9, 0.2, 0.2, 0.1], [0] * 4)
    result = lrp.evaluate([sample(1, [[0, 0, 10, 10]], [0])], [wrong], ["cat"])
    assert (result.stats["oLRP"], result.stats["oLRP_fp"], result.stats["LRP"]) == (0, 0, 0.75)
    scored = lrp.evaluate([sample(1, [[0, 0, 10, 10]], [0])], [wrong], ["cat"], MetricSettings(score_threshold=0.1))
    assert scored.stats["LRP"] == pytest.approx(2 / 3)
    assert scored.comparable_with["LRP"] == "own extension"


def test_iou_thresholds_change_the_weight_of_loose_boxes():
    result = lrp.evaluate(TRUTH, FOUND, ["cat"] * 2, MetricSettings(iou_thresholds=(0.5, 0.75, 0.85)))
    # .75: (.1/.25 + .2/.25 + 1) / 3 = .733, or the first alone (.4 + 1) / 2 = .7; .85: (.1/.15 + 1) / 2 = .833.
    assert result.per_class["oLRP"][0] == pytest.approx((1.6 / 3 + 0.7 + (0.1 / 0.15 + 1) / 2) / 3, abs=1e-6)


def test_nothing_annotated():
    assert set(lrp.evaluate([sample(1, [], [])], FOUND, ["cat"]).stats.values()) == {-1}
    assert set(lrp.evaluate([], [], []).stats.values()) == {-1}


def run_authors(truth, results):
    """`(K, 4)` oLRP, its parts for boxes, false positives and misses, by the authors' rules on pycocotools' matches.

    Reference: `accumulate` in pycocotools/pycocotools/cocoeval.py of https://github.com/kemaloksuz/LRP-Error.
    """
    with contextlib.redirect_stdout(io.StringIO()):
        sides = [COCO(), COCO()]
        for side, records in zip(sides, (truth["annotations"], results), strict=True):
            side.dataset = {**truth, "annotations": records}
            side.createIndex()
        evaluator = COCOeval(*sides, "bbox")
        evaluator.params.iouThrs, evaluator.params.areaRng = np.array([0.5]), [[0, 1e10]]
        evaluator.evaluate()
    rows = []
    for category in evaluator.params.catIds:
        images = [entry for entry in evaluator.evalImgs if entry and entry["category_id"] == category]
        num_boxes = sum(int((np.asarray(entry["gtIgnore"]) == 0).sum()) for entry in images)
        found = []  # score, right, wrong, IoU
        for entry in images:
            overlaps = evaluator.ious[entry["image_id"], category]
            columns = [box["id"] for box in evaluator._gts[entry["image_id"], category]]
            for row, score in enumerate(entry["dtScores"]):
                box, is_ignored = entry["dtMatches"][0, row], entry["dtIgnore"][0, row]
                is_right = bool(box) and not is_ignored
                found.append((score, is_right, not box and not is_ignored,
                              overlaps[row, columns.index(box)] if is_right else 0))  # fmt: skip
        score, right, wrong, overlap = np.array(found, float).reshape(-1, 4).T
        order = np.argsort(-score, kind="mergesort")
        right, wrong, loose = (np.cumsum(part[order]) for part in (right, wrong, right * (1 - overlap)))
        if not num_boxes:
            rows.append([np.nan] * 4)
        elif not right.any():
            rows.append([1, np.nan, np.nan, 1])
        else:
            missed = num_boxes - right
            errors = (loose / 0.5 + wrong + missed) / (right + wrong + missed)
            best = errors.argmin()
            parts = loose[best] / right[best], wrong[best] / (right[best] + wrong[best]), missed[best] / num_boxes
            rows.append([errors[best], *parts])
    return np.array(rows)


def to_samples(truth, results):
    labels = {category["id"]: k for k, category in enumerate(truth["categories"])}
    samples, detections = [], []
    for image in truth["images"]:
        mine, theirs = ([one for one in records if one["image_id"] == image["id"]]
                        for records in (truth["annotations"], results))  # fmt: skip
        boxes, hits = (np.array([one["bbox"] for one in records], float).reshape(-1, 4) for records in (mine, theirs))
        boxes[:, 2:] += boxes[:, :2]
        hits[:, 2:] += hits[:, :2]
        kinds, guesses = ([labels[one["category_id"]] for one in records] for records in (mine, theirs))
        crowds = np.array([one["iscrowd"] for one in mine], bool)
        samples.append({**sample(image["id"], boxes, kinds), "boxes": boxes, "ignore": crowds})
        detections.append({**found(image["id"], hits, [one["score"] for one in theirs], guesses), "boxes": hits})
    return samples, detections


def assert_equal_to_authors(truth, results):
    for records in (truth["annotations"], results):
        for number, record in enumerate(records, 1):
            record |= {"id": number, "area": record["bbox"][2] * record["bbox"][3]}
    expected = run_authors(truth, [record | {"iscrowd": 0} for record in results])
    names = [category["name"] for category in truth["categories"]]
    per_class = lrp.evaluate(*to_samples(truth, results), names).per_class
    actual = np.stack([per_class[name] for name in ("oLRP", "oLRP_box", "oLRP_fp", "oLRP_fn")], axis=1)
    np.testing.assert_allclose(actual, expected, rtol=0, atol=1e-12)
    return expected


def test_coco_s_example_equals_the_authors(shared):
    truth = json.loads((shared("data/coco_eval") / "instances_val2014_100.json").read_text())
    results = json.loads((shared("data/coco_eval") / "instances_val2014_fakebbox100_results.json").read_text())
    expected = assert_equal_to_authors(truth, results)
    assert np.nanmean(expected, axis=0) == pytest.approx([0.5015, 0.1330, 0.1274, 0.2312], abs=1e-4)


@pytest.mark.parametrize("seed", range(3))
def test_crowds_and_absent_classes_equal_the_authors(seed):
    """Class 3 is never annotated, class 4 never found; detections in crowds do not count."""
    rng = np.random.default_rng(seed)
    truth = {
        "images": [{"id": k} for k in range(1, 16)],
        "categories": [{"id": k, "name": f"class {k}"} for k in range(1, 5)],
        "annotations": [
            {"image_id": int(rng.integers(1, 16)), "category_id": int(rng.choice([1, 2, 4])),
             "bbox": [*rng.uniform(0, 200, 2), *rng.uniform(10, 120, 2)], "iscrowd": int(rng.uniform() < 0.25)}
            for _ in range(60)
        ],
    }  # fmt: skip
    near = [
        {**record, "bbox": (np.array(record["bbox"]) * rng.normal(1, 0.08, 4)).tolist(), "score": float(rng.uniform())}
        for record in truth["annotations"] * 2
        if record["category_id"] != 4
    ]
    stray = [
        {"image_id": int(rng.integers(1, 16)), "category_id": int(rng.integers(1, 4)),
         "bbox": [*rng.uniform(0, 200, 2), *rng.uniform(10, 120, 2)], "score": float(rng.uniform() ** 2)}
        for _ in range(60)
    ]  # fmt: skip
    expected = assert_equal_to_authors(truth, near + stray)
    assert np.isnan(expected[2]).all()
    assert expected[3, [0, 3]].tolist() == [1, 1]
    assert (expected[:2, 0] > 0.3).all()
    assert (expected[:2, 0] < 0.95).all()
