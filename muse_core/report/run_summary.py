"""One run as the index and the gallery show it: what it is, its headline numbers, its notebooks,
where it comes from.
"""

from dataclasses import dataclass
from pathlib import Path

from muse_core.report import freshness
from muse_core.report.about_run import about, data_words
from muse_core.report.covers import Cover, cover
from muse_core.report.headline import Headline, headline
from muse_core.report.run_records import minutes, stage_records
from muse_core.report.stage_table import StageRow, stage_rows
from muse_core.report.stamps import Stamp, executed, read_notebook, read_stamp, title_and_claim

STATE_WORDS = {
    "stale": "the notebook or the package changed since this page was made, or an earlier notebook ran again",
    "failed": "a cell raised the error shown, and the page ends there",
    "interrupted": "it was stopped from the keyboard",
    "unfinished": "its run was cut short, so the page may be incomplete",
}
"""State -> what it means; "done" needs no words."""


@dataclass(frozen=True)
class Picture:
    """What an ``img`` needs: ``src`` is a data URI or a link."""

    src: str
    alt: str
    width: int
    height: int


@dataclass(frozen=True)
class NotebookRow:
    """One executed notebook: ``link`` leads to its page, ``state`` is `freshness.state`."""

    stem: str
    title: str
    claim: str
    link: str
    state: str
    minutes: str
    error: str
    picture: Picture | None = None


@dataclass(frozen=True)
class RunSummary:
    """One run as the index shows it; what is not known is empty."""

    name: str
    date: str
    about: list[str]
    facts: list[tuple[str, str]]
    headline: Headline | None
    notebooks: list[NotebookRow]
    stages: list[StageRow]

    @property
    def states(self) -> list[tuple[str, str]]:
        """The states that need words, with them, each once."""
        there = dict.fromkeys(row.state for row in self.notebooks)
        return [(state, STATE_WORDS[state]) for state in there if state in STATE_WORDS]


def summary(run: Path, package: str) -> RunSummary:
    """One run, read from its executed notebooks and its records; what is missing is left out."""
    reports = executed(run)
    stamps = [stamp for stamp in map(read_stamp, reports) if stamp]
    return RunSummary(
        name=run.name,
        date=max((stamp.date for stamp in stamps), default=""),
        about=about(run, stamps, [report.stem for report in reports]),
        facts=provenance(run, stamps),
        headline=headline(run),
        notebooks=[notebook_row(report, package) for report in reports],
        stages=stage_rows(run),
    )


def provenance(run: Path, stamps: list[Stamp]) -> list[tuple[str, str]]:
    """Preset, data, commit, device and date; a run whose notebooks differ says so."""
    each = {
        "Preset": [stamp.preset for stamp in stamps if stamp.preset != "none"],
        "Data": [data_words(one.get("data")) for one in stage_records(run).values()],
        "Commit": [stamp.commit for stamp in stamps],
        "Device": [stamp.device for stamp in stamps],
        "Date": [_date(max(stamp.date for stamp in stamps))] if stamps else [],
    }
    facts = [
        (name, ", ".join(dict.fromkeys(filter(None, values)))) for name, values in each.items()
    ]
    return [(name, value) for name, value in facts if value]


def _date(stamp_date: str) -> str:
    return stamp_date[:16].replace("T", " ") + " UTC"


def notebook_row(report: Path, package: str) -> NotebookRow:
    """One executed notebook with its cover."""
    notebook = read_notebook(report)
    title, claim = title_and_claim(notebook, report.stem)
    stamp, page, found = read_stamp(report), report.with_suffix(".html"), cover(notebook)
    return NotebookRow(
        stem=report.stem,
        title=title,
        claim=whole_sentences(claim),
        link=f"{report.parent.name}/{page.name if page.exists() else report.name}",
        state=freshness.state(report, package),
        minutes=minutes(stamp.seconds) if stamp else "",
        error=stamp.error if stamp else "",
        picture=embedded(found) if found else None,
    )


def whole_sentences(claim: str) -> str:
    """A claim that was cut short, cut at its last full stop instead if there is one."""
    end = claim.rfind(". ")
    return claim[: end + 1] if claim.endswith("…") and end > 0 else claim


def embedded(found: Cover) -> Picture:
    """The cover inside the page itself."""
    return Picture(found.uri, found.alt, found.width, found.height)
