"""A training notebook's stage without its notebook: what `torchrun` and `accelerate launch` start
in every process.
"""

import ast
from pathlib import Path
from typing import Any

from muse_core.config.overrides import load_preset, shorthand
from muse_core.config.parameters import StageParameters
from muse_core.errors import MuseError
from muse_core.report.arguments import check_names, known_parameters, parse_value
from muse_core.training.stage_record import StageRecord
from muse_core.training.stage_run import StageRun, train_stage


def train_alone(notebook: Path, run: str, given: dict[str, Any]) -> StageRecord:
    """Train as the notebook would with these parameters, its own defaults for the others; its
    report can be made afterwards with ``resume``, which finds the stage finished. Raises MuseError,
    also for a notebook that trains no stage."""
    known = known_parameters(notebook)
    check_names({name: 0 for name in given if not shorthand(name)}, list(known))
    values = {name: ast.literal_eval(one.default) for name, one in known.items()}
    values |= {
        name: parse_value(value, known[name].type) if name in known else value
        for name, value in given.items()
    }
    stages = [stage.notebook for stage in load_preset(values.get("preset", "smoke")).curriculum]
    if notebook.stem not in stages:
        raise MuseError(
            f"{notebook.stem} trains no stage of a tokenizer: choose one of {', '.join(stages)}."
        )
    checked = StageParameters.check(**values | {"run": run})
    return train_stage(StageRun(stage=notebook.stem, **checked.model_dump())).record
