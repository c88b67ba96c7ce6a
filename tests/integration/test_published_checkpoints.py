"""Notebook 01 with preset ``muse-1b`` and local checkpoints in the published layouts, by the
function `muse run` uses.
"""

from pathlib import Path

import pytest
from PIL import Image

from muse_core import paths
from muse_core.models.tokenizer import MuseTokenizer
from muse_core.report import run as pipeline
from muse_core.report.arguments import choose_notebooks
from muse_core.results.records import read_json

from ..published_layouts import write_all

NOTEBOOK = Path(__file__).parents[2] / "notebooks" / "01_topology_warmup.ipynb"


def few_images(folder: Path) -> Path:
    for number, colour in enumerate(("red", "green", "blue", "white") * 15):
        place = folder / ("warm" if number % 2 else "cold")
        place.mkdir(parents=True, exist_ok=True)
        Image.new("RGB", (240, 240 + number), colour).save(place / f"{number}.png")
    return folder


@pytest.mark.long
def test_the_first_notebook_trains_muse_1b_on_local_checkpoints(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("MUSE_ROOT", str(tmp_path))
    # The kernel runs the code that is tested.
    monkeypatch.setenv("PYTHONPATH", str(NOTEBOOK.parents[1]))
    monkeypatch.setenv("TORCH_HOME", str(tmp_path / "no-torch-home"))
    (tmp_path / "notebooks").symlink_to(NOTEBOOK.parent)
    given = write_all(tmp_path / "checkpoints") | {
        "preset": "muse-1b",
        "data": f"folder:{few_images(tmp_path / 'images')}",
        "steps": "2",
        "batch_size": "2",
        "device": "cpu",
    }
    (outcome,) = pipeline.run(
        pipeline.plan(choose_notebooks(["01"]), "mine", given), say=lambda _: None
    )
    assert outcome.status == "done", outcome.error
    record = read_json(paths.records_folder("mine") / "stage1.json")
    assert record["preset"] == "muse-1b" and record["steps"] == 2
    for part in ("backbone", "teacher", "autoencoder", "text_tower"):
        # What lies in the workspace is written as it is found from there.
        assert str(tmp_path / record["model"][f"foundations.{part}"]) == given[part]
    tokenizer = MuseTokenizer.from_pretrained(
        paths.run_folder("mine") / "01_topology_warmup" / "tokenizer"
    )
    assert tokenizer.connector.query_grid == 16
