"""The setup cell of every notebook: parameters checked, names opened into objects.

``lab = setup("02_semantic_injection", globals())`` is all a notebook says about its parameters.
"""

import ast
import os
from collections.abc import Mapping
from dataclasses import replace
from functools import cached_property
from textwrap import fill
from typing import Any

import torch
import torch.nn.functional as F
from IPython.display import HTML, display

from muse_core import paths
from muse_core.config.parameters import (
    PARAMETERS,
    Configured,
    EvaluationParameters,
    GenerationParameters,
    NotebookParameters,
    StageParameters,
    TopologyParameters,
)
from muse_core.config.preset import Preset
from muse_core.config.presets import preset_named
from muse_core.config.stage import Stage
from muse_core.data.batch import Batch, Source
from muse_core.data.sources import open_source
from muse_core.errors import unknown
from muse_core.evaluation.held_out import HeldOut, measure_held_out
from muse_core.foundations.drawn import drawn_only, of_photographs
from muse_core.models.tokenizer import MuseTokenizer
from muse_core.report.needed_stages import train_needed
from muse_core.results.records import provenance, read_json, write_json
from muse_core.training.distributed import device_for
from muse_core.training.stage_record import StageRecord
from muse_core.training.stage_run import (
    OpenedStage,
    StageRun,
    finished_tokenizer,
    preset_of_run,
)
from muse_core.training.teachers import Teachers, load_teachers
from muse_core.training.trainer import RunFiles, RunOptions, StageResult

EXAMPLES = 8
"""Held-out images that a notebook looks at."""

TEACHER = ("foundations.teacher", "foundations.teacher_layers", "foundations.teacher_image_size")
"""What notebook 04 may change for a look at a run."""


class Lab:
    """What a notebook works with: its parameters, and the objects they name, opened when asked for.

    Args:
        parameters: As checked.
        preset: With the overrides.
    """

    def __init__(self, parameters: Any, preset: Preset) -> None:
        self.parameters, self.preset = parameters, preset
        self.said: set[str] = set()

    @cached_property
    def device(self) -> torch.device:
        """Where networks run."""
        return device_for(getattr(self.parameters, "device", "auto"))

    @cached_property
    def teachers(self) -> Teachers:
        """Topology teacher, text tower and perceptual network, frozen, on the device."""
        return load_teachers(self.preset, self.device)

    def source(self, split: str) -> Source:
        """A split of the notebook's data: "train", "val" or "test"."""
        data = getattr(self.parameters, "data", "scenes")
        source = open_source(data, split, self.preset.image_size)
        self.say_unused(source)
        return source

    def say_unused(self, *sources: Source) -> None:
        """Print, once, what sources hold and do not use."""
        notes = dict.fromkeys(note for source in sources for note in source.notes)
        new = [note for note in notes if note not in self.said]
        self.said.update(new)
        print("".join(f"{'not used':<13}{note}\n" for note in new), end="")

    @cached_property
    def train(self) -> Source:
        """The split that networks learn from."""
        return self.source("train")

    @cached_property
    def held_out(self) -> Source:
        """The split that is looked at along the way."""
        return self.source("val")

    @cached_property
    def test(self) -> Source:
        """The split that tables are measured on."""
        return self.source("test")

    @cached_property
    def examples(self) -> Batch:
        """A few held-out images with their captions, on the device."""
        return self.held_out.first(EXAMPLES).to(self.device)

    def facts(self) -> dict[str, str]:
        """What the setup cell prints beside versions and device."""
        given = self.parameters
        facts = {"preset": given.preset} if hasattr(given, "preset") else {}
        if getattr(given, "overrides", ""):
            facts["overrides"] = given.overrides
        facts |= {"data": given.data} if hasattr(given, "data") else {}
        return facts | self._about_photographs()

    def _about_photographs(self) -> dict[str, str]:
        """Said where photographs meet foundations that have seen drawn scenes only."""
        given = self.parameters
        photographs = getattr(given, "data", "scenes") != "scenes" or getattr(given, "image", "")
        if not photographs or not (drawn := drawn_only(self.preset)):
            return {}
        return {
            "notice": f"the {', '.join(drawn)} of preset {self.preset.name} have seen drawn scenes "
            "only: of photographs expect coarse colours, and no words; "
            f"{', '.join(of_photographs())} stand on published networks"
        }


class StageLab(Lab):
    """A stage about to be trained: beside the objects of `Lab`, the stage and its tokenizer."""

    def __init__(self, parameters: Any, opened: OpenedStage) -> None:
        super().__init__(parameters, opened.preset)
        self.opened = opened

    @property
    def stage(self) -> Stage:
        """Which losses at which weights, rates, steps; change it with `dataclasses.replace`."""
        return self.opened.stage

    @property
    def options(self) -> RunOptions:
        """Where and how the stage is trained, for the `Trainer`."""
        return self.opened.options

    @property
    def teachers(self) -> Teachers:
        return self.opened.teachers

    @property
    def train(self) -> Source:
        return self.opened.train

    @property
    def held_out(self) -> Source:
        return self.opened.held_out

    def tokenizer(self) -> MuseTokenizer:
        """A tokenizer as this stage finds it, in eval mode; a new object at every call."""
        return self.opened.tokenizer()

    def measure(self, tokenizer: MuseTokenizer) -> HeldOut:
        """PSNR, zero-shot accuracy and L_topo on held-out images."""
        limit = self.preset.held_out_images
        return measure_held_out(tokenizer, self.held_out, self.teachers, limit)

    def save(self, result: StageResult, held_out: HeldOut) -> StageRecord:
        """Add the held-out numbers to the stage's record."""
        files = RunFiles(result.record.run, result.record.stage)
        record = replace(result.record, held_out=held_out.__dict__)
        write_json(files.record_file, record)
        _print_file_notes(record)
        print(f"tokenizer  {_shown(files.folder / 'tokenizer')}")
        print(f"record     {_shown(files.record_file)}")
        return record

    def earlier_records(self) -> dict[str, dict[str, Any]]:
        """Stage name -> record, of the stages of this run up to this one that are on disk."""
        found = {}
        for stage in self.preset.curriculum:
            file = replace(self.opened.named, stage=stage.name).files.record_file
            if file.exists():
                found[stage.name] = read_json(file)
            if stage.name == self.stage.name:
                break
        return found

    def facts(self) -> dict[str, str]:
        images = f"{len(self.train):,} train, {len(self.held_out):,} held out"
        other = {"other data": self.opened.other_data} if self.opened.other_data else {}
        return super().facts() | {"images": images} | other


NEEDS = ("make", "refuse")


def setup(notebook: str, namespace: Mapping[str, Any], needs: str = "") -> Any:
    """Check a notebook's parameters, open what they name, print where and on what it runs.

    Args:
        notebook: Its name, "02_semantic_injection".
        namespace: ``globals()`` of the notebook; or just the parameters, by name.
        needs: What becomes of earlier stages that the notebook needs and are not there: "make"
            trains them first, with the same parameters, "refuse" says which command does; "" is
            the environment variable ``MUSE_NEEDS``, which `muse run` sets to "refuse", or "make".

    Returns:
        A `StageLab` for a notebook that trains a stage, else a `Lab`.

    Raises:
        MuseError: One sentence, for a wrong parameter or a missing input.
    """
    if notebook not in PARAMETERS:
        raise unknown("notebook", notebook, PARAMETERS)
    _stand_somewhere()
    model = PARAMETERS[notebook]
    checked = model.check(**_given(model, namespace))
    asked = needs or os.environ.get("MUSE_NEEDS", "make")
    if asked not in NEEDS:
        raise unknown("answer to needs", asked, NEEDS)
    if asked == "make":
        train_needed(notebook, checked)
    lab = _opened(notebook, checked)
    facts = lab.facts() | provenance(str(lab.device)).__dict__
    facts |= {"threads": str(torch.get_num_threads())}
    for name, value in facts.items():
        text = f"{name:<13}{value}"
        indent = " " * 13
        print(
            fill(
                text,
                110,
                subsequent_indent=indent,
                break_long_words=False,
                break_on_hyphens=False,
            )
        )
    if isinstance(lab, StageLab):
        lab.say_unused(lab.train, lab.held_out)
    return lab


def _stand_somewhere() -> None:
    """A notebook that was opened outside of any workspace, as on Colab, writes beside itself."""
    if paths.workspace() is None:
        os.environ["MUSE_ROOT"] = os.getcwd()
        print(f"{'workspace':<13}{os.getcwd()}, as this notebook lies in none")


def _opened(notebook: str, checked: Any) -> Lab:
    if isinstance(checked, StageParameters):
        opened = StageRun(stage=notebook, **checked.model_dump()).open()
        if opened.stage.starts_from is not None:
            # A missing earlier stage is said now, before anything takes time.
            finished_tokenizer(opened.named, opened.stage.starts_from)
        return StageLab(checked, opened)
    if isinstance(checked, GenerationParameters):
        # Only this notebook waits for diffusers' pipelines; a missing tokenizer is said now, too.
        from muse_core.generation.generation_run import GenerationRun

        return Lab(checked, GenerationRun.of(checked).open().preset)
    if isinstance(checked, TopologyParameters | EvaluationParameters):
        free = TEACHER if isinstance(checked, TopologyParameters) else ()
        given = (checked.run, checked.preset, checked.overrides)
        return Lab(checked, preset_of_run(*given, stage=None, changeable=free))
    if isinstance(checked, Configured):
        return Lab(checked, checked.load_preset())
    return Lab(checked, preset_named(getattr(checked, "preset", "smoke")))


def _given(model: type[NotebookParameters], namespace: Mapping[str, Any]) -> dict[str, Any]:
    """The parameters among a notebook's names: those it declares, and whatever papermill injected,
    which is refused later where nobody knows it.
    """
    if "In" not in namespace:
        return dict(namespace)
    names = {name for name in model.model_fields if name in namespace}
    for cell in namespace["In"]:
        if cell.startswith("# Parameters"):
            names |= {
                target.id
                for one in ast.parse(cell).body
                if isinstance(one, ast.Assign)
                for target in one.targets
                if isinstance(target, ast.Name)
            }
    return {name: namespace[name] for name in names}


def _print_file_notes(record: StageRecord) -> None:
    """What the reader should know about the images that were used."""
    if record.files_skipped:
        listed = ", ".join(record.files_skipped[:10]) + (
            " ..." if len(record.files_skipped) > 10 else ""
        )
        print(
            f"{len(record.files_skipped)} notes on the data, what is not used or was replaced by "
            f"other images: {listed}"
        )
    if record.files_enlarged:
        print(
            f"{record.files_enlarged} images were smaller than the network's input and were "
            "enlarged"
        )
    if record.captions_truncated:
        print(
            f"{record.captions_truncated} times a caption was longer than the text tower reads, "
            "and was cut"
        )


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
    return str(path.relative_to(paths.root()))
