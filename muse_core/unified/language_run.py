"""One projector by names, opened into objects: whose tokens, which of them, where."""

from collections.abc import Callable, Iterable
from dataclasses import dataclass, replace
from functools import cached_property
from typing import Any

import torch

from muse_core.callback import Callback
from muse_core.config.overrides import load_preset
from muse_core.config.preset import Preset
from muse_core.config.stage import LanguageStage
from muse_core.data.scenes import Scenes
from muse_core.errors import MuseError, chosen
from muse_core.foundations.backbone import Backbone
from muse_core.foundations.language_model import LanguageModel
from muse_core.foundations.pixel_decoder import encode_with, load_autoencoder
from muse_core.shapes import Images, Tokens
from muse_core.training.distributed import device_for
from muse_core.training.freshness import weights_digest
from muse_core.training.stage_run import NamedRun, StageRun, finished_tokenizer
from muse_core.training.trainer import RunOptions, StageResult, Trainer
from muse_core.unified.answer_task import AnswerTask, Listener
from muse_core.unified.projector import VisualProjector, scale_to
from muse_core.unified.questions import AskedImages
from muse_core.unified.seeing_model import READS

NAME = "10_unified"
Look = Callable[[Images], tuple[Tokens, tuple[int, int]]]
"""Images -> tokens in raster order, and their grid."""


@dataclass(frozen=True)
class Seer:
    """What sees: how it looks at images, and the fingerprint of its weights."""

    look: Look
    fingerprint: str


@dataclass(frozen=True, kw_only=True)
class LanguageRun(NamedRun):
    """One projector of one run by names.

    Args:
        tokens: A name of `TOKENS`.
        tokenizers: The run whose tokenizer sees, "" for this one.
    """

    tokens: str = "semantic"
    tokenizers: str = ""

    def open(self, stage: LanguageStage, language_model: str) -> "OpenedLanguage":
        """Everything that training needs.

        Args:
            stage: Steps, rates, how many images are asked about.
            language_model: Folder or hub id.

        Raises:
            MuseError: An unknown name, several processes, or a part that is not there.
        """
        chosen("kind of tokens", self.tokens, TOKENS)
        if self.processes > 1:
            raise MuseError("Projectors train in one process: leave processes at 1.")
        model = LanguageModel.from_pretrained(language_model).to(device_for(self.device))
        return OpenedLanguage(self, StageRun(**self._of_tokenizer()).load_preset(), stage, model)

    def _of_tokenizer(self) -> dict[str, Any]:
        """The last stage of the run whose tokenizer sees."""
        stages = load_preset(self.preset, self.overrides).curriculum.stages
        run = self.tokenizers or self.run
        kept = ("preset", "data", "overrides", "device")
        return {"run": run, "stage": stages[-1].name} | {n: getattr(self, n) for n in kept}

    def tokenizer_run(self) -> StageRun:
        """The stage whose tokenizer sees."""
        return StageRun(**self._of_tokenizer())


@dataclass(frozen=True)
class OpenedLanguage:
    """The objects of one projector's training."""

    named: LanguageRun
    preset: Preset
    stage: LanguageStage
    language_model: LanguageModel

    @cached_property
    def seer(self) -> Seer:
        """What sees. Raises MuseError where it is not there, with the command that makes it."""
        return TOKENS[self.named.tokens](self)

    def asked(self, split: str, images: int, seed: int = 0) -> AskedImages:
        """Questions about the first images of a split."""
        source = Scenes(split, self.preset.image_size)
        device = self.language_model.network.device
        if self.named.tokens == WORDS:
            side = self.preset.image_size // 8
            return AskedImages.told(source, images, seed, side)
        look = lambda pixels: self.seer.look(pixels.to(device))
        return AskedImages.of(look, source, images, seed, self.seer.fingerprint)

    def trainer(self, train: AskedImages, callbacks: Iterable[Callback] = ()) -> Trainer:
        """The trainer of a projector for these tokens, ready to fit."""
        torch.manual_seed(self.named.seed)
        width = train.tokens.shape[-1]
        projector: Any = VisualProjector(width, self.language_model.width, self.stage.unshuffle)
        scale_to(projector, self.language_model.network.get_input_embeddings().weight)
        options: RunOptions = self.named.options(self.preset, {"latents": self.named.tokens})
        options = replace(options, place=f"{NAME}/{self.named.tokens}", recipe=None)
        listener = Listener(self.language_model, train.grid)
        made = projector, self.stage, train, listener
        return Trainer(*made, None, callbacks, options=options, task=AnswerTask)

    def fit(self, callbacks: Iterable[Callback] = ()) -> StageResult:
        """Train the projector on the stage's images; at once where that is done."""
        return self.trainer(self.asked("train", self.stage.images), callbacks).fit()


def _of_muse(reads: str) -> Callable[[OpenedLanguage], Seer]:
    def seer(opened: OpenedLanguage) -> Seer:
        stage = opened.named.tokenizer_run()
        tokenizer = finished_tokenizer(stage, stage.stage)
        tokenizer = tokenizer.to(opened.language_model.network.device).eval()
        look = lambda images: (READS[reads](tokenizer, images), tokenizer.token_grid(images))
        return Seer(look, f"{weights_digest(tokenizer)}/{reads}")

    return seer


def _of_backbone(opened: OpenedLanguage) -> Seer:
    backbone = Backbone.from_pretrained(opened.preset.foundations.backbone)
    backbone = backbone.to(opened.language_model.network.device).eval()
    return Seer(lambda images: (backbone(images), backbone.grid(images)), weights_digest(backbone))


def _of_autoencoder(opened: OpenedLanguage) -> Seer:
    network = load_autoencoder(opened.preset.foundations.autoencoder)
    network: Any = network.to(opened.language_model.network.device).eval()

    def look(images: Images) -> tuple[Tokens, tuple[int, int]]:
        latent = encode_with(network, images)
        return latent.flatten(2).transpose(1, 2), (latent.shape[-2], latent.shape[-1])

    return Seer(look, weights_digest(network))


def _of_words(opened: OpenedLanguage) -> Seer:
    raise MuseError("The ceiling sees no image: its tokens are the scene in words.")


WORDS = "words"
TOKENS: dict[str, Callable[[OpenedLanguage], Seer]] = {
    **{reads: _of_muse(reads) for reads in READS},
    "backbone": _of_backbone,
    "autoencoder": _of_autoencoder,
    WORDS: _of_words,
}
"""Whose tokens a language model reads: MUSE's S_L, z or both, the frozen backbone's, the plain
autoencoder's latent, or what the scene shows in words, the ceiling.
"""
