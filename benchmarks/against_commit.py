"""Images a second of each stage of `tiny` against an earlier commit of this project: two processes,
each on its own code, step in turns.

    python -m benchmarks.against_commit [--commit a57e3bd] [--rounds 9] [--threads 2]
"""

import argparse
import os
import statistics
import subprocess
import sys
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any

from benchmarks.measuring import Ratio
from muse_core import paths

BEFORE = "a57e3bd"
"""Tagged ``speed-before``: the last commit before steps were made cheaper."""
STAGES = ("01", "02", "03")
KINDS = {"new": "images that come for the first time", "seen": "images that a stage saw before"}


class StepServer:
    """A process that makes steps of one stage with the code of ``tree``."""

    def __init__(self, tree: Path, workspace: Path, stage: str, threads: int) -> None:
        script = Path(__file__).with_name("step_server.py")
        self.process = subprocess.Popen(
            [sys.executable, str(script), stage, str(threads)],
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            stderr=subprocess.DEVNULL,
            text=True,
            cwd=tree,
            env=os.environ | {"PYTHONPATH": str(tree), "MUSE_ROOT": str(workspace)},
        )

    def ask(self, what: str) -> float:
        """Seconds of a step, or bytes."""
        assert self.process.stdin is not None and self.process.stdout is not None
        print(what, file=self.process.stdin, flush=True)
        if not (answer := self.process.stdout.readline()):
            raise RuntimeError(f"the process that makes steps ended with {self.process.wait()}")
        return float(answer.split()[0])

    def stop(self) -> None:
        self.process.kill()
        self.process.wait()


@contextmanager
def code_of(commit: str) -> Iterator[Path]:
    """The files of a commit, in a folder of their own.

    Raises:
        LookupError: This copy of the project does not hold the commit.
    """
    with TemporaryDirectory(prefix="muse-bench-") as folder:
        git = ["git", "-C", str(paths.checkout())]
        packed = Path(folder) / "code.tar"
        made = subprocess.run([*git, "archive", "-o", packed, commit], capture_output=True)
        if made.returncode:
            raise LookupError(f"{commit} is not in this copy of the project: git fetch --unshallow")
        tree = Path(folder) / "tree"
        tree.mkdir()
        subprocess.run(["tar", "-xf", packed, "-C", tree], check=True)
        yield tree


def against(commit: str, rounds: int, threads: int) -> dict[str, Any]:
    """Name -> how many times faster a step is than with the code of ``commit``, and the peaks of
    memory of both.
    """
    found: dict[str, Any] = {}
    with code_of(commit) as before, ExitStack() as left:
        for stage in STAGES:
            spaces = [Path(left.enter_context(TemporaryDirectory())) for _ in range(2)]
            trees = zip((paths.checkout(), before), spaces, strict=True)
            sides = [StepServer(tree, space, stage, threads) for tree, space in trees]
            for side in sides:
                left.callback(side.stop)
            for kind in KINDS:
                found[f"stage_{stage}_speedup_{kind}_images"] = in_turns(*sides, kind, rounds)
            found[f"stage_{stage}_peak_bytes"] = [side.ask("memory") for side in sides]
            for side in sides:
                side.stop()
    return found


def in_turns(new: StepServer, old: StepServer, kind: str, rounds: int) -> Ratio:
    """Steps of both sides, the order swapped every round, after two that warm up."""
    taken: dict[StepServer, list[float]] = {new: [], old: []}
    for turn in range(rounds + 2):
        for side in (new, old) if turn % 2 else (old, new):
            taken[side].append(side.ask(kind))
    pairs = list(zip(taken[old][2:], taken[new][2:], strict=True))
    ratios = [before / now for before, now in pairs]
    seconds = tuple(statistics.median(taken[side][2:]) for side in (old, new))
    return Ratio(statistics.median(ratios), min(ratios), max(ratios), seconds)


def main() -> None:
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--commit", default=BEFORE)
    parser.add_argument("--rounds", type=int, default=9)
    parser.add_argument("--threads", type=int, default=2)
    asked = parser.parse_args()
    for name, value in against(asked.commit, asked.rounds, asked.threads).items():
        print(f"{name}: {value}", flush=True)


if __name__ == "__main__":
    main()
