from __future__ import annotations

import signal
from pathlib import Path

import pytest

from keras_retinanet.config import TrainConfig
from keras_retinanet.config.tree import changed
from keras_retinanet.experiments import conduct as module
from keras_retinanet.experiments.conduct import conduct
from keras_retinanet.experiments.plan import plan_runs
from keras_retinanet.experiments.results import Ablation, RunOutcome
from keras_retinanet.snapshots.run_lock import RunInUseError, locked

BASE = changed(TrainConfig(), {"model.weights": "none"})
RUNS = plan_runs(["1b"], ["gamma-0", "gamma-1", "gamma-2"], [0])


@pytest.fixture
def trained(monkeypatch: pytest.MonkeyPatch) -> list[str]:
    """The rows that were trained, each for ten CPU seconds; nothing is."""
    found: list[str] = []

    def train_one(config: TrainConfig, run, chosen) -> RunOutcome | None:
        del chosen
        (Path(config.snapshot_path) / f"{len(found)}").mkdir(parents=True)
        found.append(run.names[0])
        if len(found) == 3:
            return None  # stopped by a signal
        return RunOutcome(run.key, run.seed, 0.3, 0.5, 0.3, 1.0, 10, 10.0)

    monkeypatch.setattr(module, "train_one", train_one)
    return found


def test_a_stopped_ablation_continues_with_the_run_it_was_in(trained: list[str], tmp_path: Path) -> None:
    ablation, lines = Ablation(tmp_path), []
    ablation.open(BASE)
    assert not conduct(ablation, BASE, RUNS, log=lines.append)
    assert trained == ["1b/gamma-0", "1b/gamma-1", "1b/gamma-2"]
    assert lines[0] == "1/3  1b/gamma-0, seed 0: AP 0.300, 10 s of CPU time"
    assert lines[-1] == "stopped; the same command continues"
    assert conduct(Ablation(tmp_path), BASE, RUNS, log=lines.append)
    assert trained[3:] == ["1b/gamma-2"]
    assert len(ablation.outcomes()) == 3


@pytest.mark.parametrize("keeps_snapshots", [False, True])
def test_the_folder_of_a_killed_run_goes_when_the_run_is_repeated(
    trained: list[str], tmp_path: Path, keeps_snapshots: bool
) -> None:
    """The third run is killed in folder 2 and repeated in folder 3; those of the others are kept if asked for."""
    ablation = Ablation(tmp_path)
    ablation.open(BASE)
    conduct(ablation, BASE, RUNS, keeps_snapshots=keeps_snapshots)
    kept = {"0", "1"} if keeps_snapshots else set()
    assert {folder.name for folder in ablation.runs.glob("*/*")} == kept | {"2"}
    killed = ablation.runs / RUNS[2].folder_name / "2"
    with locked(killed), pytest.raises(RunInUseError, match="another process trains this run"):
        conduct(ablation, BASE, RUNS)
    conduct(ablation, BASE, RUNS, keeps_snapshots=keeps_snapshots)
    assert {folder.name for folder in ablation.runs.glob("*/*")} == kept | ({"3"} if keeps_snapshots else set())
    assert len(list(ablation.runs.iterdir())) == (3 if keeps_snapshots else 0)


def test_a_signal_after_the_last_step_of_a_run_stops_after_it(
    trained: list[str], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def train_one(config: TrainConfig, run, chosen) -> RunOutcome:
        signal.raise_signal(signal.SIGTERM)
        return RunOutcome(run.key, run.seed, 0.3, 0.5, 0.3, 1.0, 10, 10.0)

    monkeypatch.setattr(module, "train_one", train_one)
    ablation, lines = Ablation(tmp_path), []
    ablation.open(BASE)
    assert not conduct(ablation, BASE, RUNS, log=lines.append)
    assert len(ablation.outcomes()) == 1
    assert lines[-1] == "stopped; the same command continues"


def test_no_run_begins_that_would_exceed_the_budget(trained: list[str], tmp_path: Path) -> None:
    ablation, lines = Ablation(tmp_path), []
    ablation.open(BASE)
    assert not conduct(ablation, BASE, RUNS, budget=25.0, log=lines.append)
    assert len(trained) == 2
    assert lines[-1] == "budget: 0.3 CPU minutes are used, 1 runs are left out"


def test_other_settings_are_refused_by_name(tmp_path: Path) -> None:
    Ablation(tmp_path).open(BASE)
    Ablation(tmp_path).open(changed(BASE, {"seed": 5}))
    with pytest.raises(ValueError, match=r"another epochs, which cannot be compared"):
        Ablation(tmp_path).open(changed(BASE, {"epochs": 5}))


def test_a_line_cut_off_by_a_crash_is_left_out(tmp_path: Path) -> None:
    ablation = Ablation(tmp_path)
    ablation.open(BASE)
    ablation.add(RunOutcome("key", 0, None, None, None, None, 3, 4.0, "diverged"))
    with (tmp_path / "results.jsonl").open("a") as file:
        file.write('{"key": "other", "se')
    assert [(each.key, each.failure) for each in ablation.outcomes().values()] == [("key", "diverged")]
