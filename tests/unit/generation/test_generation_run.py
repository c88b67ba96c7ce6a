"""A generator's names: whose tokenizer, which folder, and what other processes may not miss."""

from dataclasses import replace

import pytest

from muse_core.config.parameters import GenerationParameters
from muse_core.config.stage import GenerationStage
from muse_core.data.scenes import Scenes
from muse_core.errors import MuseError
from muse_core.generation.denoiser_task import DenoiserTask
from muse_core.generation.generation_run import GenerationRun
from muse_core.training.trainer import RunOptions, Trainer

GIVEN = dict(
    run="mine",
    preset="tiny",
    data="scenes",
    tokenizers="",
    compare=True,
    guidance=3.0,
    seed=0,
    device="cpu",
    resume=False,
)


def test_parameters_are_checked() -> None:
    for name, value, sentence in [
        ("guidance", -1, "guidance must be a number of at least 0"),
        ("tokenizers", "../tiny", "is not a folder name"),
    ]:
        with pytest.raises(MuseError, match=sentence):
            GenerationParameters.check(**GIVEN | {name: value})


def test_fields_by_name_are_overrides_and_the_tokenizers_may_be_another_runs() -> None:
    given = GIVEN | {"tokenizers": "tiny", "steps": 7, "image_size": 32}
    run = GenerationRun.of(GenerationParameters.check(**given), "shared")
    assert run.load_preset().generation.steps == 7
    stage = run.tokenizer_run()
    assert stage.run == "tiny-shared" and stage.load_preset().routing == "shared"
    assert stage.overrides == "image_size=32 routing=shared", "its own stage stays as it was"
    assert run.files.folder.parts[-3:] == ("mine", "08_generation", "shared")


def trainer(stage: GenerationStage, losses: dict | None = None) -> Trainer:
    options = RunOptions(fresh=True)
    return Trainer(None, stage, Scenes("train"), None, losses, options=options, task=DenoiserTask)


def test_other_processes_train_what_the_names_say_or_nothing() -> None:
    run = GenerationRun.of(GenerationParameters.check(**GIVEN | {"processes": 2}))
    stage = run.load_preset().generation
    assert run.order(trainer(stage), run.files) == replace(run, fresh=True)
    for changed in (trainer(replace(stage, steps=3)), trainer(stage, {"mine": abs})):
        with pytest.raises(MuseError, match="by its preset and overrides alone"):
            run.order(changed, run.files)
