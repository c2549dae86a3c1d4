"""Every module has its tests at its own path, or in the file that this table names."""

from __future__ import annotations

from pathlib import Path

ROOT = Path(__file__).resolve().parents[1]
PACKAGE, TESTS = ROOT / "keras_retinanet", ROOT / "tests"

TESTED_ELSEWHERE = {
    "anchor_coverage/coverage": "anchor_coverage/test_anchor_coverage",
    "anchor_coverage/fit": "anchor_coverage/test_anchor_coverage",
    "anchor_coverage/network_boxes": "anchor_coverage/test_anchor_coverage",
    "assigners/assigner": "assigners/test_assigners",
    "backbones/application_weights": "backbones/test_weights",
    "backbones/applications": "backbones/test_backbones",
    "backbones/dtype": "training/test_initial_weights",
    "backbones/resnet_names": "backbones/test_resnet",
    "cli/debug": "cli/test_doctor",
    "cli/detect_sources": "cli/test_detect",
    "cli/import_checkpoint": "importers/test_moving_over",
    "cli/network_settings": "importers/test_moving_over",
    "cli/old_flags": "importers/test_moving_over",
    "cli/parsing": "cli/test_train",
    "cli/snapshot_arguments": "cli/test_convert_model",
    "config/constants": "losses/test_losses",
    "config/names": "backbones/test_backbones",
    "config/network_settings": "config/test_tree",
    "config/rules": "data/test_open_dataset",
    "config/settings": "config/test_tree",
    "config/usage_settings": "config/test_tree",
    "data/box_columns": "training/test_prepare",
    "data/data_summary": "cli/test_entrance",
    "data/datasets/annotations": "data/datasets/test_coco",
    "data/datasets/box_cleaning": "data/datasets/test_coco",
    "data/datasets/coco_fields": "data/datasets/test_coco_annotations",
    "data/datasets/csv_cells": "data/datasets/test_csv_dialects",
    "data/datasets/csv_rows": "data/datasets/test_csv_file",
    "data/datasets/demo": "demo/test_scenes",
    "data/datasets/image_places": "data/datasets/test_csv_layouts",
    "data/datasets/kitti_files": "data/datasets/test_kitti",
    "data/datasets/label_hierarchy": "data/datasets/test_open_images",
    "data/datasets/reader": "test_extending",
    "data/datasets/record_files": "data/datasets/test_tfrecord",
    "data/datasets/text_files": "data/datasets/test_yolo",
    "data/datasets/voc_files": "data/datasets/test_voc_layouts",
    "data/datasets/voc_lists": "data/datasets/test_voc_layouts",
    "data/datasets/voc_xml": "data/datasets/test_pascal",
    "data/datasets/yolo_classes": "data/datasets/test_yolo_layouts",
    "data/datasets/yolo_paths": "data/datasets/test_yolo_layouts",
    "data/datasets/yolo_readings": "data/datasets/test_yolo_rows",
    "data/datasets/yolo_recognition": "data/datasets/test_yolo_layouts",
    "data/datasets/yolo_sets": "data/datasets/test_yolo_layouts",
    "data/datasets/yolo_texts": "data/datasets/test_yolo_files",
    "data/exif_graph": "data/test_exif",
    "data/image_rule": "data/datasets/test_frames",
    "data/near_duplicates": "doctor/test_diagnosis",
    "data/sixteen_bits": "data/datasets/test_bit_depths",
    "data/writers/coco": "data/test_conversion",
    "data/writers/csv_file": "data/test_conversion",
    "data/writers/jobs": "data/test_conversion",
    "data/writers/pascal": "data/test_conversion",
    "data/writers/tfrecord": "data/test_conversion",
    "data/writers/yolo": "data/test_conversion",
    "demo/box_layout": "demo/test_scenes",
    "doctor/anchor_checks": "doctor/test_checks",
    "doctor/box_checks": "doctor/test_diagnosis",
    "doctor/class_checks": "doctor/test_diagnosis",
    "doctor/cleaning": "doctor/test_diagnosis",
    "doctor/findings": "doctor/test_diagnosis",
    "doctor/html_report": "doctor/test_diagnosis",
    "doctor/image_checks": "doctor/test_diagnosis",
    "doctor/image_scan": "doctor/test_diagnosis",
    "doctor/plots": "doctor/test_diagnosis",
    "doctor/split_scan": "doctor/test_diagnosis",
    "doctor/text_report": "doctor/test_diagnosis",
    "doctor/training_pictures": "anchor_coverage/test_anchor_coverage",
    "evaluation/metric": "evaluation/test_coco",
    "export/detection_graph": "export/test_saved_model",
    "export/keras_file": "cli/test_convert_model",
    "export/litert_file": "runtimes/test_runtimes",
    "export/onnx_file": "runtimes/test_runtimes",
    "export/openvino_folder": "runtimes/test_runtimes",
    "export/sample_images": "export/test_verification",
    "export/serving_graph": "export/test_saved_model",
    "geometry/nms": "geometry/test_filter_detections",
    "importers/assemble": "importers/test_parity",
    "importers/blueprint": "importers/test_mmdetection_config",
    "importers/class_lists": "importers/test_torch_sources",
    "importers/detectron2": "importers/test_torch_sources",
    "importers/fizyr_backbones": "importers/test_fizyr",
    "importers/fizyr_model_config": "importers/test_fizyr",
    "importers/head_shapes": "importers/test_torch_sources",
    "importers/mmdetection": "importers/test_torch_sources",
    "importers/resnet_depths": "importers/test_torch_sources",
    "importers/snapshot_check": "importers/test_parity",
    "importers/torchvision": "importers/test_torch_sources",
    "inference": "importers/test_moving_over",
    "losses/cross_entropy": "losses/test_losses",
    "losses/focal": "losses/test_losses",
    "losses/iou_losses": "losses/test_losses",
    "losses/quality": "losses/test_varifocal",
    "losses/smooth_l1": "losses/test_losses",
    "losses/targets": "losses/test_losses",
    "model/build": "model/test_retinanet",
    "model/class_transfer": "training/test_initial_weights",
    "model/replicas": "test_distribution",
    "runtimes/keras_file": "runtimes/test_runtimes",
    "runtimes/litert_file": "runtimes/test_runtimes",
    "runtimes/onnx_file": "runtimes/test_runtimes",
    "runtimes/openvino_folder": "runtimes/test_runtimes",
    "runtimes/runtime": "runtimes/test_runtimes",
    "runtimes/saved_model": "runtimes/test_runtimes",
    "schema": "runtimes/test_runtimes",
    "serving/strict_protocol": "serving/test_server",
    "serving/transport": "serving/test_client",
    "serving_client": "serving/test_client",
    "snapshots/atomic_files": "snapshots/test_run_folder",
    "snapshots/snapshot_settings": "training/test_initial_weights",
    "training/fit": "training/test_prepare",
    "training/run_data": "training/test_prepare",
    "version": "runtimes/test_runtimes",
    "weight_files/hdf5_probe": "weight_files/test_bombs",
    "weight_files/pickle_stubs": "weight_files/test_beside_the_weights",
    "weight_files/restricted_pickle": "weight_files/test_torch_file",
    "weight_files/weight_file": "weight_files/test_keras_hdf5",
}
"""Module → the test file that asks about it together with its neighbours."""


def mirrored(module: str) -> Path:
    """`geometry/boxes` → `tests/geometry/test_boxes.py`."""
    path = TESTS / module
    return path.with_name(f"test_{path.name}.py")


def test_every_module_says_where_its_tests_are() -> None:
    modules = [path.relative_to(PACKAGE).with_suffix("").as_posix() for path in PACKAGE.rglob("*.py")]
    modules = [module for module in modules if not module.rpartition("/")[2].startswith("_")]
    without = {module for module in modules if not mirrored(module).exists()}
    missing = sorted(without - set(TESTED_ELSEWHERE))
    assert not missing, "write a test file at the module's path, or name the one that tests it in TESTED_ELSEWHERE"
    assert not set(TESTED_ELSEWHERE) - without, "they have their own test file, or do not exist: take their lines out"
    assert all((TESTS / f"{name}.py").exists() for name in TESTED_ELSEWHERE.values())
    assert list(TESTED_ELSEWHERE) == sorted(TESTED_ELSEWHERE)
