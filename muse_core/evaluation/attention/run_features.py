"""What the networks of a run make of images, patch by patch: to be seen as colours, compared with
one another, and with words; and where the gradients of their losses go.
"""

import re
from collections.abc import Sequence
from dataclasses import replace
from types import MappingProxyType

import torch
from torch import nn

from muse_core.config.stage import Stage
from muse_core.data.batch import Batch
from muse_core.evaluation.attention.run_attention import TEACHER_OWN, AttentionNetwork
from muse_core.evaluation.feature_extractors import (
    HIDDEN,
    LATENT,
    SEMANTIC,
    eval_mode,
    latent_tokens,
)
from muse_core.evaluation.gradients.gradient_geometry import places
from muse_core.evaluation.gradients.measured_routes import measured_shares
from muse_core.figures.explorer import FeatureView, GradientView
from muse_core.foundations.backbone import Backbone
from muse_core.foundations.topology_teacher import TopologyTeacher
from muse_core.losses.topology import Grid
from muse_core.models.tokenizer import MuseTokenizer
from muse_core.shapes import Images, Tokens
from muse_core.training.teachers import Teachers

STREAMS = {HIDDEN: "texture stream H_L", SEMANTIC: "semantic stream S_L", LATENT: "latent z"}


def feature_views(networks: Sequence[AttentionNetwork], images: Images) -> list[FeatureView]:
    """The features of every network: the teacher's and the backbone's patches, and each tokenizer's
    streams. Those of a student belong to its place in the order of training.

    Args:
        networks: As `run_attention` gives them.
        images: (images, 3, height, width) in [0, 1].
    """
    students = [network.name for network in networks if network.role == "student"]
    found = []
    for each in networks:
        if each.name == TEACHER_OWN:
            continue
        device = next(each.network.parameters()).device
        with eval_mode(each.network):
            named = _features(each.network, images.to(device))
        stage = students.index(each.name) if each.role == "student" else None
        for name, (tokens, grid, projected) in named.items():
            own = "teacher" if each.role == "teacher" else each.name
            words = name if stage is not None else ", ".join(filter(None, [own, name]))
            kept = None if projected is None else projected.float().cpu()
            found.append(FeatureView(words, tokens.float().cpu(), grid, stage, kept))
    return found


def gradient_views(
    networks: Sequence[AttentionNetwork],
    stages: Sequence[Stage],
    teachers: Teachers,
    batch: Batch,
) -> list[GradientView]:
    """Where the gradient of each loss of a student's own stage arrives, of one batch; the untrained
    student hears the losses of the first.

    Args:
        networks: As `run_attention` gives them.
        stages: Of the curriculum, in order.
        teachers: That supervise them.
        batch: Images and captions, on the networks' device.
    """
    found = []
    students = [each for each in networks if each.role == "student"]
    for at, student in enumerate(students):
        if not isinstance(student.network, MuseTokenizer):
            continue
        named = re.search(r"stage (\d+)", student.name)
        stage = replace(stages[int(named[1]) - 1 if named else 0], shares=MappingProxyType({}))
        where = places(student.network)
        shares = measured_shares(student.network, stage, teachers, batch, where)
        by_place = {
            loss: {(place.kind, place.block): share for place, share in held.items()}
            for loss, held in shares.items()
        }
        found.append(GradientView(at, by_place))
    return found


Named = dict[str, tuple[Tokens, Grid, Tokens | None]]
"""Words, or "" for a network's only features -> tokens, their grid, tokens in the text space."""


def _features(network: nn.Module, images: Images) -> Named:
    if isinstance(network, MuseTokenizer):
        return _streams(network, images)
    if isinstance(network, TopologyTeacher):
        side = network.image_size // network.patch_size
        return {"": (network.features(images), (side, side), None)}
    if isinstance(network, Backbone):
        rows, columns = (side // network.patch_size for side in images.shape[-2:])
        return {"": (network(images), (rows, columns), None)}
    return {}


def _streams(tokenizer: MuseTokenizer, images: Images) -> Named:
    """g_phi reads the mean over tokens; here it reads them one by one."""
    connected, grid = tokenizer.connect(images), tokenizer.token_grid(images)
    read = connected.semantic
    if tokenizer.config.semantic_channels:
        read = tokenizer.to_semantic(read)
    latent = latent_tokens(tokenizer.latent_of(connected, grid))
    return {
        STREAMS[HIDDEN]: (connected.hidden, grid, None),
        STREAMS[SEMANTIC]: (connected.semantic, grid, tokenizer.semantic_head.projector(read)),
        STREAMS[LATENT]: (latent, grid, None),
    }


def joined_views(before: Sequence[FeatureView], more: Sequence[FeatureView]) -> list[FeatureView]:
    """The same features of more images."""
    join = lambda a, b: None if a is None else torch.cat([a, b])
    return [
        FeatureView(
            old.name,
            join(old.tokens, new.tokens),
            old.grid,
            old.stage,
            join(old.projected, new.projected),
        )
        for old, new in zip(before, more, strict=True)
    ]
