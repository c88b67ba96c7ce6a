import pytest

from muse_core.errors import MuseError
from muse_core.foundations.loading import assert_complete, require_folder_or_hub


def test_a_hub_id_passes_as_it_is_and_a_folder_as_its_path(tmp_path) -> None:
    assert require_folder_or_hub("teacher", "facebook/dinov3-vits16") == "facebook/dinov3-vits16"
    assert require_folder_or_hub("teacher", tmp_path) == str(tmp_path)


def test_missing_weights_are_counted_and_the_first_is_named() -> None:
    assert_complete("teacher", "here", {"missing_keys": set()})
    with pytest.raises(
        MuseError, match=r"The teacher checkpoint here lacks 2 weights \(first: a\.bias\)"
    ):
        assert_complete("teacher", "here", {"missing_keys": {"b.weight", "a.bias"}})
