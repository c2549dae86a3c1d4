"""COCO JSON, as COCO, Roboflow, CVAT, Label Studio, FiftyOne, SAHI and others write it."""
