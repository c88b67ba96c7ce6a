"""`MusePipeline`: text to image with the conventions of diffusers, whole in one folder."""

import json
import logging
import math
from pathlib import Path
from typing import Any

import torch
from diffusers import DiffusionPipeline, ImagePipelineOutput, SanaTransformer2DModel
from diffusers.image_processor import VaeImageProcessor
from diffusers.utils.torch_utils import randn_tensor
from torch import Tensor, nn
from transformers import CLIPTextModelWithProjection, PreTrainedTokenizerBase

from muse_core.config.stage import MOST_SAMPLING_STEPS
from muse_core.errors import MuseError, shown, unknown
from muse_core.foundations.loading import reading, refuse_pickles
from muse_core.foundations.text_tower import WORDS
from muse_core.generation.caption_embeddings import (
    Conditioning,
    check_words,
    conditioning,
    context,
    truncation_notes,
)
from muse_core.generation.codecs import Codec, codec_of, weights_fingerprint
from muse_core.generation.denoiser import TIMESTEPS, load_denoiser, velocity
from muse_core.generation.latent_normalisation import LatentNormalisation
from muse_core.shapes import Images, Latents

logger = logging.getLogger(__name__)
GUIDANCE, STEPS = 3.0, 20
OUTPUTS = ("pil", "np", "pt")
PARTS = ("vae", "text_encoder", "tokenizer", "transformer", "scheduler", "normalisation")
LIBRARIES = ("diffusers", "transformers", "muse_core")
"""Where parts may come from."""
REMEDY = "give the folder that notebook 08 wrote, or run notebook 08 again"
Generators = torch.Generator | list[torch.Generator] | None


class MusePipeline(DiffusionPipeline):
    """``vae``: the tokenizer (MUSE or DC-AE); ``scheduler``: any flow scheduler of diffusers
    (FlowMatchEuler, DPMSolver).

    ``known_words``: the words of the captions it was trained on, separated by spaces; "" where they
    are open language."""

    model_cpu_offload_seq = "text_encoder->transformer->vae"

    def __init__(
        self,
        vae: nn.Module,
        text_encoder: CLIPTextModelWithProjection,
        tokenizer: PreTrainedTokenizerBase,
        transformer: SanaTransformer2DModel,
        scheduler: Any,
        normalisation: LatentNormalisation,
        known_words: str = "",
    ) -> None:
        super().__init__()
        self.register_modules(
            vae=vae,
            text_encoder=text_encoder,
            tokenizer=tokenizer,
            transformer=transformer,
            scheduler=scheduler,
            normalisation=normalisation,
        )
        self.register_to_config(known_words=known_words)
        self.codec: Codec = codec_of(vae)
        normalisation.require(self.codec.fingerprint)

    @classmethod
    def from_pretrained(cls, location: str | Path, **options: Any) -> "MusePipeline":
        """From a folder that `save_pretrained` wrote, from safetensors alone.

        Raises MuseError where it is absent or damaged, names code, or its parts do not belong
        together."""
        folder = Path(location)
        check_folder(folder, cls.__name__)
        given = {
            "transformer": load_denoiser(folder / "transformer"),
            **options,
            "use_safetensors": True,
        }
        with reading("pipeline", str(folder), REMEDY):
            return super().from_pretrained(str(folder), **given)

    @property
    def latent_shape(self) -> tuple[int, int, int]:
        """(channels, rows, columns) of one image."""
        side = self.transformer.config.sample_size
        return self.transformer.config.in_channels, side, side

    def prompts(self, prompts: list[str], guidance_scale: float) -> Conditioning:
        """Conditioning of the prompts, followed by that of as many empty ones where there is
        guidance.

        Raises MuseError for unknown words.
        """
        check_words(prompts, self.config.known_words.split())
        empty = [""] * len(prompts) if guides(guidance_scale) else []
        return conditioning(self.text_encoder, self.tokenizer, [*prompts, *empty])

    @torch.no_grad()
    def guided_velocity(
        self, latents: Latents, timestep: Tensor, prompts: Conditioning, guidance: float
    ) -> Latents:
        """v of the empty prompt + guidance x (v of the prompt - v of the empty one) (Ho and
        Salimans 2022).
        """
        twice = torch.cat([latents, latents]) if guides(guidance) else latents
        found = velocity(
            self.transformer, twice, (timestep / TIMESTEPS).expand(len(twice)).to(twice), prompts
        )
        if not guides(guidance):
            return found
        with_prompt, without = found.chunk(2)
        return without + guidance * (with_prompt - without)

    def noise(self, count: int, generator: Generators) -> Latents:
        """Where sampling starts: (count, channels, rows, columns). Raises MuseError for another
        number of generators.
        """
        if isinstance(generator, list) and len(generator) not in (1, count):
            raise MuseError(
                f"There are {len(generator)} generators and {count} images: give one for each image, or one."
            )
        return randn_tensor(
            (count, *self.latent_shape), generator=generator, device=self.transformer.device
        )

    @torch.no_grad()
    def sample(
        self,
        prompts: list[str],
        guidance_scale: float = GUIDANCE,
        num_inference_steps: int = STEPS,
        generator: Generators = None,
        latents: Latents | None = None,
    ) -> Latents:
        """Normalised latents of one image a prompt. Raises MuseError for guidance below 0, no steps
        and unknown words.
        """
        check_sampling(guidance_scale, num_inference_steps)
        given = self.prompts(prompts, guidance_scale)
        current = self.noise(len(prompts), generator) if latents is None else latents
        if tuple(current.shape) != (wanted := (len(prompts), *self.latent_shape)):
            raise MuseError(
                f"The latents are {tuple(current.shape)}: give latents of {wanted}, or none."
            )
        self.scheduler.set_timesteps(num_inference_steps, device=current.device)
        for timestep in self.progress_bar(self.scheduler.timesteps):
            found = self.guided_velocity(current, timestep, given, guidance_scale)
            current = self.scheduler.step(found, timestep, current, return_dict=False)[0]
        return current

    def to_images(self, latents: Latents) -> Images:
        """Normalised latents -> images in [0, 1]."""
        return self.codec.decode(self.normalisation.denormalise(latents)).clamp(0, 1)

    def to_latents(self, images: Images) -> Latents:
        """Images in [0, 1] -> normalised latents."""
        return self.normalisation.normalise(self.codec.encode(images))

    def __call__(
        self,
        prompt: str | list[str],
        guidance_scale: float = GUIDANCE,
        num_inference_steps: int = STEPS,
        num_images_per_prompt: int = 1,
        generator: Generators = None,
        latents: Latents | None = None,
        output_type: str = "pil",
    ) -> ImagePipelineOutput:
        """Images of a prompt or a list of prompts; ``output_type`` "pil", "np" or "pt".
        ``generator`` makes them repeatable.

        Raises MuseError as `sample`; a prompt that is too long is cut, with a note in the log.
        """
        prompts = [prompt] if isinstance(prompt, str) else list(prompt)
        repeated = [each for each in prompts for _ in range(num_images_per_prompt)]
        if output_type not in OUTPUTS:
            raise unknown("output_type", output_type, OUTPUTS)
        if not repeated:
            raise MuseError(
                "There is nothing to draw: give at least one prompt and one image for each."
            )
        for note in truncation_notes(prompts, self.tokenizer, context(self.text_encoder)):
            logger.warning(note)
        found = self.sample(repeated, guidance_scale, num_inference_steps, generator, latents)
        images = VaeImageProcessor(do_normalize=False).postprocess(
            self.to_images(found), output_type
        )
        return ImagePipelineOutput(images=images)


def check_folder(folder: Path, kind: str) -> None:
    """Raises MuseError unless the folder's index is that of a ``kind`` whose parts come from
    libraries that are known, and no part is left to a pickle."""
    index = folder / MusePipeline.config_name
    if not folder.is_dir():
        raise MuseError(f"There is no pipeline folder {folder}: {REMEDY}.")
    if not index.is_file():
        raise MuseError(f"{folder} holds no {index.name}: {REMEDY}.")
    try:
        listed = json.loads(index.read_text())
        found, parts = listed["_class_name"], {part: listed[part] for part in PARTS}
        foreign = [
            part
            for part, (library, _) in parts.items()
            if str(library).split(".")[0] not in LIBRARIES
        ]
    except (OSError, ValueError, KeyError, TypeError, RecursionError) as error:
        raise MuseError(
            f"The pipeline's {index} lacks or hides a part ({_first_line(error)}): {REMEDY}."
        ) from error
    if found != kind or foreign:
        wrong = (
            f"is that of a {shown(found)}"
            if found != kind
            else f"takes {foreign[0]} from {shown(parts[foreign[0]])}"
        )
        raise MuseError(f"The pipeline's {index} {wrong}, which is not ours: {REMEDY}.")
    if not any((folder / "tokenizer" / name).is_file() for name in WORDS):
        raise MuseError(f"The pipeline {folder} has no tokenizer/{WORDS[0]}: {REMEDY}.")
    for part in PARTS:
        refuse_pickles(f"pipeline's {part}", folder / part)


def _first_line(error: Exception) -> str:
    return f"{type(error).__name__}: {(str(error).splitlines() or [''])[0][:200]}"


def guides(guidance_scale: float) -> bool:
    """At 1 the prompt alone answers, and the empty one need not be asked."""
    return guidance_scale != 1


def check_sampling(guidance_scale: float, num_inference_steps: int) -> None:
    """Raises MuseError for guidance below 0 or without end, and for less than one step or too many."""
    if not (guidance_scale >= 0 and math.isfinite(guidance_scale)):
        raise MuseError(
            f"guidance_scale must be 0 or more (1 is no guidance, 3 a good start): got {guidance_scale}."
        )
    if not 1 <= num_inference_steps <= MOST_SAMPLING_STEPS:
        raise MuseError(
            f"num_inference_steps must be at least 1 and at most {MOST_SAMPLING_STEPS:,} (20 is a good start): got "
            f"{num_inference_steps}."
        )


def require_same_tokenizer(pipeline: MusePipeline, current: nn.Module, remedy: str) -> None:
    """Raises MuseError, ending in ``remedy``, where the tokenizer was trained further since the
    denoiser was.
    """
    held, now = pipeline.codec.fingerprint, weights_fingerprint(current)
    if held != now:
        raise MuseError(
            f"The denoiser was trained on tokenizer {held}, but this run's tokenizer is now {now}: {remedy}."
        )
