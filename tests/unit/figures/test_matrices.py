"""Matrices: planted cells in their place, tables of routes that never round a leak to nothing."""

import numpy as np
import pytest

from muse_core.errors import MuseError
from muse_core.figures import route_table, similarity_matrix, stage_routes
from muse_core.figures.matrices import share_text

ROWS, COLUMNS = ["pixels", "semantics"], ["W_Q", "W_V", "trunk"]
INTENDED = np.array([[False, False, True], [False, True, True]])
MEASURED = np.array([[0.0, 1e-9, 1.0], [0.0, 0.6, 0.4]])


def heat(picture):
    return picture.panels[0].marks[0]


def test_a_square_matrix_has_its_diagonal_marked():
    picture = similarity_matrix(np.eye(4)[[0, 1, 3, 2]], list("abcd"), list("wxyz"))
    assert heat(picture).diagonal
    assert not heat(similarity_matrix(np.zeros((2, 3)), list("ab"), list("xyz"))).diagonal


def test_cells_have_the_digits_their_range_deserves_and_one_number_is_not_written_everywhere():
    near = similarity_matrix([[0.0312, 0.0345], [0.0321, 0.0333]], list("ab"), list("xyz")[:2])
    assert heat(near).texts[0] == ["0.0312", "0.0345"]
    wide = similarity_matrix([[0.0, 40.123], [np.nan, 2.0]], list("ab"), list("xy"))
    assert heat(wide).texts == [["0", "40"], ["–", "2"]]
    assert heat(similarity_matrix(np.full((2, 2), 0.99), list("ab"), list("xy"))).texts == ()


@pytest.mark.parametrize(
    ("share", "text"),
    [(0.0, "0"), (1e-12, "<0.1 %"), (0.0012, "0.1 %"), (0.099, "9.9 %"), (0.41, "41 %")],
)
def test_only_an_exact_zero_is_written_as_one(share: float, text: str):
    assert share_text(share) == text


def test_a_forbidden_gradient_however_small_is_a_leak():
    picture = route_table(INTENDED, MEASURED, ROWS, COLUMNS, "t")
    assert heat(picture).z.tolist() == [[1, 2, 0], [1, 0, 0]] and "a leak" in picture.key
    clean = route_table(INTENDED, MEASURED * INTENDED, ROWS, COLUMNS, "t")
    assert "a leak" not in clean.key
    assert heat(clean).texts == [["0", "0", "100 %"], ["0", "60 %", "40 %"]]


def test_a_stage_is_drawn_from_its_weights_and_its_table():
    opened = {
        "topology": {"W_Q": True, "trunk": True, "backbone": True},
        "pixels": {"W_Q": False, "trunk": True, "backbone": True},
    }
    picture = stage_routes({"topology": 2.0, "pixels": 0.5}, opened, ["trunk"], ["backbone"])
    assert heat(picture).z.tolist() == [[0, 1, 3], [2, 1, 3]]
    assert heat(picture).names == (["topology × 2", "pixels × 0.5"], ["W_Q", "trunk", "backbone"])
    assert "3 of 6 routes are open" in picture.title


@pytest.mark.parametrize(
    ("draw", "words"),
    [
        (lambda: similarity_matrix(np.zeros((2, 2)), list("abc"), list("xy")), "3 row"),
    ],
)
def test_names_that_do_not_fit_are_a_sentence(draw, words):
    with pytest.raises(MuseError, match=words):
        draw()
