"""What a training step keeps of its fair share of the cores, beside processes that are busy with
something else.

    python -m benchmarks.beside_neighbours [--threads 2] [--loads 1 2] [--rounds 9]

The fair share is what a scheduler gives by the number of threads: of two cores, two threads beside
one busy process have 4/3. Quiet steps and loaded ones are taken in turns.
"""

import argparse
import os
import statistics
from pathlib import Path
from tempfile import TemporaryDirectory

from benchmarks.against_commit import StepServer
from benchmarks.measuring import Ratio
from benchmarks.waiting_threads import load
from muse_core import paths

STAGE = "02"


def kept_share(loads: int, threads: int, rounds: int) -> Ratio:
    """Speed beside ``loads`` busy processes, over the fair share of the speed alone."""
    with TemporaryDirectory() as workspace:
        server = StepServer(paths.checkout(), Path(workspace), STAGE, threads)
        try:
            for _ in range(2):
                server.ask("seen")
            quiet, beside = [], []
            for _ in range(rounds):
                quiet.append(server.ask("seen"))
                with load(loads):
                    beside.append(server.ask("seen"))
        finally:
            server.stop()
    fair = fair_share(loads, threads, os.cpu_count() or 1)
    kept = [alone / loaded / fair for alone, loaded in zip(quiet, beside, strict=True)]
    seconds = statistics.median(quiet), statistics.median(beside)
    return Ratio(statistics.median(kept), min(kept), max(kept), seconds)


def fair_share(loads: int, threads: int, cores: int) -> float:
    """Of the cores that the step has alone: what is left where every thread gets as much."""
    alone = min(threads, cores)
    return min(alone, cores * threads / (threads + loads)) / alone


def main() -> None:
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--threads", type=int, default=2)
    parser.add_argument("--loads", type=int, nargs="*", default=[1, 2])
    parser.add_argument("--rounds", type=int, default=9)
    asked = parser.parse_args()
    for loads in asked.loads:
        kept = kept_share(loads, asked.threads, asked.rounds)
        print(
            f"{asked.threads} threads beside {loads} busy processes keep {kept.median:.0%} of "
            f"their fair share ({kept.lowest:.0%} to {kept.highest:.0%})",
            flush=True,
        )


if __name__ == "__main__":
    main()
