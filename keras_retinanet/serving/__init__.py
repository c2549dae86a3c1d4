"""Detections over the network: a client, a small server, and what TensorFlow Serving needs. One file a concept."""
