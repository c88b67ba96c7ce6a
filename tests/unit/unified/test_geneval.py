"""The official prompts are read, images are written as the official scorer takes them, and its rule
is kept.
"""

import json
from dataclasses import replace
from pathlib import Path

import pytest
from PIL import Image

from muse_core.errors import MuseError
from muse_core.unified.geneval import (
    DrawingPrompt,
    Seen,
    Wanted,
    drawn_right,
    read_geneval,
    write_geneval,
)

PUBLISHED = [
    '{"tag": "single_object", "include": [{"class": "bench", "count": 1}], "prompt": "a photo of a bench"}',
    '{"tag": "counting", "include": [{"class": "clock", "count": 2}], "exclude": [{"class": "clock", "count": 3}], "prompt": "a photo of two clocks"}',
    '{"tag": "color_attr", "include": [{"class": "wine glass", "count": 1, "color": "purple"}, {"class": "apple", "count": 1, "color": "black"}], "prompt": "a photo of a purple wine glass and a black apple"}',
    '{"tag": "position", "include": [{"class": "teddy bear", "count": 1}, {"class": "dog", "count": 1, "position": ["right of", 0]}], "prompt": "a photo of a dog right of a teddy bear"}',
]
"""Lines in the form of the published file."""


def at(name: str, x: float = 0.5, y: float = 0.5, colour: str = "red") -> Seen:
    return Seen(name, colour, x, y)


def test_the_published_form_is_read_and_written_again(tmp_path: Path) -> None:
    file = tmp_path / "evaluation_metadata.jsonl"
    file.write_text("\n".join(PUBLISHED) + "\n")
    found = read_geneval(file)
    assert [each.index for each in found.prompts] == [0, 1, 2, 3] and found.notes == ()
    assert found.prompts[1].exclude == (Wanted("clock", 3),)
    assert found.prompts[3].include[1].position == ("right of", 0)
    for prompt, line in zip(found.prompts, PUBLISHED, strict=True):
        assert prompt.line() == json.loads(line)
    images = [Image.new("RGB", (4, 4))] * 4
    place = write_geneval(tmp_path / "out", found.prompts[3], images)
    assert place.name == "00003" and len(list(place.glob("samples/*.png"))) == 4
    assert (place / "samples" / "00003.png").is_file()
    assert json.loads((place / "metadata.jsonl").read_text()) == json.loads(PUBLISHED[3])


def test_lines_that_cannot_be_read_are_named_and_the_rest_stays(tmp_path: Path) -> None:
    wrong = [
        "{",
        '{"tag": "poems", "include": [{"class": "a"}], "prompt": "p"}',
        '{"tag": "counting", "prompt": "p"}',
        '{"tag": "position", "include": [{"class": "a", "position": ["over", 0]}], "prompt": "p"}',
        '{"tag": "position", "include": [{"class": "a", "position": ["above", 7]}], "prompt": "p"}',
        '{"tag": "counting", "include": [], "prompt": "p"}',
        "[1]",
        "[" * 100_000,
        *(
            f'{{"tag": "counting", "include": [{{"class": "a", "count": {count}}}], "prompt": "p"}}'
            for count in ("1e999", "-1", "0", "1.9", '"2"', "true")
        ),
        '{"tag": "colors", "include": [{"class": "a", "color": null}], "prompt": "p"}',
        '{"tag": "colors", "include": [{"class": null}], "prompt": "p"}',
        '{"tag": "colors", "include": [{"class": "a"}], "prompt": null}',
        '{"tag": "colors", "include": [{"class": "a"}], "prompt": ["a"]}',
        '{"tag": "colors", "include": "a", "prompt": "p"}',
        '{"tag": "position", "include": [{"class": "a", "position": "above"}], "prompt": "p"}',
    ]
    file = tmp_path / "prompts.jsonl"
    file.write_text("\n".join([PUBLISHED[0], *wrong]))
    found = read_geneval(file)
    assert len(found.prompts) == 1 and len(found.notes) == len(wrong)
    assert all(f"line {k + 2} of prompts.jsonl" in note for k, note in enumerate(found.notes))
    assert "its tag is 'poems'" in found.notes[1] and "'over' is none of" in found.notes[3]
    file.write_text("\n".join(wrong))
    with pytest.raises(MuseError, match="holds no prompt"):
        read_geneval(file)
    with pytest.raises(MuseError, match="FileNotFoundError"):
        read_geneval(tmp_path / "nothing")


def prompt(*include: Wanted, exclude: tuple[Wanted, ...] = ()) -> DrawingPrompt:
    return DrawingPrompt(0, "position", "p", include, exclude)


def test_enough_of_each_class_in_its_colour() -> None:
    two = prompt(Wanted("star", 2), exclude=(Wanted("star", 3),))
    assert not drawn_right(two, [at("star")]) and drawn_right(two, [at("star")] * 2)
    assert not drawn_right(two, [at("star")] * 3)
    blue = prompt(Wanted("star", 1, "blue"), Wanted("ring"))
    assert drawn_right(blue, [at("star", colour="blue"), at("ring")])
    assert not drawn_right(blue, [at("star"), at("ring")])
    assert not drawn_right(blue, [at("star", colour="blue")])


@pytest.mark.parametrize(
    ("place", "x", "y"),
    [("left of", 0.2, 0.5), ("right of", 0.8, 0.5), ("above", 0.5, 0.2), ("below", 0.5, 0.8)],
)
def test_places_are_seen_from_the_named_entry(place: str, x: float, y: float) -> None:
    asked = prompt(Wanted("ring"), Wanted("star", position=(place, 0)))
    assert drawn_right(asked, [at("ring"), at("star", x, y)])
    assert not drawn_right(asked, [at("ring"), at("star", 1 - x, 1 - y)])


def test_a_place_needs_half_of_the_way_beyond_a_tenth_of_the_boxes() -> None:
    asked = prompt(Wanted("ring"), Wanted("star", position=("right of", 0)))
    # Straight above and a little to the right: above, and not right of.
    assert not drawn_right(asked, [at("ring"), at("star", 0.51, 0.1)])
    assert drawn_right(asked, [at("ring"), at("star", 0.7, 0.4)])
    wide = [replace(each, width=0.6) for each in (at("ring"), at("star", 0.7, 0.4))]
    # 0.2 less a tenth of 1.2 is 0.08, and half of the way is 0.11.
    assert not drawn_right(asked, wide)
    assert drawn_right(asked, [wide[0], at("star", 0.7, 0.4)])
