"""One run as the index and the gallery show it: what it is, its numbers, its notebooks, its stages.

A part is empty where its record is missing or damaged.
"""

from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, TypeVar

from muse_core.errors import MuseError
from muse_core.figures.tables import value_and_interval
from muse_core.report.cover import cover_of
from muse_core.report.stamps import (
    Stamp,
    executed,
    first_conclusion,
    read_notebook,
    read_stamp,
    state,
    title_and_claim,
)
from muse_core.results.machine_paths import data_words
from muse_core.results.measurements import METRICS, EvaluationRecord
from muse_core.results.records import read_json, read_record

HEADLINE = ("psnr", "zero_shot", "linear_probe", "miou", "attention_auc")
STAGES = {1: "Topology warm-up", 2: "Semantic injection", 3: "Synergistic tuning"}
COMPARED = {"better": "better than", "worse": "worse than", "no difference": "not told apart from"}

Kind = TypeVar("Kind")


@dataclass(frozen=True)
class Number:
    """One headline number beside that of shared routing; ``verdict`` is a value of `COMPARED`."""

    label: str
    unit: str
    value: str
    interval: str
    shared: str
    shared_interval: str
    verdict: str


@dataclass(frozen=True)
class NotebookRow:
    """One executed notebook; ``state`` as in `stamps.state`, ``cover`` a data URI or a link,
    ``chart`` whether it is one; ``found``: what it concludes first; ``seconds``: of the execution,
    or of the training that it found done.
    """

    stem: str
    title: str
    claim: str
    link: str
    state: str
    seconds: float
    error: str
    cover: str = ""
    alt: str = ""
    chart: bool = False
    found: str = ""


@dataclass(frozen=True)
class TrainedStage:
    """What a page says of ``stageN.json``."""

    steps: int
    preset: str = ""
    data: str = ""
    routing: str = ""
    seconds: float = 0.0
    images_per_second: float = 0.0
    losses: dict[str, dict[str, float]] = field(default_factory=dict)
    held_out: dict[str, Any] = field(default_factory=dict)


@dataclass(frozen=True)
class RunSummary:
    """One run as a page shows it; ``stages``: name -> what was trained."""

    name: str
    title: str
    date: str
    facts: dict[str, str]
    numbers: list[Number]
    measured: str
    notebooks: list[NotebookRow]
    stages: dict[str, TrainedStage]


def summary(run: Path) -> RunSummary:
    """One run, read from its executed notebooks and its records."""
    reports = executed(run)
    stamps = [stamp for stamp in map(read_stamp, reports) if stamp]
    evaluation = _record(run, "evaluation", EvaluationRecord)
    found = {number: _record(run, f"stage{number}", TrainedStage) for number in STAGES}
    stages = {f"{number} · {STAGES[number]}": one for number, one in found.items() if one}
    numbers = headline(evaluation) if evaluation else []
    rows = [notebook_row(report) for report in reports]
    return RunSummary(
        name=run.name,
        title=f"Run {run.name}",
        date=max((stamp.date for stamp in stamps), default=""),
        facts=_facts(list(stages.values()), evaluation, stamps, sum(row.seconds for row in rows)),
        numbers=numbers,
        measured=_measured(evaluation) if evaluation and numbers else "",
        notebooks=rows,
        stages=stages,
    )


def _record(run: Path, name: str, kind: type[Kind]) -> Kind | None:
    try:
        return read_record(run / "records" / f"{name}.json", kind)
    except MuseError:
        return None


def headline(evaluation: EvaluationRecord) -> list[Number]:
    """The last stage's numbers beside those of shared routing."""
    rows = {row.name: row for row in evaluation.rows}
    final, shared = (
        max((name for name in rows if name.startswith(f"{who}, after stage ")), default="")
        for who in ("MUSE", "shared routing")
    )
    pairs = [one for one in evaluation.comparisons if (one.a, one.b) == (final, shared)]
    verdicts = {one.metric: COMPARED[one.verdict] for one in pairs}
    texts = lambda row, name: value_and_interval(rows[row], name, " to ") if row in rows else None
    return [
        Number(
            METRICS[name].words,
            METRICS[name].unit,
            *found,
            *(texts(shared, name) or ("", "")),
            verdicts.get(name, ""),
        )
        for name in HEADLINE
        if (found := texts(final, name))
    ]


def _measured(evaluation: EvaluationRecord) -> str:
    return (
        f"Measured after the last stage on up to {evaluation.n_test:,} {evaluation.split} images "
        "that training never saw; the ranges are 95 % intervals over those images. Shared routing "
        "is the baseline, where every loss may train every weight of the attention."
    )


def _facts(
    stages: list[TrainedStage],
    evaluation: EvaluationRecord | None,
    stamps: list[Stamp],
    seconds: float,
) -> dict[str, str]:
    """Where a run comes from; where its stages or notebooks differ, each of their answers."""
    each = {
        "Preset": [stamp.preset for stamp in stamps if stamp.preset != "none"],
        "Trained on": [data_words(stage.data) for stage in stages],
        "Routing": [stage.routing for stage in stages],
        "Measured on": [data_words(evaluation.data)] if evaluation else [],
        "Commit": [stamp.commit for stamp in stamps],
        "Device": [stamp.device for stamp in stamps],
        "Time": [f"{seconds / 60:,.0f} minutes"] if stamps else [],
        "Date": [day(stamp.date) for stamp in stamps][-1:],
    }
    facts = {name: ", ".join(dict.fromkeys(filter(None, values))) for name, values in each.items()}
    return {name: value for name, value in facts.items() if value}


def day(date: str) -> str:
    """A stamp's date as people read it."""
    return date[:16].replace("T", " ") + " UTC"


def notebook_row(report: Path) -> NotebookRow:
    """One executed notebook with its cover."""
    notebook, stamp, page = read_notebook(report), read_stamp(report), report.with_suffix(".html")
    title, claim = title_and_claim(notebook, report.stem)
    cover = cover_of(notebook)
    return NotebookRow(
        report.stem,
        title,
        claim,
        f"{report.parent.name}/{page.name if page.exists() else report.name}",
        state(report),
        max(stamp.seconds if stamp else 0.0, _trained(report)),
        stamp.error if stamp else "",
        cover.uri,
        cover.alt,
        cover.chart,
        first_conclusion(notebook),
    )


def _trained(report: Path) -> float:
    """Seconds of the training that a stage's notebook shows; 0 for any other."""
    number = report.stem[:2].lstrip("0")
    try:
        record = read_json(report.parent / "records" / f"stage{number}.json")
        return float(record["seconds"])
    except (MuseError, KeyError, TypeError, ValueError):
        return 0.0
