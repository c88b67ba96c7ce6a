"""``reports/index.html``: every run on one page, the newest first."""

import hashlib
import re
from collections.abc import Iterator
from pathlib import Path
from typing import TYPE_CHECKING, Any

from muse_core import paths
from muse_core.report.stamps import executed, sources

if TYPE_CHECKING:
    from muse_core.report.summary import RunSummary

CODE = (".py", ".j2", ".css")
TEMPLATES = Path(__file__).parent / "templates"
STATES = {
    "stale": "the notebook changed since this page was made, or what it reads of its run",
    "failed": "a cell raised the error shown, and the page ends there",
    "interrupted": "it was stopped from the keyboard",
    "unfinished": "its run was cut short, so the page may be incomplete",
}
LEAD = "Here is every run of the numbered notebooks, the newest first."


def summaries() -> "list[RunSummary]":
    """Every run that has an executed notebook, the newest first."""
    from muse_core.report.summary import summary

    return sorted(map(summary, _runs()), key=lambda run: (run.date, run.name), reverse=True)


def _runs() -> list[Path]:
    folders = (paths.root() / "reports").glob("*")
    return [run for run in folders if paths.is_run_name(run.name) and executed(run)]


def render(template: str, runs: "list[RunSummary]", **values: Any) -> str:
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
    """Write ``reports/index.html``, unless it was made of the very files that are there.

    Raises MuseError when the folder cannot be written.
    """
    path = paths.writable(paths.root() / "reports") / "index.html"
    mark = f"<!-- {_made_of()} -->\n"
    if not (path.exists() and path.read_text(encoding="utf-8").endswith(mark)):
        page = render("index.html.j2", summaries(), title="MUSE reports", lead=LEAD)
        path.write_text(page + mark, encoding="utf-8")
    return path


def _made_of() -> str:
    """A digest of names, times and sizes of all that the page depends on."""
    digest = hashlib.sha256()
    for file in sorted(_read()):
        found = file.stat()
        digest.update(f"{file} {found.st_mtime_ns} {found.st_size}\n".encode())
    return digest.hexdigest()


def _read() -> Iterator[Path]:
    yield from sources()
    yield from (file for file in paths.checkout().glob("muse_core/**/*") if file.suffix in CODE)
    for run in _runs():
        yield from executed(run)
        yield from run.glob("*.html")
        yield from run.glob("records/*.json")
