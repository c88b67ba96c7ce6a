"""Numbers beside each other: in order, with their intervals in the metric's unit, missing ones
said.
"""

from dataclasses import replace

import pytest

from muse_core.errors import MuseError
from muse_core.figures import bars, following_bars, intervals, study_differences
from muse_core.figures.marks import Bars, Line, Rule, Words
from muse_core.results.measurements import Measurement, Row

from .charts import study


def found(picture, kind: type) -> list:
    return [mark for mark in picture.panels[0].marks if isinstance(mark, kind)]


def row(name: str, value: float | None, low: float | None = None, high: float | None = None) -> Row:
    return Row(name, name, {"zero_shot": Measurement(value, 9, "", low, high)})


def test_bars_are_as_long_as_their_numbers_the_first_on_top_and_a_missing_one_says_so():
    values = {"MUSE": 24.1, "shared": 21.3, "untrained": float("nan")}
    picture = bars(values, "PSNR", target=23.0, target_name="paper")
    (drawn,), (rule,) = found(picture, Bars), found(picture, Rule)
    assert drawn.lengths.tolist() == [24.1, 21.3, 0]
    assert drawn.texts == ["24.1", "21.3", "not measured"]
    assert (rule.at, rule.text) == (23.0, "paper 23")
    assert list(picture.panels[0].y.ticks.values()) == list(values)
    assert picture.panels[0].y.limits[0] > picture.panels[0].y.limits[1]


def test_dots_and_intervals_are_in_the_metrics_unit_and_chance_is_a_line():
    rows = [row("chance", 0.1), row("a", 0.962, 0.952, 0.972), row("b", 0.985, 0.975, 0.995)]
    picture = intervals([*rows, row("gone", None)], "zero_shot", "Zero-shot")
    ((dots,), (rule,)) = found(picture, Line), found(picture, Rule)
    assert dots.x == pytest.approx([96.2, 98.5]) and dots.across
    assert dots.ends.ravel() == pytest.approx([1] * 4)
    assert (rule.at, rule.text) == (pytest.approx(10), "chance 10.0")
    assert list(picture.panels[0].y.ticks.values()) == ["a", "b"]
    assert [words.text for words in found(picture, Words)] == ["96.2", "98.5"]


def test_an_interval_beside_its_value_and_none_at_all_are_drawn():
    picture = intervals([row("a", 0.5, 0.6, 0.7), row("b", 0.4)], "zero_shot", "t")
    assert found(picture, Line)[0].ends[0].tolist() == [0, 0]


def test_differences_have_a_stroke_a_seed():
    picture = study_differences(study(), "psnr", "t")
    dots, seeds = found(picture, Line)
    assert dots.x.tolist() == [-1.0] and seeds.x.tolist() == [-1.2, -0.8]
    assert dots.ends.tolist() == [[0.5], [0.5]] and picture.panels[0].x.words.startswith(
        "PSNR: difference to full, dB"
    )


def test_a_row_that_is_compared_with_another_says_with_which() -> None:
    record = study()
    record = replace(record, rows=[record.rows[0], replace(record.rows[1], against="base")])
    panel = study_differences(record, "psnr", "t").panels[0]
    assert f"{record.rows[1].name} to base" in panel.y.ticks.values()
    assert panel.x.words.startswith("PSNR: difference to full, or to the row named, dB")


def test_following_bars_are_percent_with_intervals_ceiling_and_chance():
    values = {"MUSE": {"shape": (0.8, 0.7, 0.9), "count": (0.6, 0.5, 0.7)}}
    values["shared"] = values["MUSE"]
    ceiling, chance = {"shape": 0.98, "count": 0.99}, {"shape": 0.05, "count": 0.4}
    picture = following_bars(values, ceiling, chance, "prompts")
    first = found(picture, Bars)[0]
    assert first.lengths == pytest.approx([80, 60]) and first.ends[1] == pytest.approx([10, 10])
    strokes = {line.name: line.y[[0, 3]].tolist() for line in found(picture, Line)}
    assert strokes == {"judge on real scenes": [98, 99], "chance": [5, 40]}


@pytest.mark.parametrize(
    ("draw", "words"),
    [
        (
            lambda: intervals([row("a", None)], "zero_shot", "t"),
            "one row with a value for 'zero_shot'",
        ),
        (lambda: intervals([row("a", 0.5)], "beauty", "t"), "choose one of"),
        (lambda: study_differences(study(), "miou", "t"), "one row with a difference in"),
    ],
)
def test_nothing_to_draw_is_a_sentence(draw, words):
    with pytest.raises(MuseError, match=words):
        draw()
