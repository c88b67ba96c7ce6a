"""What notebook 04 does around its story: opens the images and networks of a run, feeds the
explorer, measures and saves.
"""

import sys
import time
from dataclasses import dataclass, field
from typing import Any

import numpy as np
import torch
from tqdm import tqdm

from muse_core import paths
from muse_core.config.parameters import TopologyParameters
from muse_core.config.preset import Preset
from muse_core.data.batch import Batch, Source
from muse_core.data.own_images import OwnImages, joined, own_images
from muse_core.data.sources import open_source
from muse_core.errors import MuseError
from muse_core.evaluation.attention.explored import ExploredAttention
from muse_core.evaluation.attention.head_profile import attention_profile
from muse_core.evaluation.attention.object_alignment import nearness_auc, patch_instances
from muse_core.evaluation.attention.run_attention import (
    TEACHER_OWN,
    TEACHER_RESIZED,
    UNTRAINED,
    AttentionNetwork,
    AttentionView,
    run_attention,
)
from muse_core.evaluation.protocol import Protocol
from muse_core.notebook import example_queries, print_setup, say
from muse_core.results.measurements import AttentionProfile, AttentionRecord
from muse_core.results.records import provenance, write_json
from muse_core.training.teachers import open_topology_teacher
from muse_core.training.trainer import accelerator_for


@dataclass
class TopologySession:
    """A run about to be looked at: its networks, the images that are shown, the test images that
    are measured.
    """

    parameters: TopologyParameters
    preset: Preset
    networks: list[AttentionNetwork]
    test: Source
    device: torch.device
    explored: ExploredAttention
    profiles: list[AttentionProfile] = field(default_factory=list)
    nearness: float | None = None
    measured: int = 0
    seconds: float = 0.0

    @property
    def shown(self) -> OwnImages:
        return self.explored.shown

    @property
    def grid(self) -> tuple[int, int]:
        return next(view.grid for view in self.explored.views if view.role == "student")

    @property
    def layer(self) -> int:
        """The block of the still pictures, counted from 0."""
        return (self.parameters.layer or self.preset.connector.num_blocks) - 1

    @property
    def queries(self) -> list[int]:
        """The patches of the still pictures: the one asked for, or one on the first image's object
        and one in its corner.
        """
        if self.parameters.patch >= 0:
            return [self.parameters.patch]
        return example_queries(
            self.test.first(1) if self.parameters.images else _unlabelled(self.shown), 0, self.grid
        )

    def see(self) -> list[AttentionView]:
        """Everybody's attention on the images that are shown."""
        return self.explored.views

    def explorer(self) -> Any:
        """The explorer of all views, as a widget; an image dropped on it is looked at by every
        network.
        """
        if self.explored.note:
            say(self.explored.note)
        return self.explored.widget()

    def looked_at(self, selection: dict[str, Any]) -> dict[str, np.ndarray]:
        """What the explorer shows for a selection, as arrays: network -> attention (rows, columns)
        of that patch.
        """
        return self.explored.looked_at(selection)

    def measure(self) -> list[AttentionProfile]:
        """Everybody's profile on the test images."""
        began, batch = time.monotonic(), self.test.first(Protocol.n_attention)
        images, masks = batch.images.to(self.device), batch.instance_masks
        targets = self.networks[0].view(images)
        self.profiles = [
            attention_profile(network.view(images), masks, targets)
            for network in tqdm(self.networks, unit="network", file=sys.stdout, mininterval=2)
        ]
        self.nearness = (
            nearness_auc(patch_instances(masks, self.grid), self.grid)
            if masks is not None and masks.any()
            else None
        )
        self.measured, self.seconds = len(batch), round(time.monotonic() - began, 1)
        return self.profiles

    def tables(self, measure: str) -> dict[str, np.ndarray]:
        """Network -> (layers, heads), of those for which it was measured; a teacher is not compared
        with itself.
        """
        left_out = {TEACHER_OWN} | ({TEACHER_RESIZED} if measure in ("kl", "rank") else set())
        named = {
            each.name: getattr(each, measure) for each in self.profiles if each.name not in left_out
        }
        return {name: np.array(table) for name, table in named.items() if table is not None}

    def profile(self, name: str) -> AttentionProfile:
        return next(each for each in self.profiles if each.name == name)

    def conclusions(self) -> list[str]:
        """What the profiles show, in sentences that follow their numbers."""
        return conclusions(self.profiles, self.nearness, self.measured)

    def save(self) -> AttentionRecord:
        """Write ``records/attention.json``."""
        p = self.parameters
        record = AttentionRecord(
            run=p.run,
            preset=p.preset,
            data=p.data,
            teacher=p.teacher or "of the preset",
            n=self.measured,
            profiles=self.profiles,
            nearness_auc=self.nearness,
            seconds=self.seconds,
            provenance=provenance(str(self.device)),
        )
        file = write_json(paths.records_folder(p.run) / "attention.json", record)
        print(f"record     {file.relative_to(paths.root())}")
        return record


def begin_topology(**parameters: Any) -> TopologySession:
    """Check the parameters, load networks and images, print where and on what it runs.

    Raises MuseError, one sentence, for a wrong parameter, a run without a tokenizer, an image or a
    teacher that is none."""
    p = TopologyParameters.check(**parameters)
    preset, device = p.load_preset(), accelerator_for(p.device).device
    where = preset.foundations
    teacher = open_topology_teacher(
        where.teacher, preset.connector.num_blocks, where.teacher_layers, where.teacher_image_size
    )
    teacher = teacher.eval().requires_grad_(False).to(device)
    size = p.resolution or preset.image_size
    networks, absent = run_attention(
        preset, p.run, p.baseline or f"{p.run}-shared", teacher, device, size
    )
    test = open_source(p.data, "test", size)
    shown = joined(
        [
            *_of_the_data(test, p.images),
            *([own_images(p.image, size, p.fit)] if p.image.strip() else []),
        ]
    )
    explored = ExploredAttention(networks, shown, p.fit)
    session = TopologySession(p, preset, networks, test, device, explored)
    _check_place(session)
    print_setup(
        p.preset,
        str(device),
        data=p.data,
        images=f"{len(shown.names)} shown",
        size=f"{size} × {size} pixels",
    )
    for note in (*shown.notes, *(f"not shown: {row.name}: {row.why}" for row in absent)):
        say(note)
    return session


def _of_the_data(test: Source, count: int) -> list[OwnImages]:
    if not count:
        return []
    batch = test.first(count)
    return [OwnImages(batch.images, tuple(batch.captions), ())]


def _check_place(session: TopologySession) -> None:
    blocks, (rows, columns) = session.preset.connector.num_blocks, session.grid
    if session.parameters.layer > blocks:
        raise MuseError(
            f"There is no block {session.parameters.layer}: the student has {blocks}; 0 means the last."
        )
    if session.parameters.patch >= rows * columns:
        raise MuseError(
            f"There is no patch {session.parameters.patch} in a {rows} × {columns} grid: choose 0 to {rows * columns - 1}."
        )


def _unlabelled(shown: OwnImages) -> Batch:
    return Batch(shown.images, shown.names, torch.full((len(shown.names),), -1), shown.names)


def conclusions(profiles: list[AttentionProfile], nearness: float | None, images: int) -> list[str]:
    """What attention profiles show, in sentences that follow their numbers."""
    named = {each.name: each for each in profiles}
    last = [each for each in profiles if each.role == "student"][-1]
    found = []
    if last.kl is not None:
        found.append(
            f"From before training to {last.name}, the divergence from the teacher went from "
            f"{named[UNTRAINED].mean('kl'):.3f} to {last.mean('kl'):.3f} nats ({images} test images, mean over layers and heads)."
        )
    if nearness is not None:
        scores = [
            f"{each.name} {each.mean('auc'):.3f}" for each in profiles if each.name != TEACHER_OWN
        ]
        found.append(
            f"Same-object AUC: {', '.join(scores)}; attention by nearness alone scores {nearness:.3f}."
        )
    reach = [f"{each.mean('distance'):.2f}" for each in (named[TEACHER_RESIZED], last)]
    found.append(
        f"Mean attention distance: teacher {reach[0]}, {last.name} {reach[1]} of the image's diagonal."
    )
    return found
