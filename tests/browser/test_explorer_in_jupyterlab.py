"""The explorer as a widget in a real JupyterLab: it shows, a click reaches Python, and Python's choice reaches the picture."""

import json
import os
import socket
import subprocess
import sys
import time
import urllib.request
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import nbformat
import pytest

CODE = """
import json, pathlib
import numpy as np
from muse_core.figures.explorer import AttentionSource, explorer_data
from muse_core.figures.explorer_widget import explorer_widget

maps = np.random.default_rng(0).dirichlet(np.ones(16), (2, 3, 2, 16)).astype(np.float32)
sources = [AttentionSource("teacher", "teacher", maps, (4, 4)), AttentionSource("student", "student", maps, (4, 4))]
def data(count):
    return explorer_data(np.random.default_rng(1).random((2, 32, 32, 3)), ["one", f"image {count}"], sources)

added = []
def add(name, content):
    added.append((name, len(content)))
    pathlib.Path("added.json").write_text(json.dumps(added))
    return data(name)

explorer = explorer_widget(data("two"), add)
explorer.observe(lambda change: pathlib.Path("selection.json").write_text(json.dumps(change.new)), "selection")
explorer
"""


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    place = tmp_path_factory.mktemp("lab")
    metadata = {"kernelspec": {"name": "python3", "display_name": "Python 3", "language": "python"}}
    cells = [
        nbformat.v4.new_code_cell(CODE),
        nbformat.v4.new_code_cell("explorer.selection = explorer.selection | {'layer': 0}"),
    ]
    nbformat.write(nbformat.v4.new_notebook(cells=cells, metadata=metadata), place / "explore.ipynb")
    return place


@pytest.fixture(scope="module")
def server(folder: Path) -> Iterator[str]:
    with socket.socket() as free:
        free.bind(("127.0.0.1", 0))
        port = free.getsockname()[1]
    own = {
        name: str(folder / name.lower()) for name in ("JUPYTER_CONFIG_DIR", "JUPYTER_DATA_DIR", "JUPYTER_RUNTIME_DIR")
    }
    command = [sys.executable, "-m", "jupyterlab", "--no-browser", "--allow-root", f"--port={port}", "--ip=127.0.0.1",
               "--IdentityProvider.token=", "--LabApp.expose_app_in_browser=True", f"--ServerApp.root_dir={folder}"]  # fmt: skip
    with (folder / "server.log").open("w") as log:
        running = subprocess.Popen(command, env=os.environ | own, stdout=log, stderr=log, cwd=folder)
    address = f"http://127.0.0.1:{port}"
    try:
        _wait(lambda: urllib.request.urlopen(f"{address}/api/status", timeout=2).status == 200, 60)
        yield address
    finally:
        running.terminate()
        running.wait(20)


@pytest.fixture(scope="module")
def tab(browser: Any, server: str) -> Any:
    from playwright.sync_api import TimeoutError as NotInTime

    page = browser.new_page(viewport={"width": 1400, "height": 1000})
    page.goto(f"{server}/lab/tree/explore.ipynb")
    page.wait_for_selector(".jp-Notebook .jp-CodeCell", timeout=60_000)
    page.wait_for_selector(".jp-Notebook-ExecutionIndicator[data-status=idle]", timeout=60_000)
    for _ in range(8):  # a kernel that still starts, on a busy machine, may miss the first request
        _run(page, 0)
        try:
            page.wait_for_selector(".muse-explorer canvas.map", timeout=15_000)
            return page
        except NotInTime:
            continue
    pytest.fail(f"no explorer; the notebook shows: {page.locator('.jp-Notebook').inner_text()[:1500]}")


def _run(page: Any, cell: int) -> None:
    """Execute one cell by JupyterLab's own command: a key pressed before the editor listens would be lost."""
    page.locator(".jp-Notebook .jp-CodeCell .jp-InputPrompt").nth(cell).click()
    page.evaluate("() => { jupyterapp.commands.execute('notebook:run-cell'); }")


def _wait(holds: Any, seconds: float = 20) -> None:
    """Until it holds; an attempt that raises counts as not yet."""
    end = time.monotonic() + seconds
    while time.monotonic() < end:
        try:
            if holds():
                return
        except (OSError, ValueError):
            pass
        time.sleep(0.2)
    raise AssertionError("it did not happen in time")


def selection(folder: Path) -> dict[str, Any]:
    return json.loads((folder / "selection.json").read_text())


@pytest.mark.slow
def test_a_click_reaches_python(tab: Any, folder: Path) -> None:
    box = tab.locator("canvas.map").nth(1).bounding_box()
    tab.mouse.click(box["x"] + box["width"] * 3.5 / 4, box["y"] + box["height"] * 0.5 / 4)
    _wait(lambda: selection(folder)["patch"] == 3)


@pytest.mark.slow
def test_python_s_choice_reaches_the_picture(tab: Any) -> None:
    _run(tab, 1)
    tab.wait_for_function("document.querySelector('.muse-explorer .says').textContent.includes('layer 1')")


@pytest.mark.slow
def test_a_reader_s_image_reaches_python_and_comes_back(tab: Any, folder: Path, tmp_path: Path) -> None:
    from PIL import Image

    Image.new("RGB", (20, 20), "red").save(tmp_path / "mine.png")
    tab.locator(".muse-explorer input[type=file]").set_input_files(tmp_path / "mine.png")
    _wait(lambda: json.loads((folder / "added.json").read_text())[0][0] == "mine.png")
    tab.wait_for_function("document.querySelector('.muse-explorer .says').textContent.includes('image mine.png')")
    _wait(lambda: selection(folder)["image"] == 1)
