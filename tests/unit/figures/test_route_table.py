"""The routing table: open, closed and leaking cells, and shares that never round down to nothing."""

import numpy as np
import pytest

from muse_core.errors import MuseError
from muse_core.figures.route_table import LEAK, MEANING, route_table, share_text

ROWS, COLUMNS = ["pixels", "semantics"], ["W_Q", "W_V", "trunk"]
INTENDED = np.array([[False, False, True], [False, True, True]])
MEASURED = np.array([[0.0, 1e-9, 1.0], [0.0, 0.6, 0.4]])


@pytest.mark.parametrize(
    ("share", "text"),
    [
        (0.0, "0"),
        (1e-12, "<0.1 %"),
        (0.0012, "0.1 %"),
        (0.099, "9.9 %"),
        (0.41, "41 %"),
        (1.0, "100 %"),
    ],
)
def test_only_an_exact_zero_is_written_as_one(share: float, text: str) -> None:
    assert share_text(share) == text


def test_a_forbidden_gradient_however_small_is_a_leak() -> None:
    picture = route_table(INTENDED, MEASURED, ROWS, COLUMNS, "t")
    kinds = list(MEANING)
    assert [[kinds[code].split(";")[0] for code in row] for row in picture.figure.data[0].z] == [
        ["closed", "a leak", "open by design"],
        ["closed", "open by design", "open by design"],
    ]
    legend = [text.get_text() for text in picture.still.legends[0].get_texts()]
    assert "a leak" in legend
    assert LEAK not in str(
        route_table(INTENDED, MEASURED * INTENDED, ROWS, COLUMNS, "t")
        .still.legends[0]
        .get_patches()
    )


def test_without_a_leak_the_legend_names_none() -> None:
    picture = route_table(INTENDED, MEASURED * INTENDED, ROWS, COLUMNS, "t")
    assert "a leak" not in [text.get_text() for text in picture.still.legends[0].get_texts()]
    assert [text.get_text() for text in picture.still.axes[0].texts] == [
        "0",
        "0",
        "100 %",
        "0",
        "60 %",
        "40 %",
    ]


def test_names_that_do_not_fit_are_a_sentence() -> None:
    with pytest.raises(MuseError, match="for 1 rows and 3 columns"):
        route_table(INTENDED, MEASURED, ROWS[:1], COLUMNS, "t")
