"""What passes for a clear sentence, and what does not."""

import pytest

from tests.torture.sentences import LONGEST, is_clear, unclear

CLEAR = "There is no run 'tinny' in reports: make it with `make reports RUN=tinny`."


def test_a_sentence_that_says_what_where_and_how_is_clear() -> None:
    assert is_clear(CLEAR, "'tinny'", "make it with")
    assert is_clear(
        "The study a.yaml (see README. It has some) is empty: it needs rows.",
        "a.yaml",
        "it needs rows",
    )


@pytest.mark.parametrize(
    ("message", "why"),
    [
        ("", "0 characters"),
        ("wrong 'tinny'", "13 characters"),
        (CLEAR + "x" * LONGEST, "characters"),
        (CLEAR + "\nmake it with", "several lines"),
        (f"Traceback (most recent call last): {CLEAR}", "a traceback"),
        (f"{CLEAR} Then run it again.", "more than one sentence"),
        (CLEAR.replace("'tinny'", "<class 'int'>"), "a library's own words"),
        (CLEAR.replace("tinny", "tiny"), "it does not mention"),
        (CLEAR.replace("make it with", "see"), "it does not say"),
    ],
)
def test_what_is_not_clear_is_said(message: str, why: str) -> None:
    assert why in unclear(message, "'tinny'", "make it with")
