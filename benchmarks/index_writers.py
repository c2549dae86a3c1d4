"""Writes the data set of `indexing.py` in the formats that the package reads and does not write.

Each function takes the images and boxes and an empty folder, and writes the layout of the format's own tool.
"""

from __future__ import annotations

import json
from collections.abc import Callable, Iterable, Iterator
from pathlib import Path
from typing import Any

from keras_retinanet.data.writers import OutputSplit, make_jobs
from keras_retinanet.data.writers.jobs import place_images

Box = tuple[float, float, float, float, int]
"""x1, y1, x2, y2, label."""


def _link(part: OutputSplit, folder: Path) -> None:
    for name in part.names:
        (folder / name).parent.mkdir(parents=True, exist_ok=True)
    for job in make_jobs("coco", str(folder), part, "link", 1):
        place_images(job, folder, int)


def _write(file: Path, text: str) -> None:
    file.parent.mkdir(parents=True, exist_ok=True)
    file.write_text(text)


def _images(part: OutputSplit) -> Iterator[tuple[str, int, int, list[Box]]]:
    """Name, width, height and boxes of each image."""
    for sample, name in zip(part.samples, part.names, strict=True):
        height, width = sample["size"]
        boxes = [(*box, int(label)) for box, label in zip(sample["boxes"].tolist(), sample["labels"], strict=True)]
        yield name, width, height, boxes  # type: ignore[misc]


def _dump_list(items: Iterable[Any], file: Path, start: str = "[", end: str = "]", separator: str = ",") -> None:
    file.parent.mkdir(parents=True, exist_ok=True)
    with file.open("w") as out:
        out.write(start)
        for number, item in enumerate(items):
            out.write((separator if number else "") + json.dumps(item))
        out.write(end)


def write_labelme(part: OutputSplit, folder: Path) -> None:
    """One JSON file per image, without the embedded picture."""
    _link(part, folder)
    for name, width, height, boxes in _images(part):
        shapes = [
            {"label": part.class_names[label], "points": [[x1, y1], [x2, y2]], "group_id": None, "description": "",
             "shape_type": "rectangle", "flags": {}}
            for x1, y1, x2, y2, label in boxes
        ]  # fmt: skip
        page = {"version": "6.3.1", "flags": {}, "shapes": shapes, "imagePath": Path(name).name, "imageData": None}
        page |= {"imageHeight": height, "imageWidth": width}
        _write((folder / name).with_suffix(".json"), json.dumps(page, indent=2))


def write_cvat(part: OutputSplit, folder: Path) -> None:
    """CVAT for images 1.1."""
    _link(part, folder / "images")
    labels = "".join(f"<label><name>{name}</name></label>" for name in part.class_names)
    with (folder / "annotations.xml").open("w") as out:
        out.write('<?xml version="1.0" encoding="utf-8"?>\n<annotations>\n<version>1.1</version>\n')
        out.write(f"<meta><task><labels>{labels}</labels></task></meta>\n")
        for number, (name, width, height, boxes) in enumerate(_images(part)):
            out.write(f'<image id="{number}" name="{name}" width="{width}" height="{height}">\n')
            out.writelines(
                f'<box label="{part.class_names[label]}" source="manual" occluded="0" xtl="{x1:.2f}" ytl="{y1:.2f}" '
                f'xbr="{x2:.2f}" ybr="{y2:.2f}" z_order="0"></box>\n'
                for x1, y1, x2, y2, label in boxes
            )
            out.write("</image>\n")
        out.write("</annotations>\n")


def write_label_studio(part: OutputSplit, folder: Path) -> None:
    """Label Studio's JSON export."""
    _link(part, folder / "images")

    def task(number: int, name: str, width: int, height: int, boxes: list[Box]) -> dict[str, Any]:
        result = [
            {"id": f"r{place}", "type": "rectanglelabels", "from_name": "label", "to_name": "image",
             "original_width": width, "original_height": height, "image_rotation": 0,
             "value": {"x": 100 * x1 / width, "y": 100 * y1 / height, "width": 100 * (x2 - x1) / width,
                       "height": 100 * (y2 - y1) / height, "rotation": 0, "rectanglelabels": [part.class_names[label]]}}
            for place, (x1, y1, x2, y2, label) in enumerate(boxes)
        ]  # fmt: skip
        annotation = {"id": number, "completed_by": 1, "result": result, "was_cancelled": False}
        return {"id": number, "data": {"image": f"/data/upload/1/{name}"}, "annotations": [annotation]}

    _dump_list((task(number, *image) for number, image in enumerate(_images(part), 1)), folder / "project.json")


def write_via(part: OutputSplit, folder: Path) -> None:
    """VIA 2's annotations as JSON."""
    _link(part, folder)
    pages = {}
    for name, _, _, boxes in _images(part):
        regions = [
            {"shape_attributes": {"name": "rect", "x": x1, "y": y1, "width": x2 - x1, "height": y2 - y1},
             "region_attributes": {"class": part.class_names[label]}}
            for x1, y1, x2, y2, label in boxes
        ]  # fmt: skip
        pages[f"{name}1000"] = {"filename": name, "size": 1000, "regions": regions, "file_attributes": {}}
    (folder / "via_region_data.json").write_text(json.dumps(pages))


def write_createml(part: OutputSplit, folder: Path) -> None:
    """CreateML."""
    _link(part, folder)
    pages = (
        {"image": name, "annotations": [
            {"label": part.class_names[label],
             "coordinates": {"x": (x1 + x2) / 2, "y": (y1 + y2) / 2, "width": x2 - x1, "height": y2 - y1}}
            for x1, y1, x2, y2, label in boxes
        ]}
        for name, _, _, boxes in _images(part)
    )  # fmt: skip
    _dump_list(pages, folder / "_annotations.createml.json")


def write_datumaro(part: OutputSplit, folder: Path) -> None:
    """Datumaro."""
    _link(part, folder / "images" / "train")
    categories = {"label": {"labels": [{"name": name, "parent": "", "attributes": []} for name in part.class_names]}}
    items = (
        {"id": Path(name).stem, "annotations": [
            {"id": place, "type": "bbox", "attributes": {}, "group": 0, "label_id": label, "z_order": 0,
             "bbox": [x1, y1, x2 - x1, y2 - y1]}
            for place, (x1, y1, x2, y2, label) in enumerate(boxes)
        ], "image": {"path": name, "size": [height, width]}}
        for name, width, height, boxes in _images(part)
    )  # fmt: skip
    start = '{"info": {}, "categories": ' + json.dumps(categories) + ', "items": ['
    _dump_list(items, folder / "annotations" / "train.json", start, "]}")


def write_visdrone(part: OutputSplit, folder: Path) -> None:
    """VisDrone DET; it has ten classes."""
    _link(part, folder / "images")
    for name, _, _, boxes in _images(part):
        lines = [
            f"{x1:.0f},{y1:.0f},{x2 - x1:.0f},{y2 - y1:.0f},1,{label % 10 + 1},0,0\n" for x1, y1, x2, y2, label in boxes
        ]
        _write((folder / "annotations" / name).with_suffix(".txt"), "".join(lines))


def write_wider(part: OutputSplit, folder: Path) -> None:
    """WIDER FACE."""
    _link(part, folder / "WIDER_train" / "images" / "0--Parade")
    (folder / "wider_face_split").mkdir()
    with (folder / "wider_face_split" / "wider_face_train_bbx_gt.txt").open("w") as out:
        for name, _, _, boxes in _images(part):
            out.write(f"0--Parade/{name}\n{len(boxes)}\n")
            out.writelines(
                f"{x1:.0f} {y1:.0f} {x2 - x1:.0f} {y2 - y1:.0f} 0 0 0 0 0 0 \n" for x1, y1, x2, y2, _ in boxes
            )
            if not boxes:
                out.write("0 0 0 0 0 0 0 0 0 0 \n")


def write_crowd_human(part: OutputSplit, folder: Path) -> None:
    """CrowdHuman."""
    _link(part, folder / "Images")
    lines = (
        {"ID": Path(name).stem, "gtboxes": [
            {"tag": "person", "fbox": box, "vbox": box, "hbox": box, "extra": {"box_id": place}, "head_attr": {}}
            for place, box in enumerate([round(x1), round(y1), round(x2 - x1), round(y2 - y1)]
                                        for x1, y1, x2, y2, _ in boxes)
        ]}
        for name, _, _, boxes in _images(part)
    )  # fmt: skip
    _dump_list(lines, folder / "annotation_train.odgt", "", "\n", "\n")


def write_dota(part: OutputSplit, folder: Path) -> None:
    """DOTA: corners, clockwise."""
    _link(part, folder / "images")
    for name, _, _, boxes in _images(part):
        lines = ["imagesource:GoogleEarth\ngsd:0.1\n"] + [
            f"{x1:.1f} {y1:.1f} {x2:.1f} {y1:.1f} {x2:.1f} {y2:.1f} {x1:.1f} {y2:.1f} class-{label} 0\n"
            for x1, y1, x2, y2, label in boxes
        ]
        _write((folder / "labelTxt" / name).with_suffix(".txt"), "".join(lines))


def write_bdd100k(part: OutputSplit, folder: Path) -> None:
    """BDD100K's detection labels."""
    _link(part, folder / "images" / "100k" / "train")
    frames = (
        {"name": name, "attributes": {}, "timestamp": 10000, "labels": [
            {"id": str(place), "category": part.class_names[label], "attributes": {},
             "box2d": {"x1": x1, "y1": y1, "x2": x2, "y2": y2}}
            for place, (x1, y1, x2, y2, label) in enumerate(boxes)
        ]}
        for name, _, _, boxes in _images(part)
    )  # fmt: skip
    _dump_list(frames, folder / "labels" / "det_20" / "det_train.json")


def write_sagemaker(part: OutputSplit, folder: Path) -> None:
    """SageMaker Ground Truth."""
    _link(part, folder)
    names = {str(label): name for label, name in enumerate(part.class_names)}
    lines = (
        {"source-ref": f"s3://bucket/{name}",
         "boxes": {"image_size": [{"width": width, "height": height, "depth": 3}], "annotations": [
             {"class_id": label, "left": round(x1), "top": round(y1), "width": round(x2 - x1),
              "height": round(y2 - y1)} for x1, y1, x2, y2, label in boxes]},
         "boxes-metadata": {"class-map": names if not number else {str(box[4]): names[str(box[4])] for box in boxes},
                            "type": "groundtruth/object-detection", "human-annotated": "yes"}}
        for number, (name, width, height, boxes) in enumerate(_images(part))
    )  # fmt: skip
    _dump_list(lines, folder / "output.manifest", "", "\n", "\n")


def write_vertex(part: OutputSplit, folder: Path) -> None:
    """Vertex AI's JSON lines."""
    _link(part, folder)
    lines = (
        {"imageGcsUri": f"gs://bucket/{name}", "boundingBoxAnnotations": [
            {"displayName": part.class_names[label], "xMin": x1 / width, "yMin": y1 / height, "xMax": x2 / width,
             "yMax": y2 / height} for x1, y1, x2, y2, label in boxes],
         "dataItemResourceLabels": {"aiplatform.googleapis.com/ml_use": "training"}}
        for name, width, height, boxes in _images(part)
    )  # fmt: skip
    _dump_list(lines, folder / "train.jsonl", "", "\n", "\n")


def write_labelbox(part: OutputSplit, folder: Path) -> None:
    """Labelbox's export of version 2."""
    _link(part, folder)
    lines = (
        {"data_row": {"id": f"row{number}", "external_id": name, "row_data": f"https://storage/{name}"},
         "media_attributes": {"height": height, "width": width, "mime_type": "image/png"},
         "projects": {"project": {"name": "p", "labels": [{"label_kind": "Default", "annotations": {"objects": [
             {"feature_id": f"f{place}", "name": part.class_names[label], "annotation_kind": "ImageBoundingBox",
              "bounding_box": {"top": y1, "left": x1, "height": y2 - y1, "width": x2 - x1}}
             for place, (x1, y1, x2, y2, label) in enumerate(boxes)], "classifications": [], "relationships": []}}]}}}
        for number, (name, width, height, boxes) in enumerate(_images(part))
    )  # fmt: skip
    _dump_list(lines, folder / "export.ndjson", "", "\n", "\n")


WRITERS: dict[str, Callable[[OutputSplit, Path], None]] = {
    "labelme": write_labelme,
    "cvat": write_cvat,
    "labelstudio": write_label_studio,
    "via": write_via,
    "createml": write_createml,
    "datumaro": write_datumaro,
    "visdrone": write_visdrone,
    "wider": write_wider,
    "crowdhuman": write_crowd_human,
    "dota": write_dota,
    "bdd100k": write_bdd100k,
    "sagemaker": write_sagemaker,
    "vertex": write_vertex,
    "labelbox": write_labelbox,
}
