"""`SeeingModel`: a tokenizer, a projector and a frozen language model, that answers questions about
an image.
"""

from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Any, ClassVar, TypeVar

import torch
from torch import Tensor, nn

from muse_core.data.own_images import Pictures
from muse_core.errors import MuseError, chosen
from muse_core.foundations.language_model import TURN_END, LanguageModel
from muse_core.foundations.loading import read_object
from muse_core.models.tokenizer import MuseTokenizer
from muse_core.paths import user_path
from muse_core.results.records import write_json
from muse_core.shapes import Images, Tokens
from muse_core.training.saving import written_whole
from muse_core.unified.conversation import Prompts, Turn, filled, prompts, with_image
from muse_core.unified.projector import VisualProjector

LONGEST_ANSWER = 32
"""Tokens."""
UNFINISHED = "\N{REPLACEMENT CHARACTER}"


def _semantic(tokenizer: MuseTokenizer, images: Images) -> Tokens:
    return tokenizer.encode(images).semantic


def _latent(tokenizer: MuseTokenizer, images: Images) -> Tokens:
    return tokenizer.encode(images).latent.flatten(2).transpose(1, 2)


def _both(tokenizer: MuseTokenizer, images: Images) -> Tokens:
    encoded = tokenizer.encode(images)
    return torch.cat([encoded.semantic, encoded.latent.flatten(2).transpose(1, 2)], -1)


Model = TypeVar("Model", bound="SeeingModel")
READS = {"semantic": _semantic, "latent": _latent, "both": _both}
"""Which of MUSE's tokens a language model reads: S_L, z, or both side by side."""


class SeeingModel(nn.Module):
    """Answers questions about images. Nothing but the projector is ever trained here.

    Args:
        tokenizer: What sees.
        projector: What turns its tokens into words' embeddings.
        language_model: What reads them.
        reads: A name of `READS`.

    Raises:
        MuseError: An unknown name, or widths that do not fit.
    """

    parts: ClassVar[dict[str, Any]] = {
        "tokenizer": MuseTokenizer,
        "projector": VisualProjector,
        "language_model": LanguageModel,
    }
    """Folder and argument -> class of what lies there."""

    def __init__(
        self,
        tokenizer: MuseTokenizer,
        projector: VisualProjector,
        language_model: LanguageModel,
        reads: str = "semantic",
    ) -> None:
        super().__init__()
        chosen("kind of tokens", reads, READS)
        if projector.config["language_width"] != language_model.width:
            raise MuseError(
                f"The projector makes words {projector.config['language_width']} wide, and the "
                f"language model reads {language_model.width}: train a projector for this one."
            )
        self.tokenizer, self.projector, self.reads = tokenizer, projector, reads
        self.language_model = language_model
        for frozen in (tokenizer, language_model):
            frozen.eval().requires_grad_(False)

    @property
    def device(self) -> torch.device:
        return next(self.projector.parameters()).device

    @torch.no_grad()
    def see(self, images: Images) -> Tokens:
        """Images in [0, 1] -> what the language model reads in their places."""
        tokens = READS[self.reads](self.tokenizer, images)
        return self.projector(tokens, self.tokenizer.token_grid(images))

    def one_image(self, image: Pictures) -> Images:
        """(1, 3, height, width) on the model's device. Raises MuseError for none or several."""
        pixels = self.tokenizer.image_processor(image)["pixel_values"]
        if len(pixels) != 1:
            raise MuseError(f"There are {len(pixels)} images, and this model reads one.")
        return pixels.to(self.device)

    def chat(
        self, image: Pictures, question: str, history: Sequence[Turn] = ()
    ) -> tuple[str, list[Turn]]:
        """The answer to a question, and the conversation with it, to go on with.

        Args:
            image: A path, a Pillow image, an array or a tensor, as
                `muse_core.models.image_processor.MuseImageProcessor` takes it; one.
            question: In words that the language model knows; "<image>" may say where the image
                stands.
            history: What an earlier call returned.

        Raises:
            MuseError: No image or several, an empty question, unknown words, or too many.
        """
        answer = "".join(self.stream(image, question, history))
        return answer, [*history, Turn(question, answer)]

    def stream(self, image: Pictures, question: str, history: Sequence[Turn] = ()) -> Iterator[str]:
        """`chat`'s answer, piece by piece as it is found."""
        model = self.language_model
        if not question.replace("<image>", "").strip():
            raise MuseError("The question is empty: ask something.")
        question = model.spelled(question)
        model.check_words(question.replace("<image>", " "))
        seen = self.see(self.one_image(image))
        turns = with_image([*history, Turn(question)])
        batch = prompts(model, [turns], seen.shape[1]).to(self.device)
        if (room := min(LONGEST_ANSWER, model.context - batch.ids.shape[1])) < 1:
            raise MuseError(
                f"The conversation fills all {model.context:,} tokens that the language model "
                "reads: ask less, or begin a new one."
            )
        said: list[int] = []
        told = ""
        for step in answers(model, batch, seen, room):
            if (word := int(step[0])) == model.id_of(TURN_END):
                return
            said.append(word)
            text = str(model.tokenizer.decode(said))
            # A character of several tokens is only there with the last of them.
            if not text.endswith(UNFINISHED):
                yield text[len(told) :]
                told = text

    def save_pretrained(self, folder: str | Path) -> None:
        """All parts and a configuration, in one folder, which may hold an earlier one of its kind.

        Raises:
            MuseError: Something else stands there, or the disk refuses.
        """
        place = user_path(str(folder)).resolve()
        if place.exists() and not self._may_replace(place):
            raise MuseError(
                f"{folder} holds something else, which saving would delete: give a new folder."
            )
        with written_whole(place) as temporary:
            temporary.mkdir(parents=True)
            for name in self.parts:
                getattr(self, name).save_pretrained(temporary / name)
            write_json(
                temporary / CONFIG, {"_class_name": type(self).__name__, "reads": self.reads}
            )

    def _may_replace(self, place: Path) -> bool:
        """Whether a folder is empty, or holds a model of this kind and nothing else."""
        if not place.is_dir():
            return False
        names = {each.name for each in place.iterdir()}
        if not names:
            return True
        try:
            said = read_object("seeing model", place / CONFIG, REMEDY).get("_class_name")
        except MuseError:
            return False
        return said == type(self).__name__ and names <= {CONFIG, *self.parts}

    @classmethod
    def from_pretrained(cls: type[Model], folder: str | Path) -> Model:
        """From a folder that `save_pretrained` wrote. Raises MuseError for a damaged one."""
        place = user_path(str(folder))
        said: dict[str, Any] = read_object("seeing model", place / CONFIG, REMEDY)
        if said.get("_class_name") != cls.__name__:
            raise MuseError(f"{place} holds no {cls.__name__}: {REMEDY}.")
        made = {name: kind.from_pretrained(place / name) for name, kind in cls.parts.items()}
        return cls(**made, reads=str(said.get("reads"))).eval()


CONFIG, REMEDY = "config.json", "give a folder that save_pretrained wrote"


@torch.no_grad()
def answers(model: LanguageModel, batch: Prompts, image: Tokens, longest: int) -> Iterator[Tensor]:
    """The likeliest next words of a batch of conversations, (batch,) a step, until all have ended.

    Args:
        model: What speaks.
        batch: Conversations whose last turn is open.
        image: What stands in their images' places.
        longest: Steps, at most.
    """
    embedded, mask, cache = filled(model, batch.ids, image), batch.mask, None
    ended = torch.zeros(len(batch), dtype=torch.bool, device=mask.device)
    end = model.id_of(TURN_END)
    for _ in range(longest):
        found = model.network(
            inputs_embeds=embedded,
            attention_mask=mask,
            past_key_values=cache,
            use_cache=True,
            logits_to_keep=1,
        )
        word = found.logits[:, -1].argmax(-1).where(~ended, end)
        yield word
        ended = ended | (word == end)
        if ended.all():
            return
        cache, embedded = found.past_key_values, model.embed(word[:, None])
        mask = torch.cat([mask, mask.new_ones(len(mask), 1)], 1)
