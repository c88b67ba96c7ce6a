"""In a real JupyterLab a user adds a loss to notebook 02, runs its cells, and sees it
in the plot.
"""

import json
from pathlib import Path
from typing import Any

import pytest

from ..integration.conftest import micro, micro_root, whole  # noqa: F401 (fixtures)
from ..integration.micro import PRESET, STAGES, borrow_stage, micro_run
from ..integration.own_loss import changed_cells
from .jupyterlab import lab_server, open_and_run, run_cell, wait_until, write_notebook

CHECKOUT = Path(__file__).resolve().parents[2]
PLOTLY = "application/vnd.plotly.v1+json"
SHOWN = ("parameters", "setup", "stage", "routes-drawing", "train", "train-curves", "save")


@pytest.mark.long
def test_a_loss_of_ones_own_is_seen_in_the_plot_and_in_the_record(
    browser: Any,
    whole: dict,  # noqa: F811
    micro: Path,  # noqa: F811
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    run = micro_run(STAGES[1], "in-jupyterlab")
    borrow_stage(run, STAGES[0])
    monkeypatch.setenv("PYTHONPATH", str(CHECKOUT))
    cells = changed_cells("in-jupyterlab", PRESET)
    cells["stage"] += "\nimport torch.nn.functional as F"
    write_notebook(tmp_path / "own.ipynb", ["'ready'", *(cells[name] for name in SHOWN)])
    with lab_server(tmp_path) as address:
        tab = open_and_run(browser, address, "own.ipynb", ".jp-OutputArea-output")
        for cell in range(1, len(SHOWN) + 1):
            run_cell(tab, cell)
        wait_until(lambda: "spread" in json.loads(run.files.record_file.read_text())["losses"], 240)
        curves = tab.locator(".jp-Notebook .jp-CodeCell").nth(6)
        curves.locator(".js-plotly-plot, img").first.wait_for(timeout=60_000)
        tab.evaluate("() => { jupyterapp.commands.execute('docmanager:save'); }")
        wait_until(lambda: "spread" in drawn(tmp_path / "own.ipynb", 6), 60)
        assert "spread" in drawn(tmp_path / "own.ipynb", 4), "the routing drawn from its row"


def drawn(notebook: Path, cell: int) -> str:
    """The plotly JSON that a cell of a saved notebook shows."""
    outputs = json.loads(notebook.read_text())["cells"][cell]["outputs"]
    return json.dumps([each.get("data", {}).get(PLOTLY) for each in outputs])
