"""Table 1: the paper's figures below ours, colours by whose order it is; the frontier of what
nothing beats.
"""

from dataclasses import replace

import numpy as np
import pytest

from muse_core.errors import MuseError
from muse_core.figures import frontier, order, table_one
from muse_core.figures.marks import Line, Words
from muse_core.results.measurements import StudyCell, StudyRecord, StudyRow
from muse_core.results.records import provenance

PAPER = {"muse": {"psnr": 24.9, "miou": 46.5}, "vae": {"psnr": 26.2, "miou": 19.6}, "plain": {}}


def cell(value: float, difference: float | None = None, half: float = 0.1) -> StudyCell:
    if difference is None:
        return StudyCell(value, value - half, value + half, [value] * 3)
    each = [difference - half, difference, difference + half]
    ends = difference - 2 * half, difference + 2 * half
    return StudyCell(value, value - half, value + half, [value] * 3, difference, *ends, each, 0.01)


def record() -> StudyRecord:
    cells = {
        "muse": {"psnr": cell(25.0), "miou": cell(0.5)},
        "vae": {"psnr": cell(26.0, 1.0), "miou": cell(0.7, 0.2, 0.01)},
        "plain": {"psnr": cell(25.05, 0.05), "miou": cell(0.4, -0.1, 0.01)},
    }
    rows = [
        StudyRow(name, f"words of {name}", {}, "", {}, held, figures=PAPER[name])
        for name, held in cells.items()
    ]
    return StudyRecord("table1", "tiny", "scenes", [1, 2, 3], 100, rows, [], provenance("cpu"))


def test_the_order_is_the_papers_the_other_or_open() -> None:
    found = record()
    muse, vae, plain = found.rows
    assert order(found, vae, "psnr") == "same"
    assert order(found, vae, "miou") == "other"
    assert order(found, plain, "psnr") == "", "the paper has no figure of it"
    assert order(found, muse, "psnr") == "", "it is not compared with itself"
    vae.cells["psnr"] = cell(25.05, 0.05)
    assert order(found, vae, "psnr") == "open"


def test_the_page_shows_our_figure_its_interval_and_the_papers() -> None:
    page = table_one(record(), ["psnr", "miou", "ssim"], ["psnr", "miou"])
    assert "26.0" in page and "±\u00a00.1" in page
    assert "paper\u00a026.2" in page and "paper\u00a019.6" in page
    assert "words of plain" in page and "SSIM" not in page, "a column that no row has"
    assert page.count("same order as in the paper") == 1
    assert page.count("the other order than in the paper") == 1
    assert "paper" not in table_one(record(), ["psnr"], []).replace("the paper", "")


def test_the_frontier_is_what_no_other_beats_in_both() -> None:
    picture = frontier(record(), ["miou"], "psnr", "Pixels against understanding")
    (panel,) = picture.panels
    (line,) = (mark for mark in panel.marks if isinstance(mark, Line) and mark.name)
    assert line.x.tolist() == pytest.approx([70.0]) and line.y.tolist() == pytest.approx([26.0])
    names = {mark.text: mark for mark in panel.marks if isinstance(mark, Words)}
    assert names.keys() == {"muse", "vae", "plain"}
    assert names["vae"].side == "left" and names["plain"].side == "right"
    dots = [mark for mark in panel.marks if isinstance(mark, Line) and mark.marker]
    assert len(dots) == 6 and sum(mark.across for mark in dots) == 3
    # The first row is drawn last, over the others.
    assert dots[-2].ends.ravel() == pytest.approx([10, 10], abs=1e-6)
    for axis, ends in ((panel.x, (39, 71)), (panel.y, (24.9, 26.1))):
        assert axis.limits[0] < ends[0] and ends[1] < axis.limits[1], "whole intervals are seen"
    assert names["muse"].y > record().rows[0].cells["psnr"].value


def test_names_of_points_that_are_near_do_not_cover_each_other() -> None:
    rows = [replace(row, cells={**row.cells}) for row in record().rows]
    for at, row in enumerate(rows):
        row.cells["psnr"] = replace(row.cells["psnr"], value=25 + 0.001 * at)
        row.cells["miou"] = replace(row.cells["miou"], value=0.5)
    (panel,) = frontier(replace(record(), rows=rows), ["miou"], "psnr", "Near").panels
    names = [mark for mark in panel.marks if isinstance(mark, Words)]
    low, high = panel.y.limits
    heights = sorted((mark.y - low) / (high - low) for mark in names)
    same_side = len({mark.side for mark in names}) == 1
    assert not same_side or min(np.diff(heights)) > 0.03
    assert len({(mark.side, round(mark.y, 6)) for mark in names}) == len(names)


def test_panels_side_by_side_say_their_height_once() -> None:
    first, second = frontier(record(), ["miou", "psnr"], "psnr", "Twice").panels
    assert first.y.words and not second.y.words


def test_a_frontier_of_nothing_is_a_sentence() -> None:
    with pytest.raises(MuseError, match="system with 'psnr'"):
        frontier(record(), ["zero_shot"], "psnr", "Nothing")
