"""What is drawn is what was given: means of heads as lines, heads as dots, references as levels."""

import numpy as np
import pytest

from muse_core.errors import MuseError
from muse_core.figures.heads import by_layer

TABLES = {
    "teacher": np.array([[1.0, 3.0], [2.0, 4.0]]),
    "after stage 1": np.array([[0.0, 1.0], [np.nan, 5.0]]),
}


def lines(picture):
    return {line.get_label(): line for line in picture.still.axes[0].lines}


def test_lines_are_the_means_of_heads_and_gaps_do_not_spread() -> None:
    drawn = lines(by_layer(TABLES, "Distance", "share"))
    np.testing.assert_allclose(drawn["teacher"].get_ydata(), [2, 3])
    np.testing.assert_allclose(drawn["after stage 1"].get_ydata(), [0.5, 5])


def test_every_head_is_a_dot_on_both_faces() -> None:
    picture = by_layer(TABLES, "Distance", "share")
    dots = [line.get_ydata() for line in picture.still.axes[0].lines if line.get_marker() == "o"]
    np.testing.assert_allclose(dots[0], [1, 3, 2, 4])
    np.testing.assert_allclose(np.asarray(picture.figure.data[1].y, dtype=float), [1, 3, 2, 4])


def test_a_reference_is_a_level_with_its_name() -> None:
    assert lines(by_layer(TABLES, "AUC", "AUC", {"nearness": 0.87}))["nearness: 0.87"].get_ydata()[0] == 0.87


def test_one_network_of_one_layer_is_drawn() -> None:
    by_layer({"alone": np.ones((1, 1))}, "Entropy", "nats")


@pytest.mark.parametrize(
    ("values", "words"), [({}, "nothing to draw"), ({"a": np.ones(3)}, "give \\(layers, heads\\)")]
)
def test_what_cannot_be_drawn_is_a_sentence(values, words: str) -> None:
    with pytest.raises(MuseError, match=words):
        by_layer(values, "Distance", "share")
