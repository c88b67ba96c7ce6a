import numpy as np
import pytest

from muse_core.errors import MuseError
from muse_core.figures.similarity import similarity_matrix


def test_the_planted_maximum_is_in_its_row_and_column_on_both_faces():
    values = np.zeros((3, 5))
    values[1, 4] = 0.9
    picture = similarity_matrix(values, list("abc"), list("vwxyz"))
    assert np.unravel_index(np.argmax(picture.figure.data[0].z), (3, 5)) == (1, 4)
    assert np.unravel_index(np.argmax(picture.still.axes[0].images[0].get_array()), (3, 5)) == (
        1,
        4,
    )


def test_a_square_matrix_has_its_diagonal_marked_and_counted():
    picture = similarity_matrix(np.eye(4)[[0, 1, 3, 2]], list("abcd"), list("wxyz"))
    corners = [patch.get_xy() for patch in picture.still.axes[0].patches]
    assert corners == [(at - 0.5, at - 0.5) for at in range(4)]
    assert "2 of 4" in picture.still.get_suptitle()


def test_a_rectangle_has_no_diagonal():
    assert not similarity_matrix(np.zeros((2, 3)), list("ab"), list("xyz")).still.axes[0].patches


def test_long_captions_are_cut_on_the_axis_and_whole_in_the_hover():
    caption = "a small red triangle to the left of a very large blue circle on grey"
    figure = similarity_matrix(np.zeros((2, 1)), [caption, caption], ["image"]).figure
    assert len(set(figure.data[0].y)) == 2
    assert figure.data[0].y[0].replace("<br>", " ") == f"1: {caption}"
    assert len(figure.layout.yaxis.ticktext[0]) < len(caption)


def test_nan_is_tolerated_and_never_the_best():
    values = np.array([[0.5, np.nan], [0.1, 0.2]])
    assert "2 of 2" in similarity_matrix(values, list("ab"), list("xy")).still.get_suptitle()


def test_labels_that_do_not_fit_are_refused():
    with pytest.raises(MuseError, match="3 row"):
        similarity_matrix(np.zeros((2, 2)), list("abc"), list("xy"))
