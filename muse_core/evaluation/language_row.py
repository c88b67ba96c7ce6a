"""A row of the language side by its name: what a language model reads of a system, trained where it
has to be, and what it answers.
"""

from collections.abc import Mapping
from dataclasses import dataclass, field, replace

from muse_core.config.parameters import NO_NETWORK
from muse_core.errors import MuseError
from muse_core.evaluation.trained_row import table_one_row
from muse_core.evaluation.understanding.answers import guessed, measured_answers
from muse_core.evaluation.understanding.pair_answers import measured_pairs, seen_pairs
from muse_core.evaluation.understanding.sights import READ, SEMANTIC, sight_of
from muse_core.results.measurements import Measurement
from muse_core.training.system_run import SystemRun
from muse_core.training.trainer import StageResult
from muse_core.unified.blind_pairs import BlindPair
from muse_core.unified.language_run import OpenedLanguage
from muse_core.unified.projector import VisualProjector
from muse_core.unified.sight import InWords, Sight

FINER = 2
"""The ceiling's cells along a word's side: in preset tiny a cell is a backbone's patch."""
WORDS, CHANCE = NO_NETWORK


@dataclass(frozen=True)
class LanguageRow:
    """``sights``: kind of tokens -> what is read; ``lacking``: kind -> why there is none;
    ``results``: of the stages that were trained.
    """

    sights: dict[str, Sight]
    lacking: dict[str, str] = field(default_factory=dict)
    results: list[StageResult] = field(default_factory=list)


def language_row(named: SystemRun) -> LanguageRow:
    """Every kind of tokens that a system has.

    Args:
        named: As `table_one_row` takes it; its ``system`` may also be one of `NO_NETWORK`.

    Raises:
        MuseError: As `table_one_row`.
    """
    if named.system == CHANCE:
        return LanguageRow({})
    if named.system == WORDS:
        cells = FINER * named.load_preset().language.image_side
        return LanguageRow({SEMANTIC: InWords(cells)})
    row = table_one_row(named)
    sights, lacking = {}, {}
    for read in READ:
        try:
            sights[read] = sight_of(row.extractor, read)
        except MuseError as error:
            lacking[read] = str(error)
    return LanguageRow(sights, lacking, row.results)


def answered(
    opened: OpenedLanguage,
    projector: VisualProjector,
    split: str,
    images: int,
    pairs: list[BlindPair],
) -> dict[str, Measurement]:
    """What a trained projector lets the language model answer.

    Args:
        opened: Its training; says what is seen and who answers.
        projector: Trained.
        split: Scenes that are asked about.
        images: How many of them.
        pairs: MMVP's, of drawn scenes.
    """
    model, asked = opened.language_model, opened.asked(split, images)
    items, tokens, grid = seen_pairs(pairs, opened.sight, opened.preset.image_size)
    found = measured_answers(model, projector, asked)
    return found | measured_pairs(model, projector, items, tokens, grid)


def without_a_look(opened: OpenedLanguage, split: str, images: int) -> dict[str, Measurement]:
    """Chance: the commonest answer to every form of question, and a coin for MMVP's options."""
    known = opened.asked("train", opened.stage.images)
    coin = "one of two options by chance"
    return guessed(opened.asked(split, images), known) | {
        "mmvp_pairs": Measurement(0.25, 1, coin),
        "mmvp_questions": Measurement(0.5, 1, coin),
    }


def columns(
    by_tokens: Mapping[str, Mapping[str, Measurement]], lacking: Mapping[str, str]
) -> dict[str, Measurement]:
    """One row of all: a column of answers for each kind of tokens; kinds of questions and MMVP of
    the first kind of tokens that is there, which their protocol names.

    Args:
        by_tokens: A name of `READ` -> what was measured.
        lacking: A name of `READ` -> why nothing was.
    """
    first = next(iter(by_tokens))
    found = {
        name: replace(each, protocol=f"{each.protocol}; from its {first} tokens")
        for name, each in by_tokens[first].items()
    }
    for read in READ:
        name = "answers" if read == SEMANTIC else f"answers_{read}"
        there = by_tokens.get(read)
        why = lacking.get(read, "not asked for")
        found[name] = there["answers"] if there else Measurement.missing(why)
    return found
