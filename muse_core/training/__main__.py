"""``torchrun ... -m muse_core.training RUN.json``: one stage of a tokenizer, in as many processes
as the launcher started.
"""

import sys

from muse_core.training.launch import run_entry
from muse_core.training.loop import train_stage
from muse_core.training.stage_run import StageRun

if __name__ == "__main__":
    sys.exit(run_entry(StageRun, train_stage, sys.argv[1:]))
