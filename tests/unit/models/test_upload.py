"""A tokenizer on the hub: refused in a sentence before anything is sent; its card loads from there."""

from pathlib import Path

import pytest

from muse_core.errors import MuseError
from muse_core.models.tokenizer import MuseTokenizer
from muse_core.models.upload import loaded_from

from .small_models import small_tokenizer


def test_a_tokenizer_without_a_card_is_refused(tmp_path: Path) -> None:
    with pytest.raises(MuseError, match="has no model card"):
        small_tokenizer().push_to_hub("ada/muse")
    small_tokenizer().save_pretrained(tmp_path)
    with pytest.raises(MuseError, match="has no model card"):
        MuseTokenizer.from_pretrained(tmp_path).push_to_hub("ada/muse")


def test_a_card_with_a_path_of_this_machine_is_refused() -> None:
    with pytest.raises(MuseError, match=r"names a path of this machine .*/home/ada/x"):
        small_tokenizer().push_to_hub("ada/muse", card="read /home/ada/x")


def test_the_example_loads_from_where_the_card_is_shown() -> None:
    card = 'x = MuseTokenizer.from_pretrained("data/runs/a/b/tokenizer").eval()'
    assert loaded_from(card, "ada/muse") == 'x = MuseTokenizer.from_pretrained("ada/muse").eval()'


def test_a_saved_configuration_does_not_say_where_it_was_loaded_from(tmp_path: Path) -> None:
    small_tokenizer().save_pretrained(tmp_path / "one")
    MuseTokenizer.from_pretrained(tmp_path / "one").save_pretrained(tmp_path / "two")
    one, two = (tmp_path / name / "config.json" for name in ("one", "two"))
    assert two.read_text() == one.read_text() and "_name_or_path" not in two.read_text()
