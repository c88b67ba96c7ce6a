"""Where a language model looked in the image when it said a word."""

from dataclasses import dataclass

import torch

from muse_core.foundations.language_model import IMAGE_TOKEN, TURN_END, LanguageModel
from muse_core.shapes import Float, Tokens
from muse_core.unified.conversation import UNSCORED, Turn, filled, prompts, with_image


@dataclass(frozen=True)
class WordsLookedAt:
    """``words`` of the answer; ``maps``: attention of each to the image's places, by layer and
    head, over what fell on the image at all: rows sum to 1.
    """

    words: tuple[str, ...]
    maps: Float[torch.Tensor, "words layers heads image_tokens"]


@torch.no_grad()
def words_looked_at(model: LanguageModel, image: Tokens, turn: Turn) -> WordsLookedAt:
    """Attention at the place that each of an answer's words was read off, one before its own.

    Args:
        model: What spoke.
        image: What stood in the image's places, (1, image tokens, width).
        turn: The question and the answer that was given.

    Raises:
        MuseError: As `conversation`.
    """
    batch = prompts(model, [with_image([turn])], image.shape[1]).to(image.device)
    implementation = model.network.config._attn_implementation
    # The fused kernels return no attention, and say nothing.
    model.network.set_attn_implementation("eager")
    try:
        found = model.network(
            inputs_embeds=filled(model, batch.ids, image),
            attention_mask=batch.mask,
            output_attentions=True,
        ).attentions
    finally:
        model.network.set_attn_implementation(implementation)
    places = (batch.ids[0] == model.id_of(IMAGE_TOKEN)).nonzero()[:, 0]
    answered = (batch.labels[0] != UNSCORED).nonzero()[:, 0].tolist()
    texts = {at: str(model.tokenizer.decode([int(batch.ids[0, at])])).strip() for at in answered}
    said = [at for at in answered if texts[at] not in ("", TURN_END)]
    whole = torch.stack(found)[:, 0].float()
    before = torch.tensor(said, dtype=torch.long) - 1
    seen = whole[:, :, before][..., places].permute(2, 0, 1, 3)
    words = tuple(texts[at] for at in said)
    return WordsLookedAt(words, (seen / seen.sum(-1, keepdim=True)).cpu())
