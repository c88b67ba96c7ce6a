from dataclasses import replace
from functools import partial

import pytest

from muse_core.config.overrides import load_preset, model_of
from muse_core.config.presets import tiny
from muse_core.data.scenes import Scenes
from muse_core.errors import MuseError
from muse_core.results.records import write_json
from muse_core.training.loss_terms import LossTerm
from muse_core.training.stage_run import StageRun, _reference, finished_tokenizer, preset_of_run
from muse_core.training.trainer import RunFiles, RunOptions, Trainer

from ..models.small_models import TINY, small_tokenizer

RUN = StageRun(run="mine", preset="tiny", stage="02_semantic_injection")


@pytest.fixture(autouse=True)
def workspace(tmp_path, monkeypatch):
    monkeypatch.setenv("MUSE_ROOT", str(tmp_path))
    return tmp_path


def test_nothing_given_means_the_presets_and_overrides_are_taken() -> None:
    assert RUN.load_preset() == load_preset("tiny")
    changed = replace(RUN, overrides="stage.steps=7 stage.batch_size=3").load_preset().curriculum
    assert (changed[RUN.stage].steps, changed[RUN.stage].batch_size) == (7, 3)
    assert changed.stages[0].steps != 7, "another stage keeps its own"


def test_places_of_a_run(workspace) -> None:
    files = RUN.files
    assert files.checkpoints == workspace / "data/runs/mine/02_semantic_injection/checkpoints"
    assert files.metrics_file == workspace / "reports/mine/records/02_semantic_injection.jsonl"
    assert files.record_file == workspace / "reports/mine/records/stage2.json"
    within = RunFiles("mine", "08_generation/muse")
    assert within.record_file == workspace / "reports/mine/records/08_generation_muse.json"


def begun(overrides: str) -> None:
    """A run whose first stage was trained with these overrides."""
    preset = load_preset("tiny", overrides)
    model = {"model": model_of(preset), "base": model_of(load_preset("tiny"))}
    write_json(RunFiles("mine", "01_topology_warmup").record_file, model)


def test_later_stages_inherit_the_model_that_the_first_stage_fixed() -> None:
    begun("connector.num_blocks=4 routing=shared")
    preset = RUN.load_preset()
    assert (preset.connector.num_blocks, preset.routing) == (4, "shared")
    again = replace(RUN, overrides="connector.num_blocks=4 stage.steps=9")
    assert again.load_preset().curriculum[RUN.stage].steps == 9


def test_those_who_look_at_a_run_see_its_model_and_may_ask_another_teacher() -> None:
    begun("connector.num_blocks=4")
    look = lambda overrides, free=(): preset_of_run("mine", "tiny", overrides, None, free)
    assert look("").connector.num_blocks == 4
    with pytest.raises(MuseError, match=r"begun with foundations\.teacher"):
        look("teacher=timm:vit_tiny")
    free = ("foundations.teacher", "foundations.teacher_layers", "foundations.teacher_image_size")
    seen = look("teacher=timm:vit_tiny", free)
    assert (seen.foundations.teacher, seen.foundations.teacher_layers) == ("timm:vit_tiny", None)
    assert seen.connector.num_blocks == 4
    with pytest.raises(MuseError, match=r"begun with connector\.num_blocks=4"):
        look("connector.num_blocks=3", free)


@pytest.mark.parametrize(
    ("changes", "words"),
    [
        ({"overrides": "connector.num_blocks=6"}, "connector.num_blocks=4, .* say 6"),
        ({"overrides": "teacher=timm:vit_tiny"}, "foundations.teacher=.* say 'timm:vit_tiny'"),
        ({"preset": "muse-1b"}, "image_size=64, and these parameters say 224"),
    ],
)
def test_a_contradiction_with_the_first_stage_is_refused(changes, words) -> None:
    begun("connector.num_blocks=4")
    with pytest.raises(MuseError, match=words):
        replace(RUN, **changes).load_preset()


def test_a_missing_stage_names_its_notebook_and_the_command() -> None:
    words = r"no finished 01_topology_warmup.*`muse run 01 --run mine -p preset tiny`"
    with pytest.raises(MuseError, match=words):
        finished_tokenizer(RUN, "01_topology_warmup")
    shared = replace(RUN, overrides="routing=shared stage.steps=3")
    with pytest.raises(MuseError, match=r"-p preset tiny -p overrides routing=shared`"):
        finished_tokenizer(shared, "01_topology_warmup")


@pytest.mark.parametrize(
    ("overrides", "sentence"),
    [
        ("", "has width=32, but preset 'tiny' .* asks for 96"),
        ("routing=shared", "has width=32|routing='orthogonal'"),
    ],
)
def test_a_tokenizer_of_another_preset_or_routing_is_refused(overrides, sentence) -> None:
    small_tokenizer(TINY).save_pretrained(replace(RUN, stage="01_topology_warmup").tokenizer_folder)
    with pytest.raises(MuseError, match=sentence):
        finished_tokenizer(replace(RUN, overrides=overrides), "01_topology_warmup")


def test_a_loss_made_in_a_cell_cannot_travel_and_one_of_a_file_can() -> None:
    with pytest.raises(MuseError, match="The loss 'mine' was made in a cell"):
        _reference("mine", LossTerm(lambda step: step.output.latent.mean(), "pixels"))
    assert _reference("mine", LossTerm(begun, "pixels")).endswith("test_stage_run:begun")


class Weighted:
    def __call__(self, step):
        return step.output.latent.mean()

    def loss(self, step):
        return self(step)


@pytest.mark.parametrize(
    ("compute", "kind"),
    [(partial(begun), "partial"), (Weighted(), "Weighted"), (Weighted().loss, "method")],
)
def test_what_has_no_name_to_import_it_by_is_told_how_to_travel(compute, kind) -> None:
    words = rf"loss 'mine' is a {kind} without a name .* takes module:function: put a function"
    with pytest.raises(MuseError, match=words):
        _reference("mine", LossTerm(compute, "pixels"))


def test_a_precision_that_other_processes_cannot_see_is_refused() -> None:
    options = RunOptions(precision="bf16")
    trainer = Trainer(None, tiny().curriculum.stages[0], Scenes("train"), None, options=options)
    with pytest.raises(MuseError, match=r"precision='bf16' in its options.*overrides=\"precision"):
        RUN.order(trainer, trainer.files)
