"""Data that somebody names: its path is looked for at once."""

import pytest

from muse_core import paths
from muse_core.data.own_files import PLACELESS, own_data
from muse_core.data.sources import OPENERS
from muse_core.errors import MuseError


def test_every_kind_of_source_is_known() -> None:
    assert {*PLACELESS, *paths.PLACED} == OPENERS.keys()


def test_a_path_is_that_of_the_folder_where_it_was_typed(tmp_path, monkeypatch) -> None:
    monkeypatch.chdir(tmp_path)
    (tmp_path / "photos").mkdir()
    assert own_data("folder:photos") == f"folder:{tmp_path}/photos"
    assert own_data("captions:photos?column=alt") == f"captions:{tmp_path}/photos?column=alt"
    for spec in ("scenes", "wds:nowhere/{0..4}.tar", "hf:owner/name", "mix:1*scenes"):
        assert own_data(spec).startswith(spec.partition(":")[0])


@pytest.mark.parametrize(
    ("spec", "sentence"),
    [("folder:nowhere", "There is nothing at 'nowhere'"), ("scene", "Unknown data source 'scene'")],
)
def test_what_is_not_there_is_a_sentence(spec, sentence) -> None:
    with pytest.raises(MuseError, match=sentence):
        own_data(spec)
