"""``reports/index.html``: every run with its notebooks, where it comes from and its key numbers."""

from dataclasses import dataclass
from pathlib import Path
from typing import Any

from muse_core import paths, records
from muse_core.errors import MuseError
from muse_core.reporting import freshness
from muse_core.reporting.stamps import Stamp, executed, read_notebook, read_stamp, title_and_claim

STAGE_NAMES = {1: "Topology warm-up", 2: "Semantic injection", 3: "Synergistic tuning"}


@dataclass(frozen=True)
class NotebookRow:
    title: str
    claim: str
    link: str
    state: str
    minutes: str
    error: str


@dataclass(frozen=True)
class StageRow:
    name: str
    steps: str
    minutes: str
    speed: str
    losses: list[str]
    held_out: str


@dataclass(frozen=True)
class RunSummary:
    name: str
    date: str
    facts: list[tuple[str, str]]
    notebooks: list[NotebookRow]
    stages: list[StageRow]


def summaries() -> list[RunSummary]:
    """Every run that has an executed notebook, the newest first."""
    folder, package = paths.root() / "reports", freshness.package_sha()
    found = [run for run in folder.glob("*") if run.is_dir() and executed(run)] if folder.exists() else []
    return sorted((summary(run, package) for run in found), key=lambda run: (run.date, run.name), reverse=True)


def summary(run: Path, package: str) -> RunSummary:
    """One run, read from its executed notebooks and its records; what is missing is left out."""
    stamps = [stamp for stamp in map(read_stamp, executed(run)) if stamp]
    newest = max(stamps, key=lambda stamp: stamp.date, default=None)
    rows = [notebook_row(report, package) for report in executed(run)]
    stages = [row for number in STAGE_NAMES if (row := stage_row(run / "records" / f"stage{number}.json", number))]
    return RunSummary(run.name, newest.date if newest else "", _facts(stamps, newest), rows, stages)


def _facts(stamps: list[Stamp], newest: Stamp | None) -> list[tuple[str, str]]:
    """Provenance; a run whose notebooks differ says so."""
    if newest is None:
        return []
    each = {
        "Preset": [stamp.preset for stamp in stamps if stamp.preset != "none"],
        "Commit": [stamp.commit for stamp in stamps],
        "Device": [stamp.device for stamp in stamps],
    }
    facts = [(name, ", ".join(dict.fromkeys(values))) for name, values in each.items() if values]
    return [*facts, ("Date", newest.date[:16].replace("T", " ") + " UTC")]


def notebook_row(report: Path, package: str) -> NotebookRow:
    title, claim = title_and_claim(read_notebook(report), report.stem)
    stamp, page = read_stamp(report), report.with_suffix(".html")
    return NotebookRow(
        title=title,
        claim=claim,
        link=f"{report.parent.name}/{page.name if page.exists() else report.name}",
        state=freshness.state(report, package),
        minutes=_minutes(stamp.seconds) if stamp else "",
        error=stamp.error if stamp else "",
    )


def stage_row(path: Path, number: int) -> StageRow | None:
    """The key numbers of a training stage; None when the record is absent or unreadable."""
    try:
        record = records.read_json(path)
    except (MuseError, OSError, ValueError):
        return None
    if not isinstance(record, dict):
        return None
    return StageRow(
        name=f"{number} · {STAGE_NAMES[number]}",
        steps=_number(record.get("steps"), "{:,.0f}"),
        minutes=_minutes(record.get("seconds")),
        speed=_number(record.get("images_per_second"), "{:,.1f}"),
        losses=_losses(record.get("losses")),
        held_out=_held_out(record.get("held_out")),
    )


def _losses(losses: Any) -> list[str]:
    """ "topology 1.20 → 0.31" for each loss."""
    pairs = losses.items() if isinstance(losses, dict) else ()
    return [
        f"{name} {_number(ends.get('first'), '{:.3g}')} → {_number(ends.get('last'), '{:.3g}')}"
        for name, ends in pairs
        if isinstance(ends, dict)
    ]


def _held_out(held_out: Any) -> str:
    if not isinstance(held_out, dict):
        return ""
    psnr, zero_shot = _number(held_out.get("psnr"), "{:.2f} dB"), _number(held_out.get("zero_shot"), "{:.1%}")
    return ", ".join(text for text in (psnr and f"PSNR {psnr}", zero_shot and f"zero-shot {zero_shot}") if text)


def _number(value: Any, form: str) -> str:
    return form.format(value) if isinstance(value, int | float) and not isinstance(value, bool) else ""


def _minutes(seconds: Any) -> str:
    return _number(seconds / 60, "{:,.1f}") if isinstance(seconds, int | float) else ""


def render(runs: list[RunSummary]) -> str:
    """The index as one self-contained page."""
    from jinja2 import Environment

    from muse_core.reporting.index_template import TEMPLATE
    from muse_core.reporting.page_style import CSS

    return Environment(autoescape=True, trim_blocks=True).from_string(TEMPLATE).render(runs=runs, css=CSS)


def write() -> Path:
    """Write ``reports/index.html``. Raises MuseError when the folder cannot be written."""
    path = paths.writable(paths.root() / "reports") / "index.html"
    path.write_text(render(summaries()), encoding="utf-8")
    return path
