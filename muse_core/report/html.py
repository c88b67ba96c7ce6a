"""An executed notebook becomes a page that stays interactive without a kernel and asks nothing of
the network.
"""

import html
import json
import re
from html.parser import HTMLParser
from pathlib import Path
from typing import Any

from nbconvert.exporters import HTMLExporter
from nbconvert.preprocessors import Preprocessor

from muse_core.errors import MuseError
from muse_core.figures import PLOTLY_MIME
from muse_core.report.formulas import draw_formulas
from muse_core.report.page_style import CSS, SCRIPT, code_colours
from muse_core.report.page_template import TEMPLATE
from muse_core.report.stamps import Stamp, executed, read_notebook, read_stamp, title_and_claim

WIDGET_MIME = "application/vnd.jupyter.widget-view+json"


class ReportCells(Preprocessor):
    """Readies the cells: two-faced figures, drawn formulas, folded code; dead widgets and
    papermill's banners go.
    """

    def preprocess(self, nb: Any, resources: Any) -> tuple[Any, Any]:
        nb.metadata.pop("widgets", None)
        nb.cells = [
            cell
            for cell in nb.cells
            if "papermill-error-cell-tag" not in cell.metadata.get("tags", [])
        ]
        for cell in nb.cells:
            if cell.cell_type == "markdown":
                cell.source = draw_formulas(cell.source)
            elif cell.cell_type == "code":
                cell.metadata["muse_summary"] = code_summary(cell)
                cell.outputs = [
                    figured(output) for output in cell.outputs if not is_dead_widget(output)
                ]
        return nb, resources


def is_dead_widget(output: Any) -> bool:
    """Whether nothing but a kernel could show this output."""
    data = output.get("data", {})
    return WIDGET_MIME in data and not {"image/png", "text/html", PLOTLY_MIME} & set(data)


def code_summary(cell: Any) -> str:
    """What the folded code is called: its leading comment, its role, or its length."""
    tags = cell.metadata.get("tags", [])
    if "injected-parameters" in tags:
        return "Parameters of this run"
    if "parameters" in tags:
        return "Parameters"
    comment = re.match(r"#\s*(?!NBVAL)(\S.{2,70})$", cell.source.strip(), re.MULTILINE)
    lines = len(cell.source.strip().splitlines())
    return comment[1] if comment else f"Code, {lines} line{'s' if lines > 1 else ''}"


def figured(output: Any) -> Any:
    """An output of `publish.show`, or a bare plotly one, as one HTML figure; a widget as its HTML;
    any other as it is.
    """
    data, notes = output.get("data", {}), output.get("metadata", {}).get("muse", {})
    if PLOTLY_MIME in data or ("image/png" in data and notes):
        alt = notes.get("alt") or "Interactive figure"
        output["data"] = {
            "text/html": _figure(data.get("image/png"), data.get(PLOTLY_MIME), alt, output)
        }
    elif WIDGET_MIME in data and "text/html" in data:
        output["data"] = {"text/html": data["text/html"]}
    return output


def _figure(png: str | None, spec: dict[str, Any] | None, alt: str, output: Any) -> str:
    words = html.escape(alt, quote=True)
    width = output.get("metadata", {}).get("image/png", {}).get("width")
    size = f' width="{int(width)}"' if width else ""
    still = (
        f'<img alt="{words}"{size} src="data:image/png;base64,{"".join(png.split())}">'
        if png
        else ""
    )
    if spec is None:
        return f"<figure>{still}</figure>"
    height = int(spec.get("layout", {}).get("height") or 420)
    plot = (
        f'<div class="plot" role="img" aria-label="{words}" style="height:{height}px" hidden></div>'
    )
    data = json.dumps(
        {part: spec[part] for part in ("data", "layout", "frames", "config") if part in spec}
    )
    data = data.replace("<", "\\u003c")
    return f'<figure data-plotly="1">{still}{plot}<script type="application/json">{data}</script></figure>'


def export(report: Path) -> Path:
    """Write the page beside an executed notebook. Raises MuseError when the page would ask the
    network for anything.
    """
    import nbformat

    notebook = nbformat.read(report, as_version=4)
    interactive = _has_plotly(notebook)
    exporter = HTMLExporter(
        template_name="classic",
        raw_template=TEMPLATE,
        embed_images=True,
        mathjax_url="",
        require_js_url="",
        jquery_url="",
        mermaid_js_url="",
    )
    exporter.register_preprocessor(ReportCells, enabled=True)
    path = {"metadata": {"path": str(report.parent)}}
    page, _ = exporter.from_notebook_node(
        notebook, {**path, "muse": _frame(report, notebook, interactive)}
    )
    if interactive:
        write_plotly(report.parent)
    target = report.with_suffix(".html")
    target.write_text(page, encoding="utf-8")
    _refuse_external(target, page)
    return target


def export_run(folder: Path) -> list[Path]:
    """Write every page of a run again."""
    return [export(report) for report in executed(folder)]


def _frame(report: Path, notebook: Any, interactive: bool) -> dict[str, Any]:
    """What the page's header says."""
    stamp, (previous, following) = read_stamp(report), _neighbours(report)
    cells = notebook.get("cells", [])
    return {
        "title": title_and_claim(notebook, report.stem)[0],
        "css": CSS + code_colours(),
        "script": SCRIPT,
        "interactive": interactive,
        "facts": facts(stamp, report.parent.name),
        "error": stamp.error if stamp else "Its run was cut short, so this page may be incomplete.",
        "failed_cell": any(
            o.output_type == "error" for cell in cells for o in cell.get("outputs", [])
        ),
        "previous": _link(previous) if previous else None,
        "next": _link(following) if following else None,
    }


def _neighbours(report: Path) -> tuple[Path | None, Path | None]:
    """The numbered reports before and after; none for a report without a number, which belongs to a
    study.
    """
    pages = executed(report.parent)
    if report not in pages:
        return None, None
    before, after = pages[: pages.index(report)], pages[pages.index(report) + 1 :]
    return (before[-1] if before else None), (after[0] if after else None)


def facts(stamp: Stamp | None, run: str) -> list[tuple[str, str]]:
    """Provenance as (name, value) pairs."""
    if stamp is None:
        return [("Run", run)]
    date = stamp.date[:16].replace("T", " ") + " UTC"
    rows = [
        ("Commit", stamp.commit),
        ("Preset", stamp.preset),
        ("Device", stamp.device),
        ("Date", date),
    ]
    return [("Run", run), *((name, value) for name, value in rows if value != "none")]


def _link(report: Path) -> dict[str, str]:
    title = title_and_claim(read_notebook(report), report.stem)[0]
    return {"link": report.with_suffix(".html").name, "title": title}


def _has_plotly(notebook: Any) -> bool:
    outputs = (output for cell in notebook.cells for output in cell.get("outputs", []))
    return any(PLOTLY_MIME in output.get("data", {}) for output in outputs)


def write_plotly(folder: Path) -> Path:
    """``assets/plotly.min.js``, one copy for all pages of the run, written when absent or of
    another version.
    """
    from plotly.offline import get_plotlyjs

    path, text = folder / "assets" / "plotly.min.js", get_plotlyjs()
    if not path.exists() or path.read_text(encoding="utf-8") != text:
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(text, encoding="utf-8")
    return path


class _Requests(HTMLParser):
    """Collects what a browser would fetch from elsewhere."""

    FETCHES = frozenset(
        {"script", "link", "img", "iframe", "source", "video", "audio", "embed", "object"}
    )

    def __init__(self) -> None:
        super().__init__()
        self.found: list[str] = []

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        if tag in self.FETCHES:
            values = (
                value or "" for name, value in attrs if name in ("src", "href", "data", "poster")
            )
            self.found += [
                value
                for value in values
                if re.match(r"(?:https?:)?//", value.strip(), re.IGNORECASE)
            ]


def external_requests(page: str) -> list[str]:
    """Addresses that a page would load from the network; ordinary links for readers are not among
    them.
    """
    parser = _Requests()
    parser.feed(page)
    return parser.found + re.findall(r"url\(\s*['\"]?((?:https?:)?//[^)'\"]+)", page)


def _refuse_external(target: Path, page: str) -> None:
    outside = external_requests(page)
    if outside:
        raise MuseError(
            f"The page {target.name} would load {outside[0]} from the network: put the file into the notebook instead."
        )
