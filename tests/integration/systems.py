"""The systems of Table 1 on the foundations of ``micro``, with the projection that some ask for."""

from pathlib import Path
from typing import Any

import torch
from safetensors.torch import save_file

from muse_core.baselines.visual_tokenizer import VisualTokenizer
from muse_core.foundations.image_tower import PROJECTION_FILE
from muse_core.training.system_run import SystemRun

from .micro import BACKBONE, PRESET, write_foundations

TEXT_WIDTH = 16


def furnish(root: Path) -> Path:
    """The foundations of ``micro`` in a workspace, and a random projection into the text space."""
    folder = write_foundations(root / "data" / "foundations" / "micro")
    weight = 0.2 * torch.randn(TEXT_WIDTH, BACKBONE["hidden_size"])
    save_file({"weight": weight}, folder / PROJECTION_FILE)
    return folder


def system_run(system: str, run: str, steps: int = 1, **options: Any) -> SystemRun:
    """A system by names; its stages have three times ``steps`` together, of four images."""
    overrides = f"stage.steps={steps} stage.checkpoint_every=9"
    return SystemRun(
        run=run, preset=PRESET, system=system, device="cpu", overrides=overrides, **options
    )


def bits(network: VisualTokenizer | torch.nn.Module) -> dict[str, torch.Tensor]:
    """A copy of all weights and buffers."""
    return {name: value.clone() for name, value in network.state_dict().items()}
