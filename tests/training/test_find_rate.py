"""The range test on losses that are known."""

from __future__ import annotations

from pathlib import Path

import pytest

from keras_retinanet.training.find_rate import FoundRate, RisingRate, draw_range_test, propose, smooth


def test_rates_rise_in_equal_factors() -> None:
    schedule = RisingRate(7)
    assert [float(schedule(step)) for step in range(7)] == pytest.approx([10.0**k for k in range(-6, 1)], rel=1e-4)
    assert RisingRate.from_config(schedule.get_config()).total_steps == 7


def test_losses_are_smoothed_without_a_bias() -> None:
    """(.9 · .1 · 4 + .1 · 2) / (1 - .81) = .56 / .19."""
    assert smooth([4.0, 2.0]) == pytest.approx([4.0, 0.56 / 0.19])
    assert smooth([3.0] * 5) == pytest.approx([3.0] * 5)


def test_a_tenth_of_the_best_rate_is_proposed() -> None:
    rates = [10.0 ** (k / 10 - 5) for k in range(50)]
    losses = [5.0 - 0.1 * k if k < 30 else 2.0 + 0.5 * (k - 30) for k in range(50)]
    assert rates[28] / 10 <= propose(rates, losses) <= rates[36] / 10


def test_the_plot_is_written(tmp_path: Path) -> None:
    draw_range_test(FoundRate([1e-3, 1e-2, 1e-1], [3, 2, 4], [3, 2.5, 3], 1e-3), tmp_path / "plot.png")
    assert (tmp_path / "plot.png").read_bytes().startswith(b"\x89PNG")
