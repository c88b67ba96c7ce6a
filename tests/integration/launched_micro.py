"""What `torchrun` starts in the tests: the entry of the module named first, with the preset
``micro`` known.
"""

import os
import sys
from pathlib import Path

from muse_core.config import presets
from muse_core.generation.generation_run import GenerationRun
from muse_core.generation.train_denoiser import train_generator
from muse_core.training.launch import run_entry
from muse_core.training.loop import train_stage
from muse_core.training.stage_run import StageRun

sys.path.insert(0, str(Path(__file__).resolve().parents[2]))

from tests.integration.micro import micro_preset

ENTRIES = {
    "muse_core.training": (StageRun, train_stage),
    "muse_core.generation": (GenerationRun, train_generator),
}

if __name__ == "__main__":
    folder = Path(os.environ["MUSE_ROOT"]) / "data" / "foundations" / "micro"
    presets.PRESETS["micro"] = lambda: micro_preset(folder)
    sys.exit(run_entry(*ENTRIES[sys.argv[1]], sys.argv[2:]))
