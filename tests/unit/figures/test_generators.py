"""Comparisons of generators: values and intervals arrive in both faces, nothing to draw is a
sentence.
"""

import pytest

from muse_core.errors import MuseError
from muse_core.figures.generators import convergence, following_bars

CURVES = {"MUSE": ([10, 100, 1000], [2.0, 0.8, 0.3]), "shared": ([10, 100, 1000], [2.2, 0.9, 0.4])}
VALUES = {
    "MUSE": {"shape": (0.8, 0.7, 0.9), "count": (0.6, 0.5, 0.7)},
    "shared": {"shape": (0.7, 0.6, 0.8), "count": (0.6, 0.5, 0.7)},
}


def test_convergence_draws_each_curve_on_log_axes_with_its_floor() -> None:
    picture = convergence(CURVES, "distance", "FD", floor=("real images", 0.1))
    assert [trace.name for trace in picture.figure.data] == [*CURVES, "real images"]
    assert list(picture.figure.data[-1].y) == [0.1, 0.1] and list(picture.figure.data[-1].x) == [
        10,
        1000,
    ]
    assert (
        list(picture.figure.data[0].y) == [2.0, 0.8, 0.3]
        and picture.figure.layout.yaxis.type == "log"
    )
    assert picture.still.axes[0].get_yscale() == "log"


def test_following_bars_are_percent_with_intervals_ceiling_and_chance() -> None:
    picture = following_bars(
        VALUES, {"shape": 0.98, "count": 0.99}, {"shape": 0.05, "count": 0.4}, "prompts"
    )
    bars = [trace for trace in picture.figure.data if trace.type == "bar"]
    assert list(bars[0].y) == pytest.approx([80, 60]) and list(
        bars[0].error_y.array
    ) == pytest.approx([10, 10])
    marks = {trace.name: list(trace.y) for trace in picture.figure.data if trace.type == "scatter"}
    assert marks["the judge on real scenes"] == [98, 99] and marks["chance"] == [5, 40]


def test_nothing_to_draw_is_a_sentence() -> None:
    with pytest.raises(MuseError, match="as many steps as values"):
        convergence({"MUSE": ([1, 2], [1.0])}, "distance", "FD")
    with pytest.raises(MuseError, match="nothing to draw"):
        following_bars({}, {}, {}, "prompts")
