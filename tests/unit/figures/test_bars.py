import pytest

from muse_core.errors import MuseError
from muse_core.figures.bars import bars

VALUES = {"MUSE": 24.1, "shared": 21.3, "untrained": float("nan")}


def test_bars_are_as_long_as_their_numbers_in_the_given_order():
    picture = bars(VALUES, "PSNR", "dB")
    assert [patch.get_width() for patch in picture.still.axes[0].patches] == pytest.approx(
        [24.1, 21.3, 0]
    )
    assert list(picture.figure.data[0].y) == list(VALUES)
    assert picture.still.axes[0].yaxis_inverted(), "the first is on top"


def test_a_missing_number_is_said_to_be_missing():
    assert list(bars(VALUES, "PSNR").figure.data[0].text) == ["24.1", "21.3", "not measured"]


def test_the_target_is_a_line_on_both_faces():
    picture = bars(VALUES, "PSNR", target=23.0, target_name="paper")
    assert 23.0 in [line.get_xdata()[0] for line in picture.still.axes[0].lines]
    assert picture.figure.layout.shapes[0].x0 == 23.0


def test_nothing_to_draw_is_refused():
    with pytest.raises(MuseError, match="nothing to draw"):
        bars({}, "PSNR")
