"""``muse look``: pictures of one's own through a tokenizer, on one page that loads nothing from
elsewhere.
"""

import re
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from hashlib import blake2b
from itertools import chain
from pathlib import Path
from typing import Any, TypeVar

import torch
import torch.nn.functional as F
from torch import Tensor

from muse_core import paths
from muse_core.config.preset import Preset
from muse_core.config.stage import Loss
from muse_core.data.class_prompts import photo_caption
from muse_core.data.own_images import OwnImages, pictures
from muse_core.data.scenes import shape_prompts
from muse_core.data.shape_templates import SHAPES
from muse_core.errors import MuseError
from muse_core.evaluation.attention.explored import ExploredAttention
from muse_core.evaluation.attention.run_attention import (
    own_teacher,
    student_network,
    teacher_networks,
)
from muse_core.evaluation.feature_extractors import frozen
from muse_core.evaluation.reconstruction.pixel_metrics import psnr
from muse_core.figures.explorer import explorer_fragment
from muse_core.figures.image_page import html
from muse_core.figures.images import image_grid
from muse_core.foundations.drawn import TOWER, drawn_only, of_photographs
from muse_core.foundations.text_tower import TextTower, text_embeddings
from muse_core.models.tokenizer import MuseTokenizer
from muse_core.report.index import render
from muse_core.report.summary import data_words
from muse_core.results.records import whole_file
from muse_core.shapes import Embeddings
from muse_core.training.distributed import device_for
from muse_core.training.named_tokenizer import NamedTokenizer

NEAREST, IN_EXPLORER, AT_ONCE, ERROR_GAIN = 5, 12, 16, 4
PROMPTS_AT_ONCE = 256
Part = TypeVar("Part")


@dataclass(frozen=True)
class Looked:
    """One picture on the page: ``tiles`` as HTML; ``words``: the nearest, with their cosine."""

    name: str
    note: str
    tiles: str
    words: list[tuple[str, float]]


def look(
    given: Sequence[str],
    named: NamedTokenizer,
    into: Path | None = None,
    preset: str = "",
    words: str = "",
    fit: str = "",
    device: str = "auto",
) -> Path:
    """Write the page.

    Args:
        given: Paths of pictures, or names of those built in.
        named: The tokenizer.
        into: Where it goes; reports/look where None is given.
        preset: What the tokenizer was trained with, where its run does not say it.
        words: To compare pictures with, with commas between; those of its preset where none are
            given.
        fit: How pictures become square, "crop" or "pad"; as the tokenizer says where it is empty.
        device: "auto", "cpu", "cuda" or "mps".

    Returns:
        The page. Its name ends on a hash of pictures, tokenizer and options: other pictures of the
        same names get a page of their own.

    Raises:
        MuseError: For what is no picture, no tokenizer, a preset that is none, or a disk that
            refuses.
    """
    where, fingerprint = device_for(device), named.fingerprint
    tokenizer, notes = named.load(where), list[str]()
    processor = tokenizer.image_processor
    shown = pictures([*given], processor.side, fit or processor.fit)
    known = (
        named.preset(preset)
        if preset
        else _if_there("teacher and words", lambda: named.preset(), notes)
    )
    reconstructed, embeddings = _through(tokenizer, shown)
    tower = known and _if_there("words", lambda: _tower(known, tokenizer, where), notes)
    if known and tower and not _anchored(known, named.stage):
        notes.append(
            f"No stage up to {named.stage} has trained the semantics with words, so the nearest "
            "ones are those of random weights: the next stage trains them."
        )
    vocabulary = _vocabulary(words, known) if tower else {}
    nearest = _nearest(embeddings, tower, vocabulary) if tower else [[] for _ in shown.names]
    teacher = known and _if_there("the teacher", lambda: own_teacher(known), notes)
    networks = (
        teacher_networks(frozen(teacher, where), tokenizer, processor.side) if teacher else []
    )
    networks.append(student_network(str(named), tokenizer))
    in_explorer = list(dict.fromkeys(word for each in nearest for word, _ in each[:3]))
    explorer = _if_there(
        "the explorer",
        lambda: _explorer(networks, shown, tower, in_explorer[:IN_EXPLORER], notes),
        notes,
    )
    page = render(
        "look.html.j2",
        [],
        title=", ".join(shown.names),
        facts=_facts(tokenizer, named, known) | {"Weights": fingerprint},
        drawn=drawn_only(known) if known else [],
        others=of_photographs(),
        notes=notes,
        looked=_looked(shown, reconstructed, nearest),
        explorer=explorer or "",
    )
    folder = paths.writable(into or paths.root() / "reports" / "look")
    asked = (fingerprint, preset, words, fit or processor.fit)
    digest = blake2b(shown.images.numpy().tobytes() + repr(asked).encode(), digest_size=3)
    stem = _file_name(shown.names, named.run or Path(named.place).name)
    path = folder / f"{stem}-{digest.hexdigest()}.html"
    with whole_file(path) as temporary:
        temporary.write_text(page, encoding="utf-8")
    return path


def _if_there(what: str, make: Callable[[], Part], notes: list[str]) -> Part | None:
    """What a page can do without; where it is missing, the page says so."""
    try:
        return make()
    except MuseError as error:
        notes.append(f"Without {what}: {error}")
        return None


@torch.no_grad()
def _through(tokenizer: MuseTokenizer, shown: OwnImages) -> tuple[Tensor, Embeddings]:
    """Reconstructions, clamped, and embeddings of all pictures, on the CPU."""
    outputs = [
        tokenizer(part.to(tokenizer.device, tokenizer.dtype))
        for part in shown.images.split(AT_ONCE)
    ]
    pixels = torch.cat([each.reconstruction.float().cpu() for each in outputs]).clamp(0, 1)
    return pixels, torch.cat([each.embedding.float().cpu() for each in outputs])


def _tower(preset: Preset, tokenizer: MuseTokenizer, device: torch.device) -> TextTower:
    """The preset's text tower. Raises MuseError where it is not there, or not of this tokenizer."""
    tower = frozen(TextTower.from_pretrained(preset.foundations.text_tower), device)
    if tower.width != tokenizer.config.embedding_width:
        raise MuseError(
            f"the text tower of preset {preset.name!r} is {tower.width} wide, and the tokenizer's "
            f"text space {tokenizer.config.embedding_width}: name the preset it was trained with."
        )
    return tower


def _anchored(preset: Preset, stage: str) -> bool:
    """Whether L_anchor has trained the tokenizer by the end of a stage; of one whose stage nobody
    knows, it is taken for granted.
    """
    names = [each.name for each in preset.curriculum]
    passed = preset.curriculum.stages[: names.index(stage) + 1] if stage in names else ()
    return not passed or any(each.weights.get(Loss.ANCHOR) for each in passed)


def _vocabulary(words: str, preset: Preset | None) -> Mapping[str, str]:
    """Words -> the caption that is embedded: the given ones as they are; else what the scenes
    show, where the text tower read of nothing else, and otherwise ImageNet's thousand classes.
    """
    if asked := [word.strip() for word in words.split(",") if word.strip()]:
        return {word: word for word in asked}
    if preset is not None and TOWER in drawn_only(preset):
        return {prompt: prompt for prompt in chain.from_iterable(map(shape_prompts, SHAPES))}
    # Here, as importing them takes seconds.
    from open_clip.zero_shot_metadata import IMAGENET_CLASSNAMES

    return {name: photo_caption(name) for name in IMAGENET_CLASSNAMES}


def _nearest(
    images: Embeddings, tower: TextTower, vocabulary: Mapping[str, str]
) -> list[list[tuple[str, float]]]:
    """The nearest words of each image and their cosine, the nearest first."""
    words, captions = [*vocabulary], [*vocabulary.values()]
    parts = range(0, len(captions), PROMPTS_AT_ONCE)
    texts = [text_embeddings(tower, captions[at : at + PROMPTS_AT_ONCE]).cpu() for at in parts]
    cosines = F.normalize(images, dim=-1) @ F.normalize(torch.cat(texts).float(), dim=-1).T
    best = cosines.topk(min(NEAREST, len(words)), dim=-1)
    return [
        [(words[index], value) for index, value in zip(indices, values, strict=True)]
        for indices, values in zip(best.indices.tolist(), best.values.tolist(), strict=True)
    ]


def _explorer(
    networks: Sequence[Any],
    shown: OwnImages,
    tower: TextTower | None,
    words: Sequence[str],
    notes: list[str],
) -> str:
    explored = ExploredAttention(networks, shown, text=tower, words=words)
    notes += [explored.note] if explored.note else []
    return explorer_fragment(explored.data)


def _looked(
    shown: OwnImages, reconstructed: Tensor, nearest: list[list[tuple[str, float]]]
) -> list[Looked]:
    decibels = psnr(reconstructed, shown.images).tolist()
    errors = ((reconstructed - shown.images).abs() * ERROR_GAIN).clamp(0, 1)
    found = []
    for at, name in enumerate(shown.names):
        tiles = torch.stack([each[at] for each in (shown.images, reconstructed, errors)])
        below = ["input", f"reconstruction, {decibels[at]:.1f} dB", f"|error| × {ERROR_GAIN}"]
        grid = html(image_grid(tiles, below, columns=3, title=""))
        found.append(Looked(name, shown.notes[at].removeprefix(f"{name}: "), grid, nearest[at]))
    return found


def _facts(
    tokenizer: MuseTokenizer, named: NamedTokenizer, preset: Preset | None
) -> dict[str, str]:
    side, cell = tokenizer.image_processor.side, tokenizer.cell
    grid = f"{side // cell} × {side // cell} × {tokenizer.latent_channels}"
    return {
        "Tokenizer": str(named),
        "Preset": preset.name if preset else "",
        "Trained on": data_words(named.record.get("data", "")),
        "Image": f"{side} × {side} × 3 numbers",
        "Latent": f"{grid} numbers",
    }


def _file_name(pictures: Sequence[str], tokenizer: str) -> str:
    """Letters, digits and hyphens, of a bounded length."""
    words = [*(Path(name).stem for name in pictures[:4]), tokenizer]
    return "-".join(re.sub(r"[^A-Za-z0-9]+", "-", word)[:40].strip("-") for word in words)
