"""One number a head: dots, means and reference levels, each network told apart."""

from itertools import pairwise

import numpy as np
import pytest

from muse_core.figures.heads import by_layer
from muse_core.figures.marks import Line, Rule
from muse_core.figures.theme import INK, STAGE_COLOURS

HEADS = np.arange(24, dtype=np.float64).reshape(6, 4) / 24
NETWORKS = {
    "topology teacher (DINOv3)": HEADS,
    "MUSE, after stage 1": HEADS + 0.1,
    "MUSE, after stage 3": HEADS + 0.2,
    "shared routing, after stage 3": HEADS - 0.1,
}


def means(picture) -> dict[str, Line]:
    return {mark.name: mark for mark in picture.panels[0].marks if getattr(mark, "name", "")}


def rules(picture) -> list[Rule]:
    return [mark for mark in picture.panels[0].marks if isinstance(mark, Rule)]


def test_the_line_is_the_mean_over_heads_and_every_head_has_a_dot_that_says_which_it_is():
    dots, line = by_layer({"a": HEADS}, "t", "u").panels[0].marks
    assert line.y == pytest.approx(HEADS.mean(1)) and line.x.tolist() == [1, 2, 3, 4, 5, 6]
    assert (
        dots.y == pytest.approx(HEADS.ravel()) and dots.x.tolist() == np.repeat(line.x, 4).tolist()
    )
    assert dots.hover[5].startswith("a\nlayer 2, head 2:") and dots.group == line.name


def test_networks_stand_beside_each_other_and_nearer_to_their_own_layer_than_to_the_next():
    lines = [line.x for line in means(by_layer(NETWORKS, "t", "u")).values()]
    assert all((right - left > 0.05).all() for left, right in pairwise(lines))
    assert all((abs(x - np.arange(1, 7)) < 0.5).all() for x in lines)


def test_a_stage_has_its_colour_a_teacher_is_dark_and_dashed_and_no_two_look_alike():
    more = {"after stage 1": HEADS, "teacher, again": HEADS}
    lines = means(by_layer(NETWORKS | more, "t", "u"))
    assert lines["MUSE, after stage 1"].colour == STAGE_COLOURS[1]
    assert lines["MUSE, after stage 3"].colour == STAGE_COLOURS[3]
    teachers = ["topology teacher (DINOv3)", "teacher, again"]
    assert [name for name, line in lines.items() if line.colour == INK] == teachers
    assert [name for name, line in lines.items() if line.dash == "dash"] == teachers
    assert len({(line.colour, line.marker) for line in lines.values()}) == len(lines)


def test_networks_of_different_depth_stand_at_their_own_layers():
    picture = by_layer({"deep": np.random.rand(12, 3), "flat": np.random.rand(4, 8)}, "t", "u")
    deep, flat = (line.x for line in means(picture).values())
    assert deep == pytest.approx(np.arange(1, 13), abs=0.5)
    assert flat == pytest.approx([1, 2, 3, 4], abs=0.5)
    assert picture.panels[0].x.limits == (0.5, 12.5)


def test_reference_lines_stand_at_their_level_inside_the_picture_with_their_name():
    levels = {"nearness of patches": 3.0, "chance": -2.0, "unknown": np.nan}
    picture = by_layer({"a": HEADS}, "t", "u", levels)
    words = [(rule.at, rule.text.replace("\n", " ")) for rule in rules(picture)]
    assert words == [(3.0, "nearness of patches 3"), (-2.0, "chance -2")]
    low, high = picture.panels[0].y.limits
    assert low < -2 and high > 3


def test_a_gap_stays_a_gap_and_a_head_without_a_number_does_not_count():
    heads = np.array([[1.0, np.nan], [np.nan, np.nan], [3.0, 5.0]])
    lines = means(by_layer({"a": heads, "b": np.full((3, 2), np.nan)}, "t", "u"))
    y = lines["a"].y
    assert y[0] == 1 and np.isnan(y[1]) and y[2] == 4 and "b (not measured)" in lines


@pytest.mark.parametrize("heads", [np.array([[0.5]]), np.full((2, 2), np.nan)])
def test_one_head_and_no_number_at_all_are_drawn(heads):
    picture = by_layer({"one": heads}, "t", "u")
    picture.still.draw_without_rendering()
    low, high = picture.panels[0].y.limits
    assert low < high and picture.panels[0].x.words.startswith("layer")
