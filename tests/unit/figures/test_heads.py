from itertools import pairwise

import numpy as np
import pytest
from matplotlib.text import Text

from muse_core.errors import MuseError
from muse_core.figures.heads import apart, by_layer
from muse_core.figures.theme import INK, STAGE_COLOURS

HEADS = np.arange(24, dtype=np.float64).reshape(6, 4) / 24
NETWORKS = {
    "topology teacher (DINOv3)": HEADS,
    "MUSE, after stage 1": HEADS + 0.1,
    "MUSE, after stage 3": HEADS + 0.2,
    "shared routing, after stage 3": HEADS - 0.1,
}


def means(picture) -> dict:
    """Network -> its line of means in the still."""
    return {
        line.get_label(): line
        for line in picture.still.axes[0].lines
        if not line.get_label().startswith("_")
    }


def dots(picture) -> list:
    return [line for line in picture.still.axes[0].lines if line.get_alpha()]


def test_the_line_is_the_mean_over_heads_and_every_head_has_a_dot():
    picture = by_layer({"a": HEADS}, "t", "u")
    expected = [sum(row) / 4 for row in HEADS.tolist()]
    assert means(picture)["a"].get_ydata() == pytest.approx(expected)
    assert means(picture)["a"].get_xdata().tolist() == [1, 2, 3, 4, 5, 6]
    assert np.asarray(dots(picture)[0].get_ydata()) == pytest.approx(HEADS.ravel())
    assert dots(picture)[0].get_xdata().tolist() == [
        layer for layer in range(1, 7) for _ in range(4)
    ]


def test_both_faces_show_the_same_numbers_in_the_same_colours():
    picture = by_layer(NETWORKS, "t", "u", {"chance": 0.5})
    assert list(means(picture)) == list(NETWORKS)
    for heads, line, trace in zip(
        dots(picture), means(picture).values(), picture.figure.data[1::2], strict=True
    ):
        assert np.array_equal(line.get_ydata(), trace.y) and np.array_equal(
            line.get_xdata(), trace.x
        )
        assert trace.name == line.get_label()
        assert heads.get_color() == line.get_color() == trace.line.color == trace.marker.color


def test_the_hover_names_layer_and_head_from_one():
    where = by_layer({"a": HEADS}, "t", "u").figure.data[0].customdata
    assert (
        where[0].tolist() == [1, 1] and where[-1].tolist() == [6, 4] and where[5].tolist() == [2, 2]
    )


def test_networks_stand_beside_each_other_and_nearer_to_their_own_layer_than_to_the_next():
    lines = [line.get_xdata() for line in means(by_layer(NETWORKS, "t", "u")).values()]
    assert all((right - left > 0.05).all() for left, right in pairwise(lines))
    assert all((abs(x - np.arange(1, 7)) < 0.5).all() for x in lines)


def test_a_stage_has_its_colour_a_teacher_is_dark_and_dashed_and_no_two_look_alike():
    lines = means(by_layer(NETWORKS | {"after stage 1": HEADS, "teacher, again": HEADS}, "t", "u"))
    assert lines["MUSE, after stage 1"].get_color() == STAGE_COLOURS[1]
    assert lines["MUSE, after stage 3"].get_color() == STAGE_COLOURS[3]
    teachers = ["topology teacher (DINOv3)", "teacher, again"]
    assert [name for name, line in lines.items() if line.get_color() == INK] == teachers
    assert [name for name, line in lines.items() if line.get_linestyle() == "--"] == teachers
    assert len({(line.get_color(), line.get_marker()) for line in lines.values()}) == len(lines)


def test_networks_of_different_depth_share_the_axis_from_0_to_1():
    picture = by_layer({"deep": np.random.rand(12, 3), "flat": np.random.rand(4, 8)}, "t", "u")
    deep, flat = (line.get_xdata() for line in means(picture).values())
    assert "share of the network's depth" in picture.still.axes[0].get_xlabel()
    assert "share of the network's depth" in picture.figure.layout.xaxis.title.text
    assert deep == pytest.approx(np.arange(1, 13) / 12, abs=0.5 / 12)
    assert flat == pytest.approx([0.25, 0.5, 0.75, 1], abs=0.5 / 12)


def test_reference_lines_stand_at_their_level_with_their_name_beside_them():
    picture = by_layer(
        {"a": HEADS}, "t", "u", {"nearness of patches": 0.87, "chance": 0.5, "unknown": np.nan}
    )
    levels = [
        line.get_ydata()[0] for line in picture.still.axes[0].lines if line.get_linestyle() == ":"
    ]
    assert levels == [0.87, 0.5]
    words = [text.get_text().replace("\n", " ") for text in picture.still.axes[0].texts]
    assert words == ["nearness of patches 0.87", "chance 0.5"]
    assert [shape.y0 for shape in picture.figure.layout.shapes] == [0.87, 0.5]
    assert [note.text.replace("<br>", " ") for note in picture.figure.layout.annotations] == words


def test_a_reference_outside_the_values_is_still_in_the_picture():
    picture = by_layer({"a": HEADS}, "t", "u", {"far": 3.0, "below": -2.0})
    low, high = picture.still.axes[0].get_ylim()
    assert (
        low < -2
        and high > 3
        and tuple(picture.figure.layout.yaxis.range) == pytest.approx((low, high))
    )


def test_names_of_references_side_by_side_do_not_touch_each_other_or_the_plot():
    still = by_layer(
        NETWORKS,
        "t",
        "u",
        {"chance": 0.5, "a random student": 0.51, "nearness of all patches": 0.505},
    ).still
    still.draw_without_rendering()
    (axes,) = still.axes
    boxes = [axes.bbox, *(Text.get_window_extent(text) for text in axes.texts)]
    assert not [
        (one, other) for at, one in enumerate(boxes) for other in boxes[:at] if one.overlaps(other)
    ]


def test_the_legend_lies_outside_the_plot_and_inside_the_page():
    still = by_layer(
        {f"a network with quite a long name, number {at}": HEADS for at in range(7)}, "t", "u"
    ).still
    still.draw_without_rendering()
    legend = still.legends[0].get_window_extent()
    assert not legend.overlaps(still.axes[0].get_tightbbox()) and still.get_figwidth() <= 9.6
    assert legend.x0 >= 0 and legend.x1 <= still.bbox.x1


def test_a_gap_stays_a_gap_and_a_head_without_a_number_does_not_count():
    heads = np.array([[1.0, np.nan], [np.nan, np.nan], [3.0, 5.0]])
    picture = by_layer({"a": heads, "b": np.full((3, 2), np.nan)}, "t", "u")
    for y in (means(picture)["a"].get_ydata(), picture.figure.data[1].y):
        assert y[0] == 1 and np.isnan(y[1]) and y[2] == 4
    assert "b (not measured)" in means(picture)


@pytest.mark.parametrize(
    "heads", [np.array([[0.3, 0.4]]), np.array([[0.5]]), np.full((2, 2), np.nan)]
)
def test_one_layer_one_head_and_no_number_at_all_are_drawn(heads):
    picture = by_layer({"one": heads}, "t", "u")
    picture.still.draw_without_rendering()
    low, high = picture.still.axes[0].get_ylim()
    assert low < high and picture.still.axes[0].get_xlabel() == "layer"


@pytest.mark.parametrize("values", [np.zeros(4), np.zeros((2, 0)), np.zeros((2, 2, 2))])
def test_what_is_not_one_number_a_head_is_refused(values):
    with pytest.raises(MuseError, match=r"'a' have shape .*\(layers, heads\)"):
        by_layer({"a": values}, "t", "u")


def test_no_network_is_refused():
    with pytest.raises(MuseError, match="nothing to draw in 'Reach'"):
        by_layer({}, "Reach", "u")


def test_labels_are_moved_apart_as_little_as_can_be():
    assert apart(np.array([0.0, 5.0, 1.0]), 1.0).tolist() == [0, 5, 1], "far enough already"
    assert apart(np.array([2.0, 2.0]), 1.0).tolist() == [1.5, 2.5]
    assert apart(np.array([9.0, 1.1, 1.0]), 0.5) == pytest.approx([9, 1.3, 0.8])
