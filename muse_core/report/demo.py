"""The first five minutes: a short training, its headline figures, the explorer, what to do next."""

import os
import sys
import webbrowser
from collections.abc import Callable, Iterator
from pathlib import Path

from muse_core import paths
from muse_core.config.presets import preset_named
from muse_core.errors import MuseError
from muse_core.report import run as pipeline
from muse_core.report.arguments import choose_notebooks
from muse_core.report.needed_stages import train_and_measure
from muse_core.results.records import read_json
from muse_core.training.stage_run import StageRun

PRESET = "demo"
EXPLORER = "04"
NEXT = """What to do next:
  muse lab                          change something: notebook 02 shows a loss of your own
  muse run all -p preset tiny       the real thing, half an hour on two cores
  muse list                         every notebook with its parameters"""


def demo(say: Callable[[str], None] = print) -> Path:
    """Train the three stages with preset "demo", unless they are trained already, and open the
    explorer where there is a desktop.

    Args:
        say: Gets each line.

    Returns:
        The explorer's page.

    Raises:
        MuseError: A notebook stopped.
    """
    say("Three short trainings and the explorer, three to four minutes on two cores.")
    for stage in preset_named(PRESET).curriculum:
        named = StageRun(run=PRESET, preset=PRESET, stage=stage.name, resume=True)
        if _is_measured(named):
            say(f"{stage.name} is trained already")
        else:
            train_and_measure(named)
    tasks = pipeline.plan(choose_notebooks([EXPLORER]), PRESET, {"preset": PRESET})
    last = pipeline.run(tasks, say=say)[-1]
    if last.error:
        raise MuseError(f"{last.notebook} stopped: {last.error}")
    say("")
    for line in headlines():
        say(line)
    say(f"\nThe explorer, where every network looks and what it sees there:\n  {last.page}")
    _open(last.page)
    say(f"\n{NEXT}")
    return last.page


def _is_measured(named: StageRun) -> bool:
    """Whether the stage is there, whatever it was trained with since."""
    record = named.files.record_file
    trained = (named.tokenizer_folder / "config.json").exists() and record.exists()
    return trained and bool(read_json(record).get("held_out"))


def headlines() -> Iterator[str]:
    """Reconstruction, naming and attention of the finished run, a line each."""
    records = paths.records_folder(PRESET)
    held_out = read_json(records / "stage3.json")["held_out"]
    yield f"  reconstruction  {held_out['psnr']:.1f} dB"
    if (named := held_out.get("zero_shot")) is not None:
        yield f"  zero-shot       {named:.0%} of the shapes are named, chance is 10 %"
    before, after = (read_json(records / f"stage{n}.json")["losses"]["topology"] for n in (1, 3))
    yield (
        f"  attention       {before['first']:.2f} nats from its teacher's at first, "
        f"{after['last']:.2f} now"
    )


def _open(page: Path) -> None:
    desktop = sys.platform in ("darwin", "win32") or any(
        map(os.environ.get, ("DISPLAY", "WAYLAND_DISPLAY"))
    )
    if desktop and sys.stdout.isatty():
        webbrowser.open(page.as_uri())
