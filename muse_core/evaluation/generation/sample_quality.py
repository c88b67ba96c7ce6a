"""How near generated images are to real ones as a set; prompts are judged by `prompt_following`."""

from collections.abc import Callable, Sequence
from functools import partial

import torch
from torch import Tensor

from muse_core.evaluation.reconstruction.frechet import measured_frechet
from muse_core.evaluation.reconstruction.metric_networks import JUDGE, MetricNetworks
from muse_core.evaluation.reconstruction.pixel_metrics import eight_bits
from muse_core.generation.pipeline import MusePipeline
from muse_core.results.measurements import Comparison, Measurement, Row
from muse_core.shapes import Float, Images

AT_ONCE = 64
Features = Float[Tensor, "images width"]
PROTOCOLS = {
    metric: f"Fréchet distance of {features}, generated against held-out images, 8 bits"
    for metric, features in {
        "fd_judge": f"mean features of {JUDGE}; not FID",
        "gfid": "Inception-v3 pool features (torch-fidelity's weights)",
    }.items()
}


@torch.no_grad()
def draw(
    pipeline: MusePipeline,
    captions: Sequence[str],
    seed: int,
    guidance_scale: float,
    num_inference_steps: int,
    told: Callable[[int], object] = lambda count: None,
) -> Images:
    """One image a caption, on the CPU; image i depends on the seed, on i and on its caption alone.

    Args:
        pipeline: The generator.
        captions: Prompts.
        seed: Of the noise.
        guidance_scale: As `MusePipeline.sample`, like the number of steps.
        num_inference_steps: From noise to image.
        told: Hears how many more images are done.
    """
    images = []
    for first in range(0, len(captions), AT_ONCE):
        part = list(captions[first : first + AT_ONCE])
        seeds = [seed * 1_000_003 + first + at for at in range(len(part))]
        generators = [torch.Generator().manual_seed(each) for each in seeds]
        latents = pipeline.sample(part, guidance_scale, num_inference_steps, generators)
        images.append(pipeline.to_images(latents).float().cpu())
        told(len(part))
    return torch.cat(images)


@torch.no_grad()
def set_features(networks: MetricNetworks, images: Images) -> dict[str, Features]:
    """What the Fréchet distances compare, one vector an image.

    Args:
        networks: A judge, and Inception where its weights are on this machine.
        images: (images, 3, height, width) in [0, 1], rounded to 8 bits here.

    Returns:
        "fd_judge": mean features of the judge; "gfid": Inception-v3's pool features.
    """
    measures = {"fd_judge": lambda part: networks.judge(part).mean(1)}
    if (inception := networks.inception) is not None:
        measures["gfid"] = lambda part: inception((part * 255).round().to(torch.uint8))
    device = next(networks.teacher.parameters()).device
    parts = [eight_bits(part).to(device) for part in images.split(AT_ONCE)]
    return {
        metric: torch.cat([measure(part).float().cpu() for part in parts])
        for metric, measure in measures.items()
    }


def frechet_distances(
    real: dict[str, Features], other: dict[str, Features], seed: int = 0
) -> dict[str, Measurement]:
    """Metric -> distance of two sets of images, as `set_features` describes them."""
    measured = partial(measured_frechet, seed=seed)
    return {name: measured(real[name], other[name], PROTOCOLS[name]) for name in real}


def independent_difference(metric: str, a: Row, b: Row) -> Comparison:
    """Row ``a`` minus row ``b``; its interval from the two rows' own, taken as independent.

    Without an interval in both nothing is told apart.
    """
    first, second = a.measurements[metric], b.measurements[metric]
    difference = (first.value or 0.0) - (second.value or 0.0)
    half = (_half(first) ** 2 + _half(second) ** 2) ** 0.5
    return Comparison(metric, a.name, b.name, difference, difference - half, difference + half)


def _half(found: Measurement) -> float:
    """Half of the interval's width; infinite where there is none."""
    if found.low is None or found.high is None:
        return float("inf")
    return (found.high - found.low) / 2
