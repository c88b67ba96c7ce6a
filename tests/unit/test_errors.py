from muse_core.errors import MuseError, unknown


def test_an_unknown_name_is_answered_with_the_known_ones() -> None:
    assert str(unknown("preset", "tinny", {"smoke": 0, "tiny": 1})) == (
        "Unknown preset 'tinny': choose one of smoke, tiny."
    )


def test_a_notebook_shows_the_sentence_and_no_frames() -> None:
    assert MuseError("do this")._render_traceback_() == ["MuseError: do this"]


def test_of_a_long_list_the_nearest_are_named() -> None:
    said = str(unknown("metric", "snr", [f"other{k}" for k in range(80)] + ["psnr"]))
    assert "psnr" in said and said.endswith("or of 61 others.") and len(said) < 400
