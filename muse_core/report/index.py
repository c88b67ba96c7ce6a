"""``reports/index.html``: every run on one page, the newest first."""

import re
from pathlib import Path
from typing import Any

from muse_core import paths
from muse_core.report.stamps import executed
from muse_core.report.summary import RunSummary, summary

TEMPLATES = Path(__file__).parent / "templates"
STATES = {
    "stale": "the notebook changed since this page was made, or what it reads of its run",
    "failed": "a cell raised the error shown, and the page ends there",
    "interrupted": "it was stopped from the keyboard",
    "unfinished": "its run was cut short, so the page may be incomplete",
}
LEAD = "Here is every run of the numbered notebooks, the newest first."


def summaries() -> list[RunSummary]:
    """Every run that has an executed notebook, the newest first."""
    folders = (paths.root() / "reports").glob("*")
    found = [run for run in folders if paths.is_run_name(run.name) and executed(run)]
    return sorted(map(summary, found), key=lambda run: (run.date, run.name), reverse=True)


def render(template: str, runs: list[RunSummary], **values: Any) -> str:
    """Runs as a page that loads nothing from elsewhere, or as text for GitHub."""
    from jinja2 import Environment, FileSystemLoader

    environment = Environment(
        loader=FileSystemLoader(TEMPLATES),
        autoescape=template.endswith(".html.j2"),
        trim_blocks=True,
        lstrip_blocks=True,
    )
    environment.filters["plain"] = lambda text: re.sub(r"([\\`*_\[\]<>|#~$])", r"\\\1", text)
    return environment.get_template(template).render(runs=runs, states=STATES, **values)


def write() -> Path:
    """Write ``reports/index.html``. Raises MuseError when the folder cannot be written."""
    path = paths.writable(paths.root() / "reports") / "index.html"
    page = render("index.html.j2", summaries(), title="MUSE reports", lead=LEAD)
    path.write_text(page, encoding="utf-8")
    return path
