"""What a preset consists of: where the pretrained parts are, the sizes of what stands between them,
the curriculum.
"""

from dataclasses import dataclass, field, replace
from typing import Annotated, Literal

from annotated_types import Interval

from muse_core.config.stage import (
    MOST_SAMPLING_STEPS,
    Count,
    Curriculum,
    DrawingStage,
    GenerationStage,
    LanguageStage,
    Stage,
)
from muse_core.errors import chosen


@dataclass(frozen=True)
class FoundationLocations:
    """Where the pretrained parts are: folders or hub ids. ``teacher_layers``: None spreads them
    over the depth.
    """

    backbone: str
    autoencoder: str
    teacher: str
    text_tower: str
    teacher_layers: tuple[int, ...] | None = None
    teacher_image_size: int | None = None


@dataclass(frozen=True)
class ConnectorShape:
    """Sizes of the synergistic blocks.

    ``unshuffle``: s x s backbone patches become one token; ``num_blocks``: 0 leaves the adapted
    backbone alone, a control; ``attention``: a name in `block_variants`; ``query_grid``: side of
    the grid the learnable queries are stored on, None for that of the images;
    ``semantic_channels``: of the latent's semantic band, 0 for a latent without one
    (`MuseTokenizer`); ``form``: a name in `connector_form.FORMS`."""

    unshuffle: Count
    width: Count
    num_heads: Count
    num_blocks: Annotated[int, Interval(ge=0, le=10**6)] = 6
    attention: str = "multi-head"
    query_grid: int | None = None
    semantic_channels: Annotated[int, Interval(ge=0, le=10**6)] = 0
    form: str = "muse"


@dataclass(frozen=True)
class DenoiserShape:
    """Sizes of a SANA transformer, by the names of diffusers' `SanaTransformer2DModel`: heads x
    head width of the linear self-attention and of the cross-attention. ``interpolation_scale``: of
    its sine positions; None for none, as in SANA."""

    num_attention_heads: int
    attention_head_dim: int
    num_layers: int
    num_cross_attention_heads: int
    cross_attention_head_dim: int
    interpolation_scale: float | None = None


DENOISERS = {
    "tiny": DenoiserShape(4, 32, 6, 4, 32, interpolation_scale=1.0),
    "sana-small": DenoiserShape(24, 32, 12, 12, 64),
    "sana-0.6b": DenoiserShape(36, 32, 28, 16, 72),
    "sana-1.6b": DenoiserShape(70, 32, 20, 20, 112),
}
"""1.7 M parameters; 116 M with captions 512 wide; the two sizes of the paper's generators: 592 M
and 1,604 M with captions 2,304 wide.
"""


def denoiser_named(name: str) -> DenoiserShape:
    """Raises MuseError for an unknown name."""
    return chosen("denoiser", name, DENOISERS)


def tiny_generation() -> GenerationStage:
    """Forty seconds for each kind of latent on two cores: colours; `make generation` trains twenty
    times as long.

    Small batches at a high rate, by trial (reports/LOG.md).
    """
    return GenerationStage(
        name="08_generation",
        denoiser="tiny",
        images=2048,
        learning_rate=2e-3,
        steps=120,
        batch_size=24,
        ema_decay=0.998,
        checkpoint_every=60,
    )


def tiny_language() -> LanguageStage:
    """A projector in a minute and a half of one core; an image is read as sixteen words."""
    return LanguageStage(
        name="10_unified",
        images=4096,
        image_side=4,
        learning_rate=2e-3,
        steps=600,
        batch_size=32,
        ema_decay=0.99,
        checkpoint_every=200,
    )


@dataclass(frozen=True)
class ConnectorOfDrawing:
    """Sizes of what carries a language model's states to a denoiser: ``queries`` at the end of the
    sequence, and how many of the language model's last ``layers`` the connector begins with.
    """

    queries: Count = 28
    layers: Count = 1


def tiny_drawing() -> tuple[DrawingStage, ...]:
    """On 08's denoiser: the connector says what its text tower says of prompts and instructions, in
    seven minutes of one core; then (10c, as in the paper's presets, and no 10b) the denoiser alone
    draws and edits.

    Through a denoiser that captions trained for minutes the connector alone, as in the paper,
    learns to do without the prompt; the text tower's words teach it to read in a few hundred
    steps. Where both train on together, prompts are followed less (reports/LOG.md).
    """
    alone = DrawingStage(
        name="10a_connector",
        images=8192,
        aligns=True,
        edit_share=0.6,
        learning_rate=6e-3,
        steps=1500,
        batch_size=32,
        ema_decay=0.99,
        checkpoint_every=300,
    )
    editing = replace(
        alone,
        name="10c_editing",
        aligns=False,
        trains_connector=False,
        edit_share=0.85,
        weighs_changes=True,
        learning_rate=4e-3,
        steps=2000,
        batch_size=24,
        ema_decay=0.998,
    )
    return alone, editing


@dataclass(frozen=True)
class Preset:
    """Everything that distinguishes one size of MUSE from another."""

    name: str
    image_size: Count
    foundations: FoundationLocations
    connector: ConnectorShape
    curriculum: Curriculum
    routing: str = "orthogonal"
    """A name in `muse_core.models.gradient_routes.ROUTINGS`."""
    precision: Literal["auto", "bf16", "fp32"] = "auto"
    """Of matrix products and convolutions while training (`muse_core.training.distributed`)."""
    teacher_cache: Annotated[float, Interval(ge=0)] = 0.0
    """Gigabytes on disk for what the frozen teacher said of images; 0 for none."""
    loader_workers: Annotated[int, Interval(ge=0, le=1024)] = 0
    record_every: Count = 1
    """Steps between two lines of the metrics file."""
    held_out_images: Count = 1000
    """How many images the numbers at the end of a notebook are measured on, at most."""
    generation: GenerationStage = field(default_factory=tiny_generation)
    generated_images: Count = 128
    """How many images are generated to be measured, at most."""
    sampling_steps: Annotated[int, Interval(ge=1, le=MOST_SAMPLING_STEPS)] = 16
    """From noise to an image that is measured."""
    language: LanguageStage = field(default_factory=tiny_language)
    language_model: str = ""
    """Folder or hub id of what reads the tokens and answers; "" for none."""
    drawing: tuple[DrawingStage, ...] = field(default_factory=tiny_drawing)
    drawing_connector: ConnectorOfDrawing = ConnectorOfDrawing()
    probe_images: Count = 2000
    """How many training images a linear probe is fitted on, at most; a segmentation probe takes a
    third of them.
    """
    segmentation_steps: Count = 150
    """Of the fit of a segmentation probe's head, at most (`segmentation_probe`)."""
    trackers: tuple[str, ...] = ()
    """Names of Accelerate's trackers, "tensorboard", "wandb", "trackio": they hear the metrics as
    well.
    """
    gpu_memory: Annotated[float, Interval(ge=0)] = 0.0
    """Gigabytes of the GPU that its stages are meant for; 0 where a CPU will do."""
    accelerate_config: str = ""
    """A file that ``accelerate config`` wrote: it says in which processes to train."""

    @property
    def stages(self) -> tuple[Stage | GenerationStage | LanguageStage | DrawingStage, ...]:
        """The curriculum's, the generator's and the language side's."""
        return (*self.curriculum, self.generation, self.language, *self.drawing)

    def stage(self, name: str) -> Stage | GenerationStage | LanguageStage | DrawingStage:
        """The stage of this name or number ("02").

        Raises:
            MuseError: There is no such stage.
        """
        stages = {stage.name: stage for stage in self.stages}
        numbers = {whole.split("_")[0]: whole for whole in stages}
        return chosen("stage", numbers.get(name, name), stages)
