"""The files beside the model: read by the parsers that will read them."""

from __future__ import annotations

import re
import subprocess
from pathlib import Path
from typing import Any

import pytest
import yaml

from keras_retinanet.serving.kit import new_version, write_kit


@pytest.fixture
def kit(tmp_path: Path) -> Path:
    version = tmp_path / "models" / "insects" / "3"
    version.mkdir(parents=True)
    return write_kit(tmp_path / "deploy" / "kit", version, ["ant", "bee"])


def test_all_files_name_the_model(kit: Path) -> None:
    assert sorted(path.name for path in kit.iterdir()) == [
        "README.md", "batching_parameters.txt", "compose.yaml", "kserve.yaml", "kubernetes.yaml", "models.config",
        "retinanet-serve.yaml", "run.sh",
    ]  # fmt: skip
    for path in kit.iterdir():
        text = path.read_text()
        assert path.name == "batching_parameters.txt" or "insects" in text
        assert not re.search(r"\{\w+\}", text), "a placeholder is left"


def test_compose_leads_to_the_model_and_answers_this_machine_only(kit: Path) -> None:
    (service,) = yaml.safe_load((kit / "compose.yaml").read_text())["services"].values()
    assert service["image"] == "tensorflow/serving:2.21.0"
    assert all(port.startswith("127.0.0.1:") for port in service["ports"])
    mounts = {mount["target"]: mount for mount in service["volumes"]}
    assert (kit / mounts["/models/insects"]["source"]).resolve() == kit.parents[1] / "models" / "insects"
    assert mounts["/kit"]["source"] == "."
    assert all(mount["read_only"] for mount in mounts.values())
    assert "--model_config_file=/kit/models.config" in service["command"]
    assert not any("batching" in flag for flag in service["command"])


def test_run_sh_gives_docker_the_same(kit: Path, tmp_path: Path) -> None:
    """Run with a `docker` that tells what it was given."""
    (tmp_path / "bin").mkdir()
    docker = tmp_path / "bin" / "docker"
    docker.write_text('#!/bin/sh\nprintf "%s\\n" "$@"\n')
    docker.chmod(0o755)
    words = ["sh", str(kit / "run.sh"), "--enable_batching=true"]
    done = subprocess.run(
        words, env={"PATH": f"{tmp_path / 'bin'}:/usr/bin:/bin"}, capture_output=True, text=True, check=True
    )
    given = done.stdout.split("\n")
    assert given[:2] == ["run", "--rm"]
    assert f"{kit.parents[1]}/models/insects:/models/insects:ro" in given
    assert "--enable_batching=true" in given


def test_the_configuration_is_what_the_server_parses(kit: Path) -> None:
    pb2 = pytest.importorskip(
        "tensorflow_serving.config.model_server_config_pb2", reason="needs tensorflow-serving-api"
    )
    from google.protobuf import text_format

    parsed = text_format.Parse((kit / "models.config").read_text(), pb2.ModelServerConfig())
    (config,) = parsed.model_config_list.config
    assert (config.name, config.base_path, config.model_platform) == ("insects", "/models/insects", "tensorflow")


def test_batching_parameters_are_text_proto(kit: Path) -> None:
    """Fields of `tensorflow.serving.BatchingParameters`, each a wrapped number."""
    lines = [line for line in (kit / "batching_parameters.txt").read_text().splitlines() if line[0] != "#"]
    fields = {
        match.group(1): int(match.group(2))
        for match in (re.fullmatch(r"(\w+) \{ value: (\d+) \}", line) for line in lines)
        if match
    }
    assert fields == {
        "max_batch_size": 8, "batch_timeout_micros": 5000, "max_enqueued_batches": 100, "num_batch_threads": 2,
    }  # fmt: skip
    assert len(lines) == 4


def block(kit: Path, language: str, containing: str) -> str:
    found = re.findall(rf"```{language}\n(.*?)```", (kit / "README.md").read_text(), re.DOTALL)
    return next(text for text in found if containing in text)


def test_the_readme_asks_by_rest(
    kit: Path, serve: Any, pixel_runtime: Any, png: Any, tmp_path: Path, monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
) -> None:  # fmt: skip
    """Its commands, with the port replaced, against `retinanet-serve`, whose REST interface is the same."""
    (tmp_path / "photo.jpg").write_bytes(png((1, 2, 3)))
    monkeypatch.chdir(tmp_path)
    with serve(pixel_runtime()) as running:
        snippet = block(kit, "python", "serving_client").replace("http://127.0.0.1:8501", running.url)
        exec(compile(snippet, "README.md", "exec"), {})
        shell = block(kit, "sh", "base64").replace("http://127.0.0.1:8501", running.url)
        if subprocess.run(["which", "curl"], capture_output=True, check=False).returncode == 0:
            done = subprocess.run(["bash", "-c", shell], capture_output=True, text=True, check=True)
            assert '"class_names": ["cow"]' in done.stdout
    assert "['cow'] [0.5] [[1. 2. 3. 0.]]" in capsys.readouterr().out


def test_the_readme_asks_by_grpc(
    kit: Path, grpc_server: Any, png: Any, tmp_path: Path, monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
) -> None:  # fmt: skip
    (tmp_path / "photo.jpg").write_bytes(png((1, 2, 3)))
    monkeypatch.chdir(tmp_path)
    assert "after pip install '.[grpc]' in the checkout of keras_retinanet." in (kit / "README.md").read_text()
    snippet = block(kit, "python", "import grpc").replace("127.0.0.1:8500", grpc_server.address.removeprefix("grpc://"))
    exec(compile(snippet, "README.md", "exec"), {})
    assert grpc_server.seen[-1].model_spec.signature_name == "serving_default"
    assert capsys.readouterr().out == "[[[1. 2. 3. 0.]]]\n"


def test_a_version_appears_when_it_is_complete(tmp_path: Path) -> None:
    with new_version(tmp_path / "m") as folder:
        (folder / "model.onnx").touch()
        assert not (tmp_path / "m" / "1").exists()
    assert [path.name for path in (tmp_path / "m").rglob("*")] == ["1", "model.onnx"]
    with pytest.raises(OSError, match="disk full"), new_version(tmp_path / "m") as folder:
        raise OSError("disk full")
    assert [path.name for path in (tmp_path / "m").iterdir()] == ["1"]


def test_a_name_that_cannot_stand_in_a_url(tmp_path: Path) -> None:
    with pytest.raises(ValueError, match="called 'my model', which becomes its name on the server; rename it"):
        write_kit(tmp_path / "kit", tmp_path / "my model" / "1", ["ant"])
