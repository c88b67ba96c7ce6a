"""A trained tokenizer goes to a hub through the hub's own client, and comes back the same."""

import os
import re
import subprocess
import sys
from pathlib import Path

import pytest

from ..model_hub import model_hub
from ..unit.training.finished_run import finished_stage

ROOT = Path(__file__).resolve().parents[2]

PUSH = """
import sys
import torch
from muse_core.errors import MuseError
from muse_core.models.tokenizer import MuseTokenizer

folder = sys.argv[1]
tokenizer = MuseTokenizer.from_pretrained(folder)
try:
    tokenizer.push_to_hub("closed/muse")
except MuseError as error:
    print("refused", error)
print("commit", tokenizer.push_to_hub("ada/muse-tiny", private=True, token="hf_none"))
back = MuseTokenizer.from_pretrained("ada/muse-tiny")
same = all(map(torch.equal, tokenizer.state_dict().values(), back.state_dict().values()))
print("same", same)
"""


@pytest.mark.long
def test_a_tokenizer_is_pushed_with_its_card_and_loaded_from_there(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("MUSE_ROOT", str(tmp_path))
    folder, hub = finished_stage(), tmp_path / "hub"
    with model_hub(hub, refuses="closed") as (address, commits):
        environment = os.environ | {"HF_ENDPOINT": address, "HF_HOME": str(tmp_path / "home")}
        environment |= {"HF_HUB_OFFLINE": "0", "PYTHONPATH": str(ROOT), "NO_PROXY": "127.0.0.1"}
        # The stand-in takes large files as Git LFS does.
        environment |= {"HF_HUB_DISABLE_XET": "1"}
        done = subprocess.run(
            [sys.executable, "-c", PUSH, str(folder)],
            env=environment,
            capture_output=True,
            text=True,
            timeout=300,
        )
    said = dict(line.split(" ", 1) for line in done.stdout.splitlines() if " " in line)
    assert "could not be uploaded" in said.get("refused", ""), done.stderr[-3000:]
    assert said["commit"].startswith(f"{address}/ada/muse-tiny/commit/"), done.stderr[-3000:]
    assert said["same"] == "True" and [each["summary"] for each in commits] == [
        "Upload MuseTokenizer"
    ]
    pushed = {path.name: path for path in (hub / "ada/muse-tiny").iterdir()}
    weights = {"config.json", "diffusion_pytorch_model.safetensors", "preprocessor_config.json"}
    assert pushed.keys() == {"README.md"} | weights
    card = pushed["README.md"].read_text()
    assert re.findall(r'from_pretrained\("(.*?)"\)', card) == ["ada/muse-tiny"]
    assert str(tmp_path) not in card + pushed["config.json"].read_text()
