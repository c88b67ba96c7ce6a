"""``torchrun ... -m muse_core.training ORDER.json``: one stage of a tokenizer, in as many processes
as the launcher started.
"""

import sys

from muse_core.training.launch import run_entry
from muse_core.training.stage_run import StageOrder, train_ordered

if __name__ == "__main__":
    sys.exit(run_entry(StageOrder, train_ordered, sys.argv[1:]))
