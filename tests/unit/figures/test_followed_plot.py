"""The plot that grows: longer lines for the same stage, new ones for the next, and a still."""

from pathlib import Path

from muse_core.figures.followed_plot import WatchPlot
from muse_core.results.metrics_tail import StageFollower
from muse_core.results.records import RowReader


def stage(name: str, steps: int) -> StageFollower:
    rows = [
        {"step": step, "loss/topology": 1 / step, "learning_rate": 0.1}
        for step in range(1, steps + 1)
    ]
    return StageFollower(name, RowReader(Path("none")), rows=rows)


def test_lines_grow_and_the_next_stage_begins_anew() -> None:
    plot, first = WatchPlot(), stage("01_a", 3)
    assert plot.picture() is None
    plot.show(first)
    first.rows.append({"step": 4, "loss/topology": 0.2})
    plot.show(first)
    assert [(line.name, list(line.x)) for line in plot.widget.data] == [
        ("loss/topology", [1, 2, 3, 4])
    ]
    plot.show(stage("02_b", 2))
    assert [list(line.x) for line in plot.widget.data] == [[1, 2]]
    assert plot.widget.layout.title.text == "02_b, step 2" and plot.picture() is not None
