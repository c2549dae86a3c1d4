"""The curves of a run."""

from __future__ import annotations

from keras_retinanet.report import Subject
from keras_retinanet.report.history import describe_run


def test_charts(subject: Subject) -> None:
    run = describe_run(subject.rows, 3)
    assert run is not None
    assert (run["epochs"], run["best"], run["explanation"]) == ([1, 2, 3], 3, "3 epochs. best.keras is of epoch 3.")
    assert {chart["title"]: chart["curves"] for chart in run["charts"]} == {
        "Training loss": [
            {"name": "loss", "values": [2.5, 1.25, 1.0]}, {"name": "box_loss", "values": [1.5, 0.5, 0.25]},
        ],
        "Validation metrics": [{"name": "AP", "values": [0.25, None, 0.5]}],
        "Learning rate": [{"name": "learning_rate", "values": [0.001, 0.0001, 0.0001]}],
    }  # fmt: skip


def test_without_a_run() -> None:
    assert describe_run((), None) is None
    assert describe_run([{"epoch": "1", "loss": "inf"}], None) == {
        "epochs": [1], "best": None, "explanation": "1 epoch.",
        "charts": [{"title": "Training loss", "curves": [{"name": "loss", "values": [None]}]}],
    }  # fmt: skip
