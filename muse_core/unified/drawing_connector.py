"""Queries and connector: what a language model understood, for a denoiser's cross-attention.

N learnable queries stand at the end of the sequence; the frozen language model's last hidden states
of text and queries pass through a few layers of the same kind, which attend in both directions, and
those of the queries through a linear map to the denoiser's width (after UniLIP, arXiv 2507.23278,
whose coupling MUSE inherits; there the connector reads an image as well).
"""

from collections.abc import Sequence
from copy import deepcopy
from typing import Any

import torch
from diffusers import ConfigMixin, ModelMixin
from diffusers.configuration_utils import register_to_config
from sklearn.decomposition import PCA
from torch import Tensor, nn
from transformers import Qwen2Config
from transformers.models.qwen2.modeling_qwen2 import (
    Qwen2DecoderLayer,
    Qwen2RMSNorm,
    Qwen2RotaryEmbedding,
)

from muse_core.errors import MuseError
from muse_core.foundations.language_model import LanguageModel
from muse_core.shapes import Bool, Float

SMALLEST = 0.02
"""Of a direction's variance, as a share of the largest: smaller ones are noise and stay smaller."""
SPREAD = 0.02
"""Of the queries at the beginning, where no language model's words say better."""


class DrawingConnector(ModelMixin, ConfigMixin):
    """Hidden states of a language model -> what a denoiser attends to."""

    @register_to_config
    def __init__(
        self, layer: dict[str, Any], num_queries: int, num_layers: int, out_width: int
    ) -> None:
        """New, with random weights.

        Args:
            layer: A Qwen2's configuration, as plain values.
            num_queries: N.
            num_layers: Of the connector.
            out_width: Channels that the denoiser's cross-attention takes.
        """
        super().__init__()
        shape = Qwen2Config(**layer)
        shape._attn_implementation = "sdpa"
        width = shape.hidden_size
        self.queries = nn.Parameter(SPREAD * torch.randn(1, num_queries, width))
        self.layers = nn.ModuleList(Qwen2DecoderLayer(shape, at) for at in range(num_layers))
        self.norm = Qwen2RMSNorm(width, shape.rms_norm_eps)
        self.rotary = Qwen2RotaryEmbedding(shape)
        # What every prompt has in common, of each query: see `calibrate`.
        self.register_buffer("common", torch.zeros(num_queries, width))
        self.to_denoiser = nn.Linear(width, out_width)

    @classmethod
    def of(
        cls, model: LanguageModel, num_queries: int, num_layers: int, out_width: int
    ) -> "DrawingConnector":
        """With the last layers of a language model to begin with, and queries of its words' size.

        Args:
            model: Stays as it is.
            num_queries: N; 256 in the paper.
            num_layers: How many of its last layers.
            out_width: Channels that the denoiser's cross-attention takes.

        Raises:
            MuseError: As `check`.
        """
        cls.check(model, num_layers)
        config = model.network.config
        made: Any = cls(config.to_dict(), num_queries, num_layers, out_width)
        taken = model.network.model.layers[-num_layers:]
        for own, given in zip(made.layers, taken, strict=True):
            own.load_state_dict(deepcopy(given.state_dict()))
        made.norm.load_state_dict(model.network.model.norm.state_dict())
        with torch.no_grad():
            made.queries.mul_(model.network.get_input_embeddings().weight.std() / SPREAD)
        return made

    @staticmethod
    def check(model: LanguageModel, num_layers: int) -> None:
        """Raises MuseError for a language model with fewer layers, or none of Qwen2's."""
        config = model.network.config
        if config.model_type != "qwen2":
            raise MuseError(
                f"The connector is made of a Qwen2's layers, and this language model is "
                f"{config.model_type}: give the language model of an InternVL3."
            )
        if not 1 <= num_layers <= config.num_hidden_layers:
            raise MuseError(
                f"The connector is to have {num_layers} layers, and the language model has "
                f"{config.num_hidden_layers}: give at least 1 and at most that many."
            )

    def forward(
        self,
        hidden: Float[Tensor, "batch tokens width"],
        mask: Bool[Tensor, "batch tokens"],
    ) -> Float[Tensor, "batch queries out_width"]:
        """What the queries say to the denoiser.

        Args:
            hidden: Last hidden states of a sequence that ends with the queries and `IMAGE_END`.
            mask: False on padding and at an image's places.
        """
        return self.to_denoiser(self._states(hidden, mask)[:, self._slots] - self.common)

    @torch.no_grad()
    def calibrate(self, prompts: Sequence[tuple[Tensor, Tensor]]) -> None:
        """Begin with what tells prompts apart: of each query's states their mean over prompts is
        taken away, and the map to the denoiser whitens what is left.

        Without it a prompt moves the conditioning by a few hundredths of its size, and a denoiser
        learns to do without.

        Args:
            prompts: (hidden, mask) as `forward` takes them, a batch each.
        """
        said = torch.cat([self._states(*each)[:, self._slots] for each in prompts])
        self.common.copy_(said.mean(0))
        whitening = PCA().fit((said - self.common).flatten(0, 1).double().cpu().numpy())
        scale = whitening.explained_variance_ + SMALLEST * whitening.explained_variance_[0]
        rows = torch.from_numpy(whitening.components_ / scale[:, None] ** 0.5).to(said)
        self.to_denoiser.weight.copy_(_turned(rows, self.to_denoiser.out_features))
        self.to_denoiser.bias.zero_()

    @property
    def _slots(self) -> slice:
        """The queries' places: `IMAGE_END` is the last token."""
        return slice(-self.queries.shape[1] - 1, -1)

    def _states(
        self, hidden: Float[Tensor, "batch tokens width"], mask: Bool[Tensor, "batch tokens"]
    ) -> Float[Tensor, "batch tokens width"]:
        places = (mask.cumsum(1) - 1).clamp(min=0)
        turned = self.rotary(hidden, places)
        # Everything that is read sees everything that is read; the other places see it too,
        # because a softmax over nothing is not a number.
        seen = mask[:, None, None, :].expand(-1, 1, mask.shape[1], -1)
        for layer in self.layers:
            hidden = layer(hidden, attention_mask=seen, position_embeddings=turned)
        return self.norm(hidden)


def _turned(rows: Tensor, count: int) -> Tensor:
    """So many rows that span what the given ones do: the first of them, or all and random mixtures
    of them, so that a channel is as large as another.
    """
    if count <= len(rows):
        return rows[:count]
    mixing = torch.linalg.qr(torch.randn(count, len(rows)).double())[0] * (count / len(rows)) ** 0.5
    return mixing.to(rows) @ rows
