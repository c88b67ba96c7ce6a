"""Stage 1 of preset ``muse-1b`` on local checkpoints in the published layouts, by the function the notebook calls."""

from pathlib import Path

import pytest
from PIL import Image

from muse_core.models.tokenizer import MuseTokenizer
from muse_core.records import read_json
from muse_core.sizes import FoundationChoice
from muse_core.training.loop import train_stage
from muse_core.training.run import StageRun

from ..published_layouts import write_all


def few_images(folder: Path) -> Path:
    for number, colour in enumerate(("red", "green", "blue", "white") * 15):
        place = folder / ("warm" if number % 2 else "cold")
        place.mkdir(parents=True, exist_ok=True)
        Image.new("RGB", (240, 240 + number), colour).save(place / f"{number}.png")
    return folder


@pytest.mark.slow
def test_stage_1_trains_muse_1b_on_local_checkpoints(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("MUSE_ROOT", str(tmp_path))
    monkeypatch.setenv("TORCH_HOME", str(tmp_path / "no-torch-home"))
    given = write_all(tmp_path / "checkpoints")
    run = StageRun(
        run="mine", preset="muse-1b", stage="01_topology_warmup", data=f"folder:{few_images(tmp_path / 'images')}",
        steps=2, batch_size=2, device="cpu", foundations=FoundationChoice(**given),
    )  # fmt: skip
    train_stage(run)
    record = read_json(run.record_file)
    assert record["preset"] == "muse-1b" and record["steps"] == 2 and record["foundations"] == given
    tokenizer = MuseTokenizer.from_pretrained(run.tokenizer_folder)
    assert tokenizer.connector.query_grid == 16 and tokenizer.decoder.upsampling == 32
