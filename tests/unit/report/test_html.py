"""Pages: figures with two faces, no request to anywhere, no dead widgets, code that is there but
folded.
"""

import base64
from pathlib import Path
from typing import Any

import nbformat
import pytest

from muse_core.errors import MuseError
from muse_core.figures import PLOTLY_MIME
from muse_core.report import html
from muse_core.report.formulas import draw_formulas
from muse_core.report.stamps import Stamp

PNG = base64.b64encode(b"\x89PNG\r\n\x1a\n" + bytes(20)).decode()
SPEC = {
    "data": [{"type": "scatter", "y": [1, 2], "name": "</script><b>"}],
    "layout": {"height": 300},
}


def page_of(tmp_path: Path, *cells: Any, widgets: bool = False) -> str:
    notebook = nbformat.v4.new_notebook(cells=list(cells))
    if widgets:
        notebook.metadata["widgets"] = {"state": {"secret": 1}}
    nbformat.write(notebook, tmp_path / "00_a.ipynb")
    return html.export(tmp_path / "00_a.ipynb").read_text()


def code(source: str = "1", **data: Any) -> Any:
    metadata = data.pop("metadata", {})
    output = nbformat.v4.new_output(
        "display_data", data={k.replace("__", "/"): v for k, v in data.items()}
    )
    output.metadata.update(metadata)
    return nbformat.v4.new_code_cell(source, outputs=[output], execution_count=1)


def two_faced() -> Any:
    cell = code(image__png=PNG, metadata={"muse": {"alt": 'A "curve" <falls>'}})
    cell.outputs[0].data[PLOTLY_MIME] = SPEC
    return cell


def test_a_published_figure_keeps_both_faces_and_its_words(tmp_path: Path) -> None:
    page = page_of(tmp_path, two_faced())
    assert "<figure data-plotly" in page and f"data:image/png;base64,{PNG}" in page
    assert "A &quot;curve&quot; &lt;falls&gt;" in page or 'A "curve" &lt;falls&gt;' in page
    assert "</script><b>" not in page


def test_plotly_is_written_once_beside_the_pages(tmp_path: Path) -> None:
    page = page_of(tmp_path, two_faced())
    script = tmp_path / "assets/plotly.min.js"
    before = script.stat().st_mtime_ns
    html.export(tmp_path / "00_a.ipynb")
    assert 'src="assets/plotly.min.js"' in page and len(page) < 100_000
    assert script.stat().st_size > 1_000_000 and script.stat().st_mtime_ns == before


def test_a_page_without_plotly_loads_no_script_file(tmp_path: Path) -> None:
    page = page_of(tmp_path, code(text__plain="1"))
    assert "plotly.min.js" not in page and not (tmp_path / "assets").exists()


def test_dead_widgets_leave_no_trace(tmp_path: Path) -> None:
    dead = code(text__plain="IntSlider(value=0)")
    dead.outputs[0].data[html.WIDGET_MIME] = {"model_id": "1"}
    page = page_of(tmp_path, dead, widgets=True)
    assert "IntSlider" not in page and "secret" not in page


def test_nothing_is_asked_of_the_network(tmp_path: Path) -> None:
    words = nbformat.v4.new_markdown_cell(
        "# T\n\n[a paper](https://arxiv.org/abs/2605.05646) and $W_Q$"
    )
    page = page_of(tmp_path, words, two_faced(), code(text__html="<b>1</b>"))
    assert html.external_requests(page) == []
    assert 'href="https://arxiv.org/abs/2605.05646"' in page


def test_a_picture_from_the_network_is_refused(tmp_path: Path) -> None:
    with pytest.raises(MuseError, match=r"would load https://example\.org/a\.png"):
        page_of(tmp_path, nbformat.v4.new_markdown_cell("![x](https://example.org/a.png)"))


def test_code_is_folded_under_its_comment(tmp_path: Path) -> None:
    page = page_of(
        tmp_path, code("# Draw the maps\nx = 1", text__plain="1"), code("y = 2", text__plain="2")
    )
    assert "<summary>Draw the maps</summary>" in page and "<summary>Code, 1 line</summary>" in page


def test_neighbours_are_linked(tmp_path: Path) -> None:
    for stem in ("00_a", "01_b"):
        cells = [nbformat.v4.new_markdown_cell(f"# Title {stem}")]
        nbformat.write(nbformat.v4.new_notebook(cells=cells), tmp_path / f"{stem}.ipynb")
    first, second = (path.read_text() for path in html.export_run(tmp_path))
    assert 'href="01_b.html"' in first and 'rel="prev"' not in first
    assert 'href="00_a.html"' in second and 'href="../index.html"' in second


def test_formulas_are_drawn_and_code_and_prices_are_not() -> None:
    drawn = draw_formulas(r"$W_Q$ and $$\frac{1}{2}$$ but `$x$`, \$5 and $5 or 6$7")
    assert drawn.count("<img") == 2 and "`$x$`" in drawn and r"\$5 and $5 or 6$7" in drawn
    assert 'alt="W_Q"' in drawn


def test_a_formula_nobody_can_draw_stays_readable() -> None:
    assert draw_formulas(r"$\begin{aligned}x\end{aligned}$").startswith('<code class="formula">')


def test_a_widget_with_a_face_for_pages_shows_that_face(tmp_path: Path) -> None:
    cell = code(text__html="<p>explore here</p>")
    cell.outputs[0].data[html.WIDGET_MIME] = {
        "model_id": "1",
        "version_major": 2,
        "version_minor": 0,
    }
    page = page_of(tmp_path, cell)
    assert "explore here" in page and "model_id" not in page


def test_a_report_without_a_number_has_no_neighbours_and_says_no_preset_it_has_not(
    tmp_path: Path,
) -> None:
    page_of(tmp_path, code())
    (tmp_path / "00_a.ipynb").rename(tmp_path / "one_run.ipynb")
    page_of(tmp_path, code())
    page = html.export(tmp_path / "one_run.ipynb").read_text()
    assert "00_a.html" not in page and "one_run.html" not in (tmp_path / "00_a.html").read_text()
    stamp = Stamp("k", "done", "r", "abc", "none", "cpu", "2026-01-01T10:00:00+00:00", 1.0)
    assert (
        "Preset" not in dict(html.facts(stamp, "r"))
        and dict(html.facts(stamp, "r"))["Commit"] == "abc"
    )
