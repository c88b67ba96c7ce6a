"""The curriculum as data: which losses a stage hears, at what weight, and which of them reach the
trunk.

Paper: topology warm-up -> semantic injection -> synergistic tuning (arXiv 2605.05646, "Loss &
Training"). The loop knows no stage by name; a new curriculum is a new list."""

from collections.abc import Mapping
from dataclasses import dataclass, field, replace
from enum import StrEnum
from types import MappingProxyType
from typing import Annotated, Any

from annotated_types import Ge, Gt, Interval

from muse_core.errors import chosen

MOST_SAMPLING_STEPS = 10_000
"""From noise to image; a hundred are plenty."""


Count = Annotated[int, Interval(ge=1, le=10**9)]
Share = Annotated[float, Interval(ge=0, le=1)]
PartOfAStep = Annotated[float, Interval(gt=0, le=1)]


class Loss(StrEnum):
    """The terms of the objective, by the name they have in records and figures."""

    TOPOLOGY = "topology"
    ANCHOR = "anchor"
    RECONSTRUCTION = "reconstruction"
    PERCEPTUAL = "perceptual"
    ADVERSARIAL = "adversarial"
    DISTILLATION = "distillation"


PIXEL_LOSSES = frozenset({Loss.RECONSTRUCTION, Loss.PERCEPTUAL, Loss.ADVERSARIAL})
"""The losses on the decoded image; they share one route ("L_rec")."""

SEMANTIC_LOSSES = frozenset({Loss.ANCHOR, Loss.DISTILLATION})
"""The losses on the image embedding; they share one route ("L_anchor"). MUSE anchors, the ablation
distils.
"""


class Surgery(StrEnum):
    """What happens to the gradients of the tasks where they meet."""

    NONE = "none"
    PCGRAD = "pcgrad"


@dataclass(frozen=True, kw_only=True)
class Schedule:
    """What every stage has, whatever it trains: how long, how fast, how often it is saved."""

    name: str
    """Also of its notebook."""
    learning_rate: Annotated[float, Gt(0)]
    steps: Count
    batch_size: Count
    warmup_share: Share = 0.05
    final_rate: Share = 0.05
    """The cosine's end, as a share of ``learning_rate``."""
    ema_decay: Share = 0.999
    clip_norm: Annotated[float, Gt(0)] = 1.0
    weight_decay: Annotated[float, Ge(0)] = 1e-4
    checkpoint_every: Count = 1000
    checkpoints_kept: Count = 2
    """The last so many."""
    bad_steps: Annotated[int, Ge(0)] = 0
    """Steps of the stage whose loss or gradient may be NaN or infinite: they change nothing and are
    listed in the record; one more stops the stage."""

    def _repr_markdown_(self) -> str:
        """A notebook shows it as a table."""
        rows = [f"| {name} | {_in_words(value)} |" for name, value in vars(self).items()]
        return "\n".join(["| field | value |", "|---|---|", *rows])


@dataclass(frozen=True, kw_only=True)
class Stage(Schedule):
    """One stage of the tokenizer's training.

    ``weights``: loss -> weight; a loss that is absent is not computed. ``shares``: loss -> share of
    a step's images that it is computed on, all of them where it is absent; the decoder runs on as
    many as the pixel losses ask for. ``trunk_hears``: the losses
    whose gradient may enter adapter, queries and backbone. ``backbone_rate``: the backbone's
    learning rate as a share of ``learning_rate``; 0 keeps it frozen. ``starts_from``: the stage
    whose tokenizer this one continues."""

    weights: Mapping[str, float]
    trunk_hears: frozenset[Loss]
    backbone_rate: Annotated[float, Ge(0)] = 0.0
    starts_from: str | None = None
    discriminator_rate: Annotated[float, Gt(0)] = 1.0
    """The discriminator's learning rate, as a share of ``learning_rate``."""
    surgery: Surgery = Surgery.NONE
    shares: Mapping[str, PartOfAStep] = field(default_factory=lambda: MappingProxyType({}))

    @property
    def trains_backbone(self) -> bool:
        return self.backbone_rate > 0


@dataclass(frozen=True, kw_only=True)
class GenerationStage(Schedule):
    """Training a denoiser on a tokenizer's latents by flow matching.

    ``denoiser``: a name in `muse_core.config.preset.DENOISERS`. ``images``: how many images'
    latents are stored and trained on. ``caption_dropout``: share of captions replaced by the empty
    one, for classifier-free guidance. Times are logit-normal (``time_mean``, ``time_spread``), then
    shifted towards noise by ``shift`` (SANA, arXiv 2410.10629, uses 3 at 512 px)."""

    denoiser: str
    images: Count
    caption_dropout: Share = 0.1
    time_mean: float = 0.0
    time_spread: Annotated[float, Ge(0)] = 1.0
    shift: Annotated[float, Gt(0)] = 1.0


@dataclass(frozen=True, kw_only=True)
class LanguageStage(Schedule):
    """Training a projector from a tokenizer's tokens to a language model's words.

    ``images``: how many images are asked about, a question of every kind each; ``image_side``: an
    image is read as so many words along its shorter side."""

    images: Count
    image_side: Count = 4


@dataclass(frozen=True, kw_only=True)
class DrawingStage(Schedule):
    """Training queries and connector, the denoiser, or both, to draw what a language model
    understood.

    ``aligns``: queries and connector alone learn what the text tower says of the prompts
    (`muse_core.losses.text_alignment`), whose captions the denoiser has learnt to read, and of the
    instructions, which it has not; nothing is drawn.
    ``trains_connector``: queries and connector learn; ``trains_denoiser``: the denoiser does,
    unless the stage aligns; one of them has to. ``images``: how many latents are trained on;
    ``edit_share``: of them, changed scenes with their instruction;
    ``prompt_dropout``: share of prompts replaced by none, for classifier-free guidance; times as in
    `GenerationStage`. ``weighs_changes``: in an edit, places that change count more
    (`muse_core.losses.flow_matching.weight_of_changes`)."""

    images: Count
    aligns: bool = False
    trains_connector: bool = True
    trains_denoiser: bool = True
    edit_share: Share = 0.0
    weighs_changes: bool = False
    prompt_dropout: Share = 0.1
    time_mean: float = 0.0
    time_spread: Annotated[float, Ge(0)] = 1.0
    shift: Annotated[float, Gt(0)] = 1.0

    @property
    def moves_denoiser(self) -> bool:
        return self.trains_denoiser and not self.aligns


TRUNK_CLOSED = PIXEL_LOSSES
"""Stages 1 and 2, the strict reading of the paper: topology trains only W_Q and W_K, semantics only
W_V and the projector.
"""

TRUNK_OPEN = frozenset(Loss)
"""Stage 3: every loss reaches the trunk, through `route`."""


@dataclass(frozen=True)
class Curriculum:
    """Stages in order, found by name."""

    stages: tuple[Stage, ...] = field(default_factory=tuple)

    def __getitem__(self, name: str) -> Stage:
        return chosen("stage", name, {stage.name: stage for stage in self})

    def __iter__(self):
        return iter(self.stages)


def three_stages(
    warmup: Mapping[str, Any], semantic: Mapping[str, Any], tuning: Mapping[str, Any]
) -> Curriculum:
    """The paper's curriculum: each stage is the one before with the given fields changed."""
    first = Stage(name="01_topology_warmup", trunk_hears=TRUNK_CLOSED, **warmup)
    own = dict(name="02_semantic_injection", starts_from=first.name)
    second = replace(first, **own, **semantic)
    own = dict(name="03_synergistic_tuning", starts_from=second.name, trunk_hears=TRUNK_OPEN)
    return Curriculum((first, second, replace(second, **own, **tuning)))


def by_loss(**terms: float) -> Mapping[str, float]:
    """Weights or shares of losses by keyword: ``by_loss(topology=1.0, reconstruction=0.1)``."""
    return MappingProxyType({Loss(name): value for name, value in terms.items()})


def _in_words(value: object) -> str:
    if isinstance(value, Mapping):
        return " + ".join(f"{weight:g} × {name}" for name, weight in value.items()) or "all"
    if isinstance(value, frozenset):
        return ", ".join(sorted(map(str, value))) or "none"
    return f"{value:g}" if isinstance(value, float) else str(value)
