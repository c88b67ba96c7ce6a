"""``torchrun ... -m muse_core.generation ORDER.json``: one denoiser, in as many processes as the
launcher started.
"""

import sys

from muse_core.generation.generation_run import GenerationRun, train_generator
from muse_core.training.launch import run_entry

if __name__ == "__main__":
    sys.exit(run_entry(GenerationRun, train_generator, sys.argv[1:]))
