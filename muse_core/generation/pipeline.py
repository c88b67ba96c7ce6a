"""`MusePipeline`: text to image with the conventions of diffusers, whole in one folder."""

import logging
from pathlib import Path
from typing import Any

import torch
from diffusers import DiffusionPipeline, ImagePipelineOutput, SanaTransformer2DModel
from diffusers.image_processor import VaeImageProcessor
from diffusers.utils.torch_utils import randn_tensor
from torch import Tensor, nn
from transformers import CLIPTextModelWithProjection, PreTrainedTokenizerBase

from muse_core.errors import MuseError
from muse_core.generation.codecs import Codec, codec_of, weights_fingerprint
from muse_core.generation.denoiser import TIMESTEPS, velocity
from muse_core.generation.latent_normalisation import LatentNormalisation
from muse_core.generation.prompts import Conditioning, check_words, conditioning, context, truncation_notes
from muse_core.shapes import Images, Latents

logger = logging.getLogger(__name__)
GUIDANCE, STEPS = 3.0, 20
Generators = torch.Generator | list[torch.Generator] | None


class MusePipeline(DiffusionPipeline):
    """``vae``: the tokenizer (MUSE or DC-AE); ``scheduler``: any flow scheduler of diffusers (FlowMatchEuler, DPMSolver).

    ``known_words``: the words of the captions it was trained on, separated by spaces; "" where they are open language.
    """

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
            vae=vae, text_encoder=text_encoder, tokenizer=tokenizer, transformer=transformer, scheduler=scheduler,
            normalisation=normalisation,
        )  # fmt: skip
        self.register_to_config(known_words=known_words)
        self.codec: Codec = codec_of(vae)
        normalisation.require(self.codec.fingerprint)

    @classmethod
    def from_pretrained(cls, location: str | Path, **options: Any) -> "MusePipeline":
        """From a folder that `save_pretrained` wrote.

        Raises MuseError where it is absent, or its parts do not belong together.
        """
        if Path(location).is_dir() and not (Path(location) / cls.config_name).exists():
            raise MuseError(f"{location} holds no {cls.config_name}: give the folder that notebook 08 wrote.")
        return super().from_pretrained(str(location), **options)

    @property
    def latent_shape(self) -> tuple[int, int, int]:
        """(channels, rows, columns) of one image."""
        side = self.transformer.config.sample_size
        return self.transformer.config.in_channels, side, side

    def prompts(self, prompts: list[str], guidance_scale: float) -> Conditioning:
        """Conditioning of the prompts, followed by that of as many empty ones where there is guidance.

        Raises MuseError for unknown words.
        """
        check_words(prompts, self.config.known_words.split())
        empty = [""] * len(prompts) if guides(guidance_scale) else []
        return conditioning(self.text_encoder, self.tokenizer, [*prompts, *empty])

    @torch.no_grad()
    def guided_velocity(self, latents: Latents, timestep: Tensor, prompts: Conditioning, guidance: float) -> Latents:
        """v of the empty prompt + guidance x (v of the prompt - v of the empty one) (Ho and Salimans 2022)."""
        twice = torch.cat([latents, latents]) if guides(guidance) else latents
        found = velocity(self.transformer, twice, (timestep / TIMESTEPS).expand(len(twice)).to(twice), prompts)
        if not guides(guidance):
            return found
        with_prompt, without = found.chunk(2)
        return without + guidance * (with_prompt - without)

    def noise(self, count: int, generator: Generators) -> Latents:
        """Where sampling starts: (count, channels, rows, columns)."""
        return randn_tensor((count, *self.latent_shape), generator=generator, device=self.transformer.device)

    @torch.no_grad()
    def sample(
        self,
        prompts: list[str],
        guidance_scale: float = GUIDANCE,
        num_inference_steps: int = STEPS,
        generator: Generators = None,
        latents: Latents | None = None,
    ) -> Latents:
        """Normalised latents of one image a prompt. Raises MuseError for guidance below 0, no steps and unknown words."""
        check_sampling(guidance_scale, num_inference_steps)
        given = self.prompts(prompts, guidance_scale)
        current = self.noise(len(prompts), generator) if latents is None else latents
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
        """Images of a prompt or a list of prompts; ``output_type`` "pil", "np" or "pt". ``generator`` makes them repeatable.

        Raises MuseError as `sample`; a prompt that is too long is cut, with a note in the log.
        """
        prompts = [prompt] if isinstance(prompt, str) else list(prompt)
        repeated = [each for each in prompts for _ in range(num_images_per_prompt)]
        if not repeated:
            raise MuseError("There is nothing to draw: give at least one prompt and one image for each.")
        for note in truncation_notes(prompts, self.tokenizer, context(self.text_encoder)):
            logger.warning(note)
        found = self.sample(repeated, guidance_scale, num_inference_steps, generator, latents)
        images = VaeImageProcessor(do_normalize=False).postprocess(self.to_images(found), output_type)
        return ImagePipelineOutput(images=images)


def guides(guidance_scale: float) -> bool:
    """At 1 the prompt alone answers, and the empty one need not be asked."""
    return guidance_scale != 1


def check_sampling(guidance_scale: float, num_inference_steps: int) -> None:
    """Raises MuseError for guidance below 0 and for less than one step."""
    if not guidance_scale >= 0:
        raise MuseError(f"guidance_scale must be 0 or more (1 is no guidance, 3 a good start): got {guidance_scale}.")
    if num_inference_steps < 1:
        raise MuseError(f"num_inference_steps must be at least 1 (20 is a good start): got {num_inference_steps}.")


def require_same_tokenizer(pipeline: MusePipeline, current: nn.Module, remedy: str) -> None:
    """Raises MuseError, ending in ``remedy``, where the tokenizer was trained further since the denoiser was."""
    held, now = pipeline.codec.fingerprint, weights_fingerprint(current)
    if held != now:
        raise MuseError(
            f"The denoiser was trained on tokenizer {held}, but this run's tokenizer is now {now}: {remedy}."
        )
