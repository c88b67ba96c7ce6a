"""MMVP's two figures: the share of pairs with both questions right, and of questions alone."""

import sys
from collections.abc import Sequence
from pathlib import Path

import numpy as np
import torch
from tqdm import tqdm

from muse_core.config.preset import Preset
from muse_core.data.scenes import Scenes
from muse_core.errors import MuseError
from muse_core.evaluation.intervals import grouped_interval, mean_interval
from muse_core.evaluation.run_rows import frozen_backbone
from muse_core.foundations.language_model import LanguageModel
from muse_core.foundations.topology_teacher import TopologyTeacher
from muse_core.losses.topology import Grid
from muse_core.results.measurements import Measurement
from muse_core.shapes import Embeddings, Images, Tokens
from muse_core.unified.blind_pairs import BlindPair, blind_pairs
from muse_core.unified.mmvp import Item, mmvp_scores, option_scores, read_mmvp
from muse_core.unified.projector import VisualProjector
from muse_core.unified.seeing_model import SeeingModel
from muse_core.unified.sight import Sight


def drawn_pairs(
    preset: Preset, teacher: TopologyTeacher, split: str, each: int, seed: int = 0
) -> list[BlindPair]:
    """Pairs of drawn scenes that the preset's frozen backbone takes for the same in the text space,
    and the topology teacher does not.

    Args:
        preset: Whose backbone and image size.
        teacher: The topology teacher.
        split: Of the scenes.
        each: Pairs a pattern, of nine patterns.
        seed: Of changes and questions.

    Raises:
        MuseError: The backbone has no projection into a text space, or there are too few scenes.
    """
    backbone = frozen_backbone(preset, next(teacher.parameters()).device)

    def embed(images: Images) -> Embeddings:
        found = backbone.features(images.to(backbone.device)).embedding
        if found is None:
            raise MuseError(
                "The backbone has no projection into the text space, so that nothing says which "
                "images look alike to it: give MMVP's own folder instead."
            )
        return found.cpu()

    def look(images: Images) -> Tokens:
        return teacher.features(images.to(backbone.device)).cpu()

    return blind_pairs(embed, look, Scenes(split, preset.image_size), each, seed)


def seen_pairs(
    pairs: Sequence[BlindPair], sight: Sight, size: int
) -> tuple[list[Item], Tokens, Grid]:
    """The pairs as MMVP's items, with what is seen of each item's image.

    Args:
        pairs: Of drawn scenes.
        sight: What sees.
        size: Pixels along a scene's side.
    """
    items = [item for at, pair in enumerate(pairs) for item in pair.items(2 * at + 1)]
    looks = [sight.see(pair.scenes, size) for pair in pairs]
    return items, torch.cat([tokens for tokens, _ in looks]), looks[0][1]


@torch.no_grad()
def measured_pairs(
    model: LanguageModel,
    projector: VisualProjector,
    items: Sequence[Item],
    tokens: Tokens,
    grid: Grid,
    seed: int = 0,
) -> dict[str, Measurement]:
    """Both accuracies, of the likelier of two options.

    Args:
        model: Frozen.
        projector: Of these tokens.
        items: Questions, two a pair.
        tokens: Of each item's image, (items, tokens, width) on ``grid``.
        seed: Of the bootstrap over pairs and over questions.

    Raises:
        MuseError: There is no whole pair.
    """
    device = next(projector.parameters()).device
    chosen = [
        _chosen(model, item, projector(each[None].float().to(device), grid))
        for item, each in zip(items, tokens, strict=True)
    ]
    return _figures(items, chosen, seed)


def measured_mmvp(
    model: SeeingModel, folder: str | Path, seed: int = 0
) -> tuple[dict[str, Measurement], tuple[str, ...]]:
    """Both accuracies on MMVP's official folder, and a sentence on each item that was left out.

    Args:
        model: Answers.
        folder: With the file of questions and the images.
        seed: Of the bootstrap over pairs and over questions.

    Raises:
        MuseError: As `muse_core.unified.mmvp.read_mmvp`; or no pair has images that can be read and
            words that the language model knows.
    """
    benchmark, items, chosen, notes = read_mmvp(folder), [], [], []
    for item in tqdm(benchmark.items, "MMVP", unit="item", file=sys.stdout, mininterval=2):
        try:
            model.language_model.check_words(" ".join((item.question, *item.options)))
            seen = model.see(model.one_image(item.image))
            chosen.append(_chosen(model.language_model, item, seen))
            items.append(item)
        except MuseError as error:
            notes.append(f"item {item.index}: {error}")
    if not items:
        raise MuseError(f"No item of {folder} can be asked: {notes[0]}")
    pairs = [item.pair for item in items]
    alone = [item.index for item in items if pairs.count(item.pair) < 2]
    notes += [f"item {index}: its partner is missing, so that no pair counts" for index in alone]
    return _figures(items, chosen, seed), (*benchmark.notes, *notes)


def _chosen(model: LanguageModel, item: Item, seen: Tokens) -> int:
    """``seen``: what stands in the item's image's places, (1, image tokens, width)."""
    return int(option_scores(model, seen, item.question, item.options).argmax())


def _figures(items: Sequence[Item], chosen: Sequence[int], seed: int) -> dict[str, Measurement]:
    found = mmvp_scores(items, chosen)
    words = "the likelier of two options, mean log-likelihood of its words"
    pairs, questions = (np.array(hits, float) for hits in (found.pairs_right, found.right))
    ends = mean_interval(pairs, seed) or (None, None)
    by_pair = [item.pair for item in items]
    of_questions = grouped_interval(questions, by_pair, seed) or (None, None)
    return {
        "mmvp_pairs": Measurement(
            float(pairs.mean()), len(pairs), words, *ends, details=found.by_pattern
        ),
        "mmvp_questions": Measurement(
            float(questions.mean()), len(questions), words, *of_questions
        ),
    }
