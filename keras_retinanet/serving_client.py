"""The client of a server of detections, under its public name; see `keras_retinanet.serving.client`."""

from __future__ import annotations

from keras_retinanet.schema import Detections
from keras_retinanet.serving.client import Client, ImageFile, connect
from keras_retinanet.serving.transport import ServerError

__all__ = ["Client", "Detections", "ImageFile", "ServerError", "connect"]
