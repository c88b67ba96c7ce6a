"""One drawer by names, opened into objects: whose latents, what sees an image, who listens."""

from collections.abc import Iterable
from dataclasses import dataclass, replace
from typing import Any

import torch
from diffusers import SanaTransformer2DModel

from muse_core import paths
from muse_core.callback import Callback
from muse_core.config.overrides import load_preset
from muse_core.config.preset import Preset
from muse_core.config.stage import DrawingStage
from muse_core.data.scenes import Scenes
from muse_core.errors import MuseError
from muse_core.foundations.language_model import LanguageModel
from muse_core.generation.codecs import Codec
from muse_core.generation.denoiser_task import PIPELINE_FOLDER
from muse_core.generation.generation_run import NAME as GENERATION
from muse_core.generation.generation_run import OWN
from muse_core.generation.latent_normalisation import LatentNormalisation
from muse_core.models.tokenizer import MuseTokenizer
from muse_core.training.distributed import device_for
from muse_core.training.freshness import weights_digest
from muse_core.training.stage_run import NamedRun
from muse_core.training.trainer import StageResult, Trainer
from muse_core.unified.answer_task import PROJECTOR_FOLDER
from muse_core.unified.draw_task import DRAWER_FOLDER, DrawTask, Reader, check_stage
from muse_core.unified.drawer import Drawer, understood
from muse_core.unified.drawing_connector import DrawingConnector
from muse_core.unified.drawn_pairs import DrawnPairs
from muse_core.unified.language_run import NAME
from muse_core.unified.projector import VisualProjector
from muse_core.unified.sight import Sight
from muse_core.unified.unified_model import UnifiedModel

CALIBRATED, AT_ONCE = 512, 64
"""Captions that the connector is calibrated on."""


@dataclass(frozen=True)
class DrawingParts:
    """What a drawer is made for and of.

    Args:
        codec: Makes the latents that are drawn.
        sight: Sees images that are edited.
        reader: Frozen: language model, projector of what is seen, scale of the latents.
        denoiser: A SANA of these latents to begin with.
    """

    codec: Codec
    sight: Sight
    reader: Reader
    denoiser: SanaTransformer2DModel


@dataclass(frozen=True, kw_only=True)
class DrawingRun(NamedRun):
    """One drawer of one run by names."""

    def open(self, parts: DrawingParts) -> "OpenedDrawing":
        """Everything that training needs.

        Raises:
            MuseError: Several processes, an unknown preset, or a stage that cannot be trained with
                these parts (`check_stage`).
        """
        if self.processes > 1:
            raise MuseError("Drawers train in one process: leave processes at 1.")
        preset = load_preset(self.preset, self.overrides)
        for stage in preset.drawing:
            check_stage(stage, parts.reader)
        return OpenedDrawing(self, preset, parts)


@dataclass(frozen=True)
class OpenedDrawing:
    """The objects of one drawer's training."""

    named: DrawingRun
    preset: Preset
    parts: DrawingParts

    @torch.no_grad()
    def new(self) -> Drawer:
        """Queries and connector begin as the language model's and are calibrated on captions; the
        denoiser is taken as it is; random numbers by the run's seed.
        """
        torch.manual_seed(self.named.seed)
        reader, shape = self.parts.reader, self.preset.drawing_connector
        width = int(self.parts.denoiser.config["caption_channels"])
        model = reader.language_model
        connector = DrawingConnector.of(model, shape.queries, shape.layers, width)
        some = Scenes("train", self.preset.image_size).described().first(CALIBRATED).captions
        read = [
            understood(model, connector.queries, some[start : start + AT_ONCE])
            for start in range(0, len(some), AT_ONCE)
        ]
        connector.calibrate([(each.hidden, each.mask) for each in read])
        return Drawer.of(
            connector,
            self.parts.denoiser,
            tokenizer=reader.normalisation.config["tokenizer"],
            language_model=weights_digest(model.network),
            projector=weights_digest(reader.projector) if reader.projector is not None else "",
            shift=self.preset.drawing[-1].shift,
        )

    def pairs(self, stage: DrawingStage) -> DrawnPairs:
        """What a stage learns from: the first scenes of the training split."""
        source = Scenes("train", self.preset.image_size).described()
        sight = self.parts.sight if stage.edit_share else None
        return DrawnPairs.of(self.parts.codec, sight, source, stage.images, stage.edit_share)

    def trainer(
        self,
        stage: DrawingStage,
        drawer: Drawer,
        pairs: DrawnPairs,
        callbacks: Iterable[Callback] = (),
    ) -> Trainer:
        """The trainer of a stage, ready to fit.

        Args:
            stage: One of the preset's.
            drawer: What the stage before left, or a new one.
            pairs: As `pairs` makes them.
            callbacks: Hooks that look on.
        """
        options = self.named.options(self.preset, {"latents": "drawn scenes"})
        options = replace(options, place=f"{NAME}/{stage.name}", recipe=None)
        made = drawer, stage, pairs, self.parts.reader
        return Trainer(*made, None, callbacks, options=options, task=DrawTask)

    def fit(self, callbacks: Iterable[Callback] = ()) -> list[StageResult]:
        """Train the preset's stages one after the other; at once what is trained already."""
        new: Any = self.new()
        drawer, hooks = new.to(device_for(self.named.device)), list(callbacks)
        made: dict[tuple[int, float], DrawnPairs] = {}
        results: list[StageResult] = []
        for stage in self.preset.drawing:
            key = stage.images, stage.edit_share
            if key not in made:
                made[key] = self.pairs(stage)
            results.append(self.trainer(stage, drawer, made[key], hooks).fit())
            drawer = results[-1].network
        return results


def finished_unified(run: str, preset: Preset, reads: str = "both") -> UnifiedModel | None:
    """The model of a run whose tokenizer is MUSE's, with all that was trained on it; None where the
    weights are not on this machine.

    Args:
        run: Name of the run.
        preset: Says what reads, and the last of the stages.
        reads: A name of `muse_core.unified.seeing_model.READS`, the tokens that were projected.

    Raises:
        MuseError: A part is damaged.
    """
    home = paths.run_folder(run)
    places = {
        MuseTokenizer: home / preset.curriculum.stages[-1].name / paths.TOKENIZER_FOLDER,
        VisualProjector: home / NAME / reads / PROJECTOR_FOLDER,
        Drawer: home / NAME / preset.drawing[-1].name / DRAWER_FOLDER,
        LatentNormalisation: home / GENERATION / OWN / PIPELINE_FOLDER / "normalisation",
    }
    if not all(place.is_dir() for place in places.values()):
        return None
    tokenizer, projector, drawer, normalisation = (
        kind.from_pretrained(place) for kind, place in places.items()
    )
    model = LanguageModel.from_pretrained(preset.language_model)
    return UnifiedModel(tokenizer, projector, model, drawer, normalisation, reads).eval()
