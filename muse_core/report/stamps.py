"""What an executed notebook says about itself: the stamp in its metadata, its title and its claim."""

import json
import re
from dataclasses import asdict, dataclass, field, fields
from pathlib import Path
from typing import Any

from muse_core import paths
from muse_core.errors import MuseError
from muse_core.report.progress import collapse_bars

NUMBERED = "[0-9][0-9]_*.ipynb"


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


def sources() -> list[Path]:
    """The workspace's numbered notebooks, in order."""
    return sorted(paths.notebooks().glob(NUMBERED))


def executed(run_folder: Path) -> list[Path]:
    """The executed notebooks of a run, in order."""
    return sorted(run_folder.glob(NUMBERED))


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
        return (
            Stamp(**{name: value for name, value in found.items() if name in known})
            if found
            else None
        )
    except (AttributeError, TypeError):
        return None


def write_stamp(path: Path, stamp: Stamp) -> None:
    """Put the stamp into an executed notebook, and tidy its progress bars. Raises MuseError when
    the disk refuses.
    """
    notebook = read_notebook(path)
    notebook.setdefault("metadata", {})["muse"] = asdict(stamp)
    notebook["metadata"].pop("widgets", None)
    collapse_bars(notebook)
    for name in ("input_path", "output_path"):
        notebook["metadata"].get("papermill", {}).pop(name, None)
    try:
        temporary = path.with_name(f".{path.name}.tmp")
        temporary.write_text(
            json.dumps(notebook, indent=1, ensure_ascii=False) + "\n", encoding="utf-8"
        )
        temporary.replace(path)
    except OSError as error:
        raise MuseError(
            f"Cannot write {path} ({error.strerror}): free some space or mend its permissions."
        ) from error


def title_and_claim(notebook: dict[str, Any], fallback: str) -> tuple[str, str]:
    """The first heading, and the first paragraph beside it, of the first markdown cell that has a
    heading.
    """
    cells = (cell for cell in notebook.get("cells", []) if cell.get("cell_type") == "markdown")
    for text in ("".join(cell.get("source", "")) for cell in cells):
        heading = re.search(r"^#+\s+(.+?)\s*#*$", text, re.MULTILINE)
        if heading:
            return _plain(heading[1]), _first_paragraph(text[heading.end() :])
    return fallback, ""


def _first_paragraph(text: str, limit: int = 260) -> str:
    paragraphs = [block.strip() for block in re.split(r"\n\s*\n", text)]
    words = _plain(
        next(
            (block for block in paragraphs if block and not block.startswith(("#", "|", "```"))), ""
        )
    )
    return words if len(words) <= limit else words[:limit].rsplit(" ", 1)[0] + " …"


def _plain(text: str) -> str:
    """Markdown without its marks: links keep their words, dollars, stars and LaTeX commands go."""
    text = re.sub(
        r"\$[^$]+\$", lambda formula: re.sub(r"\\[a-zA-Z]+ ?|[\\{}]", "", formula[0]), text
    )
    text = re.sub(r"!?\[([^\]]*)\]\([^)]*\)", r"\1", text)
    text = re.sub(r"\*\*|__|`|\$|^>\s?", "", text, flags=re.MULTILINE)
    return " ".join(re.sub(r"(?<!\w)[*_](\S.*?\S|\S)[*_](?!\w)", r"\1", text).split())
