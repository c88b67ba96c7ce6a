"""A row of Table 1 by its name: trained, where it has to be, and ready to be measured."""

from collections.abc import Callable
from dataclasses import dataclass, field
from typing import Any

from muse_core.baselines.visual_tokenizer import VisualTokenizer
from muse_core.config.preset import Preset
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
        departures: How it differs from the published system, a sentence each.
    """

    extractor: FeatureExtractor[Any]
    results: list[StageResult] = field(default_factory=list)
    built_from: tuple[str, ...] = ()
    departures: tuple[str, ...] = ()

    def images(self, preset: Preset) -> dict[str, Measurement]:
        """How many images its pretrained parts saw, and how many it was trained on."""
        places = {part: getattr(preset.foundations, part) for part in self.built_from}
        seen = {part: images_seen(place) for part, place in places.items()}
        unknown = [part for part, count in seen.items() if count is None]
        before = Measurement.missing(f"no card says it of the {', '.join(unknown)}")
        if not unknown:
            words = ", ".join(self.built_from) or "none of its parts is pretrained"
            before = Measurement(float(sum(filter(None, seen.values()))), 1, words)
        trained = sum(each.record.steps * each.record.batch_size for each in self.results)
        return {
            "pretrained_images": before,
            "trained_images": Measurement(float(trained), 1, "steps x images of a step"),
        }


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
    return TableOneRow(extractor, results, ("backbone", "autoencoder"))


def _system(named: SystemRun, device: Device) -> TableOneRow:
    """A system of `muse_core.baselines`, or one of the user's."""
    opened = named.open()
    results = [opened.trainer(stage).fit() for stage in opened.curriculum]
    network: VisualTokenizer = frozen(opened.kind.from_pretrained(opened.folder), device)
    extractor = SystemExtractor(named.run, network, folder_fingerprint(opened.folder))
    return TableOneRow(extractor, results, opened.kind.built_from, opened.kind.departures)


SYSTEM_ONLY = ("system", "learning_rate")
"""What a `SystemRun` has and a `StageRun` has not."""
AS_THEY_ARE: dict[str, Callable[[SystemRun, Device], TableOneRow]] = {
    "muse": _muse,
    "backbone": _backbone,
    "autoencoder": _autoencoder,
}
"""Rows that are no system of `muse_core.baselines`."""


def table_one_row(named: SystemRun) -> TableOneRow:
    """Train what a row needs; at once, where this very configuration is trained already.

    Args:
        named: Its ``system`` is one of `AS_THEY_ARE`, of `muse_core.baselines.systems.SYSTEMS`, or
            ``module:Class``.

    Raises:
        MuseError: An unknown name, or anything that the trainer refuses.
    """
    return AS_THEY_ARE.get(named.system, _system)(named, device_for(named.device))
