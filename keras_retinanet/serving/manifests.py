"""Manifests for Kubernetes and KServe that run a server with a model."""

from __future__ import annotations

import json
import re
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import yaml

MODELS = "/models"
"""Folder of the models in the container."""
KUBERNETES, KSERVE, OWN = "kubernetes.yaml", "kserve.yaml", "retinanet-serve.yaml"
"""Files with the manifests: of the server, of the server in KServe, and of `retinanet-serve`."""
_USER = 65534  # nobody
_COMPOSE = """\
# docker compose up. Listens on this machine only: it has no authentication. Put a proxy with TLS in front of it.
services:
  {name}:
    image: {image}
    command: {command}
    ports:
{ports}
    volumes:
      - type: bind
        source: ./{folder}
        target: {models}
        read_only: true
    restart: unless-stopped
"""


@dataclass(frozen=True)
class ServerSpec:
    """How a server is run in a container.

    Attributes:
        image: The container image.
        arguments: Of its entry point.
        port: Port of HTTP.
        alive: Path that answers 200 while the process lives.
        ready: Path that answers 200 once the model is loaded.
        metrics: Path for Prometheus; empty if there is none.
        command: Entry point. Defaults to that of the image.
    """

    image: str
    arguments: tuple[str, ...]
    port: int
    alive: str
    ready: str
    metrics: str = ""
    command: tuple[str, ...] = ()


def own_server(name: str) -> ServerSpec:
    """`retinanet-serve`, of whose image there is none to download.

    Args:
        name: Name of the model, which is that of its folder.

    Returns:
        The server.
    """
    arguments = (f"{MODELS}/{name}", "--host", "0.0.0.0", "--port", "8501")
    image = "registry.example.com/keras-retinanet:2.0.0"
    return ServerSpec(image, arguments, 8501, "/healthz", "/readyz", "/metrics", ("retinanet-serve",))


def write_compose(out: Path, name: str, server: ServerSpec, folder: str, ports: Mapping[int, str]) -> None:
    """Writes `compose.yaml`.

    Args:
        out: Folder of the kit.
        name: Name of the service.
        server: The server.
        folder: Folder in `out` that the server sees as `MODELS`.
        ports: Port → what it speaks.
    """
    text = _COMPOSE.format(
        name=name,
        image=server.image,
        command=json.dumps(server.arguments),
        ports="\n".join(f'      - "127.0.0.1:{port}:{port}"  # {protocol}' for port, protocol in ports.items()),
        folder=folder,
        models=MODELS,
    )
    (out / "compose.yaml").write_text(text, encoding="utf-8")


def write_manifests(out: Path, name: str, server: ServerSpec, predictor: dict[str, Any] | None) -> None:
    """Writes `kubernetes.yaml`, `kserve.yaml` and `retinanet-serve.yaml`.

    Args:
        out: Folder of the files.
        name: Name of the model.
        server: The server for the artefact.
        predictor: KServe's `model`, if one of its runtimes serves the artefact. Defaults to `None`: the same container.
    """
    app = object_name(name)
    claim = f"# Models are read from the claim {app}-models, into which the folder of the model is copied.\n"
    kubernetes = yaml.safe_dump_all([deployment(app, server), service(app, server)], sort_keys=False)
    (out / KUBERNETES).write_text(f"# kubectl apply -f {KUBERNETES}\n{claim}{kubernetes}", encoding="utf-8")
    kserve = yaml.safe_dump(inference_service(app, server, predictor), sort_keys=False)
    (out / KSERVE).write_text(f"# kubectl apply -f {KSERVE}\n{claim}{kserve}", encoding="utf-8")
    own = own_server(name)
    image = "# Replace the image by your own, with this package and its extra `serve`.\n"
    text = yaml.safe_dump_all([deployment(app, own), service(app, own)], sort_keys=False)
    (out / OWN).write_text(f"# kubectl apply -f {OWN}\n{image}{claim}{text}", encoding="utf-8")


def object_name(name: str) -> str:
    """A valid name of objects in Kubernetes (RFC 1123).

    Args:
        name: Name of a model.

    Returns:
        Lower-case letters, digits and hyphens.
    """
    cleaned = re.sub(r"[^a-z0-9]+", "-", name.lower()).strip("-")[:40].strip("-")
    return cleaned or "model"


def deployment(app: str, server: ServerSpec) -> dict[str, Any]:
    """A Deployment whose Pods get requests once the model is loaded, and replace each other without a gap.

    Args:
        app: Name of the objects.
        server: The server.

    Returns:
        The manifest.
    """
    scraped = {"prometheus.io/scrape": "true", "prometheus.io/port": str(server.port)}
    annotations = {**scraped, "prometheus.io/path": server.metrics} if server.metrics else {}
    pod = {
        "automountServiceAccountToken": False,
        "terminationGracePeriodSeconds": 75,
        "securityContext": {"runAsNonRoot": True, "runAsUser": _USER, "seccompProfile": {"type": "RuntimeDefault"}},
        "containers": [_container("server", server)],
        "volumes": [_volume(app), {"name": "tmp", "emptyDir": {}}],
    }
    return {
        "apiVersion": "apps/v1",
        "kind": "Deployment",
        "metadata": {"name": app, "labels": {"app": app}},
        "spec": {
            "replicas": 1,
            "selector": {"matchLabels": {"app": app}},
            "strategy": {"type": "RollingUpdate", "rollingUpdate": {"maxUnavailable": 0, "maxSurge": 1}},
            "template": {"metadata": {"labels": {"app": app}, "annotations": annotations}, "spec": pod},
        },
    }


def service(app: str, server: ServerSpec) -> dict[str, Any]:
    """A Service that is reachable in the cluster only.

    Args:
        app: Name of the objects.
        server: The server.

    Returns:
        The manifest.
    """
    ports = [{"name": "http", "port": server.port, "targetPort": "http"}]
    return {
        "apiVersion": "v1",
        "kind": "Service",
        "metadata": {"name": app, "labels": {"app": app}},
        "spec": {"type": "ClusterIP", "selector": {"app": app}, "ports": ports},
    }


def inference_service(app: str, server: ServerSpec, model: dict[str, Any] | None) -> dict[str, Any]:
    """KServe's InferenceService.

    Args:
        app: Name of the objects.
        server: The server, run as a custom container if there is no `model`.
        model: The predictor's `model`.

    Returns:
        The manifest.
    """
    predictor: dict[str, Any] = {"minReplicas": 1, "model": model}
    if model is None:
        volumes = [_volume(app), {"name": "tmp", "emptyDir": {}}]
        predictor = {"minReplicas": 1, "containers": [_container("kserve-container", server)], "volumes": volumes}
    return {
        "apiVersion": "serving.kserve.io/v1beta1",
        "kind": "InferenceService",
        "metadata": {"name": app},
        "spec": {"predictor": predictor},
    }


def storage(name: str) -> str:
    """Where KServe's runtimes find the models.

    Args:
        name: Name of the model.

    Returns:
        URI of the claim.
    """
    return f"pvc://{object_name(name)}-models"


def _container(container: str, server: ServerSpec) -> dict[str, Any]:
    alive = {"httpGet": {"path": server.alive, "port": "http"}}
    ready = {"httpGet": {"path": server.ready, "port": "http"}}
    command = {"command": list(server.command)} if server.command else {}
    return {
        "name": container,
        "image": server.image,
        **command,
        "args": list(server.arguments),
        "ports": [{"name": "http", "containerPort": server.port}],
        "startupProbe": {**alive, "periodSeconds": 5, "failureThreshold": 60},
        "livenessProbe": {**alive, "periodSeconds": 10, "timeoutSeconds": 5, "failureThreshold": 6},
        "readinessProbe": {**ready, "periodSeconds": 5, "timeoutSeconds": 5},
        "resources": {"requests": {"cpu": "1", "memory": "2Gi"}, "limits": {"memory": "4Gi"}},
        "securityContext": {"allowPrivilegeEscalation": False, "capabilities": {"drop": ["ALL"]}},
        "volumeMounts": [
            {"name": "models", "mountPath": MODELS, "readOnly": True},
            {"name": "tmp", "mountPath": "/tmp"},
        ],
    }


def _volume(app: str) -> dict[str, Any]:
    return {"name": "models", "persistentVolumeClaim": {"claimName": f"{app}-models", "readOnly": True}}
