"""How good generated images are: near the real ones as a set, and true to their prompts one by one."""

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from functools import cached_property

import numpy as np
import torch
from torch import Tensor

from muse_core.evaluation.generation.precision_recall import (
    NEIGHBOURS,
    precision_recall,
)
from muse_core.evaluation.generation.prompt_following import prompt_following
from muse_core.evaluation.intervals import around, half_sample_errors, interval
from muse_core.evaluation.reconstruction.frechet import biased, frechet_distance
from muse_core.evaluation.reconstruction.metric_networks import MetricNetworks
from muse_core.evaluation.reconstruction.pixel_metrics import eight_bits
from muse_core.foundations.scene_detector import SceneDetector
from muse_core.generation.pipeline import MusePipeline
from muse_core.results.measurements import Measurement
from muse_core.shapes import Float, Images

AT_ONCE = 64
Features = Float[Tensor, "images width"]
Told = Callable[[int], None]
"""Told how many more images are done."""


@dataclass(frozen=True)
class Judges:
    """``networks`` compare sets of images; ``detector`` reads drawn scenes, None where no judge
    for the data exists.
    """

    networks: MetricNetworks
    detector: SceneDetector | None = None


@dataclass(frozen=True)
class RealImages:
    """Held-out images with the captions that generators are asked for, and the features of the
    judges, made once.
    """

    images: Images
    captions: tuple[str, ...]
    judges: Judges

    @cached_property
    def teacher(self) -> Features:
        return teacher_features(self.images, self.judges)

    @cached_property
    def inception(self) -> Features | None:
        return inception_features(self.images, self.judges)


@torch.no_grad()
def draw(
    pipeline: MusePipeline,
    captions: Sequence[str],
    seed: int,
    guidance_scale: float,
    num_inference_steps: int,
    told: Told = lambda count: None,
) -> Images:
    """One image a caption, on the CPU; image i depends on the seed, on i and on its caption alone."""
    images = []
    for first in range(0, len(captions), AT_ONCE):
        part = list(captions[first : first + AT_ONCE])
        generators = [
            torch.Generator().manual_seed(seed * 1_000_003 + first + i) for i in range(len(part))
        ]
        latents = pipeline.sample(part, guidance_scale, num_inference_steps, generators)
        images.append(pipeline.to_images(latents).float().cpu())
        told(len(part))
    return torch.cat(images)


def generation_measurements(
    images: Images, real: RealImages, seed: int = 0
) -> dict[str, Measurement]:
    """gFID where Inception is there, the Fréchet distance in the teacher's features always,
    precision, recall, and prompt following where there is a detector; ``images`` were drawn for
    ``real.captions``, in order."""
    judges = real.judges
    teacher = teacher_features(images, judges)
    found = {
        "fd_teacher": frechet(
            real.teacher, teacher, "mean features of the topology teacher; not FID", seed
        )
    }
    inception = inception_features(images, judges)
    if inception is not None and real.inception is not None:
        found["gfid"] = frechet(
            real.inception, inception, "Inception-v3 pool features (torch-fidelity's weights)", seed
        )
    found |= _precision_recall(real.teacher, teacher, seed)
    if judges.detector is not None:
        followed = prompt_following(judges.detector, images, list(real.captions), seed)
        found |= {f"follows_{category}": measured for category, measured in followed.items()}
    return found


def frechet(real: Features, other: Features, words: str, seed: int) -> Measurement:
    """Fréchet distance with a normal bootstrap interval over both sets of images."""
    value, width = frechet_distance(real, other), real.shape[1]
    n = min(len(real), len(other))
    resampled = lambda i: frechet_distance(
        real[torch.from_numpy(np.asarray(i))], other[torch.from_numpy(np.asarray(i))]
    )
    ends = interval(resampled, n, seed, 100, about=value)
    few = f"; biased upwards: {n} images for {width} features" if biased(n, width) else ""
    low, high = (max(0.0, ends[0]), ends[1]) if ends else (None, None)
    return Measurement(
        value,
        n,
        f"Fréchet distance of {words}, generated against held-out images, 8 bits{few}",
        low,
        high,
    )


def _precision_recall(real: Features, other: Features, seed: int) -> dict[str, Measurement]:
    """With intervals by half samples where each half has neighbours enough."""
    words = (
        f"Kynkäänniemi et al. 2019, {NEIGHBOURS} neighbours, mean features of the topology teacher"
    )
    n, values = min(len(real), len(other)), precision_recall(real, other)
    errors: Sequence[float | None] = (None, None)
    if n // 2 > NEIGHBOURS:
        errors = half_sample_errors(lambda i: precision_recall(real[i], other[i]), n, seed)
    return {
        name: _share(float(value), error, n, words)
        for name, value, error in zip(("precision", "recall"), values, errors, strict=True)
    }


def _share(value: float, error: float | None, n: int, words: str) -> Measurement:
    if error is None:
        return Measurement(value, n, words)
    low, high = around(value, error)
    return Measurement(
        value, n, f"{words}; interval by half samples", max(0.0, low), min(1.0, high)
    )


@torch.no_grad()
def teacher_features(images: Images, judges: Judges) -> Features:
    """Mean patch features of the topology teacher, one vector an image."""
    teacher = judges.networks.teacher
    device = next(teacher.parameters()).device
    return torch.cat(
        [
            teacher.features(eight_bits(part).to(device)).mean(1).cpu()
            for part in images.split(AT_ONCE)
        ]
    )


@torch.no_grad()
def inception_features(images: Images, judges: Judges) -> Features | None:
    """Inception-v3's pool features, or None where its weights are not on this machine."""
    network = judges.networks.inception
    if network is None:
        return None
    device = next(network.parameters()).device
    parts = [
        network((eight_bits(part) * 255).to(device, torch.uint8)) for part in images.split(AT_ONCE)
    ]
    return torch.cat([part.float().cpu() for part in parts])
