"""Stages that a notebook needs of its run and are not there: trained first, with its parameters, so
that any notebook may be opened first.
"""

import shlex
import time
from dataclasses import replace
from typing import Any

from muse_core.config.overrides import load_preset, parse
from muse_core.config.parameters import (
    Configured,
    EvaluationParameters,
    GenerationParameters,
    StageParameters,
    TopologyParameters,
)
from muse_core.evaluation.held_out import measure_held_out
from muse_core.report.run import duration
from muse_core.results.records import write_json
from muse_core.training.stage_run import StageRun

OF_ONE_STAGE = ("stage.", "weights.", "shares.", "08")
"""Begin the overrides that mean the notebook's own stage, or the generator's."""


def train_needed(notebook: str, checked: Any) -> None:
    """Train what `needed` finds, and say so."""
    for named in needed(notebook, checked):
        print(f"{named.stage} of run {named.run!r} is needed and not there: training it first")
        train_and_measure(named)


def train_and_measure(named: StageRun) -> None:
    """Train a stage, or take it as it is trained already, and note in its record what it reaches on
    held-out images. Says how much there is to do, and how long it took.
    """
    opened, began = named.open(), time.monotonic()
    stage = opened.stage
    print(f"{stage.name}: {stage.steps:,} steps of {stage.batch_size} images", flush=True)
    result = opened.trainer().fit()
    limit = opened.preset.held_out_images
    held_out = measure_held_out(result.tokenizer, opened.held_out, opened.teachers, limit)
    write_json(named.files.record_file, replace(result.record, held_out=vars(held_out)))
    print(f"{stage.name} took {duration(time.monotonic() - began)}", flush=True)


def needed(notebook: str, checked: Any) -> list[StageRun]:
    """The unfinished stages, in order, without which a notebook has nothing to begin with.

    Args:
        notebook: Its name, "02_semantic_injection".
        checked: Its parameters.
    """
    if not isinstance(checked, Configured):
        return []
    own = notebook if isinstance(checked, StageParameters | GenerationParameters) else None
    curriculum = load_preset(checked.preset, checked.overrides, own).curriculum
    stages = [stage.name for stage in curriculum]
    runs = [_stage_run(name, checked) for name in stages]
    unfinished = [run for run in runs if not (run.tokenizer_folder / "config.json").exists()]
    if isinstance(checked, StageParameters) and notebook in stages:
        begins = curriculum[notebook].starts_from is None
        before = [] if begins else stages[: stages.index(notebook)]
        return [run for run in unfinished if run.stage in before]
    if isinstance(checked, GenerationParameters):
        return unfinished
    if isinstance(checked, TopologyParameters | EvaluationParameters):
        return unfinished if unfinished == runs else []
    return []


def _of_any_stage(checked: Any) -> str:
    """The overrides that do not mean the notebook's own stage, or the generator's."""
    given = parse(checked.overrides).items()
    return shlex.join(
        f"{path}={value}" for path, value in given if not path.startswith(OF_ONE_STAGE)
    )


def _stage_run(stage: str, checked: Any) -> StageRun:
    """A stage of the notebook's run, with what its parameters say of any stage."""
    return StageRun(
        run=getattr(checked, "tokenizers", "") or checked.run,
        preset=checked.preset,
        stage=stage,
        data=checked.data,
        overrides=_of_any_stage(checked),
        seed=getattr(checked, "seed", 0),
        device=checked.device,
        resume=getattr(checked, "resume", False),
    )
