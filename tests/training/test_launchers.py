"""Where the processes of a run meet, from the variables of each launcher as it sets them."""

from __future__ import annotations

import pytest

from keras_retinanet.training.launchers import ProcessSettings, find_processes, first_node, refuse_tf_config

TORCHRUN = {"MASTER_ADDR": "node1", "MASTER_PORT": "29500", "WORLD_SIZE": "4", "RANK": "3"}
SLURM = {
    "SLURM_JOB_ID": "4097", "SLURM_STEP_NODELIST": "gpu[07-08]", "SLURM_STEP_NUM_TASKS": "2",
    "SLURM_STEP_NUM_NODES": "2", "SLURM_PROCID": "1", "SLURM_LOCALID": "0",
}  # fmt: skip
JOB = {"JAX_COORDINATOR_ADDRESS": "train-workers-0-0.train:6006", "JAX_NUM_PROCESSES": "3", "JOB_COMPLETION_INDEX": "2"}


@pytest.mark.parametrize(
    ("environ", "expected"),
    [
        ({}, None),
        (TORCHRUN, ProcessSettings("node1:29500", 4, 3, "torchrun's variables")),
        (
            {**TORCHRUN, "LOCAL_WORLD_SIZE": "2", "LOCAL_RANK": "1"},
            ProcessSettings("node1:29500", 4, 3, "torchrun's variables", 1),
        ),
        ({**TORCHRUN, "WORLD_SIZE": "1", "RANK": "0"}, None),
        ({"MASTER_ADDR": "localhost", "WORLD_SIZE": "1"}, None),  # as images of PyTorch set them
        (SLURM, ProcessSettings("gpu07:61441", 2, 1, "SLURM")),  # 61440 + 4097 mod 4096
        (
            {**SLURM, "SLURM_STEP_NUM_NODES": "1", "SLURM_LOCALID": "1"},
            ProcessSettings("gpu07:61441", 2, 1, "SLURM", 1),
        ),
        ({"SLURM_JOB_ID": "7", "SLURM_NTASKS": "8", "SLURM_PROCID": "0"}, None),  # a batch script, without srun
        (JOB, ProcessSettings("train-workers-0-0.train:6006", 3, 2, "JAX's variables")),
        ({**JOB, "JAX_PROCESS_ID": "0"}, ProcessSettings("train-workers-0-0.train:6006", 3, 0, "JAX's variables")),
        ({**JOB, **SLURM}, ProcessSettings("train-workers-0-0.train:6006", 3, 2, "JAX's variables")),
        ({"JOB_COMPLETION_INDEX": "2"}, None),  # an Indexed Job of another kind
    ],
)
def test_each_launcher_is_known_by_its_variables(environ: dict[str, str], expected: ProcessSettings | None) -> None:
    assert find_processes(environ) == expected


def test_flags_come_before_variables() -> None:
    found = find_processes(TORCHRUN, coordinator="[::1]:6006", count=2, index=0)
    assert found == ProcessSettings("[::1]:6006", 2, 0, "flags")


@pytest.mark.parametrize(
    ("environ", "flags", "words"),
    [
        ({}, {"count": 2, "index": 0}, "--num-processes and --process-id given without --coordinator-address"),
        (
            {},
            {"coordinator": "node1", "count": 2, "index": 0},
            "--coordinator-address is 'node1'; allowed is HOST:PORT",
        ),
        ({}, {"coordinator": "node1:1", "count": 2, "index": 2}, "--process-id is 2; with 2 processes it is 0 to 1"),
        (
            {},
            {"coordinator": "node1:1", "count": 0, "index": 0},
            "--num-processes is 0; allowed is a whole number from 1",
        ),
        ({**TORCHRUN, "RANK": "x"}, {}, "RANK is 'x'; allowed is a whole number"),
        ({"MASTER_ADDR": "a", "WORLD_SIZE": "2"}, {}, "given without MASTER_PORT and RANK"),
        ({"JAX_COORDINATOR_ADDRESS": "a:1"}, {}, "given without JAX_NUM_PROCESSES and JAX_PROCESS_ID"),
    ],
)
def test_what_is_missing_or_wrong_is_named(environ: dict[str, str], flags: dict[str, object], words: str) -> None:
    with pytest.raises(ValueError, match=words.replace("[", r"\[")):
        find_processes(environ, **flags)  # type: ignore[arg-type]


@pytest.mark.parametrize(
    ("nodes", "first"),
    [("node001", "node001"), ("node001,host2", "node001"), ("n[001-015],h2", "n001"), ("n[7,9-12]", "n7"),
     ("a,n[1-2]", "a")],
)  # fmt: skip
def test_the_first_machine_of_a_list(nodes: str, first: str) -> None:
    assert first_node(nodes) == first


def test_tf_config_of_several_workers_is_refused_with_the_reason() -> None:
    refuse_tf_config({})
    refuse_tf_config({"TF_CONFIG": "no json"})
    refuse_tf_config({"TF_CONFIG": '{"cluster": {"worker": ["a:1"]}, "task": {"type": "worker", "index": 0}}'})
    with pytest.raises(ValueError, match=r"Keras 3 does not support MultiWorkerMirroredStrategy.*KERAS_BACKEND=jax"):
        refuse_tf_config({"TF_CONFIG": '{"cluster": {"chief": ["a:1"], "worker": ["b:1"]}}'})
