"""A row of what a language model draws, by its name: a latent's generator, projector and drawer,
trained where they have to be, and what comes of prompts, riddles and instructions.
"""

from collections.abc import Sequence
from dataclasses import dataclass, fields, replace
from functools import cached_property
from typing import Any

import torch
from torch import Tensor

from muse_core.config.preset import Preset
from muse_core.data.scenes import SceneParameters, Scenes
from muse_core.errors import MuseError
from muse_core.evaluation.generation.edits_done import (
    EditCase,
    GivenBack,
    edit_cases,
    edit_hits,
    measured_edits,
)
from muse_core.evaluation.generation.prompt_following import prompt_following
from muse_core.evaluation.generation.prompts_drawn import (
    geneval_by_chance,
    geneval_hits,
    measured_geneval,
    measured_riddles,
    riddle_hits,
    riddles_by_chance,
    scenes_of,
)
from muse_core.evaluation.trained_row import TableOneRow, table_one_row
from muse_core.evaluation.understanding.sights import BOTH, OF_LATENT, sight_of
from muse_core.foundations.language_model import LanguageModel
from muse_core.foundations.scene_detector import SceneDetector
from muse_core.generation.codecs import Codec
from muse_core.generation.generation_run import OWN, GenerationRun, OpenedGeneration
from muse_core.generation.pipeline import GUIDANCE, MusePipeline
from muse_core.results.measurements import BOUNDED, Measurement
from muse_core.shapes import Images
from muse_core.training.system_run import SystemRun
from muse_core.training.trainer import StageResult
from muse_core.unified.draw_task import Reader
from muse_core.unified.drawer import Drawer, SeenImage
from muse_core.unified.drawing_connector import DrawingConnector
from muse_core.unified.drawing_run import DrawingParts, DrawingRun
from muse_core.unified.drawing_sampler import DrawingSampler
from muse_core.unified.language_run import LanguageRun
from muse_core.unified.scene_prompts import ScenePrompts, scene_prompts
from muse_core.unified.sight import Sight
from muse_core.unified.wise import KnowledgePrompt, scene_riddles

AT_ONCE = 48
NAMED = ("run", "preset", "data", "overrides", "seed", "device", "resume", "fresh")


@dataclass(frozen=True)
class DrawingRow:
    """What a language model draws with, all trained.

    Args:
        row: The tokenizer.
        captions: 08's generator on its latents, which reads captions by a CLIP text tower.
        codec: Latents and images.
        sight: Sees an image that is edited.
        reader: Frozen: language model, projector, scale of the latents.
        drawer: Trained.
        results: Of all trainings after the tokenizer's, by what was trained.
    """

    row: TableOneRow
    captions: MusePipeline
    codec: Codec
    sight: Sight
    reader: Reader
    drawer: Drawer
    results: dict[str, StageResult]

    @cached_property
    def sampler(self) -> DrawingSampler:
        return DrawingSampler(self.reader.language_model, self.drawer, self.reader.normalisation)

    def draw(self, prompts: Sequence[str], seed: int, steps: int) -> Images:
        """An image a prompt, on the CPU; each by noise of its own."""
        parts = []
        for start in range(0, len(prompts), AT_ONCE):
            said = list(prompts[start : start + AT_ONCE])
            generators = _noises(seed, start, len(said))
            found = self.sampler.latents(said, None, GUIDANCE, steps, generators)
            parts.append(self.codec.decode(found).clamp(0, 1).float().cpu())
        return torch.cat(parts)

    def edit(
        self, cases: Sequence[EditCase], seed: int, steps: int, told: Sequence[str] = ()
    ) -> Images:
        """The image of each case, changed as its instruction says, on the CPU.

        Args:
            cases: Their images.
            seed: Of the noise.
            steps: From noise to image.
            told: Other instructions, one a case.
        """
        told, parts = told or [case.edit.instruction for case in cases], []
        for start in range(0, len(cases), AT_ONCE):
            of = cases[start : start + AT_ONCE]
            seen = self.see(of)
            said, generators = told[start : start + AT_ONCE], _noises(seed, start, len(of))
            found = self.sampler.latents(said, seen, GUIDANCE, steps, generators)
            parts.append(self.codec.decode(found).clamp(0, 1).float().cpu())
        return torch.cat(parts)

    @torch.no_grad()
    def given_back(self, images: Images) -> Images:
        """Encoded and decoded, on the CPU."""
        parts = [
            self.codec.decode(self.codec.encode(some.to(self.codec.device))).clamp(0, 1)
            for some in images.split(AT_ONCE)
        ]
        return torch.cat(parts).float().cpu()

    @torch.no_grad()
    def see(self, cases: Sequence[EditCase]) -> SeenImage:
        """Images before their edits as the language model reads them, and their latents.

        Raises:
            MuseError: There is no projector.
        """
        if self.reader.projector is None:
            raise MuseError("No projector makes words of images: train one first (notebook 10).")
        joined: dict[str, Any] = {
            each.name: torch.cat([getattr(case.edit.before, each.name) for case in cases])
            for each in fields(SceneParameters)
        }
        before = torch.stack([case.before for case in cases])
        tokens, grid = self.sight.see(SceneParameters(**joined), before.shape[-1])
        tokens = tokens.to(self.codec.device)
        latents = self.codec.encode(before.to(self.codec.device))
        return SeenImage(self.reader.projector(tokens, grid), latents)


def _noises(seed: int, start: int, count: int) -> list[torch.Generator]:
    return [torch.Generator().manual_seed(seed * 1_000_003 + start + at) for at in range(count)]


def drawing_row(named: SystemRun, model: LanguageModel) -> DrawingRow:
    """Train what a row needs; at once, where this very configuration is trained already.

    Args:
        named: As `table_one_row` takes it.
        model: The language model that is listened to; stays as it is.

    Raises:
        MuseError: As `table_one_row` and `DrawingConnector.check`; or the network has no latent.
    """
    preset = named.load_preset()
    # Before hours of training, not after them.
    DrawingConnector.check(model, preset.drawing_connector.layers)
    row = table_one_row(named)
    extractor, given = row.extractor, {name: getattr(named, name) for name in NAMED}
    if not extractor.has_latent:
        raise MuseError(f"{named.system} has no latent, and nothing can be drawn on it.")
    codec = Codec(extractor.network)
    generation = GenerationRun(latents=OWN, **given)
    generated = OpenedGeneration(generation, preset, codec)
    captions = generated.trainer().fit()
    pipeline: MusePipeline = captions.network
    try:
        tokens, sight = BOTH, sight_of(extractor, BOTH)
    except MuseError:
        tokens, sight = OF_LATENT, sight_of(extractor, OF_LATENT)
    language = LanguageRun(tokens=tokens, **given).open(preset.language, model, sight)
    asked = language.asked("train", preset.language.images)
    projector = language.trainer(asked).fit()
    reader = Reader(
        language.language_model,
        pipeline.normalisation,
        projector.network,
        asked.grid,
        pipeline.text,
    )
    # Where the first stage leaves the denoiser alone, it has to be one that can draw.
    alone = not preset.drawing[0].moves_denoiser
    denoiser = pipeline.transformer if alone else generated.denoiser()
    parts = DrawingParts(codec, sight, reader, denoiser)
    drawn = DrawingRun(**given).open(parts).fit()
    results = {"captions": captions, "projector": projector}
    results |= {each.record.stage: each for each in drawn}
    drawer = drawn[-1].network.requires_grad_(False)
    return DrawingRow(row, pipeline, codec, sight, reader, drawer, results)


@dataclass(frozen=True)
class DrawingTests:
    """What is asked for, with scenes that are what was asked for, in the same order."""

    geneval: ScenePrompts
    riddles: tuple[KnowledgePrompt, ...]
    captions: tuple[str, ...]
    edits: tuple[EditCase, ...]
    real: "Drawings"

    @classmethod
    def of(cls, split: str, preset: Preset, each: int) -> "DrawingTests":
        """Read off the first scenes of a split.

        Args:
            split: Of the scenes.
            preset: Says how many captions, and of what size images are.
            each: Prompts of every task of GenEval, edits of every kind, and thrice as many riddles.

        Raises:
            MuseError: The split has too few scenes.
        """
        source = Scenes(split, preset.image_size).described()
        prompts, cases = scene_prompts(source, each), edit_cases(source, each)
        riddles = scene_riddles(3 * each)
        some = source.first(preset.generated_images)
        real = Drawings(
            source.__getitems__(list(prompts.scenes)).images,
            scenes_of(riddles, source),
            some.images,
            torch.stack([case.after for case in cases]),
        )
        return cls(prompts, tuple(riddles), some.captions, tuple(cases), real)


@dataclass(frozen=True)
class Drawings:
    """Images in the order of `DrawingTests`, (tests, 3, size, size) in [0, 1]."""

    geneval: Tensor
    riddles: Tensor
    captions: Tensor
    edits: Tensor


def drawings(row: DrawingRow, tests: DrawingTests, seed: int, steps: int) -> Drawings:
    """What a row makes of the tests; every prompt by noise of its own."""
    said = [prompt.prompt for prompt in tests.geneval.prompts]
    return Drawings(
        row.draw(said, seed, steps),
        row.draw([riddle.prompt for riddle in tests.riddles], seed, steps),
        row.draw(tests.captions, seed, steps),
        row.edit(tests.edits, seed, steps),
    )


def judged(
    detector: SceneDetector,
    tests: DrawingTests,
    images: Drawings,
    given_back: GivenBack | None = None,
    seed: int = 0,
) -> dict[str, Measurement]:
    """Every figure of drawn and edited images.

    Args:
        detector: The judge, which no loss has used.
        tests: What was asked for.
        images: What came.
        given_back: As `measured_edits` takes it.
        seed: Of the bootstrap.
    """
    followed = prompt_following(detector, images.captions, tests.captions, seed)
    return {
        **measured_geneval(detector, images.geneval, tests.geneval.prompts, seed),
        **measured_riddles(detector, images.riddles, tests.riddles, seed),
        **{f"follows_{name}": each for name, each in followed.items()},
        **measured_edits(detector, images.edits, tests.edits, given_back, seed),
    }


def given_back_edits(row: DrawingRow, tests: DrawingTests) -> GivenBack:
    """What the row's tokenizer makes of the images before and after the edits."""
    whole = GivenBack.whole(tests.edits)
    return GivenBack(row.given_back(whole.before), row.given_back(whole.after))


def bounds(
    row: DrawingRow,
    detector: SceneDetector,
    tests: DrawingTests,
    images: Drawings,
    given_back: GivenBack,
    seed: int,
    steps: int,
) -> dict[str, Measurement]:
    """Between what a row's shares lie: by chance, by its own images for other prompts and by its
    own edits of the same images told another instruction; and at best, by scenes that are what was
    asked for, encoded and decoded.
    """
    said = [case.edit.instruction for case in tests.edits]
    others = row.edit(tests.edits, seed, steps, [_another(said, at) for at in range(len(said))])
    prompts = tests.geneval.prompts
    told = measured_edits(detector, others, tests.edits, given_back)["edits"]
    words = f"told the instruction of another edit, {told.protocol}"
    best = {
        **measured_geneval(detector, row.given_back(tests.real.geneval), prompts),
        **measured_riddles(detector, row.given_back(tests.real.riddles), tests.riddles),
        **measured_edits(detector, given_back.after, tests.edits, given_back),
    }
    return {
        **geneval_by_chance(detector, images.geneval, prompts),
        **riddles_by_chance(detector, images.riddles, tests.riddles),
        "edits_chance": replace(told, protocol=words),
        **{
            f"{name}_best": replace(best[name], protocol=f"scenes, encoded and decoded: {words}")
            for name in BOUNDED
            for words in [best[name].protocol]
        },
    }


def _another(said: Sequence[str], at: int) -> str:
    """The next instruction in other words."""
    return next((each for each in [*said[at:], *said[:at]] if each != said[at]), said[at])


def of_captions_denoiser(
    detector: SceneDetector, tests: DrawingTests, images: Images, seed: int = 0
) -> dict[str, Measurement]:
    """What 08's generator, on the same latents, makes of the same captions."""
    found = prompt_following(detector, images, tests.captions, seed)["all"]
    return {"captions_all": replace(found, protocol=f"{found.protocol}; from a CLIP text tower")}


def shown_first(
    tests: DrawingTests, images: Drawings, given_back: GivenBack | None = None
) -> dict[str, Images]:
    """Strips for a page, equally long: what was drawn of the first prompt of each task and of the
    first riddle; of the first edit of each kind the image before, what was asked for, and what
    came; and the first two as the tokenizer gives them back, where there is one.
    """
    of_tasks, of_edits = _firsts(tests)
    whole = GivenBack.whole([tests.edits[at] for at in of_edits])
    strips = {
        "drawn": torch.cat([images.geneval[of_tasks], images.riddles[:1]]),
        "before": whole.before,
        "asked": whole.after,
        "edited": images.edits[of_edits],
    }
    if given_back is None:
        return strips
    before, after = given_back.before[of_edits], given_back.after[of_edits]
    return strips | {"before-given-back": before, "asked-given-back": after}


def asked_first(tests: DrawingTests) -> tuple[list[str], list[str]]:
    """The words for what `shown_first` shows: prompts, and instructions."""
    of_tasks, of_edits = _firsts(tests)
    prompts = [tests.geneval.prompts[at].prompt for at in of_tasks]
    said = [tests.edits[at].edit.instruction for at in of_edits]
    return [*prompts, tests.riddles[0].prompt], said


def right_first(
    detector: SceneDetector,
    tests: DrawingTests,
    drawn: Images,
    edited: Images,
    given_back: GivenBack | None = None,
) -> tuple[list[bool], list[bool]]:
    """Of the strips of `shown_first`, which images are what was asked for."""
    of_tasks, of_edits = _firsts(tests)
    prompts, cases = tests.geneval.prompts, tests.edits
    hits = geneval_hits(detector, drawn[: len(of_tasks)], [prompts[at] for at in of_tasks])
    hits += riddle_hits(detector, drawn[len(of_tasks) :], tests.riddles[:1])
    return hits, edit_hits(detector, edited, [cases[at] for at in of_edits], given_back)


def _firsts(tests: DrawingTests) -> tuple[list[int], list[int]]:
    """Places of the first prompt of each task, and of the first edit of each kind."""
    tasks: dict[str, int] = {}
    kinds: dict[str, int] = {}
    for at, prompt in enumerate(tests.geneval.prompts):
        tasks.setdefault(prompt.task, at)
    for at, case in enumerate(tests.edits):
        kinds.setdefault(case.edit.kind, at)
    return list(tasks.values()), list(kinds.values())
