"""The card beside a tokenizer: figures of these very weights, origins with their licences, no path
of this machine, and an example that runs.
"""

import re
from pathlib import Path

import pytest
from huggingface_hub import ModelCard

from muse_core.errors import MuseError
from muse_core.results.machine_paths import machine_path
from muse_core.results.measurements import Measurement
from muse_core.training.model_card import write_cards

from .finished_run import RECORD, evaluated, finished_stage

PSNR = Measurement(26.408, 1000, "mean | over images", 26.303, 26.506)
ZERO_SHOT = Measurement(0.832, 900, "nearest class")


@pytest.fixture(autouse=True)
def workspace(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    monkeypatch.setenv("MUSE_ROOT", str(tmp_path))
    return tmp_path


def test_figures_come_with_their_intervals_once_these_weights_are_evaluated() -> None:
    folder = finished_stage()
    before = (folder / "README.md").read_text()
    assert "muse run 05 --run mine" in before and "PSNR" not in before
    evaluated(folder, psnr=PSNR, zero_shot=ZERO_SHOT, lpips=Measurement.missing("no weights"))
    assert write_cards("mine") == [folder / "README.md"]
    text = (folder / "README.md").read_text()
    assert "| PSNR | 26.4 dB | 26.3 to 26.5 dB | 1,000 | mean \\| over images |" in text
    assert "| zero-shot | 83.2 % | none | 900 | nearest class |" in text
    assert "LPIPS" not in text and "test images of folder (birds)" in text
    found = {one.metric_type: one for one in ModelCard(text).data.eval_results}
    assert found.keys() == {"psnr", "zero_shot"} and found["psnr"].metric_value == 26.408
    assert found["psnr"].metric_args == {"low": 26.303, "high": 26.506, "n": 1000}


def test_figures_of_other_weights_are_not_shown() -> None:
    folder = finished_stage()
    evaluated(folder, digest="0123456789abcdef", psnr=PSNR)
    write_cards("mine")
    assert "PSNR" not in (folder / "README.md").read_text()


def test_it_names_what_it_is_made_from_with_licences() -> None:
    card = ModelCard((finished_stage() / "README.md").read_text())
    assert (card.data.license, card.data.base_model) == ("other", ["OpenGVLab/InternVL3-1B-hf"])
    hub = "[OpenGVLab/InternVL3-1B-hf](https://huggingface.co/OpenGVLab/InternVL3-1B-hf)"
    assert f"| backbone | {hub} | apache-2.0 | yes |" in card.text
    ours = "tiny autoencoder, trained on drawn scenes"
    assert f"| autoencoder | {ours} | mit | its decoder |" in card.text
    assert "| topology teacher | dino | not known here: see its page | no, it supervised |" in (
        card.text
    )
    committed = {f"foundations.{name}": f"data/foundations/tiny/{name}" for name in
                 ("backbone", "autoencoder")}  # fmt: skip
    card = ModelCard((finished_stage(model=committed) / "README.md").read_text())
    assert (card.data.license, card.data.base_model) == ("mit", None)


def test_it_says_its_limits_and_no_path_of_this_machine() -> None:
    drawn = (finished_stage() / "README.md").read_text()
    assert "one seed" in drawn and "drawn scenes of ten shapes" in drawn
    own = dict(data="folder:/data/cats", overrides="backbone=/home/ada/vit stage.steps=3")
    text = (finished_stage(**own, other_data="") / "README.md").read_text()
    assert "| data | folder (cats) (scenes-v1) |" in text and "drawn scenes of ten" not in text
    assert "| overrides | backbone=vit stage.steps=3 |" in text and not machine_path(text)
    assert "/data/cats" not in text


def test_only_orthogonal_routing_claims_separate_gradients() -> None:
    assert "only W_V" in (finished_stage() / "README.md").read_text()
    assert "only W_V" not in (finished_stage(routing="shared") / "README.md").read_text()


def test_its_example_runs(workspace: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    text = (finished_stage() / "README.md").read_text()
    (example,) = re.findall(r"```python\n(.*?)```", text, re.DOTALL)
    monkeypatch.chdir("/")
    names: dict = {}
    exec(example, names)
    assert names["reconstruction"].shape == names["images"].shape == (2, 3, 32, 32)


def test_a_damaged_record_is_a_sentence(workspace: Path) -> None:
    finished_stage()
    (workspace / "reports/mine/records/stage3.json").write_text("{")
    with pytest.raises(MuseError, match=r"stage3\.json is damaged"):
        write_cards(RECORD.run)
