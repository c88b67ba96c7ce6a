"""Whose attention a run can show on the same images: its teacher, its tokenizer from before
training on, the baselines.
"""

import math
from dataclasses import dataclass

import torch
from torch import Tensor

from muse_core.config.preset import Preset
from muse_core.errors import MuseError
from muse_core.evaluation.attention.student_teacher import student_attention
from muse_core.evaluation.feature_extractors import resting
from muse_core.evaluation.run_rows import embedding_width, frozen_backbone, tokenizer_folder
from muse_core.foundations.backbone import Backbone
from muse_core.foundations.topology_teacher import TopologyTeacher, observe, spread_layers
from muse_core.losses.topology import Grid, group_heads, resize_attention, teacher_targets
from muse_core.models.assembly import assemble_tokenizer
from muse_core.models.tokenizer import MuseTokenizer
from muse_core.results.records import read_json
from muse_core.shapes import AttentionMaps, Float, Images
from muse_core.training.stage_run import StageRun

TEACHER_RESIZED, TEACHER_OWN = "teacher, resized (Ψ)", "teacher, own grid, mean head"
UNTRAINED, STUDENT = "before training", "after stage {}"
SHARED_ROUTING, BACKBONE_ALONE = "shared routing", "frozen backbone"


@dataclass(frozen=True)
class AttentionView:
    """One network's attention probabilities on some images; ``role`` is "teacher", "student" or
    "comparison".
    """

    name: str
    role: str
    maps: Float[Tensor, "images layers heads tokens tokens"]
    grid: Grid


@dataclass(frozen=True)
class RunAttention:
    """The networks of a run, loaded. ``students``: "before training", then a name a finished stage,
    in order; ``absent``: what is missing, and the command that makes it."""

    teacher: TopologyTeacher
    students: dict[str, MuseTokenizer]
    shared: MuseTokenizer | None
    backbone: Backbone
    absent: tuple[str, ...] = ()

    @property
    def final(self) -> MuseTokenizer:
        """The tokenizer after the last finished stage."""
        return list(self.students.values())[-1]

    @property
    def heads(self) -> int:
        """Heads in which teacher and student can be compared: the student's, or the most that
        divides both numbers.
        """
        return math.gcd(self.teacher.num_heads, self.final.config.num_heads)

    def grid(self, images: Images) -> Grid:
        return self.final.token_grid(images)

    def targets(self, images: Images) -> AttentionView:
        """The teacher as the student gets it: heads grouped, resized by Psi."""
        seen = observe(self.teacher, images)
        grid = self.grid(images)
        return _view(
            TEACHER_RESIZED,
            "teacher",
            teacher_targets(seen.attention, seen.grid, grid, self.heads),
            grid,
        )

    def teacher_as_it_is(self, images: Images) -> AttentionView:
        """The teacher on its own grid, mean of its heads: a finer grid's maps are heavy, and heads
        are compared after Psi.
        """
        seen = observe(self.teacher, images)
        return _view(
            TEACHER_OWN, "teacher", [group_heads(each, 1) for each in seen.attention], seen.grid
        )

    def student(self, name: str, images: Images) -> AttentionView:
        with resting(self.students[name]):
            return _view(
                name, "student", student_attention(self.students[name], images), self.grid(images)
            )

    def comparisons(self, images: Images) -> list[AttentionView]:
        """Shared routing where it was trained, and what the frozen backbone's own layers look at,
        on the student's grid.
        """
        grid, found = self.grid(images), []
        if self.shared is not None:
            with resting(self.shared):
                found.append(
                    _view(
                        SHARED_ROUTING, "comparison", student_attention(self.shared, images), grid
                    )
                )
        return [
            *found,
            _view(BACKBONE_ALONE, "comparison", self._backbone_maps(images, grid), grid),
        ]

    def _backbone_maps(self, images: Images, grid: Grid) -> list[AttentionMaps]:
        with resting(self.backbone):
            layers = self.backbone.attention(images)
        own = tuple(side // self.backbone.patch_size for side in images.shape[-2:])
        chosen = spread_layers(len(layers), min(len(layers), self.final.config.num_blocks))
        heads = math.gcd(layers[0].shape[1], self.final.config.num_heads)
        return [resize_attention(group_heads(layers[layer], heads), own, grid) for layer in chosen]

    def views(self, images: Images) -> list[AttentionView]:
        """Everybody: the teacher (twice where its own grid is another), every student, the
        comparisons.
        """
        students = [self.student(name, images) for name in self.students]
        resized, own = self.targets(images), self.teacher_as_it_is(images)
        teachers = [resized] if own.grid == resized.grid else [resized, own]
        return [*teachers, *students, *self.comparisons(images)]


def load_run_attention(
    preset: Preset,
    run: str,
    baseline_run: str,
    teacher: TopologyTeacher,
    device: torch.device | str,
) -> RunAttention:
    """The networks of a run. Raises MuseError where no stage of it is finished."""
    students, absent = {}, []
    for number, stage in enumerate(preset.curriculum, start=1):
        folder = tokenizer_folder(run, stage.name)
        if (folder / "config.json").exists():
            students[STUDENT.format(number)] = (
                MuseTokenizer.from_pretrained(folder).to(device).eval()
            )
        else:
            absent.append(
                f"{STUDENT.format(number)}: `muse run {stage.notebook[:2]} --run {run} -p preset {preset.name}`"
            )
    numbers = " ".join(stage.notebook[:2] for stage in preset.curriculum)
    if not students:
        raise MuseError(
            f"Run {run!r} has no tokenizer to look at: first train one with "
            f"`muse run {numbers} --run {run} -p preset {preset.name}`."
        )
    shared, folder = None, tokenizer_folder(baseline_run, stage.name)
    if (folder / "config.json").exists():
        shared = MuseTokenizer.from_pretrained(folder).to(device).eval()
    else:
        absent.append(
            f"{SHARED_ROUTING}: `muse run {numbers} --run {baseline_run} -p preset {preset.name} -p routing shared`"
        )
    students = {UNTRAINED: untrained_tokenizer(preset, run).to(device).eval()} | students
    backbone = frozen_backbone(preset, device).network
    return RunAttention(teacher, students, shared, backbone, tuple(absent))


def untrained_tokenizer(preset: Preset, run: str) -> MuseTokenizer:
    """The tokenizer a run began with, made again from the seed and routing in its first stage's
    record.

    Its attention is that of the first step; only the calibration of the latent is left out.
    """
    first = StageRun(run, preset.name, preset.curriculum.stages[0].name)
    record = read_json(first.record_file) if first.record_file.exists() else {}
    with torch.random.fork_rng():
        torch.manual_seed(record.get("seed", first.seed))
        return assemble_tokenizer(
            preset, embedding_width(preset), record.get("routing", first.routing)
        )


def compared_heads(view: AttentionView, heads: int) -> AttentionView:
    """A view with its heads averaged to this number, for a comparison with one that has no more."""
    grouped = [group_heads(maps, heads) for maps in view.maps.unbind(1)]
    return _view(view.name, view.role, grouped, view.grid)


def _view(
    name: str, role: str, maps: list[AttentionMaps] | tuple[AttentionMaps, ...], grid: Grid
) -> AttentionView:
    return AttentionView(
        name, role, torch.stack([each.float() for each in maps], dim=1).cpu(), grid
    )
