"""What an executed notebook says about itself: its stamp, whether it is fresh, title and claim."""

import hashlib
import html
import json
import re
from collections.abc import Mapping
from dataclasses import asdict, dataclass, field, fields
from pathlib import Path
from typing import Any

from muse_core import paths
from muse_core.errors import MuseError
from muse_core.results.records import read_json, write_json
from muse_core.results.trained_code import other_code, own_file

NUMBERED = "[0-9][0-9]_*.ipynb"
COMPARISON = "two_runs.ipynb"
"""Puts two runs side by side; lies with the studies' notebooks and has no number."""
LEARNED = re.compile(r"^learned\(", re.MULTILINE)
"""Begins the cell of a notebook's conclusions."""
COMPARING = ("04", "05", "08")
"""Notebooks that look at the run with shared routing as well."""


@dataclass(frozen=True)
class Stamp:
    """Where an executed notebook comes from; kept in its ``metadata["muse"]``."""

    key: str
    status: str
    run: str
    commit: str
    preset: str
    device: str
    date: str
    seconds: float
    parameters: dict[str, Any] = field(default_factory=dict)
    error: str = ""
    data: str = ""


def sources() -> list[Path]:
    """The workspace's numbered notebooks, in order."""
    return sorted(paths.notebooks().glob(NUMBERED))


def executed(run_folder: Path) -> list[Path]:
    """The executed notebooks of a run, in order; a page of two runs is one as well."""
    return sorted([*run_folder.glob(NUMBERED), *run_folder.glob(COMPARISON)])


def read_notebook(path: Path) -> dict[str, Any]:
    """A notebook's JSON; an empty one when the file is absent, cut short or something else."""
    try:
        found = json.loads(path.read_text(encoding="utf-8"))
    except (OSError, ValueError, RecursionError):
        return {}
    return found if isinstance(found, dict) else {}


def read_stamp(path: Path) -> Stamp | None:
    """The stamp of an executed notebook; None when it has none, e.g. because its run was killed."""
    found = read_notebook(path).get("metadata", {}).get("muse")
    known = {entry.name for entry in fields(Stamp)}
    try:
        return Stamp(**{name: each for name, each in found.items() if name in known})
    except (AttributeError, TypeError):
        return None


def write_stamp(path: Path, stamp: Stamp) -> None:
    """Put the stamp into an executed notebook. Raises MuseError when the disk refuses."""
    notebook = read_notebook(path)
    notebook.setdefault("metadata", {})["muse"] = asdict(stamp)
    notebook["metadata"].pop("widgets", None)
    for name in ("input_path", "output_path"):
        notebook["metadata"].get("papermill", {}).pop(name, None)
    write_json(path, notebook)


def source_sha(source: Path) -> str:
    """A hash of a notebook's cells: outputs, counts and kernel names make no report stale."""
    cells = [
        (cell.get("cell_type"), "".join(cell.get("source", "")))
        for cell in read_notebook(source).get("cells", [])
    ]
    return hashlib.sha256(json.dumps(cells).encode()).hexdigest()


def page_key(source: Path, parameters: dict[str, Any], run_folder: Path) -> str:
    """The hash that an executed notebook carries while it is up to date.

    It changes with the notebook's cells, its parameters, the files they name, and what it reads of
    runs: the notebook executed before it, and the records of the stages trained up to it, also of
    the runs it compares with.
    """
    earlier = [path for path in executed(run_folder) if path.name < source.name]
    before = read_stamp(earlier[-1]) if earlier else None
    given = json.dumps(parameters, sort_keys=True, default=str)
    parts = [source_sha(source), given, before.key if before else ""]
    digest = hashlib.sha256("\n".join(parts).encode())
    reads_others = source.name[:2] in COMPARING or source.name == COMPARISON
    others = _compared(parameters, run_folder) if reads_others else []
    runs = [run_folder, *(run_folder.with_name(run) for run in others)]
    records = [file for run in runs for file in sorted(run.glob("records/stage[0-9].json"))]
    named = [Path(str(parameters.get(name, ""))) for name in ("preset", "study")]
    named += filter(None, [own_file(str(parameters.get("system", "")))])
    files = [file for file in records if f"0{file.stem[-1]}" <= source.name[:2]]
    for file in [*files, *(file for file in named if file.suffix and file.is_file())]:
        digest.update(hashlib.sha256(file.read_bytes()).digest())
    return digest.hexdigest()


def _compared(parameters: dict[str, Any], run_folder: Path) -> list[str]:
    """Runs that a notebook may read beside its own."""
    if "a" in parameters and "b" in parameters:
        return [str(parameters["a"]), str(parameters["b"])]
    run = parameters.get("tokenizers") or run_folder.name
    return [run] * (run != run_folder.name) + [parameters.get("baseline") or f"{run}-shared"]


def state(report: Path) -> str:
    """ "done", "stale", "failed", "interrupted" or "unfinished", for an executed notebook."""
    stamp = read_stamp(report)
    if stamp is None or stamp.status != "done":
        return stamp.status if stamp else "unfinished"
    known = [*sources(), paths.notebooks() / "studies" / COMPARISON]
    source = next((path for path in known if path.name == report.name), None)
    fresh = source and stamp.key == page_key(source, stamp.parameters, report.parent)
    return "done" if fresh else "stale"


def page_note(report: Path) -> str:
    """What a page's stage was trained with and one would not expect, in a sentence, or ""."""
    number = report.stem[:2].lstrip("0")
    try:
        record = read_json(report.parent / "records" / f"stage{number}.json")
        return "; ".join(filter(None, [record.get("other_data"), other_code(record["code"])]))
    except (MuseError, KeyError):
        return ""


def title_and_claim(notebook: dict[str, Any], fallback: str) -> tuple[str, str]:
    """The first heading of a notebook, and the whole sentences that begin the paragraph below."""
    cells = (cell for cell in notebook.get("cells", []) if cell.get("cell_type") == "markdown")
    for text in ("".join(cell.get("source", "")) for cell in cells):
        heading = re.search(r"^#+\s+(.+?)\s*#*$", text, re.MULTILINE)
        if heading:
            blocks = map(str.strip, re.split(r"\n\s*\n", text[heading.end() :]))
            prose = (block for block in blocks if block and not block.startswith(("#", "|", "```")))
            return _plain(heading[1]), _shortened(_plain(next(prose, "")))
    return fallback, ""


def conclusions(cell: Mapping[str, Any]) -> str:
    """HTML of what a notebook concludes in this cell; "" for any other cell."""
    if cell.get("cell_type") != "code" or not LEARNED.search("".join(cell.get("source", ""))):
        return ""
    found = (each.get("data", {}).get("text/html", "") for each in cell.get("outputs", []))
    return "".join("".join(each) for each in found)


def first_conclusion(notebook: Mapping[str, Any]) -> str:
    """The first sentence that an executed notebook concludes with, as plain text."""
    said = "".join(map(conclusions, notebook.get("cells", [])))
    first = said.partition("</p>")[0]
    return _shortened(html.unescape(re.sub(r"<[^>]+>", "", first)).strip())


def _shortened(words: str, limit: int = 260) -> str:
    """At most so many letters: whole sentences, or else a beginning."""
    if len(words) <= limit:
        return words
    whole, stop, _ = words[:limit].rpartition(". ")
    return whole + "." if stop else words[:limit].rsplit(" ", 1)[0] + " …"


def _plain(text: str) -> str:
    """Markdown without its marks: links keep their words, dollars, stars and commands go."""
    text = re.sub(r"\$[^$]+\$", lambda math: re.sub(r"\\[a-zA-Z]+ ?|[\\{}]", "", math[0]), text)
    text = re.sub(r"!?\[([^\]]*)\]\([^)]*\)", r"\1", text)
    text = re.sub(r"\*\*|__|`|\$|^>\s?", "", text, flags=re.MULTILINE)
    return " ".join(re.sub(r"(?<!\w)[*_](\S.*?\S|\S)[*_](?!\w)", r"\1", text).split())
