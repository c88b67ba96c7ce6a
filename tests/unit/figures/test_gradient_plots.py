"""Figures of gradients: the planted numbers are in them, one seed suffices, and what shares no
weight says so.
"""

import numpy as np
import pytest

from muse_core.errors import MuseError
from muse_core.figures.gradient_plots import (
    NOTHING_SHARED,
    Curve,
    cosine_boxes,
    cosine_curves,
    energy_violins,
    trunk_conflict,
)

STEPS = np.arange(0.0, 50.0, 10.0)


def panels(seeds: int = 2) -> dict[str, dict[str, Curve]]:
    shared = Curve(
        STEPS, np.stack([np.linspace(-0.5, 0.1, 5) + 0.1 * seed for seed in range(seeds)])
    )
    return {
        "pixels and semantics": {
            "shared": shared,
            "orthogonal": Curve(STEPS, np.full((seeds, 5), np.nan)),
        }
    }


@pytest.mark.parametrize("seeds", [1, 3])
def test_a_panel_holds_every_measurement_the_mean_and_a_line_for_nothing_shared(seeds: int) -> None:
    picture = cosine_curves(panels(seeds), "t", {"01": 0, "02": 20})
    dots = [trace for trace in picture.figure.data if trace.mode == "markers"]
    assert len(dots) == seeds and np.allclose(
        dots[0].y, panels(seeds)["pixels and semantics"]["shared"].values[0]
    )
    assert {trace.name for trace in picture.figure.data if trace.mode == "lines"} == {
        "shared",
        f"orthogonal: {NOTHING_SHARED}",
    }
    (axes,) = picture.still.axes
    assert {text.get_text() for text in axes.texts} == {"stage 1", "stage 2"}
    assert axes.get_ylim() == pytest.approx((-0.575, 0.575)), "the axis is even around nought"


def test_the_band_runs_from_the_lowest_to_the_highest_seed() -> None:
    curve = Curve(STEPS, np.array([[0.0] * 5, [1.0] * 5]))
    low, high = curve.band
    assert low.tolist() == [0.0] * 5 and high.tolist() == [1.0] * 5 and np.allclose(curve.mean, 0.5)


def test_violins_show_their_medians_and_few_samples_are_dots() -> None:
    energy = {
        "W_Q": {"semantics": np.array([0.1, 0.2]), "topology": np.linspace(0.4, 0.6, 21)},
        "W_V": {"semantics": np.full(9, 0.9), "topology": np.array([])},
    }
    picture = energy_violins(energy, "t", "share")
    (axes,) = picture.still.axes
    assert [text.get_text() for text in axes.texts] == ["15%", "90%", "50%"]
    assert [trace.side for trace in picture.figure.data] == [
        "negative",
        "negative",
        "positive",
        "positive",
    ]


def test_boxes_mark_routings_that_share_no_weight() -> None:
    picture = cosine_boxes(
        {"W_Q": {"shared": np.array([0.1, 0.2, 0.3]), "orthogonal": np.array([])}}, "t"
    )
    assert (
        np.allclose(picture.figure.data[0].y, [0.1, 0.2, 0.3])
        and len(picture.figure.data[1].y) == 0
    )
    crosses = [
        line
        for line in picture.still.axes[0].lines
        if line.get_marker() == "x" and len(line.get_xdata())
    ]
    assert len(crosses) == 1


def test_the_trunk_has_a_panel_a_routing_and_gaps_where_nothing_was_measured() -> None:
    mean = np.array([0.1, -0.2, np.nan])
    values = {"pixels and semantics": (mean, mean - 0.1, mean + 0.1)}
    picture = trunk_conflict(
        {"orthogonal": values, "shared": values}, ["layer 0", "layer 1", "adapter"], "t"
    )
    assert len(picture.still.axes) == 2 and np.allclose(
        picture.figure.data[0].y, mean, equal_nan=True
    )
    assert np.allclose(picture.figure.data[0].error_y.array, [0.1, 0.1, 0.0])


@pytest.mark.parametrize(
    "draw",
    [
        lambda: cosine_curves({}, "t"),
        lambda: energy_violins({}, "t", "u"),
        lambda: energy_violins({"W_Q": {"a": np.array([])}}, "t", "u"),
        lambda: cosine_boxes({}, "t"),
        lambda: trunk_conflict({}, [], "t"),
    ],
)
def test_nothing_to_draw_is_a_sentence(draw) -> None:
    with pytest.raises(MuseError, match="nothing to draw in 't'"):
        draw()
