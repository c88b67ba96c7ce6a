"""Pages: figures with two faces, no request to anywhere, no dead widgets, code that is there but
folded.
"""

import base64
import re
from pathlib import Path
from typing import Any

import nbformat
import pytest

from muse_core.errors import MuseError
from muse_core.figures import PLOTLY_MIME
from muse_core.report import html
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
    dead.outputs[0].data["application/vnd.jupyter.widget-view+json"] = {"model_id": "1"}
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


EQUATION = r"""$$\mathcal{L}_{\mathrm{topo}} = \frac{1}{LH} \sum_{l,h} \mathrm{KL}\!\left(
\Psi(A_T^{(l,h)}) \,\Vert\, A_S^{(l,h)}\right), \quad H_0 + \mathrm{sg}(H - H_0) < \lVert x \rVert$$"""


def test_equations_are_mathml_and_code_and_prices_are_not(tmp_path: Path) -> None:
    words = rf"# T\n\nThus $W_Q$ and\n\n{EQUATION}\n\nbut `$x$` and \$5.".replace(r"\n", "\n")
    page = page_of(tmp_path, nbformat.v4.new_markdown_cell(words))
    assert page.count("<math") == 2 and page.count('display="block"') == 1
    assert "<mfrac>" in page and "<mo>∑</mo>" in page and "<mi>Ψ</mi>" in page
    assert 'mathvariant="normal">s</mi><mi mathvariant="normal">g</mi>' in page
    assert "<mo>‖</mo>" in page and "<merror" not in page
    text = re.sub(r"<style>.*?</style>|<script>.*?</script>", "", page, flags=re.DOTALL)
    assert "$$" not in text and "\\" not in text and "<code>$x$</code>" in text and "$5" in text


@pytest.mark.parametrize(
    ("latex", "drawn"),
    [
        (r"\begin{aligned} x &= 1 \\ y &= 2 \end{aligned}", "<mtable"),
        (r"\operatorname{softmax}(q k^\top / \sqrt{d})", "<msqrt>"),
        (r"\mathbb{E}_{t \sim U}\left[ \hat{x} \right]", "accent"),
        (r"\arg\max_c x_c < 1", "<mo>arg</mo>"),
        (r"\begin{cases} 1 & x > 0 \\ 0 \end{cases}", "<mtr>"),
    ],
)
def test_what_notebooks_write_is_drawn(latex: str, drawn: str) -> None:
    assert drawn in html.mathml(latex) and "\\" not in html.mathml(latex)


def test_every_equation_of_our_notebooks_is_drawn(tmp_path: Path) -> None:
    root, shown = Path(__file__).resolve().parents[3] / "notebooks", 0
    for source in sorted(root.rglob("[0-9a-z]*.ipynb")):
        prose = [cell for cell in nbformat.read(source, 4).cells if cell.cell_type == "markdown"]
        page = page_of(tmp_path, *prose).partition("<main")[2]
        equations = re.findall(r"<math.*?</math>", page, re.DOTALL)
        assert not [drawn for drawn in equations if "\\" in drawn], source.name
        assert 'class="formula"' not in page and "$$" not in page, source.name
        shown += len(equations)
    assert shown > 10


def test_a_formula_nobody_can_draw_stays_readable_and_is_no_markup() -> None:
    assert html.mathml(r"<b>\bad{") == r'<code class="formula">&lt;b&gt;\bad{</code>'
    assert "<script" not in html.mathml(r"\text{<script>x</script>}")


def test_of_a_progress_bar_the_last_state_stays_unless_it_reached_its_end(tmp_path: Path) -> None:
    cell = nbformat.v4.new_code_cell("1")
    texts = ["\rtrain:   0%| | 0/4\rtrain:  25%|█ | 1/4", "\rtrain: 50%|██| 2/4\n", "done\n"]
    cell.outputs = [nbformat.v4.new_output("stream", name="stdout", text=text) for text in texts]
    page = page_of(tmp_path, cell).partition("<main")[2]
    assert "50%" in page and "done" in page and "25%" not in page and page.count("train:") == 1
    cell.outputs[1].text = cell.outputs[1].text.replace(" 50%", " 100%")
    page = page_of(tmp_path, cell).partition("<main")[2]
    assert "done" in page and "train:" not in page


def test_a_widget_with_a_face_for_pages_shows_that_face(tmp_path: Path) -> None:
    cell = code(text__html="<p>explore here</p>")
    cell.outputs[0].data["application/vnd.jupyter.widget-view+json"] = {
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
    assert "Preset" not in html.facts(stamp, "r") and html.facts(stamp, "r")["Commit"] == "abc"


def test_the_head_says_what_was_given(tmp_path: Path) -> None:
    given = {"run": "r", "preset": "tiny", "overrides": "weights.topology=2"}
    stamp = Stamp("k", "done", "r", "abc", "tiny", "cpu", "2026-01-01T10:00:00+00:00", 1.0, given)
    assert html.facts(stamp, "r")["Parameters"] == "overrides=weights.topology=2"
