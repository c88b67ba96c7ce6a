from dataclasses import replace

import pytest

from muse_core.errors import MuseError
from muse_core.training.stage_run import StageRun, finished_tokenizer

from ..models.small_models import TINY, small_tokenizer

RUN = StageRun(run="mine", preset="tiny", stage="02_semantic_injection")


@pytest.fixture(autouse=True)
def workspace(tmp_path, monkeypatch):
    monkeypatch.setenv("MUSE_ROOT", str(tmp_path))
    return tmp_path


def test_nothing_given_means_the_presets_and_other_numbers_are_taken() -> None:
    preset = RUN.load_preset().curriculum[RUN.stage]
    assert (RUN.load_stage().steps, RUN.load_stage().batch_size) == (
        preset.steps,
        preset.batch_size,
    )
    changed = replace(RUN, steps=7, batch_size=3).load_stage()
    assert (changed.steps, changed.batch_size) == (7, 3)


@pytest.mark.parametrize("wrong", [{"steps": -1}, {"batch_size": -4}])
def test_negative_numbers_are_refused(wrong) -> None:
    with pytest.raises(MuseError, match="must not be negative"):
        replace(RUN, **wrong).load_stage()


def test_places_of_a_run(workspace) -> None:
    assert RUN.checkpoints == workspace / "data/runs/mine/02_semantic_injection/checkpoints"
    assert RUN.metrics_file == workspace / "reports/mine/records/02_semantic_injection.jsonl"
    assert RUN.record_file == workspace / "reports/mine/records/stage2.json"


def test_facts_hold_everything_but_where_and_whether_it_goes_on() -> None:
    facts, preset = RUN.facts(), RUN.load_preset().curriculum[RUN.stage]
    assert (facts["steps"], facts["batch_size"]) == (preset.steps, preset.batch_size)
    assert not {"device", "resume"} & facts.keys()
    assert replace(RUN, steps=preset.steps, device="cpu", resume=True).facts() == facts
    assert replace(RUN, data="folder:x").facts() != facts


def test_a_missing_stage_names_its_notebook_and_the_command() -> None:
    with pytest.raises(
        MuseError, match=r"no finished 01_topology_warmup.*`muse run 01 --run mine -p preset tiny`"
    ):
        finished_tokenizer(RUN, "01_topology_warmup")


@pytest.mark.parametrize(
    ("routing", "sentence"),
    [
        ("orthogonal", "has width=32, but preset 'tiny' .* asks for 96"),
        ("shared", "has width=32|routing='orthogonal'"),
    ],
)
def test_a_tokenizer_of_another_preset_or_routing_is_refused(routing, sentence) -> None:
    small_tokenizer(TINY).save_pretrained(replace(RUN, stage="01_topology_warmup").tokenizer_folder)
    with pytest.raises(MuseError, match=sentence):
        finished_tokenizer(replace(RUN, routing=routing), "01_topology_warmup")
