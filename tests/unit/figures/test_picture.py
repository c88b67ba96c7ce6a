"""A picture has two faces of the very same numbers, and is shown by standing on a
cell's last line.
"""

import base64
import inspect
import json
import sys
from typing import Any

import numpy as np
import pytest
from matplotlib.collections import PolyCollection, QuadMesh
from matplotlib.container import BarContainer
from matplotlib.figure import Figure

from muse_core import figures
from muse_core.errors import MuseError
from muse_core.figures import Picture, bars
from muse_core.figures.marks import wrapped
from muse_core.figures.picture import PLOTLY_MIME

from .charts import every_chart

CHARTS = every_chart()
DRAWN_TWICE = [name for name, picture in CHARTS.items() if picture.figure is not None]


def points(*columns: Any) -> set[tuple[float, ...]]:
    """Rows of numbers, rounded to what float32 holds, those with a gap left out."""
    rows = np.column_stack([np.asarray(column, dtype=float).ravel() for column in columns])
    return {tuple(row) for row in np.round(rows[np.isfinite(rows).all(1)], 4).tolist()}


def interactive_numbers(figure: Any) -> dict[str, set]:
    """What plotly was given: points, ends of intervals, cells, lines through a panel, and texts."""
    found: dict[str, set] = {"points": set(), "ends": set(), "cells": set(), "rules": set()}
    for trace in figure.data:
        if trace.type == "heatmap":
            found["cells"] |= points(trace.z)
            continue
        if trace.x is None or trace.x[0] is None:
            continue
        x, y = np.asarray(trace.x, dtype=float), np.asarray(trace.y, dtype=float)
        found["points"] |= points(x, y)
        for is_x, error in ((True, trace.error_x), (False, trace.error_y)):
            for sign, length in ((1, error.array), (-1, error.arrayminus)):
                if length is not None:
                    ends = (x + sign * length, y) if is_x else (x, y + sign * length)
                    found["ends"] |= points(*ends)
    for shape in figure.layout.shapes:
        if shape.type == "line":
            found["rules"] |= points(shape.x0 if shape.x0 == shape.x1 else shape.y0)
    return found


def still_numbers(still: Figure) -> dict[str, set]:
    """The same, read off what matplotlib drew."""
    found: dict[str, set] = {"points": set(), "ends": set(), "cells": set(), "rules": set()}
    for axes in still.axes:
        if axes.get_label() == "<colorbar>":
            continue
        for cells in (one for one in axes.collections if isinstance(one, QuadMesh)):
            found["cells"] |= points(cells.get_array())
        for group in (one for one in axes.containers if isinstance(one, BarContainer)):
            for bar in group:
                middle = (bar.get_y() + bar.get_height() / 2, bar.get_x() + bar.get_width() / 2)
                is_lying = group.orientation == "horizontal"
                at = (bar.get_width(), middle[0]) if is_lying else (middle[1], bar.get_height())
                found["points"] |= points(*at)
        for area in (one for one in axes.collections if isinstance(one, PolyCollection)):
            for path in area.get_paths():
                found["points"] |= points(*path.vertices.T)
        for line in axes.lines:
            x, y = np.asarray(line.get_xdata(), float), np.asarray(line.get_ydata(), float)
            if line.get_transform() != axes.transData:
                found["rules"] |= points(x[0] if x[0] == x[-1] else y[0])
            else:
                is_end = line.get_marker() in ("|", "_") and line.get_label() == "_nolegend_"
                found["ends" if is_end else "points"] |= points(x, y)
    return found


@pytest.mark.parametrize("name", DRAWN_TWICE)
def test_both_faces_carry_the_same_numbers(name: str) -> None:
    picture = CHARTS[name]
    interactive, still = interactive_numbers(picture.figure), still_numbers(picture.still)
    assert interactive["points"] or interactive["cells"]
    for kind in ("points", "ends", "cells"):
        assert interactive[kind] == still[kind], kind
    assert interactive["rules"] <= still["rules"]


@pytest.mark.parametrize("name", DRAWN_TWICE)
def test_both_faces_say_the_same(name: str) -> None:
    picture = CHARTS[name]
    legend = [text.get_text() for one in picture.still.legends for text in one.get_texts()]
    named = [trace.name for trace in picture.figure.data if trace.showlegend]
    assert sorted(legend) == sorted(named)
    written = {text.get_text() for axes in picture.still.axes for text in axes.texts}
    cells = {text for trace in picture.figure.data for text in np.ravel(trace.text) if trace.text}
    notes = {note.text.replace("<br>", "\n") for note in picture.figure.layout.annotations}
    titles = {panel.title for panel in picture.panels}
    assert written - {""} == {str(text) for text in cells if text} | (notes - titles)


@pytest.mark.parametrize("name", CHARTS)
def test_a_picture_on_a_cells_last_line_brings_all_that_the_exporter_reads(name: str) -> None:
    data, notes = CHARTS[name].shown("curve", "It rises.", cover=True)._repr_mimebundle_()
    assert base64.b64decode(data["image/png"]).startswith(b"\x89PNG") and data["text/plain"]
    assert notes["muse"].keys() == {"name", "alt", "cover", "thumbnail"}
    assert list(notes["muse"].values())[:3] == ["curve", "It rises.", True]
    assert notes["image/png"]["alt"] == "It rises." and 300 < notes["image/png"]["width"] < 1200
    assert (PLOTLY_MIME in data) == (name in DRAWN_TWICE) == ("text/html" not in data)
    json.dumps(data)


def test_every_function_that_returns_a_picture_is_held_to_this() -> None:
    functions = inspect.getmembers(figures, inspect.isfunction)
    drawing = {n for n, each in functions if inspect.signature(each).return_annotation is Picture}
    assert drawing == set(CHARTS)


def test_a_picture_is_known_by_its_title_until_it_is_given_words() -> None:
    picture = bars({"a": 1.0}, "One bar")
    assert repr(picture) == "One bar" and picture.shown().name == "bars"
    assert repr(picture.shown(alt="A bar.")) == "A bar." and not picture.shown().cover


@pytest.mark.parametrize("name", ["../up", "a b", "-x"])
def test_a_name_that_is_no_file_name_is_refused(name: str) -> None:
    with pytest.raises(MuseError, match="not a file name"):
        bars({"a": 1.0}, "t").shown(name)


def test_wide_letters_count_as_two() -> None:
    assert wrapped("日" * 20, 20) == "\n".join(["日" * 10] * 2)
    assert wrapped("a" * 20, 20) == "a" * 20
    assert wrapped("one two three", 8, 9) == "one two…"


def test_figures_are_data_before_any_library_draws_them() -> None:
    import subprocess

    code = (
        "import sys; from muse_core.figures import loss_curves; "
        "loss_curves([{'step': at, 'loss/a': 1.0} for at in (1, 2)]); "
        "print({'plotly', 'matplotlib', 'torch', 'ipywidgets'} & set(sys.modules))"
    )
    command = [sys.executable, "-c", code]
    assert subprocess.run(command, capture_output=True, text=True).stdout == "set()\n"
