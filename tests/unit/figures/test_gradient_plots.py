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
from muse_core.figures.marks import Line, Words

STEPS = np.arange(0.0, 50.0, 10.0)


def found(picture, kind: type = Line, panel: int = 0) -> list:
    return [mark for mark in picture.panels[panel].marks if isinstance(mark, kind)]


@pytest.mark.parametrize("seeds", [1, 3])
def test_a_panel_holds_every_measurement_the_mean_and_a_line_for_nothing_shared(seeds: int) -> None:
    values = np.stack([np.linspace(-0.5, 0.1, 5) + 0.1 * seed for seed in range(seeds)])
    curves = {"shared": Curve(STEPS, values), "orthogonal": Curve(STEPS, values * np.nan)}
    picture = cosine_curves({"pixels and semantics": curves}, "t", {"01": 0, "02": 20})
    lines = found(picture)
    dots = [line for line in lines if line.width == 0 and not line.filled]
    assert np.allclose([line.y for line in dots], values)
    assert [line.name for line in lines if line.name] == ["shared", f"orthogonal: {NOTHING_SHARED}"]
    assert [rule.text for rule in picture.panels[0].rules] == ["stage 1", "stage 2"]
    assert picture.panels[0].y.limits == pytest.approx((-0.575, 0.575)), "even around nought"


def test_the_band_runs_from_the_lowest_to_the_highest_seed() -> None:
    curve = Curve(STEPS, np.array([[0.0] * 5, [1.0] * 5]))
    lines = found(cosine_curves({"p": {"shared": curve}}, "t"))
    (band,) = [line for line in lines if line.filled]
    assert band.y.tolist() == [0.0] * 5 + [1.0] * 5 and np.allclose(lines[-1].y, 0.5)


def test_violins_show_their_medians_and_few_samples_are_dots() -> None:
    energy = {
        "W_Q": {"semantics": np.array([0.1, 0.2]), "topology": np.linspace(0.4, 0.6, 21)},
        "W_V": {"semantics": np.full(9, 0.9), "topology": np.array([])},
    }
    picture = energy_violins(energy, "t", "share")
    assert [words.text for words in found(picture, Words)] == ["15%", "50%", "90%"]
    (violin,) = [line for line in found(picture) if line.filled]
    assert (
        violin.name == "topology" and violin.x.min() == 0 and violin.x.max() == pytest.approx(0.4)
    )
    assert (violin.y.min(), violin.y.max()) == pytest.approx((0.4, 0.6))


def test_whiskers_end_at_samples_near_the_box() -> None:
    samples = {"W_Q": {"shared": np.array([1.0, 2.0, 3.0, 4.0, 5.0, 99.0])}}
    whiskers, box, median = found(cosine_boxes(samples, "t"))
    assert [*whiskers.y[:2], *median.y[:1], *whiskers.y[3:]] == [1, 2.25, 3.5, 4.75, 5]
    assert box.y.tolist() == [2.25, 2.25, 4.75, 4.75]


def test_boxes_mark_routings_that_share_no_weight() -> None:
    samples = {"W_Q": {"shared": np.array([0.1, 0.2, 0.3]), "orthogonal": np.array([])}}
    whiskers, box, median, cross = found(cosine_boxes(samples, "t"))
    assert np.nanmin(whiskers.y) == 0.1 and np.nanmax(whiskers.y) == pytest.approx(0.3)
    assert box.name == "shared" and np.nanmax(median.y) == pytest.approx(0.2)
    assert cross.marker == "x" and cross.name == f"orthogonal: {NOTHING_SHARED}"
    assert cross.y.tolist() == [0] and len(cross.x) == 1


def test_the_trunk_has_a_panel_a_routing_and_gaps_where_nothing_was_measured() -> None:
    mean = np.array([0.1, -0.2, np.nan])
    values = {"pixels and semantics": (mean, mean - 0.1, mean + 0.1)}
    picture = trunk_conflict({"orthogonal": values, "shared": values}, ["0", "1", "adapter"], "t")
    (line,) = found(picture, panel=1)
    assert len(picture.panels) == 2 and np.allclose(line.y, mean, equal_nan=True)
    assert np.allclose(line.ends[1], [0.1, 0.1, 0.0])


@pytest.mark.parametrize(
    "draw",
    [
        lambda: energy_violins({}, "t", "u"),
        lambda: energy_violins({"W_Q": {"a": np.array([])}}, "t", "u"),
    ],
)
def test_nothing_to_draw_is_a_sentence(draw) -> None:
    with pytest.raises(MuseError, match="nothing to draw in 't'"):
        draw()
