import contextlib
import io

import numpy as np
from pycocotools.coco import COCO
from pycocotools.cocoeval import COCOeval

from keras_retinanet.evaluation import matching


def test_coco_takes_the_best_free_box_and_regions_last():
    overlaps = np.array([[0.9, 0.6, 0.8], [0.8, 0.7, 0.9], [0.7, 0.2, 0.9], [0.0, 0.0, 0.9], [0.4, 0.4, 0.4]])
    ignore = np.array([False, False, True])
    assert matching.match_by_coco(overlaps, ignore, 0.5).tolist() == [0, 1, 2, 2, -1]
    assert matching.match_by_coco(overlaps[:, :0], ignore[:0], 0.5).tolist() == [-1] * 5


def test_voc_looks_at_one_box_only():
    overlaps = np.array([[0.9, 0.6, 0.8], [0.8, 0.7, 0.1], [0.7, 0.2, 0.9], [0.0, 0.0, 0.9], [0.4, 0.4, 0.4]])
    ignore = np.array([False, False, True])
    assert matching.match_by_voc(overlaps, ignore, 0.5).tolist() == [0, -1, 2, 2, -1]


def test_numbers_of_detections_above_a_threshold():
    assert matching.cuts(np.array([0.9, 0.8, 0.8, 0.3])).tolist() == [0, 1, 3, 4]
    assert matching.cuts(np.zeros(0)).tolist() == [0]


def test_verdicts_equal_pycocotools():
    """Random images with crowds, tied scores and tied overlaps; two classes."""
    rng = np.random.default_rng(5)
    pairs = []
    for image in range(30):
        corners = rng.integers(0, 60, (12, 2)) // 10 * 10
        boxes = np.concatenate([corners, corners + rng.integers(2, 5, (12, 2)) * 10], axis=1).astype(np.float32)
        truth = {"image_id": image, "boxes": boxes[:7], "labels": rng.integers(0, 2, 7),
                 "ignore": rng.uniform(size=7) < 0.2}  # fmt: skip
        moved = boxes[rng.integers(0, 12, 20)] + rng.integers(-2, 3, (20, 4)) * 2
        scores = rng.choice([0.2, 0.4, 0.6, 0.8], 20)
        pairs.append((truth, {"image_id": image, "boxes": moved, "scores": scores, "labels": rng.integers(0, 2, 20)}))
    for threshold in (0.3, 0.5, 0.75):
        matches = matching.match_images(pairs, matching.match_by_coco, threshold)
        expected = pycocotools_verdicts(pairs, threshold)
        for image in range(30):
            for label in range(2):
                mine = (matches.image == image) & (matches.label == label)
                assert matches.verdict[mine].tolist() == expected.get((image, label), []), (image, label, threshold)
        assert ((matches.overlap > 0) == (matches.verdict != matching.WRONG)).all()
        assert (matches.overlap[matches.verdict == matching.RIGHT] >= threshold).all()


def pycocotools_verdicts(pairs, threshold):
    sides = []
    for side in range(2):
        records = []
        for pair in pairs:
            entry = pair[side]
            for k, (x1, y1, x2, y2) in enumerate(np.asarray(entry["boxes"], float).tolist()):
                record = {"id": len(records) + 1, "image_id": entry["image_id"], "category_id": int(entry["labels"][k])}
                record |= {"bbox": [x1, y1, x2 - x1, y2 - y1], "area": (x2 - x1) * (y2 - y1), "iscrowd": 0}
                records.append(
                    record | ({"score": entry["scores"][k]} if side else {"iscrowd": int(entry["ignore"][k])})
                )
        sides.append(COCO())
        images, classes = [{"id": pair[0]["image_id"]} for pair in pairs], [{"id": 0}, {"id": 1}]
        sides[-1].dataset = {"images": images, "categories": classes, "annotations": records}
    with contextlib.redirect_stdout(io.StringIO()):
        for coco in sides:
            coco.createIndex()
        evaluator = COCOeval(*sides, "bbox")
        evaluator.params.iouThrs, evaluator.params.areaRng = np.array([threshold]), [[0, 1e10]]
        evaluator.params.areaRngLbl = ["all"]
        evaluator.evaluate()
    found = {}
    for entry in filter(None, evaluator.evalImgs):
        right, ignored = np.asarray(entry["dtMatches"][0]) > 0, np.asarray(entry["dtIgnore"][0]) > 0
        found[entry["image_id"], entry["category_id"]] = np.where(ignored, -1, right.astype(int)).tolist()
    return found
