"""What a generator on some latents draws, and how good it is, in one go."""

from dataclasses import dataclass
from typing import Any

from muse_core import paths
from muse_core.config.preset import Preset
from muse_core.evaluation.generation.prompt_following import prompt_following
from muse_core.evaluation.generation.sample_quality import draw, frechet_distances, set_features
from muse_core.evaluation.protocol import Protocol
from muse_core.foundations.scene_detector import load_scene_detector
from muse_core.generation.pipeline import GUIDANCE, MusePipeline
from muse_core.results.measurements import Measurement
from muse_core.shapes import Images


@dataclass(frozen=True)
class Drawn:
    """``images`` as they were drawn from the captions of the first test images, and what was
    measured on them.
    """

    images: Images
    measurements: dict[str, Measurement]


def generated_from(
    pipeline: MusePipeline, protocol: Protocol, preset: Preset, guidance: float = GUIDANCE
) -> Drawn:
    """Draw an image for each caption, and hold them to the real ones and to their prompts.

    Args:
        pipeline: The generator.
        protocol: Its test images and seed; their captions, told in full, are the prompts.
        preset: Says how many images, and in how many steps.
        guidance: As `MusePipeline.sample` takes it.
    """
    test = protocol.test.described()
    real = test.first(min(preset.generated_images, len(test)))
    images = draw(pipeline, real.captions, protocol.seed, guidance, preset.sampling_steps)
    of_real, of_drawn = (set_features(protocol.networks, each) for each in (real.images, images))
    found = frechet_distances(of_real, of_drawn, protocol.seed)
    found["gfd_judge"] = found.pop("fd_judge")
    if test.name == "scenes":
        folder = paths.foundations("tiny") / "scene_detector"
        detector: Any = load_scene_detector(folder)
        detector = detector.to(pipeline.device)
        followed = prompt_following(detector, images, real.captions, protocol.seed)
        found |= {f"follows_{category}": each for category, each in followed.items()}
    return Drawn(images, found)
