"""SIGKILL at random moments, resume, and compare with a run that was never stopped, bit for bit.

Moments: inside or between steps; while a checkpoint is being written; while the run starts or
resumes. A kill is survived when the run it fell into ends with the same weights, moving average,
optimisers, random state and metrics as the undisturbed one, having repeated no more steps than lie
between two checkpoints."""

import json
import random
import signal
import time
from collections import Counter
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from itertools import pairwise
from multiprocessing.process import BaseProcess
from pathlib import Path
from typing import Any

from tests.integration.micro import finished_weights, last_training_state, same, written_rows
from tests.torture import child, processes

STEPS, CHECKPOINT_EVERY = 24, 3
PATIENCE = 600.0
"""Seconds that one child may take."""
MOST_IN_ONE_RUN = 6
POLL = 0.001

Read = dict[str, Any]
"""One line of a child's reads: process, step (0-based), ids."""


@dataclass
class Story:
    """One run and its kills. ``processes``: those that trained it, in order; all but the last were
    killed.
    """

    name: str
    reads_file: Path
    processes: list[int] = field(default_factory=list)
    in_checkpoint: int = 0
    before_first_step: int = 0

    @property
    def kills(self) -> int:
        return len(self.processes) - 1

    @property
    def reads(self) -> list[Read]:
        return read_lines(self.reads_file)

    def steps_begun(self) -> int:
        """In all processes together."""
        return self.reads_file.read_bytes().count(b"\n") if self.reads_file.exists() else 0

    def steps_lost(self) -> list[int]:
        """For each process that began a step and was killed: how many steps the next one began
        again.
        """
        spans = [
            [read["step"] for read in self.reads if read["process"] == process]
            for process in self.processes
        ]
        spans = [span for span in spans if span] + [[STEPS]]
        return [before[-1] + 1 - after[0] for before, after in pairwise(spans)]

    def history(self) -> dict[int, list[str]]:
        """Step -> the samples it learned from, in the process that did it last."""
        return {read["step"]: read["ids"] for read in self.reads}


def read_lines(file: Path) -> list[Any]:
    """Whole JSON lines of a file that may still be written to."""
    text = file.read_text() if file.exists() else ""
    return [json.loads(line) for line in text[: text.rfind("\n") + 1].splitlines()]


class Tormentor:
    """Runs in one workspace, which random moments end. ``root``: an empty folder."""

    def __init__(self, root: Path, seed: int) -> None:
        self.root, self.random = child.write_workspace(root), random.Random(seed)
        began = time.monotonic()
        self.reference = self.story("reference")
        self.undisturbed(self.reference)
        self.seconds = time.monotonic() - began
        self.step_seconds = self.seconds / (2 * STEPS)

    def story(self, name: str) -> Story:
        return Story(name, self.root / f"{name}.reads")

    def begin(self, story: Story) -> BaseProcess:
        process = processes.begin(
            child.train, self.root, story.name, STEPS, CHECKPOINT_EVERY, story.reads_file
        )
        story.processes.append(process.pid)
        return process

    def undisturbed(self, story: Story) -> None:
        self.expect(story, processes.finish(self.begin(story), PATIENCE), 0)

    def expect(self, story: Story, code: int, *codes: int) -> None:
        """Raises RuntimeError, with what the child said, when it ended in another way."""
        if code not in codes:
            said = story.reads_file.with_suffix(".out").read_text()[-2000:]
            raise RuntimeError(f"run {story.name} ended with exit code {code}: {said}")

    def torment(self, name: str, kills: int) -> Story:
        """A run that is killed ``kills`` times, or less often when it ends by itself, and then left
        to finish.
        """
        story = self.story(name)
        for _ in range(kills):
            process = self.begin(story)
            self.random.choice(AIMS)(self, story, process)
            process.kill()
            process.join()
            self.expect(story, process.exitcode, -signal.SIGKILL, 0)
            if process.exitcode == 0:  # it was faster
                return story
            self.look_at_the_wreck(story)
        self.undisturbed(story)
        return story

    def look_at_the_wreck(self, story: Story) -> None:
        process = story.processes[-1]
        story.in_checkpoint += any(self.checkpoints(story).glob(f".step-*.{process}.tmp"))
        story.before_first_step += not any(read["process"] == process for read in story.reads)

    def checkpoints(self, story: Story) -> Path:
        return self.root / "data" / "runs" / story.name / child.STAGE / "checkpoints"

    def differences(self, story: Story) -> list[str]:
        """Names of whatever is not bit for bit as in the reference."""
        with child.workspace(self.root):
            one, other = (
                child.described(self.root, each.name, STEPS, CHECKPOINT_EVERY)
                for each in (story, self.reference)
            )
            found = same(finished_weights(one), finished_weights(other))
            found += same(last_training_state(one), last_training_state(other))
            return found + ["metrics"] * (written_rows(one) != written_rows(other))


def _inside_a_step(tormentor: Tormentor, story: Story, process: BaseProcess) -> None:
    wanted = story.steps_begun() + tormentor.random.randint(1, 2 * CHECKPOINT_EVERY)
    _wait(process, lambda: story.steps_begun() >= wanted)
    time.sleep(tormentor.random.uniform(0, tormentor.step_seconds))


def _inside_a_checkpoint(tormentor: Tormentor, story: Story, process: BaseProcess) -> None:
    passed = tormentor.random.randint(0, 1)
    seen: set[Path] = set()

    def written() -> bool:
        seen.update(tormentor.checkpoints(story).glob(f".step-*.{process.pid}.tmp"))
        return len(seen) > passed

    _wait(process, written)
    time.sleep(tormentor.random.uniform(0, tormentor.step_seconds / 2))


def _at_the_start(tormentor: Tormentor, story: Story, process: BaseProcess) -> None:
    del story, process
    time.sleep(tormentor.random.uniform(0, tormentor.seconds / 2))


AIMS: tuple[Callable[[Tormentor, Story, BaseProcess], None], ...] = (
    _inside_a_step,
    _inside_a_checkpoint,
    _inside_a_checkpoint,
    _at_the_start,
)
"""Each kill draws one; checkpoints are short, so they are aimed at more often."""


def _wait(process: BaseProcess, until: Callable[[], bool]) -> None:
    deadline = time.monotonic() + PATIENCE
    while process.is_alive() and not until() and time.monotonic() < deadline:
        time.sleep(POLL)


def twice_in_an_epoch(history: dict[int, list[str]], steps_per_epoch: int) -> int:
    """Reads of a sample that the same epoch had read already."""
    counts = Counter(
        (step // steps_per_epoch, name) for step, ids in history.items() for name in ids
    )
    return sum(count - 1 for count in counts.values())


def never_in_an_epoch(
    history: dict[int, list[str]], reference: dict[int, list[str]], steps_per_epoch: int
) -> int:
    """Samples of the reference's epochs that this history never read there."""
    epochs = lambda steps: {
        (step // steps_per_epoch, name) for step, ids in steps.items() for name in ids
    }
    return len(epochs(reference) - epochs(history))


def try_kills(
    root: Path, kills: int, seed: int = 0, say: Callable[[str], None] = print
) -> dict[str, Any]:
    """At least ``kills`` kills, spread over as many runs as they need; what came of them, for
    torture.json.
    """
    began, tormentor = time.monotonic(), Tormentor(root, seed)
    found: Counter[str] = Counter()
    most_lost, differing = 0, []
    for story in _stories(tormentor, kills):
        lost, wrong = max(story.steps_lost(), default=0), tormentor.differences(story)
        with child.workspace(root):
            epoch = child.steps_per_epoch(root)
        good = not wrong and lost <= CHECKPOINT_EVERY
        found += Counter(
            kills_tried=story.kills,
            kills_survived=story.kills if good else 0,
            kills_in_a_checkpoint=story.in_checkpoint,
            kills_before_the_first_step=story.before_first_step,
            samples_lost=never_in_an_epoch(story.history(), tormentor.reference.history(), epoch),
            duplicate_reads=twice_in_an_epoch(story.history(), epoch),
        )
        most_lost, differing = max(most_lost, lost), differing + wrong
        say(f"kills: {found['kills_tried']} tried, {found['kills_survived']} survived")
    names = (
        "kills_tried",
        "kills_survived",
        "kills_in_a_checkpoint",
        "kills_before_the_first_step",
        "samples_lost",
        "duplicate_reads",
    )
    return {name: found[name] for name in names} | {
        "steps_lost_at_most": most_lost,
        "steps_between_checkpoints": CHECKPOINT_EVERY,
        "steps_a_run": STEPS,
        "differing": sorted(set(differing)),
        "kills_seconds": round(time.monotonic() - began, 1),
    }


def _stories(tormentor: Tormentor, kills: int) -> Iterator[Story]:
    done, number = 0, 0
    while done < kills:
        number += 1
        story = tormentor.torment(f"killed-{number}", min(MOST_IN_ONE_RUN, kills - done))
        done += story.kills
        yield story
