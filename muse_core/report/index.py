"""``reports/index.html``: every run on one page, the newest first."""

import hashlib
import re
from collections.abc import Iterable, Iterator
from pathlib import Path
from typing import TYPE_CHECKING, Any
from urllib.parse import quote, unquote

from muse_core import paths
from muse_core.report.stamps import executed, read_stamp, sources

if TYPE_CHECKING:
    from muse_core.report.summary import NotebookRow, RunSummary

CODE = (".py", ".j2", ".css")
TEMPLATES = Path(__file__).parent / "templates"
STATES = {
    "stale": "the notebook changed since this page was made, or what it reads of its run",
    "failed": "a cell raised the error shown, and the page ends there",
    "interrupted": "it was stopped from the keyboard",
    "unfinished": "its run was cut short, so the page may be incomplete",
}
MARK = b"<!-- made of "
"""Before the page's last line: what it was made of."""
FIRST = {
    "04": ("Where it looks: the explorer", ""),
    "05": ("What it is worth: the table", ""),
    "07": ("Which part does it: the study", "ablations"),
    "08": ("What it draws", "generation"),
}
"""Number of a notebook that is worth looking at first -> words, and the run that shows it best."""
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
    known = {"runs": runs, "first": look_first(runs), "states": STATES}
    return environment.get_template(template).render(**known, **values)


def look_first(runs: "list[RunSummary]") -> "list[tuple[str, NotebookRow]]":
    """Words -> the page to begin with, of the run that shows it best, else of the first."""
    found = []
    for number, (words, best) in FIRST.items():
        rows = [
            (run.name != best, row)
            for run in runs
            for row in run.notebooks
            if row.stem.startswith(number) and row.state == "done"
        ]
        if rows:
            found.append((words, min(rows, key=lambda each: each[0])[1]))
    return found


def write() -> Path:
    """Write ``reports/index.html``, unless it was made of the very files that are there.

    Raises MuseError when the folder cannot be written.
    """
    path = paths.writable(paths.root() / "reports") / "index.html"
    last = path.read_bytes().rpartition(MARK)[2].split(b" ") if path.exists() else []
    known = [Path(unquote(name.decode())) for name in last[1:-1]]
    if not last or last[0] != _made_of(known):
        page = render("index.html.j2", summaries(), title="MUSE reports", lead=LEAD)
        named = sorted(_named())
        mark = [_made_of(named), *(quote(str(file)).encode() for file in named), b"-->\n"]
        path.write_bytes(page.encode() + MARK + b" ".join(mark))
    return path


def _made_of(named: Iterable[Path]) -> bytes:
    """A digest of names, times and sizes of all that the page depends on.

    ``named``: The files that parameters of its notebooks name.
    """
    digest = hashlib.sha256()
    for file in sorted({*_read(), *named}):
        if file.exists():
            found = file.stat()
            digest.update(f"{file} {found.st_mtime_ns} {found.st_size}\n".encode())
    return digest.hexdigest().encode()


def _named() -> set[Path]:
    """Files that parameters of the runs' notebooks name: they make a page stale as well."""
    stamps = [read_stamp(report) for run in _runs() for report in executed(run)]
    values = {Path(str(each)) for stamp in stamps if stamp for each in stamp.parameters.values()}
    return {file for file in values if file.suffix and _is_file(file)}


def _is_file(path: Path) -> bool:
    try:
        return path.is_file()
    except (OSError, ValueError):
        return False


def _read() -> Iterator[Path]:
    yield from sources()
    # Records count also where they are of a run without pages, which another run compares with.
    yield from (paths.root() / "reports").glob("*/records/*.json")
    yield from (file for file in paths.checkout().glob("muse_core/**/*") if file.suffix in CODE)
    for run in _runs():
        yield from executed(run)
        yield from run.glob("*.html")
