"""A projector learns to be read; nothing else moves, and a resumed training is the uninterrupted
one.
"""

from dataclasses import replace
from pathlib import Path

import pytest
import torch

from muse_core.config.stage import LanguageStage
from muse_core.data.scenes import Scenes
from muse_core.errors import MuseError
from muse_core.training.trainer import RunOptions, Trainer
from muse_core.unified.answer_task import AnswerTask, Listener, answer_loss
from muse_core.unified.conversation import PLACEHOLDER, Turn, prompts
from muse_core.unified.projector import VisualProjector
from muse_core.unified.questions import AskedImages
from muse_core.unified.sight import Look
from tests.integration.micro import stopping_at

from .small_language import small_language_model

STAGE = LanguageStage(
    name="10_unified", learning_rate=3e-3, steps=6, batch_size=8, images=20, checkpoint_every=2
)


def look(images: torch.Tensor) -> tuple[torch.Tensor, tuple[int, int]]:
    """Pixels themselves, 8 x 8 of each."""
    small = torch.nn.functional.adaptive_avg_pool2d(images, 4)
    return small.flatten(2).transpose(1, 2), (4, 4)


SIGHT = Look(look, "pixels")


def data(seed: int = 0) -> AskedImages:
    return AskedImages.of(SIGHT, Scenes("train", 32), STAGE.images, seed)


def trainer(run: str, **options) -> Trainer:
    torch.manual_seed(0)
    made, listener = VisualProjector(3, 32), Listener(small_language_model(), (4, 4))
    given = RunOptions(run=run, device="cpu", **options)
    return Trainer(made, STAGE, data(), listener, options=given, task=AnswerTask)


@pytest.fixture(autouse=True)
def workspace(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("MUSE_ROOT", str(tmp_path))


def test_questions_are_the_same_by_seed_and_stand_beside_their_images() -> None:
    first, again, other = data(), data(), data(1)
    assert first.asked == again.asked != other.asked
    assert first.tokens.shape == (20, 16, 3) and len(first) > 100
    batch = first.__getitems__([0, len(first) - 1])
    last = first.asked[-1][0]
    assert torch.equal(batch.tokens[1], first.tokens[last].float())
    assert batch.questions[1] == first.asked[-1][1] and batch.ids == ("0", str(len(first) - 1))
    kinds = {question.kind for _, question in first.asked}
    assert len(kinds) == 9


def test_the_loss_falls_and_the_projector_alone_moves() -> None:
    one = trainer("moves")
    task = one.task
    before = {k: v.clone() for k, v in task.language_model.state_dict().items()}
    start = {k: v.clone() for k, v in task.projector.state_dict().items()}
    batch = data().__getitems__(list(range(60)))
    loss = lambda: answer_loss(task.language_model, task.prompts(batch), task.seen(batch)).item()
    untrained = loss()
    one.fit()
    assert loss() < untrained
    after = task.language_model.state_dict()
    assert all(torch.equal(value, after[name]) for name, value in before.items())
    assert not any(weight.requires_grad for weight in task.language_model.parameters())
    moved = task.projector.state_dict()
    assert all(not torch.equal(value, moved[name]) for name, value in start.items())


def test_resuming_is_never_stopping() -> None:
    whole = trainer("whole").fit()
    with pytest.raises(MuseError, match="Interrupted"):
        stopped = trainer("stopped")
        stopped.callbacks.append(stopping_at(3, KeyboardInterrupt()))
        stopped.fit()
    resumed = trainer("stopped", resume=True).fit()
    assert resumed.record.resumed_at == 3
    for name, value in whole.network.state_dict().items():
        assert torch.equal(value, resumed.network.state_dict()[name]), name
    assert [row["loss/answer"] for row in whole.rows] == [
        row["loss/answer"] for row in resumed.rows
    ]


def test_trained_already_it_comes_back_at_once(capsys) -> None:
    first = trainer("once").fit()
    again = trainer("once").fit()
    assert "is trained already" in capsys.readouterr().out
    assert torch.equal(*(next(each.network.parameters()) for each in (first, again)))
    assert replace(first.record, provenance=again.record.provenance) == again.record


def test_the_loss_is_the_cross_entropy_of_the_answers_words() -> None:
    model, projector = small_language_model(), VisualProjector(3, 32)
    turns = [
        [Turn(f"{PLACEHOLDER} what shape ?", "a red star")],
        [Turn(f"{PLACEHOLDER} how ?", "no")],
    ]
    batch, image = prompts(model, turns, 4), projector(torch.randn(2, 16, 3), (4, 4))
    nats = []
    for row, said in enumerate(("a red star", "no")):
        alone = prompts(model, [turns[row]], 4)
        places = alone.ids == model.id_of("<IMG_CONTEXT>")
        words = model.embed(alone.ids)
        words[places] = image[row]
        logs = model.network(inputs_embeds=words).logits[0].log_softmax(-1)
        answer = [*model.ids(said), model.id_of("<|im_end|>")]
        first = alone.ids.shape[1] - len(answer)
        nats += [-logs[first + at - 1, word] for at, word in enumerate(answer)]
    torch.testing.assert_close(answer_loss(model, batch, image), torch.stack(nats).mean())


def test_no_image_to_ask_about_is_a_sentence() -> None:
    with pytest.raises(MuseError, match="no image to ask about"):
        AskedImages.of(SIGHT, Scenes("train", 32), 0, 0)
