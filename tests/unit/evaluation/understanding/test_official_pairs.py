"""MMVP's own folder is asked: known words are scored as by hand, others and broken images are named."""

from pathlib import Path

import pytest
from PIL import Image

from muse_core.errors import MuseError
from muse_core.evaluation.understanding.pair_answers import measured_mmvp
from muse_core.unified.mmvp import Item, option_scores, write_mmvp
from tests.unit.unified.test_seeing_model import model_of

SHAPES = ("a star", "a heart")
QUESTION = "what shape is the object ?"


def folder_of(place: Path, questions: list[str]) -> Path:
    items = [Item(at + 1, Path(), each, SHAPES, at % 2) for at, each in enumerate(questions)]
    colours = ("red", "blue", "green", "white")
    return write_mmvp(place, items, [Image.new("RGB", (40, 32), each) for each in colours])


def test_the_official_folder_is_scored_and_what_cannot_be_asked_is_named(tmp_path: Path) -> None:
    model = model_of()
    place = folder_of(tmp_path, [QUESTION, QUESTION, QUESTION, "is the snout grey ?"])
    measured, notes = measured_mmvp(model, place)
    hits = []
    for at in range(3):
        seen = model.see(model.one_image(place / "MMVP Images" / f"{at + 1}.jpg"))
        likelier = option_scores(model.language_model, seen, QUESTION, SHAPES).argmax()
        hits.append(int(likelier) == at % 2)
    assert measured["mmvp_questions"].value == pytest.approx(sum(hits) / 3)
    assert measured["mmvp_pairs"].value == float(all(hits[:2]))
    assert measured["mmvp_pairs"].n == 1
    assert "item 4" in notes[0] and "snout" in notes[0]
    assert notes[1:] == ("item 3: its partner is missing, so that no pair counts",)


def test_a_broken_image_is_named_and_no_item_at_all_is_a_sentence(tmp_path: Path) -> None:
    place = folder_of(tmp_path, [QUESTION] * 4)
    (place / "MMVP Images" / "3.jpg").write_bytes(b"no image")
    measured, notes = measured_mmvp(model_of(), place)
    assert measured["mmvp_questions"].n == 3 and "item 3" in notes[0]
    for at in (1, 2, 4):
        (place / "MMVP Images" / f"{at}.jpg").write_bytes(b"")
    with pytest.raises(MuseError, match="No item of"):
        measured_mmvp(model_of(), place)
