"""Training steps of one stage of `tiny` on demand, for `benchmarks.against_commit`: this file alone
is run on the code of another commit, so it uses only what both have.

    python step_server.py STAGE THREADS

Answers each line on its input ("new" or "seen") with the seconds and CPU seconds of one step, the
drawing of its images included; "memory" with the peak of the process in bytes.
"""

import re
import sys
import time
from pathlib import Path


def main(stage: str, threads: int) -> None:
    # The tree on PYTHONPATH, not this file's own folder.
    sys.path.pop(0)
    import muse_core  # noqa: F401, I001 (says how OpenMP waits, before torch is loaded)
    import torch

    from muse_core.config.overrides import load_preset
    from muse_core.data.scenes import Scenes
    from muse_core.models.assembly import assemble_tokenizer
    from muse_core.training.distributed import accelerator_for
    from muse_core.training.teachers import load_teachers
    from muse_core.training.tokenizer_task import TokenizerTask

    torch.set_num_threads(threads)
    accelerator, preset = accelerator_for("cpu"), load_preset("tiny")
    (own,) = [each for each in preset.curriculum if each.name.startswith(stage)]
    teachers = load_teachers(preset, "cpu")
    torch.manual_seed(0)
    tokenizer = assemble_tokenizer(preset, teachers.text.width)
    task = TokenizerTask(tokenizer, own, teachers, None, accelerator)
    source, size, done = Scenes("train", preset.image_size), own.batch_size, 0
    for asked in map(str.strip, sys.stdin):
        if asked == "memory":
            print(1024 * peak_kilobytes(), flush=True)
            continue
        first = 0 if asked == "seen" else done * size
        began, cpu = time.perf_counter(), time.process_time()
        task.update(source.__getitems__(list(range(first, first + size))), 10)
        print(time.perf_counter() - began, time.process_time() - cpu, flush=True)
        done += 1


def peak_kilobytes() -> int:
    """Of this program alone: what getrusage says holds for whoever started it as well."""
    found = re.search(r"VmHWM:\s+(\d+) kB", Path("/proc/self/status").read_text())
    if found is None:
        raise SystemExit("This system does not say the peak memory of a process.")
    return int(found[1])


if __name__ == "__main__":
    main(sys.argv[1], int(sys.argv[2]))
