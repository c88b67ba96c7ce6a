"""The subjects of one run's table: its tokenizer after each stage, the baselines, the frozen parts,
chance.
"""

from collections.abc import Iterator
from dataclasses import dataclass
from hashlib import blake2b
from pathlib import Path

import torch

from muse_core import paths
from muse_core.config.preset import Preset
from muse_core.data.batch import Source
from muse_core.evaluation.feature_extractors import (
    AutoencoderSubject,
    BackboneSubject,
    Chance,
    Subject,
    TeacherSubject,
    TokenizerSubject,
    folder_fingerprint,
)
from muse_core.foundations.backbone import Backbone
from muse_core.foundations.image_tower import image_projection
from muse_core.foundations.pixel_decoder import load_autoencoder
from muse_core.foundations.text_tower import text_config
from muse_core.foundations.topology_teacher import TopologyTeacher
from muse_core.training.checkpoint import TOKENIZER_FOLDER

MUSE, SHARED = "MUSE, after stage {}", "shared routing, after stage {}"
BACKBONE, AUTOENCODER, TEACHER = (
    "frozen backbone (InternViT)",
    "plain autoencoder (DC-AE)",
    "topology teacher (DINOv3)",
)


@dataclass(frozen=True)
class Absent:
    """A row that cannot be measured, and the command that makes it."""

    name: str
    why: str


def tokenizer_folder(run: str, stage: str) -> Path:
    """Where a finished stage of a run left its tokenizer."""
    return paths.run_folder(run) / stage / TOKENIZER_FOLDER


def run_subjects(
    preset: Preset,
    run: str,
    baseline_run: str,
    teacher: TopologyTeacher,
    train: Source,
    device: torch.device | str,
) -> Iterator[Subject | Absent]:
    """Rows in the order of the table, loaded one at a time."""
    for number, stage in enumerate(preset.curriculum, start=1):
        command = f"muse run {stage.notebook[:2]} --run {run} -p preset {preset.name}"
        yield _tokenizer(MUSE.format(number), run, stage.name, command, device)
    last, numbers = stage, " ".join(each.notebook[:2] for each in preset.curriculum)
    command = f"muse run {numbers} --run {baseline_run} -p preset {preset.name} -p routing shared"
    yield _tokenizer(SHARED.format(number), baseline_run, last.name, command, device)
    backbone = frozen_backbone(preset, device)
    yield backbone
    yield plain_autoencoder(preset, device)
    side = preset.image_size // (backbone.network.patch_size * preset.connector.unshuffle)
    grid = (side, side)
    fingerprint = (
        f"{teacher_fingerprint(preset, teacher)}/{preset.connector.num_heads} heads/{grid}"
    )
    yield TeacherSubject(TEACHER, teacher, fingerprint, preset.connector.num_heads, grid)
    mean_image = train.first(500).images.mean(0, keepdim=True).to(device)
    yield Chance(mean_image, embedding_width(preset), grid)


def _tokenizer(
    name: str, run: str, stage: str, command: str, device: torch.device | str
) -> Subject | Absent:
    folder = tokenizer_folder(run, stage)
    if not (folder / "config.json").exists():
        return Absent(name, f"run {run!r} has no finished {stage}; `{command}` makes it")
    return TokenizerSubject.from_pretrained(name, folder, device)


def frozen_backbone(preset: Preset, device: torch.device | str) -> BackboneSubject:
    """The preset's backbone before any training here; with its projection into the text space if
    that lies beside it.
    """
    location = preset.foundations.backbone
    backbone = Backbone.from_pretrained(location).eval().requires_grad_(False).to(device)
    projection, fingerprint = image_projection(location), _fingerprint(location)
    if projection is not None:
        projection, fingerprint = projection.to(device), f"{fingerprint}+{_hash(projection.weight)}"
    return BackboneSubject(BACKBONE, backbone, fingerprint, projection)


def teacher_fingerprint(preset: Preset, teacher: TopologyTeacher) -> str:
    """Which weights and layers judge and teach."""
    return f"{_fingerprint(preset.foundations.teacher)}/{teacher.layers}"


def plain_autoencoder(preset: Preset, device: torch.device | str) -> AutoencoderSubject:
    """The preset's DC-AE, whole."""
    location = preset.foundations.autoencoder
    autoencoder = load_autoencoder(location).eval().requires_grad_(False).to(device)
    return AutoencoderSubject(AUTOENCODER, autoencoder, _fingerprint(location))


def _fingerprint(location: str) -> str:
    """Of the files where they are local, else the hub's name."""
    return folder_fingerprint(Path(location)) if Path(location).is_dir() else str(location)


def _hash(weight: torch.Tensor) -> str:
    return blake2b(weight.detach().cpu().contiguous().numpy().tobytes(), digest_size=8).hexdigest()


def embedding_width(preset: Preset) -> int:
    """Width of the preset's text space."""
    return text_config(preset.foundations.text_tower).projection_dim
