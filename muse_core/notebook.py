"""What every training notebook does before and after its story, so that its cells hold the story
alone.
"""

from dataclasses import dataclass, replace
from textwrap import fill
from typing import Any

import torch
import torch.nn.functional as F
from IPython.display import HTML, display

from muse_core.config.parameters import StageParameters
from muse_core.config.preset import Preset
from muse_core.config.stage import Stage
from muse_core.data.batch import Batch, Source
from muse_core.data.sources import open_source
from muse_core.errors import MuseError
from muse_core.evaluation.held_out import HeldOut, measure_held_out
from muse_core.models.tokenizer import MuseTokenizer
from muse_core.results.records import provenance, read_json, write_json
from muse_core.training.loop import StageResult, starting_tokenizer
from muse_core.training.stage_run import StageRecord, StageRun, finished_tokenizer
from muse_core.training.teachers import Teachers, load_teachers
from muse_core.training.trainer import accelerator_for

EXAMPLES = 8


@dataclass(frozen=True)
class StageSession:
    """A stage about to be trained: its run and data, the frozen teachers, and a few held-out
    examples to look at.
    """

    run: StageRun
    stage: Stage
    preset: Preset
    train: Source
    held_out: Source
    teachers: Teachers
    examples: Batch

    def tokenizer_before(self) -> MuseTokenizer:
        """The tokenizer as this stage finds it, in eval mode."""
        return (
            starting_tokenizer(self.run, self.teachers, self.train)
            .to(self.examples.images.device)
            .eval()
        )

    def measure(self, tokenizer: MuseTokenizer) -> HeldOut:
        """PSNR, zero-shot accuracy and L_topo on held-out images."""
        return measure_held_out(
            tokenizer, self.held_out, self.teachers, self.preset.held_out_images
        )

    def save(self, result: StageResult, held_out: HeldOut) -> StageRecord:
        """Add the held-out numbers to the stage's record."""
        record = replace(result.record, held_out=held_out.__dict__)
        write_json(self.run.record_file, record)
        _print_file_notes(record)
        print(
            f"tokenizer  {_shown(self.run.tokenizer_folder)}\nrecord     {_shown(self.run.record_file)}"
        )
        return record

    def earlier_records(self) -> dict[str, dict[str, Any]]:
        """Stage name -> record, of the stages of this run up to this one that are on disk."""
        found = {}
        for stage in self.preset.curriculum:
            file = replace(self.run, stage=stage.name).record_file
            if file.exists():
                found[stage.name] = read_json(file)
            if stage.name == self.stage.name:
                break
        return found


def begin_stage(stage: str, **parameters: Any) -> StageSession:
    """Check the parameters, load what the stage needs, print where and on what it runs.

    Raises MuseError, one sentence, for a wrong parameter or a missing input.
    """
    checked = StageParameters.check(**parameters)
    run = StageRun(stage=stage, **checked.for_run())
    chosen, preset = run.load_stage(), run.load_preset()
    device = accelerator_for(run.device).device
    train = open_source(run.data, "train", preset.image_size)
    held_out = open_source(run.data, "val", preset.image_size)
    teachers = load_teachers(preset, device)
    if chosen.starts_from is not None:
        finished_tokenizer(
            run, chosen.starts_from
        )  # a missing earlier stage is said now, before anything takes time
    print_setup(
        run.preset,
        str(device),
        data=run.data,
        images=f"{len(train):,} train, {len(held_out):,} held out",
    )
    return StageSession(
        run, chosen, preset, train, held_out, teachers, held_out.first(EXAMPLES).to(device)
    )


def _print_file_notes(record: StageRecord) -> None:
    """What the reader should know about the images that were used."""
    if record.files_skipped:
        listed = ", ".join(record.files_skipped[:10]) + (
            " ..." if len(record.files_skipped) > 10 else ""
        )
        print(
            f"{len(record.files_skipped)} files could not be read; others took their place: {listed}"
        )
    if record.files_enlarged:
        print(
            f"{record.files_enlarged} images were smaller than the network's input and were enlarged"
        )
    if record.captions_truncated:
        print(
            f"{record.captions_truncated} times a caption was longer than the text tower reads, and was cut"
        )


def print_setup(preset: str, device: str, **more: str) -> None:
    """One line a fact: versions, device and commit of this very execution."""
    facts = (
        {"preset": preset}
        | more
        | provenance(device).__dict__
        | {"threads": str(torch.get_num_threads())}
    )
    print("\n".join(f"{name:<13}{value}" for name, value in facts.items()))


def example_queries(batch: Batch, image: int, grid: tuple[int, int]) -> list[int]:
    """Two patches worth asking about: the middle of the first object (or of the image), and a
    corner.
    """
    rows, columns = grid
    corner = columns - 1
    if batch.instance_masks is None or not batch.instance_masks[image].any():
        return [(rows // 2) * columns + columns // 2, corner]
    mask = batch.instance_masks[image]
    kinds, counts = mask[mask > 0].unique(return_counts=True)
    return [_middle_patch(mask == kinds[counts.argmax()], grid), corner]


def _middle_patch(on_object: torch.Tensor, grid: tuple[int, int]) -> int:
    """The patch with most of the object among those nearest to its middle: on the object, even
    where that has a hole.
    """
    share = F.adaptive_avg_pool2d(on_object[None, None].float(), grid)[0, 0]
    y, x = (share >= 0.8 * share.max()).nonzero().float().unbind(1)
    middle = (
        on_object.nonzero().float().mean(0) * torch.tensor(grid) / torch.tensor(on_object.shape)
        - 0.5
    )
    nearest = ((y - middle[0]) ** 2 + (x - middle[1]) ** 2).argmin()
    return int(y[nearest]) * grid[1] + int(x[nearest])


def say(text: str) -> None:
    """Print a sentence in lines that fit a page."""
    print(fill(text, 96, break_on_hyphens=False))


def learned(*sentences: str) -> None:
    """The closing words of a notebook, with this run's own numbers in them."""
    display(HTML("".join(f"<p>{sentence}</p>" for sentence in sentences)))


def _shown(path: Any) -> str:
    from muse_core import paths

    try:
        return str(path.relative_to(paths.root()))
    except ValueError as error:
        raise MuseError(
            f"{path} lies outside the workspace: set MUSE_ROOT to the folder that holds it."
        ) from error
