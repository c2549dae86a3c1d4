"""How many epochs fit into a time."""

from __future__ import annotations

import pytest

from keras_retinanet.training.trial import fit_epochs, usual_step


@pytest.mark.parametrize(
    ("budget", "every", "expected"),
    [
        (1000, 1, 8),  # an epoch takes 10 · 10 s, an evaluation 0.5 · 10 s / 2 · 8 = 20 s: 8 · 120 s fit
        (1000, 3, 9),  # 9 · 100 + 3 · 20
        (1000, 100, 9),  # the last epoch is always evaluated
        (10, 1, 1),
    ],
)
def test_epochs_that_fit(budget: float, every: int, expected: int) -> None:
    assert fit_epochs(budget, 10.0, steps=10, batch_size=2, val_images=8, every=every) == expected


def test_steps_that_compile_are_not_usual() -> None:
    """Three times the median is a larger shape, thirty times its compiling."""
    assert usual_step([1.0, 3.0, 30.0, 1.0, 1.0]) == (1.5, 4)
    assert usual_step([2.0]) == (2.0, 1)


def test_without_evaluation_epochs_fill_the_time() -> None:
    assert fit_epochs(1000, 10.0, steps=10, batch_size=2, val_images=0, every=1) == 10
