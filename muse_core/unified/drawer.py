"""`Drawer`: queries, connector and denoiser in one network; the frozen language model's sequence is
made here, for drawing and for editing.
"""

import math
from collections.abc import Sequence
from dataclasses import dataclass
from numbers import Real
from pathlib import Path
from typing import Any

import torch
from diffusers import ConfigMixin, ModelMixin, SanaTransformer2DModel
from diffusers.configuration_utils import register_to_config
from torch import Tensor

from muse_core.errors import MuseError, shown
from muse_core.foundations.language_model import IMAGE_END, IMAGE_START, IMAGE_TOKEN, LanguageModel
from muse_core.foundations.loading import load_whole, require_folder_or_hub
from muse_core.generation.caption_embeddings import Conditioning
from muse_core.generation.denoiser import velocity
from muse_core.losses.flow_matching import Times
from muse_core.shapes import Bool, Float, Latents, Tokens
from muse_core.unified.conversation import PLACEHOLDER, Turn, conversation, filled
from muse_core.unified.drawing_connector import DrawingConnector

DRAW = "draw"
"""Stands before what is to be drawn, and alone for an empty prompt; UniLIP says "Generate an
image". An instruction about an image stands by itself.
"""


@dataclass(frozen=True)
class Understood:
    """A language model's last hidden states over a whole sequence; ``mask``: False on padding and
    at an image's places, which the connector does not read: where it does, queries learn far later
    what an instruction says (reports/LOG.md).
    """

    hidden: Float[Tensor, "batch tokens width"]
    mask: Bool[Tensor, "batch tokens"]


@dataclass(frozen=True)
class SeenImage:
    """Images that are to be changed: ``words``, (batch, image tokens, width), which the language
    model reads, and their raw ``latents``, which the denoiser has beside what it draws.
    """

    words: Tokens
    latents: Latents


def asked_for(prompts: Sequence[str], image: SeenImage | None) -> list[list[Turn]]:
    """Prompts as conversations: what is to be drawn, or how an image is to be changed.

    Args:
        prompts: "" for none, as guidance asks for.
        image: The images that are changed; None to draw from nothing.
    """
    if image is None:
        return [[Turn(f"{DRAW} {prompt}".strip())] for prompt in prompts]
    return [[Turn(f"{PLACEHOLDER}\n{prompt}".strip())] for prompt in prompts]


def understood(
    model: LanguageModel,
    queries: Tensor,
    prompts: Sequence[str],
    image: SeenImage | None = None,
) -> Understood:
    """The frozen language model reads prompts, images and queries; gradients pass to the queries.

    Args:
        model: Reads.
        queries: (1, N, width), at the end of every sequence.
        prompts: One an image.
        image: To be edited; None to draw from nothing.

    Raises:
        MuseError: A sequence is longer than the model reads.
    """
    places = 0 if image is None else image.words.shape[1]
    slots = model.ids(f"{IMAGE_START}{IMAGE_TOKEN * queries.shape[1]}{IMAGE_END}")
    rows = [conversation(model, turns, places)[0] + slots for turns in asked_for(prompts, image)]
    longest, pad = max(map(len, rows)), model.tokenizer.pad_token_id or 0
    if longest > model.context:
        raise MuseError(
            f"With {queries.shape[1]} queries the longest prompt has {longest:,} tokens, and the "
            f"language model reads {model.context:,}: say it shorter."
        )
    ids = torch.tensor([[pad] * (longest - len(row)) + row for row in rows]).to(queries.device)
    mask = torch.tensor([[False] * (longest - len(row)) + [True] * len(row) for row in rows])
    mask = mask.to(queries.device)
    own = queries.expand(len(rows), -1, -1)
    whole = own if image is None else torch.cat([image.words.to(own.dtype), own], 1)
    slots = ids == model.id_of(IMAGE_TOKEN)
    hidden = model.network.model(
        inputs_embeds=filled(model, ids, whole), attention_mask=mask
    ).last_hidden_state
    # The queries have the last of these slots.
    of_image = slots & (slots.cumsum(1) <= places)
    return Understood(hidden, mask & ~of_image)


class Drawer(ModelMixin, ConfigMixin):
    """What is trained to draw: a `DrawingConnector` and a SANA denoiser.

    The denoiser has twice the channels of a latent: beside the noised latent stands that of the
    image that is changed, or zeros (InstructPix2Pix, Brooks et al. 2023, arXiv 2211.09800). UniLIP
    gives the image to attention, and `tiny` does not learn in an hour to copy by it. What is drawn
    of an edit is its difference to the image, which is nothing where nothing changes: the denoiser
    begins by reading the image with the weights that read what it draws, and the image is taken off
    what it finds. Colours and grounds are learnt sooner so than with weights from zero
    (reports/LOG.md).
    """

    config_name = "config.json"

    @classmethod
    def from_pretrained(cls, location: str | Path, **options: Any) -> "Drawer":
        """From a folder. Raises MuseError where it is missing, damaged, or of another network."""
        folder = require_folder_or_hub("drawer", Path(location))
        return load_whole(super().from_pretrained, "drawer", folder, **options)

    @register_to_config
    def __init__(
        self,
        connector_config: dict[str, Any],
        denoiser_config: dict[str, Any],
        tokenizer: str = "",
        language_model: str = "",
        projector: str = "",
        shift: float = 1.0,
    ) -> None:
        """Random weights.

        Args:
            connector_config: Of a `DrawingConnector`.
            denoiser_config: Of a ``SanaTransformer2DModel`` with twice the channels in.
            tokenizer: Fingerprint of the one whose latents are drawn; "" where nobody said.
            language_model: Digest of the one that is listened to, likewise.
            projector: Of the one that makes words of images, likewise.
            shift: Of the times of flow matching, in training and in sampling.

        Raises:
            MuseError: The shift is no number above 0.
        """
        super().__init__()
        if not isinstance(shift, Real) or not 0 < shift < math.inf:
            raise MuseError(f"A drawer's shift is {shown(shift)}: give a number above 0.")
        self.connector = DrawingConnector(**connector_config)
        self.denoiser = SanaTransformer2DModel(**denoiser_config)

    @classmethod
    def of(
        cls, connector: DrawingConnector, denoiser: SanaTransformer2DModel, **made_for: Any
    ) -> "Drawer":
        """Of two networks, with their weights. The denoiser, of a latent's channels, begins by
        reading what stands beside a latent as it reads the latent. ``made_for``: the rest of a
        `Drawer`.
        """
        sees = _seeing(denoiser)
        made: Any = cls(_plain(connector), _plain(sees), **made_for)
        made.connector.load_state_dict(connector.state_dict())
        made.denoiser.load_state_dict(sees.state_dict())
        return made

    def require(self, **given: str) -> None:
        """Raises MuseError unless it was made with this ``tokenizer``, ``language_model`` and
        ``projector``, as `__init__` has them.
        """
        for name, value in given.items():
            if (own := self.config[name]) != value:
                words = name.replace("_", " ")
                raise MuseError(
                    f"This drawer was trained with {words} {own or '(it does not say which)'}, and "
                    f"the {words} here is {value}: give that one, or train a drawer of this one "
                    "(notebook 10, second half)."
                )

    def condition(self, given: Understood) -> Conditioning:
        """What the denoiser attends to: the queries, which have read text and image."""
        said = self.connector(given.hidden, given.mask)
        return Conditioning(said, said.new_ones(said.shape[:2]))

    def forward(
        self, latents: Latents, time: Times, given: Understood, beside: Latents | None = None
    ) -> Latents:
        """The velocity at noised latents, (batch, channels, rows, columns).

        Args:
            latents: x_t, normalised.
            time: t of each, 0 data and 1 noise.
            given: What was understood.
            beside: Normalised latents of what is changed, zeros in rows that draw from nothing;
                None where all do.
        """
        return self.velocity(latents, time, self.condition(given), beside)

    def velocity(
        self, latents: Latents, time: Times, given: Conditioning, beside: Latents | None
    ) -> Latents:
        """`forward` of what `condition` made."""
        seen = torch.zeros_like(latents) if beside is None else beside.to(latents)
        return velocity(self.denoiser, torch.cat([latents, seen], 1), time, given) + seen


def _seeing(denoiser: SanaTransformer2DModel) -> SanaTransformer2DModel:
    """The denoiser with as many channels again, which it reads by the same weights."""
    own = int(denoiser.config["in_channels"])
    config: dict[str, Any] = _plain(denoiser) | {"in_channels": 2 * own}
    made = SanaTransformer2DModel(**config)
    state = denoiser.state_dict()
    heard = state["patch_embed.proj.weight"]
    state["patch_embed.proj.weight"] = torch.cat([heard, heard], 1)
    made.load_state_dict(state)
    return made


def _plain(network: Any) -> dict[str, Any]:
    """A network's configuration without the library's own entries."""
    return {name: each for name, each in dict(network.config).items() if not name.startswith("_")}
