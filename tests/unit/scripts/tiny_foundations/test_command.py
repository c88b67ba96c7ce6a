"""The command that trains the stand-ins into a folder of one's own."""

import sys

import pytest

from muse_core.results.records import read_json
from scripts.tiny_foundations.__main__ import main


@pytest.mark.long
def test_parts_are_trained_into_the_folder_and_said_on_its_card(tmp_path, monkeypatch) -> None:
    for part in ("text_tower", "autoencoder"):
        words = ["tiny_foundations", str(tmp_path), "--seed", "3", "--steps", "2", "--parts", part]
        monkeypatch.setattr(sys, "argv", words)
        main()
    card = read_json(tmp_path / "card.json")
    assert set(card["parts"]) == {"text_tower", "autoencoder"} and "quality" not in card
    assert card["parts"]["text_tower"]["seed"] == 3 and card["parts"]["text_tower"]["steps"] == 2
    assert (tmp_path / "autoencoder" / "config.json").is_file()


def test_a_part_that_is_none_is_refused(tmp_path, monkeypatch) -> None:
    monkeypatch.setattr(sys, "argv", ["tiny_foundations", str(tmp_path), "--parts", "image_text"])
    with pytest.raises(SystemExit):
        main()
