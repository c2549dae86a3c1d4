"""The engines: each does every shard; Beam gets settings and not what a worker opens."""

from __future__ import annotations

import importlib.util
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from keras_retinanet.data.beam_pipeline import open_pipeline
from keras_retinanet.shards import task as tasks
from keras_retinanet.shards.image_shards import Inputs, Shard, cut_into_shards, read_shard
from keras_retinanet.shards.runners import Runner, add_steps, do_shards
from keras_retinanet.shards.task import Arrays, Task

MARK = b"the weights of a model"


def has(package: str) -> bool:
    return importlib.util.find_spec(package) is not None


needs_beam = pytest.mark.skipif(not has("apache_beam"), reason="Apache Beam is not installed (extra `beam`)")
needs_ray = pytest.mark.skipif(not has("ray"), reason="Ray is not installed (extra `ray`)")
pytestmark = [
    pytest.mark.filterwarnings("ignore"),  # what Beam and Ray import warns of its own future
    pytest.mark.usefixtures("ray_ends"),
]


def make_task(failing: int = -1) -> Task:
    """A task whose class Ray's workers, which do not see the tests, get by value."""

    @dataclass(frozen=True)
    class ListNames(Task):
        failing: int

        def open(self) -> Callable[[Shard], Arrays]:
            weights = MARK * 10_000

            def work(shard: Shard) -> Arrays:
                if shard.number == self.failing:
                    raise RuntimeError(f"shard {shard.number} fails")
                assert weights.startswith(MARK)
                return {"names": np.array([image.name for image in read_shard(shard, [])])}

            return work

    return ListNames(failing)


@pytest.fixture
def shards(tmp_path: Path) -> list[Shard]:
    """Seven images in three shards."""
    return cut_into_shards(Inputs([(f"/data/{k}.jpg", f"{k}.jpg") for k in range(7)]), tmp_path, 3)


def names_in(folder: Path) -> list[list[str]]:
    return [np.load(path)["names"].tolist() for path in sorted(folder.glob("*.npz"))]


@pytest.mark.parametrize(
    "name",
    [
        "local",
        pytest.param("DirectRunner", marks=needs_beam),
        pytest.param("ray", marks=[needs_ray, pytest.mark.slow]),
    ],
)
def test_every_shard_is_done_and_reported(shards: list[Shard], tmp_path: Path, name: str) -> None:
    progress: list[int] = []
    do_shards(make_task(), shards[1:], tmp_path, Runner(name), progress.append)
    assert names_in(tmp_path) == [["3.jpg", "4.jpg", "5.jpg"], ["6.jpg"]]
    assert sum(progress) == 2
    do_shards(make_task(), shards, tmp_path, Runner(name), progress.append)
    assert names_in(tmp_path)[0] == ["0.jpg", "1.jpg", "2.jpg"]
    do_shards(make_task(), [], tmp_path, Runner("NoRunner"), progress.append)


@pytest.mark.parametrize("name", ["local", pytest.param("DirectRunner", marks=needs_beam)])
def test_a_failure_ends_the_run_and_keeps_what_is_done(shards: list[Shard], tmp_path: Path, name: str) -> None:
    with pytest.raises(OSError, match=r"a worker of .* failed: .*shard 2 fails"):
        do_shards(make_task(failing=2), shards, tmp_path, Runner(name), lambda _: None)
    assert names_in(tmp_path)[0] == ["0.jpg", "1.jpg", "2.jpg"]
    assert not list(tmp_path.glob("000002*"))


def test_a_folder_that_workers_do_not_see_is_named(
    shards: list[Shard], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("keras_retinanet.shards.runners.do_shard", lambda *_: None)
    with pytest.raises(OSError, match=r"3 of 3 shards have no file in .*under this path\?"):
        do_shards(make_task(), shards, tmp_path, Runner("local"), lambda _: None)


@needs_beam
def test_an_unknown_runner_is_refused(shards: list[Shard], tmp_path: Path) -> None:
    with pytest.raises(ValueError, match="NoRunner"):
        do_shards(make_task(), shards, tmp_path, Runner("NoRunner"), lambda _: None)


@needs_beam
@pytest.mark.parametrize(
    ("name", "options", "expected"),
    [
        ("FlinkRunner", ("--flink_master=host:8081",), {"flink_master": "host:8081"}),
        ("SparkRunner", ("--spark_master_url=spark://host:7077",), {"spark_master_url": "spark://host:7077"}),
        ("PrismRunner", ("--environment_type=LOOPBACK",), {"environment_type": "LOOPBACK"}),
    ],
)
def test_what_runners_get_that_are_not_run_here(
    shards: list[Shard], tmp_path: Path, name: str, options: tuple[str, ...], expected: dict[str, str]
) -> None:
    from apache_beam import Pipeline

    pipeline = open_pipeline(name, options)
    assert type(pipeline.runner).__name__ == name
    assert pipeline.options.get_all_options() | expected == pipeline.options.get_all_options()
    tasks._opened.clear()
    add_steps(pipeline, make_task(), shards, str(tmp_path))
    proto = pipeline.to_runner_api()
    content = proto.SerializeToString()
    assert tasks._opened == [], "nothing is opened where the pipeline is made"
    assert MARK not in content
    assert len(content) < 50_000, "ten times less than the weights"
    read, _ = Pipeline.from_runner_api(proto, pipeline.runner, pipeline.options), None
    (step,) = [part for part in _parts(read) if type(getattr(part.transform, "fn", None)).__name__ == "DoShard"]
    step.transform.fn.setup()
    assert len(tasks._opened) == 1
    (name_of_file,) = step.transform.fn.process(shards[0])
    assert (tmp_path / name_of_file).exists()


def _parts(pipeline: Any) -> list[Any]:
    """The applied transforms of a pipeline at any depth."""
    waiting, found = [pipeline._root_transform()], []
    while waiting:
        part = waiting.pop()
        found.append(part)
        waiting += part.parts
    return found


@pytest.mark.parametrize(("name", "package"), [("ray", "ray"), ("DirectRunner", "apache_beam")])
def test_without_the_package_it_says_what_to_install(
    shards: list[Shard], tmp_path: Path, name: str, package: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setitem(__import__("sys").modules, package, None)
    with pytest.raises(ImportError, match=rf"--runner {name} needs .*pip install '\.\[(ray|beam)\]'"):
        do_shards(make_task(), shards, tmp_path, Runner(name), lambda _: None)
