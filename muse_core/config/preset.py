"""What a preset consists of: where the pretrained parts are, the sizes of what stands between them,
the curriculum.
"""

from dataclasses import asdict, dataclass, field, replace

from muse_core import paths
from muse_core.config.stage import Curriculum, GenerationStage
from muse_core.errors import unknown


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
class FoundationChoice:
    """Other pretrained parts than the preset's: each a folder or a hub id (a teacher also
    ``timm:NAME``), "" for the preset's.
    """

    backbone: str = ""
    teacher: str = ""
    autoencoder: str = ""
    text_tower: str = ""

    def applied(self, preset: "Preset") -> "Preset":
        """The preset with these parts; another teacher teaches one layer a block, spread over its
        depth, at its own size.
        """
        chosen = {
            part: _located(text.strip()) for part, text in asdict(self).items() if text.strip()
        }
        if "teacher" in chosen:
            chosen |= {"teacher_layers": None, "teacher_image_size": None}
        return replace(preset, foundations=replace(preset.foundations, **chosen))

    def as_arguments(self) -> str:
        """As the end of a command line: `` -p backbone PATH ...``."""
        return "".join(
            f" -p {part} {text.strip()}" for part, text in asdict(self).items() if text.strip()
        )


def _located(text: str) -> str:
    """A folder as its full path, wherever the notebook runs; anything else as it is."""
    folder = paths.user_path(text)
    return str(folder) if folder.is_dir() else text


@dataclass(frozen=True)
class ConnectorShape:
    """Sizes of the synergistic blocks. ``unshuffle``: s x s backbone patches become one token;
    ``attention``: a name in `attention_variants`; ``query_grid``: side of the grid the learnable
    queries are stored on, None for that of the images."""

    unshuffle: int
    width: int
    num_heads: int
    num_blocks: int = 6
    attention: str = "multi-head"
    query_grid: int | None = None


@dataclass(frozen=True)
class DenoiserShape:
    """Sizes of a SANA transformer (diffusers' `SanaTransformer2DModel`): heads x head width of the
    linear self-attention and of the cross-attention. ``interpolation_scale``: of its sine
    positions; None for none, as in SANA."""

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
"""1.7 M parameters; the two sizes of the paper's generators: 592 M and 1,604 M with captions 2,304
wide.
"""


def denoiser_named(name: str) -> DenoiserShape:
    """Raises MuseError for an unknown name."""
    if name not in DENOISERS:
        raise unknown("denoiser", name, DENOISERS)
    return DENOISERS[name]


def tiny_generation() -> GenerationStage:
    """Forty seconds for each kind of latent on two cores: colours; `make generation` trains twenty
    times as long.

    Small batches at a high rate, by trial (reports/LOG.md).
    """
    return GenerationStage(
        name="08_generation",
        notebook="08_generation",
        denoiser="tiny",
        images=2048,
        learning_rate=2e-3,
        steps=120,
        batch_size=24,
        ema_decay=0.998,
        checkpoint_every=60,
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
    generated_images: int = 128
    """How many images are generated to be measured, at most."""
    probe_images: int = 2000
    """How many training images a linear probe is fitted on, at most; a segmentation probe takes a
    third of them.
    """
    segmentation_steps: int = 150
    """How many steps the head of a segmentation probe is trained for."""
