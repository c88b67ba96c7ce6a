"""What evaluations return: measurements with their interval, rows of them, and the record a run
writes.
"""

from dataclasses import dataclass, field
from typing import Any

from muse_core.results.records import Provenance


@dataclass(frozen=True)
class Metric:
    """A column of the table. ``better``: +1 where more is better, -1 where less is; ``scale`` turns
    values to ``unit``.
    """

    words: str
    unit: str
    better: int
    digits: int = 1
    scale: float = 1.0

    def verdict(self, sign: int) -> str:
        """ "better", "worse" or "no difference" for a difference of this sign."""
        return {0: "no difference", self.better: "better"}.get(sign, "worse")


ASKED_KINDS = (
    *("shape", "colour", "texture", "count", "position", "relation", "size", "presence"),
    "orientation",
)
"""Of questions about drawn scenes (`muse_core.data.scene_questions`)."""

DRAWN_TASKS = ("single_object", "two_object", "counting", "colors", "position", "color_attr")
"""GenEval's."""
BOUNDED = ("geneval", "wise", "edits")
"""Of what is drawn: shares that stand between chance and what a tokenizer lets through."""
EDIT_KINDS = ("recolour", "retexture", "replace", "add", "remove", "move", "background")

METRICS: dict[str, Metric] = {
    "psnr": Metric("PSNR", "dB", +1),
    "ssim": Metric("SSIM", "", +1, 3),
    "lpips": Metric("LPIPS", "", -1, 3),
    "perceptual_judge": Metric("perceptual distance, judge", "", -1, 3),
    "rfid": Metric("rFID", "", -1, 2),
    "fd_judge": Metric("Fréchet distance, judge", "", -1, 2),
    "zero_shot": Metric("zero-shot", "%", +1, 1, 100.0),
    "zero_shot_top5": Metric("zero-shot, top 5", "%", +1, 1, 100.0),
    "linear_probe": Metric("linear probe", "%", +1, 1, 100.0),
    "linear_probe_z": Metric("linear probe of z", "%", +1, 1, 100.0),
    "linear_probe_output": Metric("linear probe of H_L", "%", +1, 1, 100.0),
    "linear_probe_trunk": Metric("linear probe of H_0", "%", +1, 1, 100.0),
    "linear_probe_backbone": Metric("linear probe of the backbone", "%", +1, 1, 100.0),
    "miou": Metric("mIoU", "%", +1, 1, 100.0),
    "miou_z": Metric("mIoU of z", "%", +1, 1, 100.0),
    "miou_output": Metric("mIoU of H_L", "%", +1, 1, 100.0),
    "miou_trunk": Metric("mIoU of H_0", "%", +1, 1, 100.0),
    "miou_backbone": Metric("mIoU of the backbone", "%", +1, 1, 100.0),
    "attention_auc": Metric("attention AUC", "", +1, 3),
    "attention_iou": Metric("attention IoU", "", +1, 3),
    "attention_pointing": Metric("pointing", "%", +1, 1, 100.0),
    "attention_kl": Metric("KL to the teacher", "nats", -1, 3),
    "attention_rank": Metric("rank correlation with the teacher", "", +1, 3),
    "gradient_cosine": Metric("gradient cosine", "", +1, 3),
    "gfid": Metric("gFID", "", -1, 2),
    "gfd_judge": Metric("Fréchet distance of generated images, judge", "", -1, 2),
    "precision": Metric("precision", "%", +1, 1, 100.0),
    "recall": Metric("recall", "%", +1, 1, 100.0),
    "follows_shape": Metric("shape", "%", +1, 1, 100.0),
    "follows_colour": Metric("shape and colour", "%", +1, 1, 100.0),
    "follows_count": Metric("count", "%", +1, 1, 100.0),
    "follows_relation": Metric("relation", "%", +1, 1, 100.0),
    "follows_all": Metric("whole prompt", "%", +1, 1, 100.0),
    "answers": Metric("questions answered", "%", +1, 1, 100.0),
    "answers_latent": Metric("from the latent", "%", +1, 1, 100.0),
    "answers_both": Metric("from both", "%", +1, 1, 100.0),
    **{f"answers_{kind}": Metric(kind, "%", +1, 1, 100.0) for kind in ASKED_KINDS},
    "mmvp_pairs": Metric("MMVP, pairs", "%", +1, 1, 100.0),
    "mmvp_questions": Metric("MMVP, questions", "%", +1, 1, 100.0),
    "geneval": Metric("GenEval", "%", +1, 1, 100.0),
    **{
        f"geneval_{task}": Metric(task.replace("_", " "), "%", +1, 1, 100.0) for task in DRAWN_TASKS
    },
    "wise": Metric("riddles drawn (WISE)", "%", +1, 1, 100.0),
    "captions_all": Metric("whole captions, drawn by 08's denoiser", "%", +1, 1, 100.0),
    "edits": Metric("edits done", "%", +1, 1, 100.0),
    **{f"edits_{kind}": Metric(kind, "%", +1, 1, 100.0) for kind in EDIT_KINDS},
    **{
        f"{name}_{end}": Metric(f"{words}, {by}", "%", +1, 1, 100.0)
        for name, words in zip(BOUNDED, ("GenEval", "riddles", "edits"), strict=True)
        for end, by in {"chance": "by chance", "best": "at best"}.items()
    },
    "edit_background": Metric("what an edit leaves", "dB", +1),
    "parameters": Metric("parameters", "M", -1, 2, 1e-6),
    "bits_an_image": Metric("latent of an image", "kbit", -1, 1, 1e-3),
    "seconds_an_image": Metric("time an image", "ms", -1, 2, 1e3),
    "pretrained_images": Metric("images seen by pretrained parts", "thousand", -1, 0, 1e-3),
    "teachers_images": Metric("images seen by its teachers", "thousand", -1, 0, 1e-3),
    "trained_images": Metric("images trained on", "thousand", -1, 1, 1e-3),
    "codes_used": Metric("codes used", "%", +1, 1, 100.0),
    "perplexity": Metric("perplexity of the codes", "codes", +1, 1),
}
"""Names in ``evaluation.json`` -> how a table shows them. ``lpips`` and ``rfid`` appear only where
the real networks measured. A metric of one's own gets a line before a table shows it.
"""


@dataclass(frozen=True)
class Measurement:
    """One figure: ``value`` with its bootstrap 95 % interval over ``n`` images, and how it was
    measured (``protocol``).

    ``value`` None means not available, and ``protocol`` says why. ``low`` and ``high`` are None
    where no interval exists."""

    value: float | None
    n: int = 0
    protocol: str = ""
    low: float | None = None
    high: float | None = None
    details: dict[str, Any] = field(default_factory=dict)

    @classmethod
    def missing(cls, why: str) -> "Measurement":
        """Not available for this row or this data."""
        return cls(None, protocol=why)


@dataclass(frozen=True)
class Row:
    """One subject of the table: ``subject`` says which weights were measured, ``measurements``
    metric -> figure.
    """

    name: str
    subject: str
    measurements: dict[str, Measurement]

    def value(self, metric: str) -> float | None:
        """The row's figure; None where it has none."""
        found = self.measurements.get(metric)
        return found.value if found else None


@dataclass(frozen=True)
class Comparison:
    """Row ``a`` minus row ``b`` on the same images: paired bootstrap of the difference, in the
    metric's own unit.
    """

    metric: str
    a: str
    b: str
    difference: float
    low: float
    high: float

    @property
    def verdict(self) -> str:
        """ "better", "worse" or "no difference" of ``a``, at the 95 % level."""
        return METRICS[self.metric].verdict((self.low > 0) - (self.high < 0))


@dataclass(frozen=True)
class EvaluationRecord:
    """``records/evaluation.json``: rows in the order of the table, comparisons, and where all of it
    comes from.
    """

    run: str
    preset: str
    data: str
    split: str
    n_train: int
    n_test: int
    seed: int
    rows: list[Row]
    comparisons: list[Comparison]
    notes: list[str]
    seconds: float
    provenance: Provenance


OF_TOKENS = ("answers", "answers_latent", "answers_both", "mmvp_pairs", "mmvp_questions")
"""What a language model makes of an image's tokens: of those that it reads, and MMVP."""
OF_KINDS = tuple(f"answers_{kind}" for kind in ASKED_KINDS)
ANSWERS = (*OF_TOKENS, *OF_KINDS)

FOLLOWING = tuple(name for name in METRICS if name.startswith("follows_"))
"""Does an image show what its prompt says? By category."""

OF_DRAWINGS = ("geneval", "wise", "follows_all", "captions_all", "edits", "edit_background")
"""What a language model draws on a latent, and what it edits."""
OF_BOUNDS = tuple(f"{name}_{end}" for name in BOUNDED for end in ("chance", "best"))
OF_TASKS = tuple(f"geneval_{task}" for task in DRAWN_TASKS)
OF_EDITS = tuple(f"edits_{kind}" for kind in EDIT_KINDS)
DRAWN = (*(name for name in OF_DRAWINGS if name not in FOLLOWING), *OF_BOUNDS, *OF_TASKS, *OF_EDITS)

COSTS = (
    *("pretrained_images", "teachers_images", "trained_images", "parameters", "bits_an_image"),
    *("seconds_an_image", "codes_used", "perplexity"),
)
"""What a row of Table 1 costs, and how it uses its codes."""


@dataclass(frozen=True)
class GenerationRecord:
    """``records/generation.json``: rows are generators on unlike latents, then real images and
    chance.

    ``convergence``: row's name -> [steps, Fréchet distance] along training, on ``n_convergence``
    images without guidance. ``reconstruction``: row's name -> Fréchet distance of the tokenizer's
    own reconstructions. ``copies``: row's name -> share of samples nearer to a training latent than
    99 % of unseen images. ``background_psnr``: dB outside the mask of edits, against the
    tokenizer's reconstruction of the same images. ``seconds_an_image``: of sampling one at a time.
    """

    run: str
    preset: str
    data: str
    tokenizers: str
    denoiser: str
    seed: int
    steps: int
    batch_size: int
    images: int
    guidance: float
    sampling_steps: int
    n_test: int
    n_convergence: int
    rows: list[Row]
    comparisons: list[Comparison]
    convergence: dict[str, list[list[float]]]
    reconstruction: dict[str, float]
    copies: dict[str, float]
    background_psnr: dict[str, float]
    seconds_an_image: float
    notes: list[str]
    provenance: Provenance


SIGNIFICANT = 0.05
"""False discovery rate of a study's verdicts."""


@dataclass(frozen=True)
class StudyCell:
    """One metric of one row of a study: mean over seeds with its 95 % interval, and each seed's own
    value.

    ``difference``: this row minus the one it is compared with, mean over seeds, with its interval;
    None in the first row and where it cannot be formed. Intervals are Student's over three seeds
    or more, and resample images below that; they are None for figures that are not means over
    images, or whose values an image were not kept. ``p``: of no difference, adjusted together
    with those of the metrics that the study's page shows; None below three seeds."""

    value: float
    low: float | None
    high: float | None
    by_seed: list[float]
    difference: float | None = None
    difference_low: float | None = None
    difference_high: float | None = None
    differences_by_seed: list[float] = field(default_factory=list)
    p: float | None = None

    @property
    def direction(self) -> str:
        """ "lower", "higher" or "same" than the other row: both ends of the interval and every seed
        must agree, at an adjusted p below 0.05; without an interval nothing can be told.
        """
        ends = [end for end in (self.difference_low, self.difference_high) if end is not None]
        if not ends or (self.p is not None and self.p >= SIGNIFICANT):
            return "same"
        signs = {(each > 0) - (each < 0) for each in [*ends, *self.differences_by_seed]}
        return {frozenset({1}): "higher", frozenset({-1}): "lower"}.get(frozenset(signs), "same")

    def meets(self, expectation: str) -> bool | None:
        """Whether the cell is what a row of the study expects: a direction, or "below NUMBER" for
        every seed. None where that is open: no difference that can be told is not none.
        """
        word, _, number = expectation.partition(" ")
        if word == "below":
            beyond = self.low is not None and self.low >= float(number)
            return True if max(self.by_seed) < float(number) else False if beyond else None
        return None if self.direction == "same" else self.direction == expectation


@dataclass(frozen=True)
class StudyRow:
    """One row of a study. ``words``: what it changes; ``paper``: what the paper says of it;
    ``expects``: metric -> what this means: a direction ("lower", "higher", "same"), or "below
    NUMBER"; ``failures``: seeds that did not finish, and why; ``figures``: metric -> what the paper
    reports, in the unit of tables; ``against``: the row it is compared with, "" for the first."""

    name: str
    words: str
    parameters: dict[str, Any]
    paper: str
    expects: dict[str, str]
    cells: dict[str, StudyCell]
    failures: list[str] = field(default_factory=list)
    seconds: float = 0.0
    figures: dict[str, float] = field(default_factory=dict)
    against: str = ""

    @property
    def outcome(self) -> str:
        """ "reproduced", "in part", "the other way", "open" (too little to tell), "failed", or ""
        where the paper says nothing.
        """
        if not self.cells:
            return "failed"
        met = [
            self.cells[metric].meets(want)
            for metric, want in self.expects.items()
            if metric in self.cells
        ]
        if not met:
            return ""
        if any(met):
            return "reproduced" if all(met) else "in part"
        return "the other way" if False in met else "open"


@dataclass(frozen=True)
class StudyRecord:
    """``records/ablations.json``: the rows in the order of the study's file, the first being what
    others are compared with.
    """

    study: str
    preset: str
    data: str
    seeds: list[int]
    n_test: int
    rows: list[StudyRow]
    commits: list[str]
    provenance: Provenance


@dataclass(frozen=True)
class VariantRow:
    """One attention of `block_variants`: ``parameters`` of one block. ``forbidden``: the
    largest absolute gradient, over all tasks, weights and both settings of the trunk, where the
    routing table allows none; ``pairs``: how many (task, weight) pairs that were. ``time``: forward
    and backward against the plain block."""

    name: str
    words: str
    parameters: int
    forbidden: float
    pairs: int
    time: float


@dataclass(frozen=True)
class AttentionProfile:
    """One network's attention as tables (layers, heads), means over images.

    ``distance``: mean attention distance, share of the image's diagonal. ``entropy``: nats.
    ``auc``, ``iou``, ``pointing``: against object masks. ``kl`` (nats) and ``rank``: against the
    teacher. None where it was not measured."""

    name: str
    role: str
    grid: tuple[int, int]
    distance: list[list[float]]
    entropy: list[list[float]]
    auc: list[list[float]] | None = None
    iou: list[list[float]] | None = None
    pointing: list[list[float]] | None = None
    kl: list[list[float]] | None = None
    rank: list[list[float]] | None = None

    def mean(self, measure: str) -> float | None:
        """Over layers and heads; None where it was not measured."""
        values = [
            value for heads in getattr(self, measure) or [] for value in heads if value == value
        ]
        return sum(values) / len(values) if values else None


@dataclass(frozen=True)
class AttentionRecord:
    """``records/attention.json``. ``nearness_auc``: what attention scores that knows only how near
    two patches are.
    """

    run: str
    preset: str
    data: str
    overrides: str
    n: int
    profiles: list[AttentionProfile]
    nearness_auc: float | None
    seconds: float
    provenance: Provenance
