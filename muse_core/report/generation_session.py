"""What notebook 08 does around its story: trains denoisers on several latents alike, draws,
measures, writes the record.
"""

import sys
import time
from collections.abc import Sequence
from dataclasses import dataclass, field
from typing import Any

import torch
from tqdm import tqdm

from muse_core import paths
from muse_core.config.parameters import GenerationParameters
from muse_core.config.preset import Preset
from muse_core.config.stage import GenerationStage
from muse_core.data.batch import Source
from muse_core.data.sources import open_source
from muse_core.errors import MuseError
from muse_core.evaluation.generation.memorisation import copies, nearest_training
from muse_core.evaluation.generation.sample_quality import (
    Judges,
    RealImages,
    draw,
    frechet,
    generation_measurements,
    teacher_features,
)
from muse_core.evaluation.reconstruction.frechet import frechet_distance
from muse_core.evaluation.reconstruction.metric_networks import load_metric_networks
from muse_core.evaluation.run_rows import teacher_fingerprint
from muse_core.figures.tables import CHANCE, REAL_IMAGES
from muse_core.foundations.scene_detector import SceneDetector, load_scene_detector
from muse_core.generation.caption_embeddings import context, truncation_notes
from muse_core.generation.denoiser import load_denoiser
from muse_core.generation.generation_run import LATENTS, MUSE, SHARED, GenerationRun, load_codec
from muse_core.generation.latents import StoredLatents
from muse_core.generation.pipeline import MusePipeline
from muse_core.generation.snapshots import snapshots
from muse_core.generation.train_denoiser import GeneratorResult, train_generator
from muse_core.notebook import print_setup, say
from muse_core.results.measurements import (
    FOLLOWING,
    METRICS,
    Comparison,
    GenerationRecord,
    Measurement,
    Row,
)
from muse_core.results.records import provenance, write_json
from muse_core.shapes import Images
from muse_core.training.learner import Progress
from muse_core.training.teachers import load_topology_teacher
from muse_core.training.trainer import accelerator_for

CONVERGENCE_STEPS = 10


@dataclass
class GenerationSession:
    """Generators about to be trained on the latents of several tokenizers, and what was measured so
    far.
    """

    parameters: GenerationParameters
    preset: Preset
    stage: GenerationStage
    runs: dict[str, GenerationRun]
    train: Source
    test: Source
    judges: Judges
    notes: list[str]
    results: dict[str, GeneratorResult] = field(default_factory=dict)
    rows: list[Row] = field(default_factory=list)
    drawn: dict[str, Images] = field(default_factory=dict)
    convergence: dict[str, list[list[float]]] = field(default_factory=dict)
    reconstruction: dict[str, float] = field(default_factory=dict)
    facts: dict[str, Any] = field(default_factory=dict)

    @property
    def n(self) -> int:
        """How many images are drawn and measured."""
        return min(self.parameters.drawn or self.preset.generated_images, len(self.test))

    @property
    def pipeline(self) -> MusePipeline:
        """The generator on MUSE latents."""
        return self.results[MUSE].pipeline

    @property
    def names(self) -> dict[str, str]:
        """Kinds of latents that are compared -> how they are called."""
        return {latents: LATENTS[latents] for latents in self.runs}

    def train_all(self, progress: Progress | None = None) -> None:
        """One denoiser on each kind of latents: same sizes, steps, captions, noise and seed."""
        for latents, run in self.runs.items():
            print(f"{LATENTS[latents]}:", flush=True)
            self.results[latents] = train_generator(run, progress)
            self.results[latents].pipeline.set_progress_bar_config(disable=True)

    def loss_rows(self) -> list[dict[str, float]]:
        """Step by step, the loss of each kind of latents under its name; as far as all were
        trained.
        """
        columns = {LATENTS[latents]: result.rows for latents, result in self.results.items()}
        together = zip(*columns.values(), strict=False)
        return [
            {"step": rows[0]["step"]}
            | {name: row.get("loss/flow_matching") for name, row in zip(columns, rows, strict=True)}
            for rows in together
        ]

    def real(self) -> RealImages:
        """Held-out images and their captions."""
        batch = self.test.first(self.n)
        return RealImages(batch.images, batch.captions, self.judges)

    def measure(self) -> list[Row]:
        """Every generator on the same prompts and noise; then what real images reach, and chance."""
        real = self.real()
        p = self.parameters
        self._note_cut_prompts(real.captions)
        with tqdm(
            total=self.n * len(self.results), unit="image", file=sys.stdout, mininterval=2
        ) as bar:
            for latents, result in self.results.items():
                images = draw(
                    result.pipeline, real.captions, p.seed, p.guidance, p.sampling_steps, bar.update
                )
                self.drawn[latents] = images
                self.reconstruction[LATENTS[latents]] = self._reconstruction(result.pipeline, real)
                found = generation_measurements(images, real, p.seed)
                self.rows.append(Row(LATENTS[latents], result.pipeline.codec.fingerprint, found))
        self.rows += self._references(real)
        return self.rows

    def _note_cut_prompts(self, prompts: Sequence[str]) -> None:
        most = context(self.pipeline.text_encoder)
        cut = truncation_notes(prompts, self.pipeline.tokenizer, most)
        if cut:
            note = f"{len(cut)} of {len(prompts)} prompts have more than the {most} tokens the text tower reads: they are cut."
            self.notes.append(note)
            say(note)

    def _reconstruction(self, pipeline: MusePipeline, real: RealImages) -> float:
        parts = [
            pipeline.to_images(pipeline.to_latents(part.to(pipeline.codec.device)))
            for part in real.images.split(64)
        ]
        return frechet_distance(real.teacher, teacher_features(torch.cat(parts).cpu(), self.judges))

    def _references(self, real: RealImages) -> list[Row]:
        """Other real images (a set's distance), the same images (prompts followed), and real images
        with the prompts of others (chance)."""
        others = teacher_features(self.train.first(self.n).images, self.judges)
        words = "mean features of the topology teacher; not FID"
        found = generation_measurements(real.images, real, self.parameters.seed)
        ceiling = {name: value for name, value in found.items() if name.startswith("follows_")}
        ceiling["fd_teacher"] = frechet(real.teacher, others, words, self.parameters.seed)
        rows = [Row(REAL_IMAGES, self.test.fingerprint, ceiling)]
        if ceiling.keys() - {"fd_teacher"}:
            turned = RealImages(real.images.roll(1, 0), real.captions, self.judges)
            chance = generation_measurements(turned.images, turned, self.parameters.seed)
            kept = {name: value for name, value in chance.items() if name.startswith("follows_")}
            rows.append(Row(CHANCE, self.test.fingerprint, kept))
        return rows

    def follow(self) -> dict[str, list[list[float]]]:
        """Distance to real images along training: every generator's snapshots, without guidance, on
        half of the prompts.
        """
        real, count = self.real(), max(2, self.n // 2)
        half = RealImages(real.images[:count], real.captions[:count], self.judges)
        for latents, result in self.results.items():
            places = snapshots(self.runs[latents].snapshots)
            points = [
                [float(step), self._distance(result, places[step], half)] for step in sorted(places)
            ]
            points.append([float(result.record.steps), self._distance(result, None, half)])
            self.convergence[LATENTS[latents]] = points
        return self.convergence

    def _distance(self, result: GeneratorResult, place: Any, real: RealImages) -> float:
        pipeline = at_snapshot(result.pipeline, place) if place else result.pipeline
        images = draw(pipeline, real.captions, self.parameters.seed, 1.0, CONVERGENCE_STEPS)
        return frechet_distance(real.teacher, teacher_features(images, self.judges))

    def along_training(self, prompts: list[str], seed: int = 0) -> dict[str, Images]:
        """The same prompts and noise after each snapshot on MUSE latents: words -> images."""
        p, result = self.parameters, self.results[MUSE]
        places = snapshots(self.runs[MUSE].snapshots)
        shown = {
            f"step {step:,}": at_snapshot(self.pipeline, place) for step, place in places.items()
        }
        shown[f"step {result.record.steps:,}"] = self.pipeline
        return {
            name: draw(each, prompts, seed, p.guidance, p.sampling_steps)
            for name, each in shown.items()
        }

    def nearest(self, count: int = 6) -> tuple[Images, Images]:
        """Samples on MUSE latents and their nearest training images; notes the share that is
        suspiciously near.
        """
        pipeline, run = self.pipeline, self.runs[MUSE]
        stored = StoredLatents.of(
            pipeline.codec, self.train, self.stage.images, run.home / "latents"
        )
        training = pipeline.normalisation.normalise(stored.latents)
        samples, unseen = (
            _latents(pipeline, images)
            for images in (self.drawn[MUSE], self.test.first(self.n).images)
        )
        found = nearest_training(samples, training)
        self.facts["copies"] = {LATENTS[MUSE]: copies(found, nearest_training(unseen, training))}
        closest = found.distance.argsort()[:count]
        originals = self.train.__getitems__(found.index[closest].tolist()).images
        return self.drawn[MUSE][closest], originals

    def seconds_an_image(self, prompt: str, times: int = 3) -> float:
        """Wall time of one image, sampled alone; the fastest of a few."""
        p, seconds = self.parameters, []
        for _ in range(times):
            began = time.perf_counter()
            self.pipeline(
                prompt, p.guidance, p.sampling_steps, generator=torch.Generator().manual_seed(0)
            )
            seconds.append(time.perf_counter() - began)
        self.facts["seconds_an_image"] = min(seconds)
        return min(seconds)

    def comparisons(self) -> list[Comparison]:
        """MUSE against every other latent, where the intervals of a mean over prompts allow it (see
        `_difference`).
        """
        muse, *others = [row for row in self.rows if row.name in LATENTS.values()]
        return [
            _difference(metric, muse, other)
            for other in others
            for metric in ("fd_teacher", "follows_shape", "follows_colour", "follows_all")
            if metric in muse.measurements and metric in other.measurements
        ]

    def save(self) -> GenerationRecord:
        """Write ``records/generation.json``."""
        p, stage = self.parameters, self.stage
        record = GenerationRecord(
            run=p.run,
            preset=p.preset,
            data=p.data,
            tokenizers=p.tokenizers or p.run,
            denoiser=stage.denoiser,
            seed=p.seed,
            steps=stage.steps,
            batch_size=stage.batch_size,
            images=stage.images,
            guidance=p.guidance,
            sampling_steps=p.sampling_steps,
            n_test=self.n,
            n_convergence=max(2, self.n // 2),
            rows=self.rows,
            comparisons=self.comparisons(),
            convergence=self.convergence,
            reconstruction=self.reconstruction,
            copies=self.facts.get("copies", {}),
            background_psnr=self.facts.get("background_psnr", {}),
            seconds_an_image=round(self.facts.get("seconds_an_image", 0.0), 3),
            notes=[*self.notes, INTERVALS_NOTE],
            provenance=provenance(str(self.pipeline.device)),
        )
        file = write_json(paths.records_folder(p.run) / "generation.json", record)
        print(f"record     {file.relative_to(paths.root())}")
        return record


INTERVALS_NOTE = (
    "Intervals are bootstrap 95 % intervals over prompts and images; they hold for these weights and say nothing about another "
    "training seed. Differences take the two rows as independent."
)


def begin_generation(**parameters: Any) -> GenerationSession:
    """Check the parameters, find the tokenizers, open data and judges, print where and on what it
    runs.

    Raises MuseError, one sentence, for a wrong parameter, a missing tokenizer of the run itself or
    missing data."""
    checked = GenerationParameters.check(**parameters)
    preset, device = checked.load_preset(), accelerator_for(checked.device).device
    runs, notes = _runs(checked)
    train, test = (
        open_source(checked.data, split, preset.image_size).described()
        for split in ("train", "test")
    )
    teacher = load_topology_teacher(preset).to(device).eval()
    networks = load_metric_networks(
        teacher, teacher_fingerprint(preset, teacher), checked.download, device
    )
    stage = runs[MUSE].load_stage()
    print_setup(
        checked.preset,
        str(device),
        data=checked.data,
        images=f"{min(stage.images, len(train)):,} train",
    )
    for note in notes:
        say(note)
    judges = Judges(networks, _detector(checked.data))
    return GenerationSession(checked, preset, stage, runs, train, test, judges, notes)


def _runs(p: GenerationParameters) -> tuple[dict[str, GenerationRun], list[str]]:
    """One run a kind of latents; those without a tokenizer are left out and said so, MUSE's own is
    required.
    """
    shared = dict(
        run=p.run,
        preset=p.preset,
        data=p.data,
        tokenizers=p.tokenizers,
        seed=p.seed,
        steps=p.steps,
        batch_size=p.batch_size,
        images=p.images,
        denoiser=p.denoiser,
        device=p.device,
        resume=p.resume,
        foundations=p.foundations,
        launch=p.launch,
    )
    runs, notes = {}, []
    for latents in LATENTS if p.compare else (MUSE,):
        run = GenerationRun(latents=latents, **shared)
        run.load_stage()
        try:
            load_codec(run)
        except MuseError as error:
            if latents != SHARED:
                raise
            notes.append(f"Without {LATENTS[latents]}: {error}")
            continue
        runs[latents] = run
    return runs, notes


def _detector(data: str) -> SceneDetector | None:
    """The judge of drawn scenes; for photographs there is none."""
    folder = paths.foundations("tiny") / "scene_detector"
    return load_scene_detector(folder) if data == "scenes" and folder.is_dir() else None


def at_snapshot(pipeline: MusePipeline, place: Any) -> MusePipeline:
    """The same pipeline with the denoiser as it was then."""
    denoiser = load_denoiser(place).to(pipeline.device).eval()
    parts = {
        name: getattr(pipeline, name)
        for name in ("vae", "text_encoder", "tokenizer", "scheduler", "normalisation")
    }
    then = MusePipeline(transformer=denoiser, known_words=pipeline.config.known_words, **parts)
    then.set_progress_bar_config(disable=True)
    return then


@torch.no_grad()
def _latents(pipeline: MusePipeline, images: Images) -> torch.Tensor:
    return torch.cat(
        [pipeline.to_latents(part.to(pipeline.codec.device)).cpu() for part in images.split(64)]
    )


def _difference(metric: str, a: Row, b: Row) -> Comparison:
    """a - b; its interval from the two rows' own, taken as independent."""
    first, second = a.measurements[metric], b.measurements[metric]
    difference = first.value - second.value
    half = (_half(first) ** 2 + _half(second) ** 2) ** 0.5
    return Comparison(metric, a.name, b.name, difference, difference - half, difference + half)


def _half(found: Measurement) -> float:
    """Half of the interval's width; infinite where there is none, so that nothing is told apart."""
    return float("inf") if found.low is None or found.high is None else (found.high - found.low) / 2


def followed(row: Row) -> dict[str, tuple[float, float, float]]:
    """Category of prompt following -> value and its interval, for the categories that were
    measured.
    """
    found = {metric.removeprefix("follows_"): row.measurements.get(metric) for metric in FOLLOWING}
    return {
        category: (each.value, each.low or each.value, each.high or each.value)
        for category, each in found.items()
        if each is not None and each.value is not None
    }


def conclusions(record: GenerationRecord) -> list[str]:
    """What the table shows, in sentences that follow its numbers."""
    rows = {row.name: row.measurements for row in record.rows}
    distances = ", ".join(
        f"{name} {rows[name]['fd_teacher'].value:.2f}" for name in record.convergence
    )
    sentences = [
        f"After {record.steps:,} steps the Fréchet distance in the teacher's features is: {distances}."
    ]
    for other in dict.fromkeys(each.b for each in record.comparisons):
        found = [each for each in record.comparisons if each.b == other]
        parts = [f"{METRICS[each.metric].words} {each.verdict}" for each in found]
        sentences.append(f"MUSE latents against {other}, one training seed: {'; '.join(parts)}.")
    return sentences
