"""An executed notebook becomes a page that stays interactive without a kernel and a network."""

import html
import re
from html.parser import HTMLParser
from pathlib import Path
from typing import Any

from jinja2 import pass_context
from nbconvert.exporters import HTMLExporter
from nbconvert.filters.markdown_mistune import IPythonRenderer, MarkdownWithMath
from nbconvert.preprocessors.coalescestreams import CoalesceStreamsPreprocessor

from muse_core.errors import MuseError
from muse_core.figures import PLOTLY_MIME
from muse_core.figures.theme import DARK
from muse_core.report.index import TEMPLATES
from muse_core.report.lead import command, sort_cells, trainings, with_contents
from muse_core.report.stamps import (
    Stamp,
    executed,
    page_note,
    read_notebook,
    read_stamp,
    title_and_claim,
)
from muse_core.report.summary import day

FINISHED_BAR = re.compile(r"[^\n]*100%\|[^\n]*(?:\n|$)")
"""tqdm's last line."""
SPELLINGS = {
    r"\{aligned\}": "{split}",
    r"\\arg(?![A-Za-z])": r"\\operatorname{arg}",
    "<": r"\\lt ",
    ">": r"\\gt ",
}
"""LaTeX that latex2mathml does not know, or leaves unescaped -> what it draws the same."""


def mathml(latex: str, display: str = "inline") -> str:
    """LaTeX as MathML, which browsers draw themselves; what cannot be read stays as it is typed."""
    from latex2mathml.converter import convert

    known = latex.strip()
    for spelling, other in SPELLINGS.items():
        known = re.sub(spelling, other, known)
    try:
        drawn = convert(known, display=display)
    except Exception:
        return f'<code class="formula">{html.escape(latex)}</code>'
    return f'<span class="equation">{drawn}</span>' if display == "block" else drawn


class _Renderer(IPythonRenderer):
    """nbconvert's Markdown, with formulas drawn instead of left to MathJax."""

    def block_math(self, body: str) -> str:
        return mathml(body, "block")

    def inline_math(self, body: str) -> str:
        return mathml(body)

    def latex_environment(self, name: str, body: str) -> str:
        return mathml(rf"\begin{{{name}}}{body}\end{{{name}}}", "block")


class _Exporter(HTMLExporter):
    @pass_context
    def markdown2html(self, context: Any, source: str) -> str:
        renderer = _Renderer(
            escape=False,
            attachments=context["cell"].get("attachments", {}),
            embed_images=True,
            path=context["resources"]["metadata"]["path"],
        )
        return MarkdownWithMath(renderer=renderer).render(source)


def export(report: Path) -> Path:
    """Write the page beside an executed notebook.

    Raises:
        MuseError: The page would ask the network for something.
    """
    import nbformat

    notebook = as_printed(nbformat.read(report, as_version=4))
    frame = _frame(report, notebook) | {"lead": sort_cells(notebook)}
    exporter = _Exporter(
        template_name="classic",
        template_file="page.html.j2",
        extra_template_paths=[str(TEMPLATES)],
    )
    resources = {"metadata": {"path": str(report.parent)}, "muse": frame}
    page, _ = exporter.from_notebook_node(notebook, resources)
    page = with_contents(page)
    if frame["interactive"]:
        write_plotly(report.parent)
    target = report.with_suffix(".html")
    target.write_text(page, encoding="utf-8")
    if outside := external_requests(page):
        raise MuseError(
            f"The page {target.name} would load {outside[0]} from the network: "
            "put the file into the notebook instead."
        )
    return target


def export_run(folder: Path) -> list[Path]:
    """Write every page of a run again, so that links to neighbours are right."""
    return [export(report) for report in executed(folder)]


def as_printed(notebook: Any) -> Any:
    """The same notebook with its printed text as a terminal ends up showing it, and without the
    bars of what went to its end.
    """
    notebook, _ = CoalesceStreamsPreprocessor().preprocess(notebook, {})
    for cell in (each for each in notebook.cells if each.cell_type == "code"):
        for output in (each for each in cell.outputs if each.output_type == "stream"):
            output.text = FINISHED_BAR.sub("", output.text)
        cell.outputs = [each for each in cell.outputs if each.get("text", "text").strip()]
    return notebook


def code_summary(cell: Any) -> str:
    """What the folded code is called: its role, its leading comment, or its length."""
    roles = {"injected-parameters": "Parameters of this run", "parameters": "Parameters"}
    role = next((roles[tag] for tag in cell.metadata.get("tags", []) if tag in roles), "")
    comment = re.match(r"#\s*(?!NBVAL)(\S.{2,70})$", cell.source.strip(), re.MULTILINE)
    lines = len(cell.source.strip().splitlines())
    counted = f"Code, {lines} line{'s' if lines > 1 else ''}"
    return role or (comment[1] if comment else counted)


def _frame(report: Path, notebook: Any) -> dict[str, Any]:
    """What the page's head says, and what its template calls."""
    stamp, pages = read_stamp(report), executed(report.parent)
    at = pages.index(report) if report in pages else None
    outputs = [output for cell in notebook.cells for output in cell.get("outputs", [])]
    return {
        "title": title_and_claim(notebook, report.stem)[0],
        "colours": _code_colours(),
        "code_summary": code_summary,
        "interactive": any(PLOTLY_MIME in output.get("data", {}) for output in outputs),
        "facts": facts(stamp, report.parent.name),
        "command": command(stamp, report),
        "trainings": trainings(report),
        "dark": dict(DARK),
        "note": page_note(report),
        "error": stamp.error if stamp else "Its run was cut short, so this page may be incomplete.",
        "failed_cell": any(output.output_type == "error" for output in outputs),
        "previous": _link(pages[at - 1]) if at else None,
        "next": _link(pages[at + 1]) if at is not None and at + 1 < len(pages) else None,
    }


def facts(stamp: Stamp | None, run: str) -> dict[str, str]:
    """Where a page comes from, and with which parameters it was made."""
    if stamp is None:
        return {"Run": run}
    own = stamp.parameters.keys() - {"run", "preset", "device"}
    given = (f"{name}={each}" for name, each in stamp.parameters.items() if name in own)
    found = {
        "Run": run,
        "Commit": stamp.commit,
        "Preset": stamp.preset if stamp.preset != "none" else "",
        "Device": stamp.device,
        "Date": day(stamp.date),
        "Parameters": ", ".join(given),
    }
    return {name: value for name, value in found.items() if value}


def _link(report: Path) -> dict[str, str]:
    title = title_and_claim(read_notebook(report), report.stem)[0]
    return {"link": report.with_suffix(".html").name, "title": title}


def _code_colours() -> str:
    """Pygments colours for light and dark."""
    from pygments.formatters import HtmlFormatter

    light, dark = (
        HtmlFormatter(style=style).get_style_defs(".highlight")
        for style in ("default", "github-dark")
    )
    return f"{light}\n@media (prefers-color-scheme: dark) {{ {dark} }}"


def write_plotly(folder: Path) -> Path:
    """``assets/plotly.min.js``, one copy for all pages of the run."""
    from plotly.offline import get_plotlyjs

    path, text = folder / "assets" / "plotly.min.js", get_plotlyjs()
    if not path.exists() or path.read_text(encoding="utf-8") != text:
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(text, encoding="utf-8")
    return path


class Links(HTMLParser):
    """Collects a page's links (``href``, ``src``), and of them those that a browser fetches."""

    FETCHES = frozenset(
        {"script", "link", "img", "iframe", "source", "video", "audio", "embed", "object"}
    )

    def __init__(self, page: str) -> None:
        super().__init__()
        self.links: list[str] = []
        self.fetched: list[str] = []
        self.feed(page)

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        given = [(name, (value or "").strip()) for name, value in attrs]
        self.links += [value for name, value in given if name in ("href", "src")]
        if tag in self.FETCHES:
            self.fetched += [
                value for name, value in given if name in ("src", "href", "data", "poster")
            ]


def external_requests(page: str) -> list[str]:
    """Addresses that a page would load from the network; links for readers are not among them."""
    fetched = [one for one in Links(page).fetched if re.match(r"(?i)(?:https?:)?//", one)]
    return fetched + re.findall(r"url\(\s*['\"]?((?:https?:)?//[^)'\"]+)", page)
