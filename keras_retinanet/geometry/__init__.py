"""Boxes, anchors and non-maximum suppression: pure functions on tensors, with thin Keras layers."""
