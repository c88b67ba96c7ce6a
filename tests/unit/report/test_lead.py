"""The head and the foot of a page: conclusions, contents, and how it was made."""

import base64
import io
from pathlib import Path
from typing import Any

import nbformat
from PIL import Image

from muse_core.figures import PLOTLY_MIME
from muse_core.report import html
from muse_core.report.lead import Lead, command, sort_cells, trainings, with_contents
from muse_core.report.stamps import Stamp
from muse_core.results.records import write_json


def output(metadata: dict[str, Any] | None = None, **data: Any) -> Any:
    found = nbformat.v4.new_output(
        "display_data", data={k.replace("__", "/"): v for k, v in data.items()}
    )
    found.metadata.update(metadata or {})
    return found


def png() -> str:
    buffer = io.BytesIO()
    Image.new("RGB", (900, 300), "teal").save(buffer, "PNG")
    return base64.b64encode(buffer.getvalue()).decode()


def story(*more: Any) -> Any:
    code, words = nbformat.v4.new_code_cell, nbformat.v4.new_markdown_cell
    parameters = code("run: str = 'smoke'", metadata={"tags": ["parameters"]})
    stream = nbformat.v4.new_output("stream", text="torch 2.15.0")
    setup = code('lab = setup("01_topology_warmup", globals())', outputs=[stream])
    notes = {"muse": {"cover": True, "name": "curve", "alt": "It falls."}}
    cover = code("curves", outputs=[output(notes, image__png=png())])
    cover.outputs[0].data[PLOTLY_MIME] = {"data": [], "layout": {}}
    said = code(
        "learned('It works.')", outputs=[output(text__html="<p>It works &amp; is small.</p>")]
    )
    heads = [words(f"## Part {number}") for number in (1, 2, 3)]
    cells = [words("# A title\n\nA claim."), parameters, setup, *heads, cover, *more]
    return nbformat.v4.new_notebook(cells=[*cells, words("## What we learned"), said])


def page_of(folder: Path, notebook: Any) -> str:
    nbformat.write(notebook, folder / "01_topology_warmup.ipynb")
    return html.export(folder / "01_topology_warmup.ipynb").read_text()


def test_a_page_begins_with_what_was_learned_one_picture_and_its_contents(tmp_path: Path) -> None:
    page = page_of(tmp_path, story())
    order = ["A claim.", "It works &amp; is small.", 'href="#figure-curve"', 'class="contents"']
    places = [page.index(words) for words in [*order, '<h2 id="Part-1">']]
    assert places == sorted(places) and page.count("It works &amp; is small") == 1
    assert page.index(">learned<") > page.index('class="made"'), "the code is at the foot"
    assert "What we learned" not in page and 'href="#Part-3"' in page
    assert 'id="figure-curve"' in page


def test_versions_and_parameters_are_folded_at_the_end(tmp_path: Path) -> None:
    page = page_of(tmp_path, story())
    foot = page.index('<details class="made"')
    assert page.index("torch 2.15.0") > foot and page.count("torch 2.15.0") == 1
    assert ">Parameters<" in page[foot:] and ">Parameters<" not in page[:foot]


def test_a_page_does_not_show_the_installation_unless_it_failed(tmp_path: Path) -> None:
    notebook = story()
    installs = nbformat.v4.new_code_cell("%pip install muse", metadata={"tags": ["install"]})
    notebook.cells.insert(1, installs)
    assert "install" not in page_of(tmp_path, notebook).partition("<main")[2]
    installs.outputs = [
        nbformat.v4.new_output("error", ename="E", evalue="no", traceback=["no such package"])
    ]
    assert "no such package" in page_of(tmp_path, notebook)


def test_what_of_the_data_is_not_used_stays_where_it_is_read(tmp_path: Path) -> None:
    notebook = story()
    notebook.cells[2].outputs[0].text = "torch 2.15.0\nnot used     3 images without a caption"
    page = page_of(tmp_path, notebook)
    assert page.index("3 images without a caption") < page.index('<h2 id="Part-1">')


def test_a_notice_of_the_setup_stands_at_the_head(tmp_path: Path) -> None:
    notebook = story()
    said = (
        "torch        2.15.0\n"
        "notice       the backbone of preset tiny has seen drawn scenes only: of photographs\n"
        "             expect coarse colours\n"
        "device       cpu\n"
    )
    notebook.cells[2].outputs[0].text = said
    page = page_of(tmp_path, notebook)
    sentence = (
        "The backbone of preset tiny has seen drawn scenes only: of photographs expect coarse "
        "colours."
    )
    assert page.index(sentence) < page.index('class="contents"')
    assert "device" not in sentence and 'role="note">' + sentence in page
    assert sort_cells(story()).notice == ""


def test_a_failed_setup_stays_where_it_is_seen(tmp_path: Path) -> None:
    notebook = story()
    notebook.cells[2].outputs = [
        nbformat.v4.new_output("error", ename="MuseError", evalue="no", traceback=["no such run"])
    ]
    notes = {"tags": ["papermill-error-cell-tag"]}
    notebook.cells.insert(0, nbformat.v4.new_markdown_cell("An Exception", metadata=notes))
    page = page_of(tmp_path, notebook)
    assert page.index("A title</h1>" if "A title</h1>" in page else "A claim.") < page.index(
        'class="contents"'
    )
    assert page.index("no such run") < page.index('<h2 id="Part-1">')


def test_a_page_without_conclusions_or_headings_has_neither(tmp_path: Path) -> None:
    notebook = nbformat.v4.new_notebook(cells=[nbformat.v4.new_markdown_cell("# T\n\n## One")])
    assert sort_cells(notebook) == Lead()
    page = page_of(tmp_path, notebook)
    assert 'class="short"' not in page and 'class="contents"' not in page


def test_headings_are_text_in_the_contents() -> None:
    heads = "".join(
        f'<h2 id="h{at}">A <code>b&lt;c</code><a class="anchor-link">¶</a></h2>' for at in range(3)
    )
    page = with_contents("<!--contents-->" + heads)
    assert '<a href="#h2">A b&lt;c</a>' in page and "¶</li>" not in page


def test_the_command_is_what_would_make_the_page_again() -> None:
    given = {"run": "a b", "preset": "tiny", "overrides": "stage.steps=2 x=1", "compare": False}
    date = "2026-01-01T10:00:00+00:00"
    stamp = Stamp("k", "done", "a b", "abc", "tiny", "cpu", date, 1.0, given)
    found = command(stamp, Path("reports/a b/05_evaluation.ipynb"))
    assert found == (
        "muse run 05 --run 'a b' -p preset tiny -p overrides 'stage.steps=2 x=1' -p compare false"
    )
    two = Stamp("k", "done", "r", "abc", "tiny", "cpu", date, 1.0, {"run": "r", "a": "x", "b": "y"})
    assert command(two, Path("reports/r/two_runs.ipynb")) == "muse compare x y --run r"
    one = Stamp("k", "done", "r", "abc", "tiny", "cpu", date, 1.0, {"run": "r"})
    said = command(one, Path("reports/r/one_run.ipynb"))
    assert said == "muse run notebooks/studies/one_run.ipynb --run r"
    assert command(None, Path("reports/a/05_evaluation.ipynb")) == ""


def test_trainings_are_those_of_the_records_not_of_the_page(tmp_path: Path) -> None:
    made = {"commit": "abc", "device": "cpu", "date": "2026-11-29T10:00:00+00:00"}
    record = {"stage": "01_topology_warmup", "steps": 1200, "batch_size": 16, "seconds": 90.0}
    write_json(tmp_path / "records" / "stage1.json", record | {"provenance": made})
    write_json(tmp_path / "records" / "stage2.json", {"stage": "damaged"})
    write_json(tmp_path / "records" / "stage3.json", record | {"steps": "x", "provenance": made})
    (line,) = trainings(tmp_path / "01_topology_warmup.ipynb")
    assert (line["took"], line["steps"], line["commit"]) == ("1.5 min", "1,200 of 16", "abc")
    assert line["date"] == "2026-11-29 10:00 UTC"
