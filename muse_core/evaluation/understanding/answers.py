"""Does a language model answer from an image's tokens? Questions of nine kinds, exact answers."""

import sys
from collections.abc import Iterator
from dataclasses import replace

import torch
from torch import nn
from tqdm import tqdm

from muse_core.data.scene_questions import ASKED
from muse_core.evaluation.intervals import mean_interval
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
        turns = [[Turn(f"{PLACEHOLDER} {one.text}")] for one in batch.questions]
        words = prompts(model, turns, image.shape[1]).to(device)
        found = torch.stack(list(answers(model, words, image, LONGEST)), 1).tolist()
        ends = [row.index(end) if end in row else len(row) for row in found]
        kept = [row[:stop] for row, stop in zip(found, ends, strict=True)]
        yield batch, [str(model.tokenizer.decode(row)) for row in kept]


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
    scores = torch.tensor(right)
    by_kind = {f"answers_{kind}": [each == kind for each in kinds] for kind in ASKED}
    found_all = {"answers": torch.ones(len(kinds), dtype=torch.bool)}
    found_all |= {name: torch.tensor(rows) for name, rows in by_kind.items() if any(rows)}
    measured = {name: _measured(scores[rows], seed) for name, rows in found_all.items()}
    shown = [(at, one, heard[row]) for row, (at, one) in enumerate(asked.asked) if at < KEPT]
    told = [[at, one.kind, one.text, one.answer, answer] for at, one, answer in shown]
    return measured | {"answers": replace(measured["answers"], details={"told": told})}


def _measured(scores: torch.Tensor, seed: int) -> Measurement:
    low, high = mean_interval(scores.numpy(), seed) or (None, None)
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
    right = [
        (one.kind, float(best.get((one.kind, *one.choices)) == one.answer))
        for _, one in asked.asked
    ]
    found = {"answers": torch.tensor([score for _, score in right])}
    for kind in ASKED:
        if scores := [score for each, score in right if each == kind]:
            found[f"answers_{kind}"] = torch.tensor(scores)
    return {name: _measured(scores, 0) for name, scores in found.items()}
