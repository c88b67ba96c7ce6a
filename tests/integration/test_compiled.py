"""A compiled tokenizer (`torch.compile`, asked for as Accelerate asks) routes its gradients like
the plain one.
"""

import os
import subprocess
import sys
from pathlib import Path

import pytest
import torch
from accelerate import Accelerator
from safetensors.torch import load_file

from muse_core.config.presets import tiny
from muse_core.config.stage import Loss
from muse_core.models.backbone_routes import may_reach_weight
from muse_core.models.gradient_routes import routing_named

from . import gradients_by_loss
from .micro import STAGES

LOSSES = (Loss.TOPOLOGY, Loss.ANCHOR, Loss.RECONSTRUCTION)
"""One of each route; each costs a compilation."""


@pytest.mark.long
def test_gradients_are_the_same_and_closed_cells_exactly_zero(tmp_path) -> None:
    plain = gradients_by_loss.gradients(Accelerator(cpu=True), LOSSES)
    file = tmp_path / "compiled.safetensors"
    subprocess.run(  # in a process without the tests' type checks, which are no code that compiles
        [sys.executable, gradients_by_loss.__file__, str(file), *LOSSES],
        check=True,
        timeout=600,
        env=os.environ
        | {"ACCELERATE_DYNAMO_BACKEND": "AOT_EAGER", "PYTHONPATH": str(Path(__file__).parents[2])},
    )
    compiled = load_file(file)
    assert compiled.pop("graphs") >= 1 and compiled.keys() == plain.keys()
    for name, value in plain.items():
        torch.testing.assert_close(
            compiled[name],
            value,
            rtol=1e-5,
            atol=1e-6,
            msg=lambda text, name=name: f"{name}: {text}",
        )
    third = tiny().curriculum[STAGES[2]]
    fields = (third.trunk_hears, third.trains_backbone, routing_named("orthogonal"))
    names = {name.partition("/")[2] for name in compiled} - {""}
    cells = [(loss, name) for loss in LOSSES for name in names if f"{loss}/{name}" in compiled]
    closed = [cell for cell in cells if not may_reach_weight(*cell, *fields)]
    assert {loss for loss, _ in closed} == set(LOSSES)
    assert not any(compiled[f"{loss}/{name}"].any() for loss, name in closed)
