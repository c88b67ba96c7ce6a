"""What GitHub shows: numbers as a table, a cover a notebook with its words, links into the gallery,
plain text.
"""

from muse_core.report.gallery_readme import readme
from muse_core.report.headline import Headline, Number
from muse_core.report.run_summary import NotebookRow, Picture, RunSummary

PSNR = Number("PSNR", "26.5", "dB", "26.4 to 26.7", "25.5", "25.4 to 25.6", "better")
ROW = NotebookRow(
    "00_a",
    "00 · A",
    "W_Q *only* <b>.",
    "tiny/00_a.html",
    "done",
    "1.0",
    "",
    Picture("covers/a.webp", 'A "tile"', 480, 200),
)


def run(*numbers: Number, row: NotebookRow = ROW) -> RunSummary:
    headline = Headline(list(numbers), "Measured.") if numbers else None
    return RunSummary(
        "tiny",
        "2026",
        ["A tokenizer."],
        [("Commit", "abc"), ("Data", "masks (a_b)")],
        headline,
        [row],
        [],
    )


def test_the_numbers_stand_in_a_table_beside_the_baseline() -> None:
    text = readme(run(PSNR, Number("mIoU", "66", "%")), "Open it.")
    assert (
        "| PSNR | **26.5\N{NO-BREAK SPACE}dB** | 26.4 to 26.7 | 25.5\N{NO-BREAK SPACE}dB | 25.4 to 25.6 | better |"
        in text
    )
    assert "| mIoU | **66\N{NO-BREAK SPACE}%** |  |  |  |  |" in text


def test_without_a_baseline_the_table_is_narrow_and_without_numbers_there_is_none() -> None:
    assert "| zero-shot | **0.5** | 0.4 to 0.6 |\n" in readme(
        run(Number("zero-shot", "0.5", "", "0.4 to 0.6")), ""
    )
    assert "|" not in readme(run(), "")


def test_a_verdict_without_difference_is_said_in_words() -> None:
    assert "| not told apart |" in readme(
        run(Number("PSNR", "1", "dB", shared="1", verdict="no difference")), ""
    )


def test_each_notebook_has_its_cover_its_words_and_its_link() -> None:
    text = readme(run(), "")
    assert "### [00 · A](tiny/00_a.html)" in text
    assert (
        '<a href="tiny/00_a.html"><img src="covers/a.webp" width="420" alt="A &quot;tile&quot;"></a>'
        in text
    )
    assert r"W\_Q \*only\* \<b\>." in text and r"- Data: masks (a\_b)" in text


def test_a_notebook_without_a_cover_has_no_broken_picture() -> None:
    assert "<img" not in readme(
        run(row=NotebookRow("00_a", "A", "", "tiny/00_a.html", "done", "", "")), ""
    )
