"""What Prometheus reads."""

from __future__ import annotations

import base64
import json
import os
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest

from keras_retinanet.serving import metrics

ROOT = Path(__file__).resolve().parents[2]


def samples(text: bytes) -> dict[str, float]:
    lines = [line for line in text.decode().splitlines() if not line.startswith("#")]
    return {name: float(value) for name, value in (line.rsplit(" ", 1) for line in lines)}


def test_requests_are_counted(serve: Any, pixel_runtime: Any, png: Any, fetch: Any) -> None:
    pytest.importorskip("prometheus_client", reason="needs the extra `serve`")
    with serve(pixel_runtime()) as running:
        image = {"b64": base64.b64encode(png((1, 0, 0))).decode()}
        place = running.url + "/v1/models/insects:predict"
        for body in ({"instances": [image, image]}, {"instances": [image]}, {"instances": []}):
            fetch(place, json.dumps(body).encode())
        fetch(running.url + "/v1/models/other:predict", b"{}")
        status, headers, text = fetch(running.url + "/metrics")
    assert status == 200
    assert headers["Content-Type"].startswith("text/plain; version=")
    found = samples(text)
    assert found['retinanet_requests_total{model="insects",status="200"}'] == 2
    assert found['retinanet_requests_total{model="insects",status="400"}'] == 1
    assert found['retinanet_images_total{model="insects"}'] == 3
    assert found['retinanet_request_seconds_count{model="insects"}'] == 2
    assert found['retinanet_images_waiting{model="insects"}'] == 0
    assert found['retinanet_model_version{model="insects"}'] == 3
    assert found['retinanet_batch_images_sum{model="insects"}'] == 3 + 3 * (1 + 8), "three shapes of the warm-up"
    assert not any("other" in name for name in found), "names of clients would fill the memory"


def test_without_the_package_all_else_works(
    serve: Any, pixel_runtime: Any, fetch: Any, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(metrics, "is_available", lambda: False)
    with serve(pixel_runtime()) as running:
        status, _, answer = fetch(running.url + "/metrics")
    assert status == 501
    assert (
        "Metrics need prometheus_client, which is not installed: pip install '.[serve]'" in json.loads(answer)["error"]
    )


def test_processes_are_summed(tmp_path: Path) -> None:
    """Three processes count 1, 2 and 3 requests; the first two have ended when the third is asked."""
    pytest.importorskip("prometheus_client", reason="needs the extra `serve`")
    script = """
import sys
from keras_retinanet.serving.metrics import Metrics
counts = Metrics()
for _ in range(int(sys.argv[1])):
    counts.count_request("m", 200, 0.2, 2)
counts.add_waiting("m", 5)
sys.stdout.write(counts.render()[0].decode())
"""
    environment = {**os.environ, "PYTHONPATH": str(ROOT), metrics.FOLDER: str(tmp_path)}
    for count in "123":
        words = [sys.executable, "-c", script, count]
        done = subprocess.run(words, capture_output=True, check=True, env=environment)
    found = samples(done.stdout)
    assert found['retinanet_requests_total{model="m",status="200"}'] == 6
    assert found['retinanet_images_total{model="m"}'] == 12
    assert found['retinanet_images_waiting{model="m"}'] == 5, "those of ended processes do not wait"
