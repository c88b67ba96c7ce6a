"""The rows of one run's table: its tokenizer after each stage, the baselines, the frozen parts,
chance.
"""

from collections.abc import Iterator
from dataclasses import dataclass
from hashlib import blake2b
from pathlib import Path
from typing import Any

import torch

from muse_core import paths
from muse_core.config.preset import Preset
from muse_core.data.batch import Source
from muse_core.errors import MuseError
from muse_core.evaluation.feature_extractors import (
    AutoencoderExtractor,
    BackboneExtractor,
    ChanceExtractor,
    FeatureExtractor,
    TeacherExtractor,
    TokenizerExtractor,
    frozen,
    tensor_bytes,
)
from muse_core.foundations.backbone import Backbone
from muse_core.foundations.image_tower import image_projection
from muse_core.foundations.pixel_decoder import load_autoencoder
from muse_core.foundations.text_tower import text_config
from muse_core.foundations.topology_teacher import TopologyTeacher
from muse_core.paths import TOKENIZER_FOLDER
from muse_core.results.trained_code import folder_fingerprint

MUSE, SHARED = "MUSE, after stage {}", "shared routing, after stage {}"
BACKBONE, TEACHER = "frozen backbone", "topology teacher"
"""Their names begin so; what they are follows in brackets."""
AUTOENCODER = "plain autoencoder (DC-AE)"
Device = torch.device | str


@dataclass(frozen=True)
class Absent:
    """A row that cannot be measured, and the command that makes it."""

    name: str
    why: str


def tokenizer_folder(run: str, stage: str) -> Path:
    """Where a finished stage of a run left its tokenizer."""
    return paths.run_folder(run) / stage / TOKENIZER_FOLDER


def run_rows(
    preset: Preset, run: str, baseline: str, teacher: TopologyTeacher, train: Source, device: Device
) -> Iterator[FeatureExtractor | Absent]:
    """The rows of a run's table in their order, loaded one at a time.

    Args:
        preset: what the run was trained with.
        run: the run's name.
        baseline: the name of the run with shared routing.
        teacher: the topology teacher, loaded.
        train: its mean image is what chance shows.
        device: where networks go.
    """
    yield from trained_rows(preset, run, baseline, device)
    backbone = frozen_backbone(preset, device)
    yield backbone
    location = preset.foundations.autoencoder
    autoencoder = frozen(load_autoencoder(location), device)
    yield AutoencoderExtractor(AUTOENCODER, autoencoder, location_fingerprint(location))
    side = preset.image_size // (backbone.network.patch_size * preset.connector.unshuffle)
    grid, heads = (side, side), preset.connector.num_heads
    fingerprint = f"{teacher_fingerprint(preset, teacher)}/{heads} heads/{grid}"
    yield TeacherExtractor(f"{TEACHER} ({teacher.words})", teacher, fingerprint, heads, grid)
    mean_image = train.first(500).images.mean(0, keepdim=True).to(device)
    yield ChanceExtractor(mean_image, embedding_width(preset), grid)


def trained_rows(
    preset: Preset, run: str, baseline: str, device: Device
) -> Iterator[TokenizerExtractor | Absent]:
    """The tokenizer after each stage, then that of the run with shared routing."""
    for number, stage in enumerate(preset.curriculum, start=1):
        command = f"muse run {stage.name[:2]} --run {run} -p preset {preset.name}"
        yield _tokenizer(MUSE.format(number), run, stage.name, command, device)
    last, command = preset.curriculum.stages[-1], all_stages(preset, baseline)
    name = SHARED.format(len(preset.curriculum.stages))
    yield _tokenizer(name, baseline, last.name, f"{command} -p routing shared", device)


def all_stages(preset: Preset, run: str) -> str:
    """The command that trains every stage of a run."""
    numbers = " ".join(stage.name[:2] for stage in preset.curriculum)
    return f"muse run {numbers} --run {run} -p preset {preset.name}"


def last_tokenizer(preset: Preset, run: str, device: Device) -> TokenizerExtractor:
    """The tokenizer after the last finished stage, under the name of its row.

    Raises:
        MuseError: where no stage is finished.
    """
    for number, stage in reversed(list(enumerate(preset.curriculum, start=1))):
        folder = tokenizer_folder(run, stage.name)
        if (folder / "config.json").exists():
            return TokenizerExtractor.from_pretrained(MUSE.format(number), folder, device)
    raise without_tokenizer(preset, run)


def without_tokenizer(preset: Preset, run: str) -> MuseError:
    """The sentence about a run of which no stage is finished; it names the runs that have one."""
    others = [each for each in paths.trained_runs() if each != run]
    named = ", ".join(others[:8]) + (f" and {len(others) - 8} more" if others[8:] else "")
    more = f"; runs that have one: {named}" if others else ""
    return MuseError(
        f"Run {run!r} has no tokenizer yet: first train one with `{all_stages(preset, run)}`{more}."
    )


def _tokenizer(
    name: str, run: str, stage: str, command: str, device: Device
) -> TokenizerExtractor | Absent:
    folder = tokenizer_folder(run, stage)
    if not (folder / "config.json").exists():
        return Absent(name, f"run {run!r} has no finished {stage}; `{command}` makes it")
    return TokenizerExtractor.from_pretrained(name, folder, device)


def frozen_backbone(preset: Preset, device: Device) -> BackboneExtractor:
    """The preset's backbone before any training here; with its projection into the text space if
    that lies beside it.
    """
    location = preset.foundations.backbone
    backbone = frozen(Backbone.from_pretrained(location), device)
    projection, fingerprint = image_projection(location), location_fingerprint(location)
    if projection is not None:
        weight = blake2b(tensor_bytes(projection.weight), digest_size=8).hexdigest()
        projection, fingerprint = projection.to(device), f"{fingerprint}+{weight}"
    return BackboneExtractor(f"{BACKBONE} ({backbone.words})", backbone, fingerprint, projection)


def teacher_fingerprint(preset: Preset, teacher: TopologyTeacher) -> str:
    """Which weights and layers compare and teach."""
    return f"{location_fingerprint(preset.foundations.teacher)}/{teacher.layers}"


def location_fingerprint(location: str) -> str:
    """Of the files where they are local, else the hub's name."""
    return folder_fingerprint(Path(location)) if Path(location).is_dir() else str(location)


def embedding_width(preset: Preset) -> int:
    """Width of the preset's text space."""
    config: Any = text_config(preset.foundations.text_tower)
    return config.projection_dim
