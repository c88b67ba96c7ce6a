"""``reports/index.html``: every run on one page, the newest first."""

from dataclasses import dataclass
from pathlib import Path

from muse_core import paths
from muse_core.report import freshness
from muse_core.report.run_summary import RunSummary, summary
from muse_core.report.stamps import executed

INTERACTIVE = "The pages are interactive and need neither a kernel nor a network."


@dataclass(frozen=True)
class Frame:
    """What stands above the runs: the page's title, and a paragraph's end."""

    title: str = "MUSE reports"
    lead: str = f"Here is every run of the numbered notebooks, the newest first. {INTERACTIVE}"


def summaries() -> list[RunSummary]:
    """Every run that has an executed notebook, the newest first."""
    folder, package = paths.root() / "reports", freshness.package_sha()
    runs = (run for run in folder.glob("*") if run.is_dir() and paths.is_run_name(run.name))
    found = [run for run in runs if executed(run)]
    return sorted(
        (summary(run, package) for run in found), key=lambda run: (run.date, run.name), reverse=True
    )


def render(runs: list[RunSummary], frame: Frame | None = None) -> str:
    """The index as one page that loads nothing from elsewhere."""
    from jinja2 import Environment

    from muse_core.report.index_template import STYLE, TEMPLATE
    from muse_core.report.page_style import CSS

    environment = Environment(autoescape=True, trim_blocks=True, lstrip_blocks=True)
    return environment.from_string(TEMPLATE).render(
        runs=runs, frame=frame or Frame(), css=CSS + STYLE
    )


def write() -> Path:
    """Write ``reports/index.html``. Raises MuseError when the folder cannot be written."""
    path = paths.writable(paths.root() / "reports") / "index.html"
    path.write_text(render(summaries()), encoding="utf-8")
    return path
