"""Does a language model answer from an image's tokens? Questions of nine kinds, exact answers."""

import sys
from collections.abc import Iterator
from dataclasses import replace

import torch
from torch import nn
from tqdm import tqdm

from muse_core.data.scene_questions import ASKED
from muse_core.evaluation.intervals import grouped_interval
from muse_core.foundations.language_model import TURN_END, LanguageModel
from muse_core.results.measurements import Measurement
from muse_core.unified.conversation import PLACEHOLDER, Turn, prompts
from muse_core.unified.questions import AskedBatch, AskedImages
from muse_core.unified.seeing_model import answers

AT_ONCE, LONGEST = 200, 6
KEPT = 8
"""Images whose answers are kept word by word."""


@torch.no_grad()
def said(
    model: LanguageModel, projector: nn.Module, asked: AskedImages
) -> Iterator[tuple[AskedBatch, list[str]]]:
    """Each batch of questions with what the model answers."""
    device = next(projector.parameters()).device
    end = model.id_of(TURN_END)
    starts = range(0, len(asked), AT_ONCE)
    for start in tqdm(starts, desc="answers", file=sys.stdout, mininterval=2):
        indices = list(range(start, min(start + AT_ONCE, len(asked))))
        batch = asked.__getitems__(indices).to(device)
        image = projector(batch.tokens, asked.grid)
        turns = [[Turn(f"{PLACEHOLDER}\n{one.text}")] for one in batch.questions]
        words = prompts(model, turns, image.shape[1]).to(device)
        found = torch.stack(list(answers(model, words, image, LONGEST)), 1).tolist()
        ends = [row.index(end) if end in row else len(row) for row in found]
        kept = [row[:stop] for row, stop in zip(found, ends, strict=True)]
        yield batch, [str(model.tokenizer.decode(row)).strip() for row in kept]


def measured_answers(
    model: LanguageModel, projector: nn.Module, asked: AskedImages, seed: int = 0
) -> dict[str, Measurement]:
    """Share of the questions that are answered in exactly the right words, of each kind and of all.

    Args:
        model: Frozen.
        projector: Of the tokens that ``asked`` holds.
        asked: Questions about images that no projector was trained on.
        seed: Of the bootstrap over questions.

    Returns:
        Metric -> figure; that of all has in its details, as "told", [image, kind, question, right
        answer, what was said] of the first images.
    """
    kinds, right, heard = [], [], []
    for batch, found in said(model, projector, asked):
        kinds += [one.kind for one in batch.questions]
        pairs = zip(batch.questions, found, strict=True)
        right += [float(one.answer == answer) for one, answer in pairs]
        heard += found
    measured = _by_kind(kinds, right, [at for at, _ in asked.asked], seed)
    shown = [(at, one, heard[row]) for row, (at, one) in enumerate(asked.asked) if at < KEPT]
    told = [[at, one.kind, one.text, one.answer, answer] for at, one, answer in shown]
    return measured | {"answers": replace(measured["answers"], details={"told": told})}


def _measured(scores: torch.Tensor, images: torch.Tensor, seed: int) -> Measurement:
    """``images``: which image each score is of."""
    low, high = grouped_interval(scores.numpy(), images.tolist(), seed) or (None, None)
    words = "the right words and no others, likeliest word by word"
    return Measurement(float(scores.mean()), len(scores), words, low, high)


def guessed(asked: AskedImages, known: AskedImages) -> dict[str, Measurement]:
    """Chance: to each form of question the answer that it most often had in ``known``, without a
    look.
    """
    counts: dict[tuple[str, ...], dict[str, int]] = {}
    for _, one in known.asked:
        held = counts.setdefault((one.kind, *one.choices), {})
        held[one.answer] = held.get(one.answer, 0) + 1
    best = {form: max(held, key=lambda answer: held[answer]) for form, held in counts.items()}
    kinds = [one.kind for _, one in asked.asked]
    right = [float(best.get((one.kind, *one.choices)) == one.answer) for _, one in asked.asked]
    return _by_kind(kinds, right, [at for at, _ in asked.asked], 0)


def _by_kind(
    kinds: list[str], right: list[float], images: list[int], seed: int
) -> dict[str, Measurement]:
    """Of all questions, and of each kind that was asked."""
    rows = {"answers": range(len(kinds))} | {
        f"answers_{kind}": [row for row, each in enumerate(kinds) if each == kind] for kind in ASKED
    }
    pick = lambda values, chosen: torch.tensor([values[row] for row in chosen])
    return {
        name: _measured(pick(right, chosen), pick(images, chosen), seed)
        for name, chosen in rows.items()
        if chosen
    }
