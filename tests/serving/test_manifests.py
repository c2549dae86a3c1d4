"""Manifests against the schemas of Kubernetes, and what they must agree on among themselves."""

from __future__ import annotations

import re
from pathlib import Path
from typing import Any

import pytest
import yaml

from keras_retinanet.serving.manifests import KSERVE, KUBERNETES, OWN, ServerSpec, object_name, write_manifests

SERVER = ServerSpec("server:1", ("--rest_port=8501",), 8501, "/live", "/ready")


@pytest.fixture
def written(tmp_path: Path) -> dict[str, list[Any]]:
    write_manifests(tmp_path, "My_Insects.v2", SERVER, None)
    return {name: list(yaml.safe_load_all((tmp_path / name).read_text())) for name in (KUBERNETES, KSERVE, OWN)}


def test_names_of_objects() -> None:
    assert object_name("My_Insects.v2") == "my-insects-v2"
    assert object_name("...") == "model"
    assert object_name("a" * 39 + "_bc") == "a" * 39


@pytest.mark.parametrize("file", [KUBERNETES, OWN])
def test_a_pod_gets_requests_once_it_is_ready(written: dict[str, list[Any]], file: str) -> None:
    deployment, service = written[file]
    pod = deployment["spec"]["template"]
    (container,) = pod["spec"]["containers"]
    own = file == OWN
    assert container["readinessProbe"]["httpGet"] == {"path": "/readyz" if own else "/ready", "port": "http"}
    assert container["livenessProbe"]["httpGet"] == {"path": "/healthz" if own else "/live", "port": "http"}
    assert service["spec"]["selector"] == pod["metadata"]["labels"] == deployment["spec"]["selector"]["matchLabels"]
    assert service["spec"]["ports"][0]["targetPort"] == container["ports"][0]["name"]
    assert {mount["name"] for mount in container["volumeMounts"]} == {one["name"] for one in pod["spec"]["volumes"]}
    assert deployment["spec"]["strategy"]["rollingUpdate"]["maxUnavailable"] == 0
    assert pod["metadata"]["annotations"].get("prometheus.io/path") == ("/metrics" if own else None)


def test_the_own_servers_arguments_are_its_flags(written: dict[str, list[Any]]) -> None:
    from keras_retinanet.cli.serve import build_parser

    (container,) = written[OWN][0]["spec"]["template"]["spec"]["containers"]
    flags = build_parser().parse_args(container["args"])
    assert container["command"] == ["retinanet-serve"]
    assert (flags.model, flags.host, flags.port) == (["/models/My_Insects.v2"], "0.0.0.0", 8501)


def test_kserve_runs_the_container_or_a_runtime(written: dict[str, list[Any]], tmp_path: Path) -> None:
    (custom,) = written[KSERVE]
    (container,) = custom["spec"]["predictor"]["containers"]
    assert (container["name"], container["image"]) == ("kserve-container", "server:1")
    write_manifests(tmp_path, "m", SERVER, {"modelFormat": {"name": "onnx"}, "storageUri": "pvc://m-models"})
    predictor = yaml.safe_load((tmp_path / KSERVE).read_text())["spec"]["predictor"]
    assert predictor == {"minReplicas": 1, "model": {"modelFormat": {"name": "onnx"}, "storageUri": "pvc://m-models"}}


def test_kubernetes_own_schemas(written: dict[str, list[Any]]) -> None:
    validate = pytest.importorskip("kubernetes_validate", reason="needs kubernetes-validate")
    for manifest in [*written[KUBERNETES], *written[OWN]]:
        validate.validate(manifest, "1.30", strict=True)
    with pytest.raises(validate.ValidationError):
        validate.validate({**written[OWN][0], "spec": {"replicas": "one"}}, "1.30", strict=True)


def check_fields(content: Any, kind: str, modules: list[Any]) -> None:
    """Each field is one of the class that KServe (or Kubernetes) generated from its schema, and so on inside it."""
    if found := re.fullmatch(r"list\[(\w+)\]", kind):
        assert isinstance(content, list)
        for one in content:
            check_fields(one, found.group(1), modules)
        return
    model = next((getattr(module, kind) for module in modules if hasattr(module, kind)), None)
    if model is None or isinstance(content, (str, int)):
        return
    if not hasattr(model, "openapi_types"):  # newer classes check themselves
        assert model.from_dict(content).to_dict() == content
        return
    kinds = {key: model.openapi_types[name] for name, key in model.attribute_map.items()}
    for key, value in content.items():
        assert key in kinds, f"{kind} has no {key}"
        check_fields(value, kinds[key], modules)


def test_kserves_own_classes(written: dict[str, list[Any]], tmp_path: Path) -> None:
    kserve = pytest.importorskip("kserve.models", reason="needs kserve")
    kubernetes = pytest.importorskip("kubernetes.client.models", reason="needs kserve")
    model = {"modelFormat": {"name": "onnx"}, "runtime": "r", "protocolVersion": "v2", "storageUri": "pvc://m"}
    write_manifests(tmp_path, "m", SERVER, model)
    for manifest in (*written[KSERVE], yaml.safe_load((tmp_path / KSERVE).read_text())):
        check_fields(manifest, "V1beta1InferenceService", [kserve, kubernetes])
    with pytest.raises(AssertionError, match="V1beta1PredictorSpec has no modle"):
        check_fields({"spec": {"predictor": {"modle": model}}}, "V1beta1InferenceService", [kserve, kubernetes])
