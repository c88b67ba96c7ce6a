"""``muse-small`` trains: every stage for two steps through the Trainer, from local checkpoints in the
layouts of its public parts, at reduced sizes.
"""

from pathlib import Path

import pytest
import torch

from muse_core.foundations.backbone import Backbone
from muse_core.models.tokenizer import MuseTokenizer
from muse_core.training.stage_run import StageRun, train_stage

from ..published_layouts import write_small
from .micro import STAGES

SIZES = "image_size=64 connector.width=48 loader_workers=0"
SHORT = "stage.steps=2 stage.batch_size=8 stage.checkpoint_every=2 record_every=1"


@pytest.mark.long
def test_every_stage_trains_from_the_layouts_of_its_parts(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("MUSE_ROOT", str(tmp_path))
    monkeypatch.setenv("TORCH_HOME", str(tmp_path / "no-torch-home"))
    torch.manual_seed(0)
    parts = write_small(tmp_path / "parts")
    given = " ".join(f"{part}={folder}" for part, folder in parts.items())
    before = Backbone.from_pretrained(parts["backbone"]).state_dict()
    for number, stage in enumerate(STAGES, start=1):
        overrides = f"{SIZES} {SHORT} {given if number == 1 else ''}"
        named = StageRun(
            run="small", preset="muse-small", stage=stage, device="cpu", overrides=overrides
        )
        record = train_stage(named).record
        assert record.steps == 2 and not record.bad_steps
        assert record.configuration["stage"]["shares"]["reconstruction"] < 1
        tokenizer = MuseTokenizer.from_pretrained(named.tokenizer_folder)
        moved = [
            name
            for name, weight in tokenizer.backbone.state_dict().items()
            if not torch.equal(weight, before[name])
        ]
        assert bool(moved) == (number == 3)
    encoding = tokenizer.eval().encode(torch.rand(1, 3, 64, 64))
    assert encoding.latent.shape == (1, 32 + 16, 2, 2)
    # One token of two patches a side is what the decoder makes 32 pixels from.
    assert tokenizer.decode(encoding.latent).sample.shape == (1, 3, 64, 64)
