"""`UnifiedModel`: one tokenizer and one language model that answer about images, draw them and edit
them.
"""

import re
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any, ClassVar

import torch
from PIL import Image

from muse_core.data.own_images import Pictures
from muse_core.data.shape_templates import SHAPES
from muse_core.errors import MuseError, shown
from muse_core.foundations.language_model import LanguageModel
from muse_core.generation.codecs import Codec
from muse_core.generation.editing import PixelMask, check_mask, latent_mask
from muse_core.generation.latent_normalisation import LatentNormalisation
from muse_core.generation.pipeline import GUIDANCE, STEPS, Generators
from muse_core.models.tokenizer import MuseTokenizer
from muse_core.shapes import Tokens
from muse_core.training.freshness import weights_digest
from muse_core.unified.drawer import Drawer, SeenImage
from muse_core.unified.drawing_sampler import DrawingSampler, Kept
from muse_core.unified.mmvp import option_scores
from muse_core.unified.projector import VisualProjector
from muse_core.unified.seeing_model import READS, SeeingModel

NAMED = re.compile(rf"\bthe (?:\w+ ){{0,2}}?({'|'.join(SHAPES)})\b")
SHAPE_ASKED = "what shape is the object ?"
DOUBTED = 0.06
"""A share of all shapes below which one is doubted, chosen on validation scenes."""


@dataclass(frozen=True)
class Edited:
    """The image after the instruction; ``note``: what should be known of it, "" for nothing."""

    image: Image.Image
    note: str = ""


class UnifiedModel(SeeingModel):
    """A `SeeingModel` that also draws.

    Args:
        drawer: Queries, connector and denoiser.
        normalisation: Of this tokenizer's latents.

    Raises:
        MuseError: As `SeeingModel`; or the statistics or the drawer are of another tokenizer, or
            the drawer of another language model.
    """

    parts: ClassVar[dict[str, Any]] = SeeingModel.parts | {
        "drawer": Drawer,
        "normalisation": LatentNormalisation,
    }

    def __init__(
        self,
        tokenizer: MuseTokenizer,
        projector: VisualProjector,
        language_model: LanguageModel,
        drawer: Drawer,
        normalisation: LatentNormalisation,
        reads: str = "semantic",
    ) -> None:
        super().__init__(tokenizer, projector, language_model, reads)
        fingerprint = Codec(tokenizer).fingerprint
        normalisation.require(fingerprint)
        drawer.require(
            tokenizer=fingerprint,
            language_model=weights_digest(language_model.network),
            projector=weights_digest(projector),
        )
        self.drawer, self.normalisation = drawer.eval().requires_grad_(False), normalisation
        self.sampler = DrawingSampler(language_model, drawer, normalisation)

    def draw(
        self,
        prompt: str | Sequence[str],
        guidance_scale: float = GUIDANCE,
        num_inference_steps: int = STEPS,
        generator: Generators = None,
    ) -> list[Image.Image]:
        """An image for each prompt.

        Args:
            prompt: In words that the language model knows.
            guidance_scale: w of classifier-free guidance; 1 is none.
            num_inference_steps: From noise to image.
            generator: Makes the noise repeatable.

        Raises:
            MuseError: Nothing to draw, unknown words, guidance below 0 or no steps.
        """
        if isinstance(prompt, str) or not isinstance(prompt, Sequence):
            prompt = [prompt]
        prompts = list(prompt)
        for number, each in enumerate(prompts, start=1):
            if not isinstance(each, str) or not each.strip():
                of = f" {number} of {len(prompts)}" if len(prompts) > 1 else ""
                raise MuseError(
                    f"There is nothing to draw: prompt{of} is {shown(each)}; give it in words."
                )
        if not prompts:
            raise MuseError("There is nothing to draw: give at least one prompt, in words.")
        found = self.sampler.latents(prompts, None, guidance_scale, num_inference_steps, generator)
        return self.tokenizer.decode_image(found)

    @torch.no_grad()
    def edit(
        self,
        image: Pictures,
        instruction: str,
        mask: PixelMask | None = None,
        guidance_scale: float = GUIDANCE,
        num_inference_steps: int = STEPS,
        generator: Generators = None,
    ) -> Edited:
        """The image, changed as the instruction says.

        Args:
            image: One, as `chat` takes it.
            instruction: In words that the language model knows.
            mask: (1, height, width) of the image as ``tokenizer.image_processor`` crops and
                resizes it: where it may change; None for everywhere. Latents outside of it stay
                bit for bit.
            guidance_scale: As `draw`, like the two arguments that follow it.
            num_inference_steps: From noise to image.
            generator: Makes the noise repeatable.

        Returns:
            The image, with a note where the instruction names a shape that is `doubted`.

        Raises:
            MuseError: As `draw`; or there is no image, or several, or the mask is of another size
                or marks nothing.
        """
        if not isinstance(instruction, str) or not instruction.strip():
            what = "empty" if isinstance(instruction, str) else shown(instruction)
            raise MuseError(f"The instruction is {what}: say in words what is to change.")
        pixels = self.one_image(image)
        check_mask(mask, pixels)
        tokens, grid = READS[self.reads](self.tokenizer, pixels), self.tokenizer.token_grid(pixels)
        latents = self.tokenizer.encode(pixels).latent
        seen, kept = SeenImage(self.projector(tokens, grid), latents), None
        if mask is not None:
            kept = Kept(latents, latent_mask(mask.to(pixels.device), latents))
        found = self.sampler.latents(
            [instruction], seen, guidance_scale, num_inference_steps, generator, kept
        )
        absent = doubted(self.language_model, seen.words, self.language_model.spelled(instruction))
        shapes = " and no ".join(absent)
        note = f"There may be no {shapes} in this image, as far as it is understood."
        return Edited(self.tokenizer.decode_image(found)[0], note if absent else "")


def doubted(model: LanguageModel, image: Tokens, instruction: str) -> list[str]:
    """Shapes of drawn scenes that an instruction takes for there, "the star" or "the small red
    star", and that the language model hardly takes for the shape of anything in the image.

    Asked "is there a star ?" the model of `tiny` answers by chance; asked which shape it sees it
    knows more (reports/LOG.md).

    Args:
        model: What looks.
        image: (1, image tokens, width), what stands in the image's places.
        instruction: In its words.
    """
    named = dict.fromkeys(NAMED.findall(instruction))
    if not named:
        return []
    shares = option_scores(model, image, SHAPE_ASKED, SHAPES).softmax(-1)
    return [shape for shape in named if shares[SHAPES.index(shape)] < DOUBTED]
