"""Sizes of the same code: a preset is data, and no code path belongs to one of them.

Each function's docstring says how to run it, on what, how long it takes and what to expect.
"""

from collections.abc import Callable
from dataclasses import dataclass, field, replace

from muse_core import paths
from muse_core.errors import unknown
from muse_core.stages import TRUNK_CLOSED, TRUNK_OPEN, Curriculum, GenerationStage, Stage, weights


@dataclass(frozen=True)
class FoundationLocations:
    """Where the pretrained parts are: folders or hub ids. ``teacher_layers``: None spreads them over the depth."""

    backbone: str
    autoencoder: str
    teacher: str
    text_tower: str
    teacher_layers: tuple[int, ...] | None = None
    teacher_image_size: int | None = None


@dataclass(frozen=True)
class ConnectorShape:
    """Sizes of the synergistic blocks. ``unshuffle``: s x s backbone patches become one token; ``attention``: a name in
    `attention_variants`."""

    unshuffle: int
    width: int
    num_heads: int
    num_blocks: int = 6
    attention: str = "multi-head"


@dataclass(frozen=True)
class DenoiserShape:
    """Sizes of a SANA transformer (diffusers' `SanaTransformer2DModel`): heads x head width of the linear self-attention and
    of the cross-attention. ``interpolation_scale``: of its sine positions; None for none, as in SANA."""

    heads: int
    head_width: int
    layers: int
    cross_heads: int
    cross_head_width: int
    interpolation_scale: float | None = None


DENOISERS = {
    "tiny": DenoiserShape(4, 32, 6, 4, 32, interpolation_scale=1.0),
    "sana-0.6b": DenoiserShape(36, 32, 28, 16, 72),
    "sana-1.6b": DenoiserShape(70, 32, 20, 20, 112),
}
"""1.7 M parameters; the two sizes of the paper's generators: 592 M and 1,604 M with captions 2,304 wide."""


def denoiser_named(name: str) -> DenoiserShape:
    """Raises MuseError for an unknown name."""
    if name not in DENOISERS:
        raise unknown("denoiser", name, DENOISERS)
    return DENOISERS[name]


def tiny_generation() -> GenerationStage:
    """A minute for each kind of latent on two cores: colours and outlines; `make generation` trains over ten times as long.

    Small batches at a high rate, by trial (reports/LOG.md).
    """
    return GenerationStage(
        name="08_generation",
        notebook="08_generation",
        denoiser="tiny",
        images=4096,
        learning_rate=2e-3,
        steps=240,
        batch_size=24,
        ema_decay=0.998,
        checkpoint_every=80,
    )


@dataclass(frozen=True)
class Preset:
    """Everything that distinguishes one size of MUSE from another."""

    name: str
    image_size: int
    foundations: FoundationLocations
    connector: ConnectorShape
    curriculum: Curriculum
    loader_workers: int = 0
    record_every: int = 1
    """Steps between two lines of the metrics file."""
    held_out_images: int = 1000
    """How many images the numbers at the end of a notebook are measured on, at most."""
    generation: GenerationStage = field(default_factory=tiny_generation)
    generated_images: int = 256
    """How many images are generated to be measured, at most."""
    probe_images: int = 2000
    """How many training images a linear probe is fitted on, at most; a segmentation probe takes a third of them."""


def tiny() -> Preset:
    """``make reports``: the embedded scenes on two CPU cores, no network, about 15 minutes, and as long again
    for the baseline and the evaluation.

    Expected on held-out scenes: L_topo at a tenth of its start after stage 1; after stage 3 about 26.5 dB and a zero-shot
    accuracy of 0.98 over ten shapes.
    """
    folder = paths.foundations("tiny")
    warmup = Stage(
        name="01_topology_warmup",
        notebook="01_topology_warmup",
        weights=weights(topology=1.0, reconstruction=0.1, perceptual=0.01),
        learning_rate=5e-4,
        steps=400,
        batch_size=16,
        trunk_hears=TRUNK_CLOSED,
        ema_decay=0.98,
        checkpoint_every=100,
    )
    semantic = replace(
        warmup,
        name="02_semantic_injection",
        notebook="02_semantic_injection",
        weights=weights(topology=1.0, anchor=1.0, reconstruction=0.1, perceptual=0.01),
        steps=300,
        batch_size=32,
        starts_from=warmup.name,
    )
    tuning = replace(
        semantic,
        name="03_synergistic_tuning",
        notebook="03_synergistic_tuning",
        weights=weights(topology=0.2, anchor=0.2, reconstruction=1.0, perceptual=0.1, adversarial=0.01),
        learning_rate=1e-3,
        steps=440,
        batch_size=24,
        backbone_rate=0.5,
        trunk_hears=TRUNK_OPEN,
        starts_from=semantic.name,
    )
    return Preset(
        name="tiny",
        image_size=64,
        foundations=FoundationLocations(
            backbone=str(folder / "backbone"),
            autoencoder=str(folder / "autoencoder"),
            teacher=str(folder / "teacher"),
            text_tower=str(folder / "text_tower"),
            teacher_layers=(2, 3, 4, 5, 6, 7),
        ),
        connector=ConnectorShape(unshuffle=1, width=96, num_heads=4),
        curriculum=Curriculum((warmup, semantic, tuning)),
    )


def smoke() -> Preset:
    """``tiny`` with a handful of steps: what the notebooks do by default, under a minute each on two cores."""
    preset = tiny()
    stages = tuple(replace(stage, steps=24, batch_size=16, checkpoint_every=12) for stage in preset.curriculum)
    generation = replace(preset.generation, images=128, steps=12, batch_size=16, checkpoint_every=6)
    return replace(
        preset,
        name="smoke",
        curriculum=Curriculum(stages),
        generation=generation,
        held_out_images=200,
        generated_images=24,
        probe_images=400,
    )


PRESETS: dict[str, Callable[[], Preset]] = {"smoke": smoke, "tiny": tiny}


def preset_named(name: str) -> Preset:
    """Raises MuseError for an unknown name."""
    if name not in PRESETS:
        raise unknown("preset", name, PRESETS)
    return PRESETS[name]()
