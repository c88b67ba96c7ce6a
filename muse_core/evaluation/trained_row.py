"""A row of Table 1 by its name: trained, where it has to be, and ready to be measured."""

from collections.abc import Callable
from dataclasses import dataclass, field
from typing import Any

from muse_core.baselines.visual_tokenizer import VisualTokenizer
from muse_core.config.preset import Preset
from muse_core.config.system_stages import AS_THEY_ARE
from muse_core.errors import MuseError
from muse_core.evaluation.feature_extractors import (
    AutoencoderExtractor,
    FeatureExtractor,
    SystemExtractor,
    TokenizerExtractor,
    frozen,
)
from muse_core.evaluation.run_rows import (
    AUTOENCODER,
    Device,
    frozen_backbone,
    location_fingerprint,
    tokenizer_folder,
)
from muse_core.foundations.drawn import images_seen
from muse_core.foundations.pixel_decoder import load_autoencoder
from muse_core.results.measurements import Measurement
from muse_core.results.trained_code import folder_fingerprint
from muse_core.training.distributed import device_for
from muse_core.training.stage_run import StageRun
from muse_core.training.system_run import SystemRun
from muse_core.training.trainer import StageResult


@dataclass(frozen=True)
class TableOneRow:
    """A row that can be measured.

    Args:
        extractor: The frozen network.
        results: Of its stages, in order; empty where nothing was trained.
        built_from: The pretrained parts in it, by their fields of `FoundationLocations`.
        supervised_by: The frozen networks that taught it, likewise.
        departures: How it differs from the published system, a sentence each.
    """

    extractor: FeatureExtractor[Any]
    results: list[StageResult] = field(default_factory=list)
    built_from: tuple[str, ...] = ()
    supervised_by: tuple[str, ...] = ()
    departures: tuple[str, ...] = ()

    def images(self, preset: Preset) -> dict[str, Measurement]:
        """How many images its pretrained parts saw, how many the networks that taught it, and how
        many it was trained on.
        """
        trained = sum(each.record.steps * each.record.batch_size for each in self.results)
        return {
            "pretrained_images": _seen(self.built_from, preset),
            "teachers_images": _seen(self.supervised_by, preset),
            "trained_images": Measurement(float(trained), 1, "steps x images of a step"),
        }


def _seen(parts: tuple[str, ...], preset: Preset) -> Measurement:
    """Images that parts of a preset were trained on, as the cards beside them say."""
    seen = {part: images_seen(getattr(preset.foundations, part)) for part in parts}
    if unknown := [part for part, count in seen.items() if count is None]:
        return Measurement.missing(f"no card says it of the {', '.join(unknown)}")
    return Measurement(float(sum(filter(None, seen.values()))), 1, ", ".join(parts) or "none")


def _backbone(named: SystemRun, device: Device) -> TableOneRow:
    """The pretrained backbone as it is."""
    return TableOneRow(frozen_backbone(named.load_preset(), device), built_from=("backbone",))


def _autoencoder(named: SystemRun, device: Device) -> TableOneRow:
    """The plain DC-AE as it is."""
    location = named.load_preset().foundations.autoencoder
    network = frozen(load_autoencoder(location), device)
    extractor = AutoencoderExtractor(AUTOENCODER, network, location_fingerprint(location))
    return TableOneRow(extractor, built_from=("autoencoder",))


def _muse(named: SystemRun, device: Device) -> TableOneRow:
    """The preset's own curriculum, with whatever routing its overrides name."""
    given = {name: value for name, value in vars(named).items() if name not in SYSTEM_ONLY}
    stages = named.load_preset().curriculum.stages
    results = [StageRun(stage=stage.name, **given).open().trainer().fit() for stage in stages]
    folder = tokenizer_folder(named.run, stages[-1].name)
    extractor = TokenizerExtractor.from_pretrained(named.run, folder, device)
    parts, teachers = ("backbone", "autoencoder"), ("teacher", "text_tower")
    return TableOneRow(extractor, results, parts, teachers)


def _system(named: SystemRun, device: Device) -> TableOneRow:
    """A system of `muse_core.baselines`, or one of the user's."""
    opened = named.open()
    results = [opened.trainer(stage).fit() for stage in opened.curriculum]
    network: VisualTokenizer = frozen(opened.kind.from_pretrained(opened.folder), device)
    extractor = SystemExtractor(named.run, network, folder_fingerprint(opened.folder))
    kind = opened.kind
    # The perceptual distance of all rows asks the teacher.
    teachers = tuple(dict.fromkeys(("teacher", *kind.supervised_by)))
    return TableOneRow(extractor, results, kind.built_from, teachers, kind.departures)


SYSTEM_ONLY = ("system", "learning_rate")
"""What a `SystemRun` has and a `StageRun` has not."""
OTHERS: dict[str, Callable[[SystemRun, Device], TableOneRow]] = dict(
    zip(AS_THEY_ARE, (_muse, _backbone, _autoencoder), strict=True)
)
"""Rows that are no system of `muse_core.baselines`."""


def table_one_row(named: SystemRun) -> TableOneRow:
    """Train what a row needs; at once, where this very configuration is trained already.

    Args:
        named: Its ``system`` is one of `OTHERS`, of `muse_core.baselines.systems.SYSTEMS`, or
            ``module:Class``.

    Raises:
        MuseError: An unknown name, a rate for what has no stages, or anything that the trainer
            refuses.
    """
    if named.learning_rate and named.system in OTHERS:
        own = 'say it of the preset, overrides="stage.learning_rate=..."'
        remedy = own if named.system == AS_THEY_ARE[0] else "leave it at 0, nothing is trained"
        raise MuseError(
            f"learning_rate is that of a system's stages, and {named.system} has none: {remedy}."
        )
    return OTHERS.get(named.system, _system)(named, device_for(named.device))
