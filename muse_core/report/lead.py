"""What a page puts first and what it puts last: conclusions with one picture and a table of
contents at its head; versions, parameters and the trainings behind it at its foot.
"""

import html
import re
import shlex
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from muse_core.errors import MuseError
from muse_core.report.arguments import typed
from muse_core.report.cover import Cover, cover_of
from muse_core.report.stamps import COMPARISON, Stamp, conclusions
from muse_core.report.summary import day
from muse_core.results.records import read_json

SETUP = re.compile(r"= setup\(")
PARAMETERS = {"parameters", "injected-parameters"}
INSTALL = "install"
"""The tag of the cell that installs muse_core where it is missing: no reader needs it."""
UNUSED = "not used"
"""Begins a line of `Lab.say_unused`."""
NOTICE = "notice"
"""Begins a fact of `Lab.facts` that stands at the page's head."""
FEWEST_HEADINGS = 3
"""Below which a page needs no contents."""


@dataclass(frozen=True)
class Lead:
    """The head of a page; ``conclusions``: HTML; ``notice``: what the setup said that no reader
    may miss.
    """

    conclusions: str = ""
    cover: Cover = field(default_factory=Cover)
    notice: str = ""


def sort_cells(notebook: Any) -> Lead:
    """Mark each cell of an executed notebook with its place, "foot" for parameters and setup,
    "moved" for the conclusions, "left out" for the installation, and return the page's head. A
    setup that says what of the data is not used stays where it is read.
    """
    notes = [cell.metadata.setdefault("muse", {}) for cell in notebook.cells]
    said = ""
    for at, cell in enumerate(notebook.cells):
        if cell.cell_type != "code":
            continue
        is_setup = SETUP.search(cell.source) and not any(
            UNUSED in "".join(each.get("text", "")) for each in cell.get("outputs", [])
        )
        tags = set(cell.metadata.get("tags", []))
        if INSTALL in tags:
            notes[at]["place"] = "left out"
        elif is_setup or PARAMETERS & tags:
            notes[at]["place"] = "foot"
        elif concluded := conclusions(cell):
            said += concluded
            notes[at]["place"] = "moved"
            if at and re.fullmatch(r"#+ [^\n]*", notebook.cells[at - 1].source.strip()):
                notes[at - 1]["place"] = "moved"
    own = [at for at, cell in enumerate(notebook.cells) if not _papermills(cell)]
    if own and notebook.cells[own[0]].cell_type == "markdown":
        notes[own[0]]["place"] = "title"
    return Lead(said, cover_of(notebook), _notice(notebook))


def _notice(notebook: Any) -> str:
    """The sentence after `NOTICE` in the output of a setup, which breaks its lines."""
    outputs = [
        each
        for cell in notebook.cells
        if cell.cell_type == "code" and SETUP.search(cell.source)
        for each in cell.get("outputs", [])
    ]
    printed = "".join("".join(each.get("text", "")) for each in outputs)
    found = re.search(rf"^{NOTICE} +(.+(?:\n {{13}}.+)*)", printed, re.MULTILINE)
    return " ".join(found[1].split()) if found else ""


def _papermills(cell: Any) -> bool:
    """Whether papermill put the cell there, to say that another one failed."""
    return "papermill-error-cell-tag" in cell.metadata.get("tags", [])


def with_contents(page: str) -> str:
    """The page with its second-level headings listed where the template left room for them."""
    found = re.findall(r'<h2 id="([^"]+)">(.*?)(?:<a class="anchor-link"|</h2>)', page, re.DOTALL)
    listed = [f'<li><a href="#{name}">{_text(words)}</a></li>' for name, words in found]
    block = f'<nav class="contents" aria-label="Contents"><ol>{"".join(listed)}</ol></nav>'
    return page.replace("<!--contents-->", block if len(listed) >= FEWEST_HEADINGS else "", 1)


def _text(words: str) -> str:
    return html.escape(html.unescape(re.sub(r"<[^>]+>", "", words)).strip())


def command(stamp: Stamp | None, report: Path) -> str:
    """What makes this page again; "" for one whose parameters are not known."""
    if stamp is None:
        return ""
    given = {name: value for name, value in stamp.parameters.items() if name != "run"}
    words = [f"-p {name} {shlex.quote(typed(value))}" for name, value in given.items()]
    run = shlex.quote(report.parent.name)
    if report.name == COMPARISON:
        other = [word for word in words if not word.startswith(("-p a ", "-p b "))]
        pair = [shlex.quote(str(given.get(name, ""))) for name in ("a", "b")]
        return " ".join(["muse compare", *pair, "--run", run, *other])
    number = re.match(r"\d\d(?=_)", report.stem)
    notebook = number[0] if number else f"notebooks/studies/{report.name}"
    return " ".join(["muse run", notebook, "--run", run, *words])


def trainings(report: Path) -> list[dict[str, str]]:
    """A line for each stage that the run trained: how long, when, where, from which commit."""
    found = []
    for file in sorted((report.parent / "records").glob("stage[0-9].json")):
        try:
            record = read_json(file)
            made = record["provenance"]
            line = {
                "stage": record["stage"],
                "steps": f"{record['steps']:,} of {record['batch_size']}",
                "took": f"{record['seconds'] / 60:.1f} min",
                "commit": made["commit"],
                "device": made["device"],
                "date": day(made["date"]),
            }
        except (MuseError, KeyError, TypeError, ValueError, AttributeError):
            continue
        found.append(line)
    return found
