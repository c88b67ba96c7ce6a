"""Curves: thin but true, gaps and signs tolerated; a live plot starts anew for another training."""

from types import SimpleNamespace

import numpy as np
import pytest

from muse_core.errors import MuseError
from muse_core.figures.curves import (
    MOST_POINTS,
    LivePlot,
    column,
    convergence,
    loss_curves,
    smoothed,
    thinned,
)


def rows(count: int, value=lambda step: 1.0 + step, name: str = "loss/topology") -> list[dict]:
    return [{"step": step, name: value(step), "rate": 1e-4} for step in range(1, count + 1)]


def training(count: int, what: str = "") -> SimpleNamespace:
    return SimpleNamespace(rows=rows(count), what=what)


def test_a_long_curve_is_thinned_and_keeps_its_spike_and_ends():
    values = np.ones(50_000)
    values[31_234] = 9.0
    kept = thinned(values)
    assert len(kept) <= MOST_POINTS and {0, 31_234, 49_999} <= set(kept)
    assert all(len(mark.x) <= MOST_POINTS for mark in loss_curves(rows(5_000)).panels[0].marks)


def test_the_smoothed_curve_starts_at_the_first_value_and_follows_a_constant():
    assert smoothed(np.full(500, 3.0)) == pytest.approx(3.0)
    assert smoothed(np.array([7.0, 1.0]))[0] == pytest.approx(7.0)


def test_gaps_are_tolerated():
    gappy = rows(200, lambda step: float("nan") if step % 3 == 0 else 2.0)
    (panel,) = loss_curves(gappy, ["loss/topology"]).panels
    assert np.isfinite(panel.marks[1].y[10:]).all() and panel.y.log


def test_a_loss_below_zero_keeps_the_axis_linear():
    assert not loss_curves(rows(20, lambda step: -1.0), ["loss/topology"]).panels[0].y.log


def test_rows_without_the_metric_are_passed_over():
    mixed = [*rows(3), {"step": 4, "validation": 0.5}]
    assert column(mixed, "validation")[0].tolist() == [4]


def test_an_unknown_metric_names_the_known_ones_and_no_loss_is_a_sentence():
    with pytest.raises(MuseError, match="loss/topology"):
        loss_curves(rows(3), ["loss/topologie"])
    with pytest.raises(MuseError, match="No losses to draw"):
        loss_curves([])


def test_ticks_of_a_log_axis_are_numbers_one_reads():
    (panel,) = convergence({"MUSE": ([200, 3200], [2.0, 0.3])}, "t", "FD", ("real", 0.1)).panels
    assert list(panel.x.ticks.values()) == ["200", "500", "1,000", "2,000"]
    assert list(panel.y.ticks.values()) == ["0.1", "0.2", "0.5", "1", "2"]
    assert panel.marks[-1].y.tolist() == [0.1, 0.1] and panel.marks[-1].x.tolist() == [200, 3200]


def test_each_training_has_a_live_plot_of_its_own_with_its_name(monkeypatch):
    shown = []

    class Handle:
        def update(self, image):
            shown[-1].append(image.metadata["alt"])

    def display(image, display_id):
        shown.append([image.metadata["alt"]])
        return Handle()

    monkeypatch.setattr("IPython.display.display", display)
    monkeypatch.setattr("muse_core.figures.curves.DRAWING", 1e9)
    plot = LivePlot(["loss/topology"], seconds=0)
    assert plot.picture(training(0)) is None
    for what, counts in {"MUSE": (2, 3), "the autoencoder": (2,), "stage 1": (3,)}.items():
        plot.on_train_begin(training(0, what))
        for count in counts:
            plot.on_step(training(count, what), {})
    words = "Losses so far: {}, step {}"
    assert shown == [
        [words.format("MUSE", 2), words.format("MUSE", 3)],
        [words.format("the autoencoder", 2)],
        [words.format("stage 1", 3)],
    ]


def test_a_live_plot_is_not_drawn_at_every_step(monkeypatch):
    monkeypatch.setattr("IPython.display.display", lambda *args, **names: pytest.fail("drawn"))
    plot = LivePlot(seconds=60)
    plot.on_step(training(5, "MUSE"), {})
    assert plot.picture(training(5, "MUSE")).title == "MUSE, step 5"


def test_a_live_plot_takes_a_hundredth_of_the_time_at_most(monkeypatch):
    now, drawn = [0.0], []

    def slow_png(*args, **options):
        now[0] += 2.0
        drawn.append(now[0])
        return b""

    monkeypatch.setattr("muse_core.figures.curves.time.monotonic", lambda: now[0])
    monkeypatch.setattr("muse_core.figures.still.png", slow_png)
    monkeypatch.setattr("IPython.display.Image", lambda *args, **options: None)
    monkeypatch.setattr(
        "IPython.display.display", lambda *args, **names: SimpleNamespace(update=print)
    )
    plot = LivePlot(seconds=5)
    while now[0] < 1000:
        now[0] += 1
        plot.on_step(training(3, "MUSE"), {})
    # The first drawing, which loads much, stops none; then two seconds in two hundred.
    assert drawn[0] < 10 and drawn[1] < 20 and 5 <= len(drawn) <= 7
