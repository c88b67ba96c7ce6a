"""The explorer as a widget in a real JupyterLab: it shows, a click reaches Python, and Python's
choice reaches the picture.
"""

import json
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from .jupyterlab import lab_server, open_and_run, run_cell, wait_until, write_notebook

CODE = """
import json, pathlib
import numpy as np
from muse_core.figures.explorer import AttentionView, FeatureView, Words, explorer_data
from muse_core.figures.explorer import explorer_widget

maps = np.random.default_rng(0).dirichlet(np.ones(16), (2, 3, 2, 16)).astype(np.float32)
sources = [AttentionView("teacher", "teacher", maps, (4, 4)), AttentionView("student", "student", maps, (4, 4))]
features = [FeatureView("stream", maps[:, 0, 0], (4, 4), projected=maps[:, 0, 0])]
words = []
def data(count):
    return explorer_data(np.random.default_rng(1).random((2, 32, 32, 3)), ["one", f"image {count}"], sources, features, Words(("a", *words), maps[0, 0, 0, :1 + len(words)]))

added = []
def add(name, content):
    added.append((name, len(content)))
    pathlib.Path("added.json").write_text(json.dumps(added))
    return data(name)

def add_word(word):
    words.append(word)
    pathlib.Path("words.json").write_text(json.dumps(words))
    return data("two")

explorer = explorer_widget(data("two"), add, add_word)
explorer.observe(lambda change: pathlib.Path("selection.json").write_text(json.dumps(change.new)), "selection")
explorer
"""


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    place = tmp_path_factory.mktemp("lab")
    write_notebook(
        place / "explore.ipynb", [CODE, "explorer.selection = explorer.selection | {'layer': 0}"]
    )
    return place


@pytest.fixture(scope="module")
def tab(browser: Any, folder: Path) -> Iterator[Any]:
    with lab_server(folder) as address:
        yield open_and_run(browser, address, "explore.ipynb", ".muse-explorer canvas.map")


def selection(folder: Path) -> dict[str, Any]:
    return json.loads((folder / "selection.json").read_text())


@pytest.mark.long
def test_a_click_reaches_python(tab: Any, folder: Path) -> None:
    box = tab.locator("canvas.map").nth(1).bounding_box()
    tab.mouse.click(box["x"] + box["width"] * 3.5 / 4, box["y"] + box["height"] * 0.5 / 4)
    wait_until(lambda: selection(folder)["patch"] == 3)


@pytest.mark.long
def test_python_s_choice_reaches_the_picture(tab: Any) -> None:
    run_cell(tab, 1)
    tab.wait_for_function(
        "document.querySelector('.muse-explorer .says').textContent.includes('layer 1')"
    )


@pytest.mark.long
def test_a_reader_s_image_reaches_python_and_comes_back(
    tab: Any, folder: Path, tmp_path: Path
) -> None:
    from PIL import Image

    Image.new("RGB", (20, 20), "red").save(tmp_path / "mine.png")
    tab.locator(".muse-explorer input[type=file]").set_input_files(tmp_path / "mine.png")
    wait_until(lambda: json.loads((folder / "added.json").read_text())[0][0] == "mine.png")
    tab.wait_for_function(
        "document.querySelector('.muse-explorer .says').textContent.includes('image mine.png')"
    )
    wait_until(lambda: selection(folder)["image"] == 1)


@pytest.mark.long
def test_a_typed_word_reaches_python_and_is_chosen(tab: Any, folder: Path) -> None:
    tab.locator("select[name=mode]").select_option("words")
    typed = tab.get_by_placeholder("a word of your own")
    typed.fill("stripes")
    typed.press("Enter")
    wait_until(lambda: json.loads((folder / "words.json").read_text()) == ["stripes"])
    wait_until(lambda: selection(folder)["word"] == 1)


@pytest.mark.long
def test_a_saved_notebook_shows_the_explorer_again_without_a_kernel(tab: Any, folder: Path) -> None:
    run = "name => jupyterapp.commands.execute(name)"
    tab.evaluate(run, "docmanager:save")
    wait_until(lambda: "widgets" in json.loads((folder / "explore.ipynb").read_text())["metadata"])
    tab.evaluate("() => jupyterapp.serviceManager.sessions.shutdownAll()")
    tab.reload()
    tab.wait_for_selector(".muse-explorer canvas.map", timeout=60_000)
    assert "stripes" in tab.locator("select[name=word]").inner_text()
