import numpy as np
import pytest

from muse_core.errors import MuseError
from muse_core.figures.curves import (
    MOST_POINTS,
    column,
    learning_rate_curve,
    loss_curves,
    smoothed,
    thinned,
)


def rows(count: int, value=lambda step: 1.0 + step, name: str = "loss/topology") -> list[dict]:
    return [
        {"step": step, name: value(step), "learning_rate": 1e-4} for step in range(1, count + 1)
    ]


def test_a_long_curve_is_thinned_and_keeps_its_spike_and_ends():
    values = np.ones(50_000)
    values[31_234] = 9.0
    kept = thinned(values)
    assert len(kept) <= MOST_POINTS
    assert {0, 31_234, 49_999} <= set(kept)


def test_every_line_of_both_faces_is_thin():
    picture = loss_curves(rows(5_000), ["loss/topology"])
    assert all(len(trace.x) <= MOST_POINTS for trace in picture.figure.data)
    assert all(len(line.get_xdata()) <= MOST_POINTS for line in picture.still.axes[0].lines)


def test_the_smoothed_curve_starts_at_the_first_value_and_follows_a_constant():
    assert smoothed(np.full(500, 3.0)) == pytest.approx(3.0)
    assert smoothed(np.array([7.0, 1.0]))[0] == pytest.approx(7.0)


def test_gaps_are_tolerated():
    picture = loss_curves(
        rows(200, lambda step: float("nan") if step % 3 == 0 else 2.0), ["loss/topology"]
    )
    bold = picture.figure.data[1]
    assert np.isfinite(bold.y[10:]).all()
    assert picture.figure.layout.yaxis.type == "log"


def test_a_loss_below_zero_keeps_the_axis_linear():
    assert (
        loss_curves(rows(20, lambda step: -1.0), ["loss/topology"]).still.axes[0].get_yscale()
        == "linear"
    )


def test_rows_without_the_metric_are_passed_over():
    mixed = [*rows(3), {"step": 4, "validation": 0.5}]
    assert column(mixed, "validation")[0].tolist() == [4]


def test_an_unknown_metric_names_the_known_ones():
    with pytest.raises(MuseError, match="loss/topology"):
        loss_curves(rows(3), ["loss/topologie"])


def test_the_learning_rate_is_drawn_as_it_was():
    (trace,) = learning_rate_curve(rows(10)).figure.data
    assert trace.y == pytest.approx(1e-4)
