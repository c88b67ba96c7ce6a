"""`MusePipeline`: text to image with the conventions of diffusers, whole in one folder."""

import json
import logging
from collections.abc import Collection
from numbers import Integral, Real
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
from muse_core.foundations.text_tower import WORDS, TextTower
from muse_core.generation.caption_embeddings import (
    Conditioning,
    check_words,
    conditioning,
    truncation_notes,
)
from muse_core.generation.codecs import Codec
from muse_core.generation.denoiser import TIMESTEPS, load_denoiser, velocity
from muse_core.generation.latent_normalisation import LatentNormalisation
from muse_core.paths import user_path
from muse_core.shapes import Images, Latents
from muse_core.training.freshness import weights_digest

logger = logging.getLogger(__name__)
GUIDANCE, STEPS = 3.0, 20
MOST_GUIDANCE = 1000
OUTPUTS = ("pil", "np", "pt")
PARTS = ("vae", "text_encoder", "tokenizer", "transformer", "scheduler", "normalisation")
LIBRARIES = ("diffusers", "transformers", "muse_core")
"""Where parts may come from."""
REMEDY = "give the folder that notebook 08 wrote, or run notebook 08 again"
Generators = torch.Generator | list[torch.Generator] | None


class MusePipeline(DiffusionPipeline):
    """Prompts to images.

    Args:
        vae: The tokenizer, MUSE or DC-AE.
        text_encoder: The text tower's network.
        tokenizer: The text tower's tokenizer.
        transformer: The denoiser.
        scheduler: Any flow scheduler of diffusers (FlowMatchEuler, DPMSolver).
        normalisation: The statistics of the tokenizer's latents.
        known_words: The words of the captions it was trained on, with spaces between them; "" where
            they are open language.

    Raises:
        MuseError: The statistics are those of another tokenizer.
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
            vae=vae,
            text_encoder=text_encoder,
            tokenizer=tokenizer,
            transformer=transformer,
            scheduler=scheduler,
            normalisation=normalisation,
        )
        self.register_to_config(known_words=known_words)
        self.codec = Codec(vae)
        normalisation.require(self.codec.fingerprint)

    @classmethod
    def from_pretrained(cls, location: str | Path, **options: Any) -> "MusePipeline":
        """From a folder that `save_pretrained` wrote, from safetensors alone.

        Args:
            location: The folder.
            options: As diffusers', parts that take the place of the folder's for example.

        Raises:
            MuseError: It is absent or damaged, names code, or its parts do not belong together.
        """
        folder = user_path(str(location))
        check_folder(folder, cls.__name__)
        denoiser = load_denoiser(folder / "transformer")
        given = {"transformer": denoiser, **options, "use_safetensors": True}
        with reading("pipeline", str(folder), REMEDY):
            return super().from_pretrained(str(folder), **given)

    def with_denoiser(self, denoiser: nn.Module) -> "MusePipeline":
        """The same pipeline with another denoiser, one from along training for example."""
        parts: dict[str, Any] = {**self.components, "transformer": denoiser.to(self.device).eval()}
        other = MusePipeline(**parts, known_words=self.config["known_words"])
        other.set_progress_bar_config(disable=True)
        return other

    @property
    def text(self) -> TextTower:
        """The text tower that reads prompts."""
        return TextTower(self.text_encoder, self.tokenizer)

    @property
    def latent_shape(self) -> tuple[int, int, int]:
        """(channels, rows, columns) of one image."""
        side = self.transformer.config.sample_size
        return self.transformer.config.in_channels, side, side

    def prompts(self, prompts: list[str], guidance_scale: float) -> Conditioning:
        """Conditioning of the prompts, then of as many empty ones where there is guidance.

        Raises:
            MuseError: Words that the generator never saw.
        """
        check_words(prompts, self.config["known_words"].split())
        empty = [""] * len(prompts) if guides(guidance_scale) else []
        return conditioning(self.text, [*prompts, *empty])

    @torch.no_grad()
    def guided_velocity(
        self, latents: Latents, timestep: Tensor, prompts: Conditioning, guidance: float
    ) -> Latents:
        """v of the empty prompt + guidance x (v of the prompt - v of the empty one) (Ho and
        Salimans 2022).

        Args:
            latents: x_t, (batch, channels, rows, columns).
            timestep: The scheduler's, 1000 for noise.
            prompts: As `prompts` makes them for the same guidance.
            guidance: w; 1 is none.
        """
        twice = torch.cat([latents, latents]) if guides(guidance) else latents
        time = (timestep / TIMESTEPS).expand(len(twice)).to(twice)
        found = velocity(self.transformer, twice, time, prompts)
        if not guides(guidance):
            return found
        with_prompt, without = found.chunk(2)
        return without + guidance * (with_prompt - without)

    def noise(self, count: int, generator: Generators) -> Latents:
        """Where sampling starts.

        Args:
            count: How many images.
            generator: One for all, or one for each.

        Raises:
            MuseError: Another number of generators.
        """
        check_generators(generator, count)
        shape = (count, *self.latent_shape)
        return randn_tensor(shape, generator=generator, device=self.transformer.device)

    @torch.no_grad()
    def sample(
        self,
        prompts: list[str],
        guidance_scale: float = GUIDANCE,
        num_inference_steps: int = STEPS,
        generator: Generators = None,
        latents: Latents | None = None,
    ) -> Latents:
        """Normalised latents of one image a prompt.

        Args:
            prompts: What to draw.
            guidance_scale: w of classifier-free guidance; 1 is none, 0 ignores the prompts.
            num_inference_steps: From noise to image.
            generator: Makes the noise repeatable.
            latents: The noise itself, (prompts, channels, rows, columns).

        Raises:
            MuseError: Guidance below 0, no steps, unknown words, or latents of another shape.
        """
        check_sampling(guidance_scale, num_inference_steps)
        given = self.prompts(prompts, guidance_scale)
        current = self.noise(len(prompts), generator) if latents is None else latents
        if tuple(current.shape) != (wanted := (len(prompts), *self.latent_shape)):
            raise MuseError(
                f"The latents are {tuple(current.shape)}: give latents of {wanted}, or none."
            )
        self.scheduler.set_timesteps(num_inference_steps, device=current.device)
        bar: Any = self.progress_bar
        for timestep in bar(self.scheduler.timesteps):
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
        """Images of one prompt or several; one that is too long is cut, with a note in the log.

        Args:
            prompt: What to draw.
            guidance_scale: As `sample`, like the two arguments that follow it.
            num_inference_steps: From noise to image.
            num_images_per_prompt: From different noise.
            generator: Makes the images repeatable.
            latents: The noise itself.
            output_type: "pil", "np" (images, height, width, 3) or "pt" (images, 3, height, width).

        Raises:
            MuseError: As `sample`; or there is nothing to draw.
        """
        prompts = [prompt] if isinstance(prompt, str) else list(prompt)
        repeated = [each for each in prompts for _ in range(num_images_per_prompt)]
        if output_type not in OUTPUTS:
            raise unknown("output_type", output_type, OUTPUTS)
        if not repeated:
            raise MuseError(
                "There is nothing to draw: give at least one prompt and one image for each."
            )
        for note in truncation_notes(prompts, self.text):
            logger.warning(note)
        found = self.sample(repeated, guidance_scale, num_inference_steps, generator, latents)
        processor = VaeImageProcessor(do_normalize=False)
        images: Any = processor.postprocess(self.to_images(found), output_type)
        return ImagePipelineOutput(images)


def check_folder(folder: Path, kind: str, given: Collection[str] = ()) -> None:
    """Look at a pipeline's folder before anything of it is loaded.

    Args:
        folder: Where the pipeline lies.
        kind: The class that its index has to name.
        given: Parts that the caller has, which are not loaded from the folder.

    Raises:
        MuseError: It is another pipeline's, names code, or leaves a part to a pickle.
    """
    index = folder / MusePipeline.config_name
    if not folder.is_dir():
        raise MuseError(f"There is no pipeline folder {folder}: {REMEDY}.")
    if not index.is_file():
        raise MuseError(f"{folder} holds no {index.name}: {REMEDY}.")
    try:
        listed = json.loads(index.read_text())
        found, origins = listed["_class_name"], {part: str(listed[part][0]) for part in PARTS}
    except (OSError, ValueError, KeyError, TypeError, IndexError, RecursionError) as error:
        said = f"{type(error).__name__}: {(str(error).splitlines() or [''])[0][:200]}"
        raise MuseError(
            f"The pipeline's {index} lacks or hides a part ({said}): {REMEDY}."
        ) from error
    if found != kind:
        raise MuseError(
            f"The pipeline's {index} is that of a {shown(found)}, which is not ours: {REMEDY}."
        )
    for part in origins.keys() - set(given):
        origin = origins[part]
        if origin.split(".")[0] not in LIBRARIES:
            raise MuseError(
                f"The pipeline's {index} takes {part} from {shown(listed[part])}, which is not "
                f"ours: {REMEDY}."
            )
        refuse_pickles(f"pipeline's {part}", folder / part)
    if not any((folder / "tokenizer" / name).is_file() for name in WORDS):
        raise MuseError(f"The pipeline {folder} has no tokenizer/{WORDS[0]}: {REMEDY}.")


def guides(guidance_scale: float) -> bool:
    """At 1 the prompt alone answers, and the empty one need not be asked."""
    return guidance_scale != 1


def check_sampling(guidance_scale: float, num_inference_steps: int) -> None:
    """Raises MuseError for guidance below 0 or too much, and for no steps or too many."""
    if not isinstance(guidance_scale, Real) or not 0 <= guidance_scale <= MOST_GUIDANCE:
        raise MuseError(
            f"guidance_scale must be 0 or more, at most {MOST_GUIDANCE} (1 is no guidance, 3 a "
            f"good start): got {shown(guidance_scale)}."
        )
    whole = isinstance(num_inference_steps, Integral)
    if not whole or not 1 <= num_inference_steps <= MOST_SAMPLING_STEPS:
        raise MuseError(
            f"num_inference_steps must be at least 1 and at most {MOST_SAMPLING_STEPS:,} (20 is a "
            f"good start): got {shown(num_inference_steps)}."
        )


def check_generators(generator: Generators, count: int) -> None:
    """Raises MuseError for what is no generator, and for several that are not one an image."""
    for each in generator if isinstance(generator, list) else [generator]:
        if each is not None and not isinstance(each, torch.Generator):
            raise MuseError(
                f"The generator is {shown(each)}: give torch.Generator().manual_seed(0), or a list "
                "of them."
            )
    if isinstance(generator, list) and len(generator) not in (1, count):
        raise MuseError(
            f"There are {len(generator)} generators and {count} images: give one for each image, "
            "or one."
        )


def require_same_tokenizer(pipeline: MusePipeline, current: nn.Module, remedy: str) -> None:
    """Refuse a pipeline whose tokenizer was trained further since its denoiser was.

    Args:
        pipeline: The generator.
        current: The tokenizer as it is now.
        remedy: How the sentence ends.

    Raises:
        MuseError: The weights differ.
    """
    held, now = pipeline.codec.fingerprint, weights_digest(current)
    if held != now:
        raise MuseError(
            f"The denoiser was trained on tokenizer {held}, but this run's tokenizer is now {now}: "
            f"{remedy}."
        )
