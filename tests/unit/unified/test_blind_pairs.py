"""Pairs differ in one thing, ask one question with two answers, and are those that the embedding
confuses.
"""

import pytest
import torch

from muse_core.data.scene_questions import ASKED
from muse_core.data.scenes import Scenes
from muse_core.errors import MuseError
from muse_core.unified import blind_pairs as module
from muse_core.unified.blind_pairs import PATTERNS, BlindPair, blind_pairs
from muse_core.unified.mmvp import read_mmvp, write_mmvp


def embed(images: torch.Tensor) -> torch.Tensor:
    """Mean colour alone: blind to where things are."""
    return images.mean((2, 3))


def teacher(images: torch.Tensor) -> torch.Tensor:
    """Pixels in their places."""
    return torch.nn.functional.adaptive_avg_pool2d(images - 0.5, 8).flatten(2).transpose(1, 2)


@pytest.fixture(scope="module")
def pairs() -> list[BlindPair]:
    with pytest.MonkeyPatch.context() as monkeypatch:
        monkeypatch.setattr(module, "CANDIDATES", 60)
        return blind_pairs(embed, teacher, Scenes("test", 32), each=4)


def test_every_pattern_has_its_pairs_with_two_answers(pairs) -> None:
    assert tuple(PATTERNS) == tuple(ASKED)
    assert [pair.pattern for pair in pairs] == [name for name in PATTERNS for _ in range(4)]
    assert all(pair.answers[0] != pair.answers[1] and pair.question for pair in pairs)
    assert all(pair.images.shape == (2, 3, 32, 32) for pair in pairs)
    assert not any(torch.equal(*pair.images) for pair in pairs)


def test_they_are_taken_for_the_same_by_the_embedding_and_not_by_the_teacher(pairs) -> None:
    for pair in pairs:
        first, second = pair.images
        cosine = torch.cosine_similarity(embed(first[None]), embed(second[None]))
        assert pair.alike == pytest.approx(cosine.item(), abs=1e-5)
    moved = [pair for pair in pairs if pair.pattern == "position"]
    assert all(pair.alike > 0.95 and pair.seen < 0.9 for pair in moved)


def test_the_same_pairs_by_seed() -> None:
    with pytest.MonkeyPatch.context() as monkeypatch:
        monkeypatch.setattr(module, "CANDIDATES", 20)
        first, again, other = (
            blind_pairs(embed, teacher, Scenes("test", 32), each=1, seed=seed) for seed in (0, 0, 1)
        )
    said = [[(pair.question, pair.answers) for pair in each] for each in (first, again, other)]
    assert said[0] == said[1] != said[2]


def test_they_are_written_and_read_in_mmvps_layout(pairs, tmp_path) -> None:
    items = [item for at, pair in enumerate(pairs) for item in pair.items(2 * at + 1)]
    pictures = [picture for pair in pairs for picture in pair.pictures()]
    found = read_mmvp(write_mmvp(tmp_path, items, pictures))
    assert len(found.items) == 2 * len(pairs) and found.notes == ()
    for at, pair in enumerate(pairs):
        one, other = found.items[2 * at : 2 * at + 2]
        assert one.pair == other.pair == at and (one.answer, other.answer) == (0, 1)
        assert one.options == other.options == pair.answers


def test_too_few_scenes_are_a_sentence(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(module, "CANDIDATES", 2)
    with pytest.raises(MuseError, match="pairs that differ in shape, and 9 are asked for"):
        blind_pairs(embed, teacher, Scenes("test", 32), each=9)
