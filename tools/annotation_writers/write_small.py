"""Writers that share one environment: supervision, labelformat, Label Studio's SDK, globox, pylabel and SAHI."""

from __future__ import annotations

import json
import shutil
from pathlib import Path
from typing import Any

from common import BOXES, CLASSES, SIZES, coco, run

CONFIG = (
    '<View><Image name="image" value="$image"/><RectangleLabels name="label" toName="image">'
    + "".join(f'<Label value="{name}"/>' for name in CLASSES)
    + "</RectangleLabels></View>"
)


def _copy(source: Path, folder: Path) -> Path:
    shutil.copytree(source, folder, dirs_exist_ok=True)
    return folder


def _supervision(source: Path) -> Any:
    import supervision

    return supervision.DetectionDataset.from_coco(str(source), str(coco(source)))


def _write_supervision_coco(source: Path, out: Path) -> None:
    _supervision(source).as_coco(str(out / "images"), str(out / "annotations.json"))


def _write_supervision_voc(source: Path, out: Path) -> None:
    _supervision(source).as_pascal_voc(str(out / "images"), str(out / "annotations"))


def _write_supervision_yolo(source: Path, out: Path) -> None:
    _supervision(source).as_yolo(str(out / "images"), str(out / "labels"), str(out / "data.yaml"))


def _write_supervision_createml(source: Path, out: Path) -> None:
    _supervision(source).as_createml(str(out / "images"), str(out / "annotations.json"))


def _write_supervision_labelme(source: Path, out: Path) -> None:
    _supervision(source).as_labelme(str(out / "images"), str(out / "annotations"))


def _labelformat(source: Path) -> Any:
    from labelformat.formats import COCOObjectDetectionInput

    return COCOObjectDetectionInput(input_file=coco(source))


def _write_labelformat_coco(source: Path, out: Path) -> None:
    from labelformat.formats import COCOObjectDetectionOutput

    _copy(source, out / "images")
    COCOObjectDetectionOutput(output_file=out / "train.json").save(_labelformat(source))


def _write_labelformat_voc(source: Path, out: Path) -> None:
    from labelformat.formats import PascalVOCObjectDetectionOutput

    _copy(source, out / "images")
    PascalVOCObjectDetectionOutput(output_folder=out / "annotations").save(_labelformat(source))


def _write_labelformat_yolo(source: Path, out: Path) -> None:
    from labelformat.formats import YOLOv8ObjectDetectionOutput

    _copy(source, out / "images")
    YOLOv8ObjectDetectionOutput(output_file=out / "data.yaml", output_split="train").save(_labelformat(source))


def _write_labelformat_kitti(source: Path, out: Path) -> None:
    from labelformat.formats import KittiObjectDetectionOutput

    _copy(source, out / "images")
    KittiObjectDetectionOutput(output_folder=out / "labels").save(_labelformat(source))


def _write_labelformat_cvat(source: Path, out: Path) -> None:
    from labelformat.formats import CVATObjectDetectionOutput

    _copy(source, out / "images")
    CVATObjectDetectionOutput(output_folder=out, output_annotation_scope="task").save(_labelformat(source))


def _tasks(source: Path) -> list[dict[str, Any]]:
    tasks = []
    for number, (name, (width, height)) in enumerate(SIZES.items(), 1):
        result = [
            {
                "id": f"r{number}{place}", "type": "rectanglelabels", "from_name": "label", "to_name": "image",
                "original_width": width, "original_height": height, "image_rotation": 0,
                "value": {
                    "x": 100 * x1 / width, "y": 100 * y1 / height, "width": 100 * (x2 - x1) / width,
                    "height": 100 * (y2 - y1) / height, "rotation": 0, "rectanglelabels": [label],
                },
            }
            for place, (label, x1, y1, x2, y2) in enumerate(BOXES[name])
        ]  # fmt: skip
        annotation = {
            "id": number,
            "result": result,
            "completed_by": 1,
            "created_at": "2026-01-01",
            "was_cancelled": False,
        }
        tasks.append({"id": number, "data": {"image": str(source / name)}, "annotations": [annotation]})
    return tasks


def _label_studio(source: Path, out: Path, name: str) -> None:
    from label_studio_sdk.converter import Converter

    file = source.parent / "tasks.json"
    file.write_text(json.dumps(_tasks(source)))
    converter = Converter(config=CONFIG, project_dir=str(source.parent), download_resources=True)
    converter.convert(str(file), str(out), name, is_dir=False)


def _write_label_studio_coco(source: Path, out: Path) -> None:
    _label_studio(source, out, "COCO")
    _copy(source, out / "images")


def _write_label_studio_voc(source: Path, out: Path) -> None:
    _label_studio(source, out, "VOC")
    _copy(source, out / "images")


def _write_label_studio_yolo(source: Path, out: Path) -> None:
    _label_studio(source, out, "YOLO")
    _copy(source, out / "images")


def _write_label_studio_json(source: Path, out: Path) -> None:
    (out / "export.json").write_text(json.dumps(_tasks(source)))
    _copy(source, out)


def _write_label_studio_json_min(source: Path, out: Path) -> None:
    _label_studio(source, out, "JSON_MIN")
    _copy(source, out)


def _globox(source: Path) -> Any:
    import globox

    return globox.AnnotationSet.from_coco(file_path=coco(source))


def _write_globox_coco(source: Path, out: Path) -> None:
    _copy(source, out / "images")
    _globox(source).save_coco(path=out / "coco.json", auto_ids=True)


def _write_globox_voc(source: Path, out: Path) -> None:
    _copy(source, out / "images")
    (out / "annotations").mkdir()
    _globox(source).save_pascal_voc(save_dir=out / "annotations")


def _write_globox_yolo(source: Path, out: Path) -> None:
    _copy(source, out / "images")
    (out / "labels").mkdir()
    _globox(source).save_yolo_v5(save_dir=out / "labels", label_to_id={"cat": 0, "dog": 1})


def _write_globox_open_images(source: Path, out: Path) -> None:
    _copy(source, out)
    _globox(source).save_openimage(path=out / "annotations.csv")


def _write_globox_cvat(source: Path, out: Path) -> None:
    _copy(source, out / "images")
    _globox(source).save_cvat(path=out / "annotations.xml")


def _write_globox_labelme(source: Path, out: Path) -> None:
    _copy(source, out)
    _globox(source).save_labelme(save_dir=out)


def _write_globox_via(source: Path, out: Path) -> None:
    _copy(source, out)
    _globox(source).save_via_json(path=out / "via.json", image_folder=out)


def _pylabel(source: Path) -> Any:
    from pylabel import importer

    file = coco(source, has_empty=False)  # it repeats the row before an empty image
    return importer.ImportCoco(str(file), path_to_images=f"{source}/", name="tiny")


def _write_pylabel_coco(source: Path, out: Path) -> None:
    _copy(source, out / "images")
    _pylabel(source).export.ExportToCoco(str(out / "coco.json"))


def _write_pylabel_voc(source: Path, out: Path) -> None:
    _copy(source, out / "images")
    _pylabel(source).export.ExportToVoc(output_path=str(out / "annotations"))


def _write_pylabel_yolo(source: Path, out: Path) -> None:
    _pylabel(source).export.ExportToYoloV5(
        output_path=str(out / "labels"), yaml_file="dataset.yaml", copy_images=True, cat_id_index=0
    )


def _write_sahi_slices(source: Path, out: Path) -> None:
    from sahi.slicing import slice_coco

    slice_coco(str(coco(source)), image_dir=str(source), output_coco_annotation_file_name="sliced", output_dir=str(out),
               slice_height=2000, slice_width=2000, ignore_negative_samples=False, out_ext=".jpg")  # fmt: skip


def _write_sahi_yolo(source: Path, out: Path) -> None:
    from sahi.utils.coco import Coco

    Coco.from_coco_dict_or_path(str(coco(source)), image_dir=str(source)).export_as_yolo(
        output_dir=str(out), train_split_rate=1
    )


WRITERS = {
    "supervision": {
        "COCO": _write_supervision_coco,
        "Pascal VOC": _write_supervision_voc,
        "YOLO": _write_supervision_yolo,
        "CreateML": _write_supervision_createml,
        "labelme": _write_supervision_labelme,
    },
    "labelformat": {
        "COCO": _write_labelformat_coco,
        "Pascal VOC": _write_labelformat_voc,
        "YOLO": _write_labelformat_yolo,
        "KITTI": _write_labelformat_kitti,
        "CVAT XML": _write_labelformat_cvat,
    },
    "label-studio-sdk": {
        "COCO": _write_label_studio_coco,
        "Pascal VOC": _write_label_studio_voc,
        "YOLO": _write_label_studio_yolo,
        "JSON": _write_label_studio_json,
        "JSON-MIN": _write_label_studio_json_min,
    },
    "globox": {
        "COCO": _write_globox_coco,
        "Pascal VOC": _write_globox_voc,
        "YOLO (texts only)": _write_globox_yolo,
        "Open Images": _write_globox_open_images,
        "CVAT XML": _write_globox_cvat,
        "labelme": _write_globox_labelme,
        "VIA JSON": _write_globox_via,
    },
    "pylabel": {
        "COCO": _write_pylabel_coco,
        "Pascal VOC": _write_pylabel_voc,
        "YOLO": _write_pylabel_yolo,
    },
    "sahi": {
        "COCO slices": _write_sahi_slices,
        "YOLO": _write_sahi_yolo,
    },
}

if __name__ == "__main__":
    for package, writers in WRITERS.items():
        run(package, writers)
