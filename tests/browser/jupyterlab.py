"""A real JupyterLab for tests: a server, a notebook open in a tab, its cells run one by one."""

import os
import socket
import subprocess
import sys
import time
import urllib.request
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import nbformat
import pytest

SETTINGS = Path(__file__).parents[2] / "notebooks/.jupyter"
"""What `make lab` adds to a user's own settings."""


def write_notebook(file: Path, cells: Sequence[str]) -> None:
    """Code cells alone, for the machine's own Python."""
    metadata = {"kernelspec": {"name": "python3", "display_name": "Python 3", "language": "python"}}
    made = nbformat.v4.new_notebook(
        cells=[nbformat.v4.new_code_cell(cell) for cell in cells], metadata=metadata
    )
    nbformat.write(made, file)


@contextmanager
def lab_server(folder: Path) -> Iterator[str]:
    """JupyterLab on a folder, with settings of its own beside those of `make lab`; yields its
    address.
    """
    with socket.socket() as free:
        free.bind(("127.0.0.1", 0))
        port = free.getsockname()[1]
    own = {
        name: str(folder / name.lower())
        for name in ("JUPYTER_CONFIG_DIR", "JUPYTER_DATA_DIR", "JUPYTER_RUNTIME_DIR")
    }
    own["JUPYTER_CONFIG_PATH"] = str(SETTINGS)
    command = [
        sys.executable,
        "-m",
        "jupyterlab",
        "--no-browser",
        "--allow-root",
        f"--port={port}",
        "--ip=127.0.0.1",
        "--IdentityProvider.token=",
        "--LabApp.expose_app_in_browser=True",
        f"--ServerApp.root_dir={folder}",
    ]
    with (folder / "server.log").open("w") as log:
        running = subprocess.Popen(
            command, env=os.environ | own, stdout=log, stderr=log, cwd=folder
        )
    address = f"http://127.0.0.1:{port}"
    try:
        wait_until(
            lambda: urllib.request.urlopen(f"{address}/api/status", timeout=2).status == 200, 60
        )
        yield address
    finally:
        running.terminate()
        running.wait(60)


def open_and_run(browser: Any, address: str, notebook: str, appears: str) -> Any:
    """A tab with the notebook open and its first cell run, once the selector
    ``appears`` matches.
    """
    from playwright.sync_api import TimeoutError as NotInTime

    page = browser.new_page(viewport={"width": 1400, "height": 1000})
    page.goto(f"{address}/lab/tree/{notebook}")
    page.wait_for_selector(".jp-Notebook .jp-CodeCell", timeout=60_000)
    page.wait_for_selector(".jp-Notebook-ExecutionIndicator[data-status=idle]", timeout=60_000)
    for _ in range(8):  # a kernel that still starts, on a busy machine, may miss the first request
        run_cell(page, 0)
        try:
            page.wait_for_selector(appears, timeout=15_000)
            return page
        except NotInTime:
            continue
    pytest.fail(
        f"no {appears}; the notebook shows: {page.locator('.jp-Notebook').inner_text()[:1500]}"
    )


def run_cell(page: Any, cell: int) -> None:
    """Execute one cell by JupyterLab's own command: a key pressed before the editor listens would
    be lost.
    """
    page.locator(".jp-Notebook .jp-CodeCell .jp-InputPrompt").nth(cell).click()
    page.evaluate("() => { jupyterapp.commands.execute('notebook:run-cell'); }")


def wait_until(holds: Callable[[], Any], seconds: float = 20) -> None:
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
