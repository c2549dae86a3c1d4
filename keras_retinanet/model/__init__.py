"""The network: feature pyramid, heads, RetinaNet, and the model that returns detections."""
