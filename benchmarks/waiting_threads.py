"""What it costs when OpenMP's waiting threads spin, as they do by default, and when they sleep, as
`muse_core` asks for: a training step on a quiet machine and beside other work.

    python -m benchmarks.waiting_threads [--preset tiny] [--threads 2] [--loads 3] [--rounds 7]

Each number is of a process of its own, as the policy is read once, when torch is loaded.
"""

import argparse
import os
import statistics
import subprocess
import sys
from collections.abc import Iterator
from contextlib import contextmanager

POLICIES = {
    "spinning": {"GOMP_SPINCOUNT": "300000"},
    "sleeping": {"OMP_WAIT_POLICY": "PASSIVE"},
}
"""Environment of each side; the count is libgomp's own where nothing is said."""
STAGE, BATCH = "02_semantic_injection", 16


@contextmanager
def load(processes: int) -> Iterator[None]:
    """So many processes that keep a core busy, as long as the block lasts."""
    busy = [subprocess.Popen([sys.executable, "-c", "while True: pass"]) for _ in range(processes)]
    try:
        yield
    finally:
        for process in busy:
            process.kill()
            process.wait()


def seconds_a_step(policy: str, preset: str, threads: int, rounds: int) -> list[float]:
    """Of ``rounds`` steps, in a process of its own."""
    environment = {
        name: value
        for name, value in os.environ.items()
        if name not in ("GOMP_SPINCOUNT", "OMP_WAIT_POLICY")
    }
    command = [sys.executable, "-m", __spec__.name, "--preset", preset, "--rounds", str(rounds)]
    answer = subprocess.run(
        [*command, "--steps-only"],
        env=environment | POLICIES[policy] | {"OMP_NUM_THREADS": str(threads)},
        capture_output=True,
        text=True,
        check=True,
    )
    return [float(word) for word in answer.stdout.split()]


def time_steps(preset: str, rounds: int) -> Iterator[float]:
    """In this process, after two steps that warm up."""
    from benchmarks.measuring import timed
    from benchmarks.training_step import training_step

    step = training_step(preset, "orthogonal", STAGE, BATCH)
    step()
    step()
    for _ in range(rounds):
        yield timed(step)


def main() -> None:
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--preset", default="tiny")
    parser.add_argument("--threads", type=int, default=2)
    parser.add_argument("--loads", type=int, default=3, help="busy processes beside the step")
    parser.add_argument("--rounds", type=int, default=7)
    parser.add_argument("--steps-only", action="store_true", help=argparse.SUPPRESS)
    asked = parser.parse_args()
    if asked.steps_only:
        print(*time_steps(asked.preset, asked.rounds))
        return
    for loads in (0, asked.loads):
        for policy in POLICIES:
            with load(loads):
                taken = seconds_a_step(policy, asked.preset, asked.threads, asked.rounds)
            print(
                f"{asked.threads} threads, {policy}, beside {loads} busy processes: "
                f"{statistics.median(taken):.2f} s a step ({min(taken):.2f} to {max(taken):.2f}); "
                f"load of the machine {os.getloadavg()[0]:.1f}",
                flush=True,
            )


if __name__ == "__main__":
    main()
