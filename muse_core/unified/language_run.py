"""One projector by names, opened into objects: which tokens a language model reads, and where."""

from collections.abc import Iterable
from dataclasses import dataclass, replace
from typing import Any

import torch

from muse_core import paths
from muse_core.callback import Callback
from muse_core.config.overrides import load_preset
from muse_core.config.preset import Preset
from muse_core.config.stage import LanguageStage
from muse_core.data.scenes import Scenes
from muse_core.errors import MuseError
from muse_core.foundations.language_model import LanguageModel
from muse_core.models.tokenizer import MuseTokenizer
from muse_core.training.distributed import device_for
from muse_core.training.stage_run import NamedRun
from muse_core.training.trainer import RunOptions, StageResult, Trainer
from muse_core.unified.answer_task import PROJECTOR_FOLDER, AnswerTask, Listener
from muse_core.unified.projector import VisualProjector, scale_to
from muse_core.unified.questions import AskedImages
from muse_core.unified.seeing_model import SeeingModel
from muse_core.unified.sight import Sight

NAME = "10_unified"


@dataclass(frozen=True, kw_only=True)
class LanguageRun(NamedRun):
    """One projector of one run by names; ``tokens`` is its folder's."""

    tokens: str = "semantic"

    def open(self, stage: LanguageStage, model: LanguageModel, sight: Sight) -> "OpenedLanguage":
        """Everything that training needs.

        Args:
            stage: Steps, rates, how many images are asked about.
            model: What is to answer.
            sight: What it reads.

        Raises:
            MuseError: Several processes, or an unknown preset.
        """
        if self.processes > 1:
            raise MuseError("Projectors train in one process: leave processes at 1.")
        preset = load_preset(self.preset, self.overrides)
        return OpenedLanguage(self, preset, stage, model.to(device_for(self.device)), sight)


@dataclass(frozen=True)
class OpenedLanguage:
    """The objects of one projector's training."""

    named: LanguageRun
    preset: Preset
    stage: LanguageStage
    language_model: LanguageModel
    sight: Sight

    def asked(self, split: str, images: int, seed: int = 0) -> AskedImages:
        """Questions about the first images of a split of drawn scenes."""
        return AskedImages.of(self.sight, Scenes(split, self.preset.image_size), images, seed)

    def trainer(self, train: AskedImages, callbacks: Iterable[Callback] = ()) -> Trainer:
        """The trainer of a projector for these tokens, ready to fit."""
        torch.manual_seed(self.named.seed)
        side, shorter = self.stage.image_side, min(train.grid)
        if shorter % side:
            raise MuseError(
                f"{self.named.tokens} tokens lie on {train.grid[0]} x {train.grid[1]}, which "
                f"cannot be read as {side} words along the shorter side: change "
                f"{self.stage.name[:2]}.stage.image_side or image_size."
            )
        unshuffle = shorter // side
        width = train.tokens.shape[-1]
        projector: Any = VisualProjector(width, self.language_model.width, unshuffle)
        scale_to(projector, self.language_model.network.get_input_embeddings().weight)
        options: RunOptions = self.named.options(self.preset, {"latents": self.named.tokens})
        options = replace(options, place=f"{NAME}/{self.named.tokens}", recipe=None)
        listener = Listener(self.language_model, train.grid)
        made = projector, self.stage, train, listener
        return Trainer(*made, None, callbacks, options=options, task=AnswerTask)

    def fit(self, callbacks: Iterable[Callback] = ()) -> StageResult:
        """Train the projector on the stage's images; at once where that is done."""
        return self.trainer(self.asked("train", self.stage.images), callbacks).fit()


def finished_model(run: str, preset: Preset, reads: str = "semantic") -> SeeingModel | None:
    """The model of a run whose tokenizer is MUSE's, with the projector that was trained on it; None
    where their weights are not on this machine.

    Args:
        run: Name of the run.
        preset: Says what reads.
        reads: A name of `READS`.

    Raises:
        MuseError: A part is damaged.
    """
    tokenizer = paths.run_folder(run) / preset.curriculum.stages[-1].name / "tokenizer"
    projector = paths.run_folder(run) / NAME / reads / PROJECTOR_FOLDER
    if not (tokenizer.is_dir() and projector.is_dir()):
        return None
    return SeeingModel(
        MuseTokenizer.from_pretrained(tokenizer),
        VisualProjector.from_pretrained(projector),
        LanguageModel.from_pretrained(preset.language_model),
        reads,
    ).eval()
