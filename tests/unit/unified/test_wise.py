"""WISE's files are read and written; embedded riddles name by a fact what their explanation says."""

import json
from pathlib import Path

import pytest
from PIL import Image

from muse_core.errors import MuseError
from muse_core.unified.wise import read_wise, scene_riddles, write_drawn, write_prompts

PUBLISHED = [
    {
        "Prompt": "Traditional food of the Mid-Autumn Festival",
        "Explanation": "This refers to mooncakes",
        "Category": "Cultural knowledge",
        "Subcategory": "Festival",
        "prompt_id": 1,
    },
    {
        "Prompt": "The national emblem of the country where New York is located",
        "Explanation": "The bald eagle",
        "Category": "Space",
        "Subcategory": "Geographical location",
        "prompt_id": 701,
    },
]
"""Entries in the form of the published files."""


def test_the_published_form_is_read_and_written_again(tmp_path: Path) -> None:
    file = tmp_path / "cultural.json"
    file.write_text(json.dumps(PUBLISHED))
    found = read_wise([file])
    assert [each.entry() for each in found.prompts] == PUBLISHED and found.notes == ()
    assert read_wise(file) == read_wise(str(file)) == found
    place = tmp_path / "out"
    drawn = [write_drawn(place, each, Image.new("RGB", (4, 4))) for each in found.prompts]
    assert [each.name for each in drawn] == ["1.png", "701.png"]
    assert read_wise(write_prompts(place, found.prompts)).prompts == found.prompts


def test_entries_that_are_not_whole_are_named_and_the_rest_stays(tmp_path: Path) -> None:
    file = tmp_path / "a.json"
    file.write_text(
        json.dumps(
            [
                {"Prompt": "p"},
                3,
                PUBLISHED[0],
                *({**PUBLISHED[1], "prompt_id": wrong} for wrong in ("x", "²", "9" * 5000, None)),
                PUBLISHED[0],
                {**PUBLISHED[1], "Prompt": None},
                {**PUBLISHED[1], "Prompt": "\ud800"},
            ]
        )
    )
    found = read_wise([file])
    assert len(found.prompts) == 1 and len(found.notes) == 9
    assert "entry 1 of a.json: it has no Explanation" in found.notes[0]
    assert "its prompt_id is 'x'" in found.notes[2] and "number 1 stands twice" in found.notes[6]
    assert "its Prompt is None" in found.notes[7]
    "; ".join(found.notes).encode()
    file.write_text("[" * 100_000)
    with pytest.raises(MuseError, match="is no JSON"):
        read_wise([file])
    file.write_text("[]")
    with pytest.raises(MuseError, match="no prompt in WISE's files"):
        read_wise([file])
    file.write_text("{}")
    with pytest.raises(MuseError, match="holds no list"):
        read_wise([file])
    with pytest.raises(MuseError, match="cannot be read"):
        read_wise([tmp_path / "b.json"])


def test_a_riddle_hides_what_its_explanation_says() -> None:
    found = scene_riddles(40, seed=1)
    assert [each.index for each in found] == list(range(1, 41))
    for each in found:
        hidden = each.explanation.split()[1]
        assert hidden not in each.prompt.split()
        assert each.subcategory in ("shape", "colour")
    assert [each.prompt for each in found] != [each.prompt for each in scene_riddles(40, seed=2)]
