"""Any notebook may be opened first: what it needs is trained before, with its parameters."""

from pathlib import Path
from typing import Any

import pytest

from muse_core.config.parameters import PARAMETERS
from muse_core.notebook import setup
from muse_core.report.needed_stages import needed
from muse_core.results.records import read_json

from .micro import PRESET, STAGES

GIVEN = dict(preset=PRESET, data="scenes", seed=3, device="cpu", resume=False)
LOOKS = dict(preset=PRESET, data="scenes", device="cpu", baseline="")
LOOKS_AT = LOOKS | dict(images=2, image="", fit="crop", resolution=0)


def missing(notebook: str, **given: Any) -> list[str]:
    return [run.stage for run in needed(notebook, PARAMETERS[notebook].check(**given))]


def test_the_stages_before_are_trained_first_and_measured(
    micro: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    overrides = "02.stage.steps=2 stage.learning_rate=1e-3 connector.num_blocks=3"
    given = GIVEN | {"run": "opened-first", "overrides": overrides}
    assert missing("03_synergistic_tuning", **given) == list(STAGES[:2])
    lab = setup("03_synergistic_tuning", given, needs="make")
    assert lab.tokenizer().config.num_blocks == 3 and lab.stage.learning_rate == 1e-3
    records = micro / "reports/opened-first/records"
    first, second = (read_json(records / f"stage{number}.json") for number in (1, 2))
    assert second["steps"] == 2 and first["steps"] != 2
    assert {first["seed"], second["seed"]} == {3} and first["held_out"]["psnr"] > 0
    said = capsys.readouterr().out
    assert "01_topology_warmup of run 'opened-first' is needed and not there" in said
    assert "02_semantic_injection: 2 steps of" in said and "02_semantic_injection took" in said
    assert missing("03_synergistic_tuning", **given) == []


@pytest.mark.usefixtures("whole", "micro")
def test_a_look_at_a_run_needs_one_stage_at_least_and_generation_the_last() -> None:
    assert missing("04_attention_topology", run="nobody", **LOOKS_AT) == list(STAGES)
    assert missing("04_attention_topology", run="whole", **LOOKS_AT) == []
    rest = dict(seed=0, download=False)
    assert missing("05_evaluation", run="nobody", **LOOKS, **rest) == list(STAGES)
    generation = GIVEN | rest | dict(run="mine", tokenizers="nobody", compare=False, guidance=1.0)
    assert missing("08_generation", **generation) == list(STAGES)
    assert missing("08_generation", **generation | {"tokenizers": "whole"}) == []
    assert missing("01_topology_warmup", run="nobody", **GIVEN) == []


@pytest.mark.usefixtures("micro")
def test_only_the_notebooks_own_stage_hears_its_shares_and_all_of_them_resume() -> None:
    overrides = "shares.perceptual=0.5 connector.num_blocks=3"
    given = GIVEN | {"run": "nobody", "overrides": overrides, "resume": True}
    checked = PARAMETERS["03_synergistic_tuning"].check(**given)
    runs = needed("03_synergistic_tuning", checked)
    assert [run.overrides for run in runs] == ["connector.num_blocks=3"] * 2
    assert all(run.resume for run in runs)
    alone = GIVEN | {"run": "nobody", "overrides": "connector.num_blocks=0 weights.topology=0"}
    assert missing("01_topology_warmup", **alone) == []
    first = GIVEN | {"run": "nobody", "overrides": "stage.starts_from=none"}
    assert missing("02_semantic_injection", **first) == []
