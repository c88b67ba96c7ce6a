"""Queries and connector learn, the denoiser, or both; nothing else moves; a resumed training is the
uninterrupted one; rows that draw and rows that edit share a batch.
"""

from dataclasses import replace
from pathlib import Path

import pytest
import torch

from muse_core.config.preset import DenoiserShape
from muse_core.config.stage import DrawingStage
from muse_core.errors import MuseError
from muse_core.generation.denoiser import build_denoiser
from muse_core.generation.latent_normalisation import LatentNormalisation
from muse_core.training.trainer import RunOptions, Trainer
from muse_core.unified import draw_task
from muse_core.unified.draw_task import DrawTask, Reader, joined
from muse_core.unified.drawer import Drawer, Understood
from muse_core.unified.drawing_connector import DrawingConnector
from muse_core.unified.drawing_run import DrawingParts, DrawingRun
from muse_core.unified.drawn_pairs import DrawnPairs
from muse_core.unified.projector import VisualProjector
from tests.integration.micro import small_text_tower, stopping_at

from .small_language import small_language_model

STAGE = DrawingStage(
    name="10_drawing", learning_rate=3e-3, steps=6, batch_size=8, images=24, checkpoint_every=2
)
EDITING = replace(STAGE, edit_share=0.5)
SHAPE = DenoiserShape(
    num_layers=1,
    num_attention_heads=2,
    attention_head_dim=8,
    num_cross_attention_heads=2,
    cross_attention_head_dim=8,
)


@pytest.fixture(autouse=True)
def workspace(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("MUSE_ROOT", str(tmp_path))


def pairs(edits: bool = True) -> DrawnPairs:
    draw = torch.Generator().manual_seed(0)
    prompts = tuple(f"a {'red' if k % 2 else 'blue'} star" for k in range(24))
    changed = torch.tensor([edits and k % 3 == 0 for k in range(24)])
    tokens = torch.randn(24, 16, 3, generator=draw) * changed[:, None, None]
    latents = torch.randn(24, 4, 4, 4, generator=draw)
    before = torch.randn(24, 4, 4, 4, generator=draw) * changed[:, None, None, None]
    return DrawnPairs(latents, prompts, changed, tokens.half(), before.half(), f"pairs/{edits}")


def trainer(
    run: str, stage: DrawingStage = EDITING, edits: bool = True, text=None, **options
) -> Trainer:
    torch.manual_seed(0)
    model = small_language_model()
    projector = VisualProjector(3, 32)
    queries, width = (8, text.network.config.hidden_size) if text else (3, 24)
    made = (
        DrawingConnector.of(model, queries, 1, width),
        build_denoiser(SHAPE, 4, 4, width),
    )
    drawer = Drawer.of(*made)
    data = pairs()
    normalisation = LatentNormalisation.measured(data.latents, "own")
    reader = Reader(model, normalisation, projector if edits else None, (4, 4), text)
    given = RunOptions(run=run, device="cpu", **options)
    return Trainer(drawer, stage, data, reader, options=given, task=DrawTask)


def test_everything_of_the_drawer_moves_and_nothing_else() -> None:
    one = trainer("moves")
    task = one.task
    frozen = {"model": task.language_model, "projector": task.projector}
    before = {k: {n: w.clone() for n, w in net.state_dict().items()} for k, net in frozen.items()}
    start = {n: w.clone() for n, w in task.drawer.named_parameters()}
    result = one.fit()
    assert result.record.steps == 6 and len(result.rows) == 6
    for name, network in frozen.items():
        after = network.state_dict()
        assert all(torch.equal(value, after[key]) for key, value in before[name].items())
        assert not any(weight.requires_grad for weight in network.parameters())
    moved = dict(task.drawer.named_parameters())
    still = [name for name, value in start.items() if torch.equal(value, moved[name])]
    assert not still


def test_the_connector_alone_leaves_the_denoiser_bit_for_bit() -> None:
    one = trainer("alone", replace(STAGE, trains_denoiser=False))
    start = {n: w.clone() for n, w in one.task.drawer.named_parameters()}
    one.fit()
    for name, weight in one.task.drawer.named_parameters():
        still = name.startswith("denoiser.")
        assert torch.equal(weight, start[name]) == still, name


def test_the_denoiser_alone_leaves_queries_and_connector_bit_for_bit() -> None:
    one = trainer("denoiser-alone", replace(EDITING, trains_connector=False))
    start = {n: w.clone() for n, w in one.task.drawer.named_parameters()}
    assert not one.task.drawer.connector.training and one.task.drawer.denoiser.training
    one.fit()
    for name, weight in one.task.drawer.named_parameters():
        assert torch.equal(weight, start[name]) != name.startswith("denoiser."), name


@pytest.mark.parametrize("still", [{"trains_denoiser": False}, {"aligns": True}])
def test_a_stage_that_trains_nothing_is_a_sentence(still) -> None:
    stage = replace(STAGE, trains_connector=False, **still)
    with pytest.raises(MuseError, match="trains nothing: give trains_connector=True"):
        trainer("nothing", stage, text=small_text_tower()).fit()


@pytest.mark.parametrize("given", [STAGE, EDITING], ids=["prompts", "edits"])
def test_aligning_moves_queries_and_connector_alone_towards_the_text_tower(given) -> None:
    stage = replace(given, aligns=True, steps=40, prompt_dropout=0.0)
    one = trainer("aligned", stage, text=small_text_tower())
    text = {n: w.clone() for n, w in one.task.text.state_dict().items()}
    start = {n: w.clone() for n, w in one.task.drawer.named_parameters()}
    losses = [row["loss/text_alignment"] for row in one.fit().rows]
    assert losses[-1] < 0.7 * losses[0]
    for name, weight in one.task.drawer.named_parameters():
        assert torch.equal(weight, start[name]) != name.startswith("connector."), name
    assert all(torch.equal(value, text[name]) for name, value in one.task.text.state_dict().items())


def test_aligning_without_a_text_tower_is_a_sentence() -> None:
    with pytest.raises(MuseError, match="and there is none"):
        trainer("none", replace(STAGE, aligns=True)).fit()


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


def test_rows_that_draw_and_rows_that_edit_keep_their_order() -> None:
    task = trainer("order").task
    batch = pairs().__getitems__([0, 1, 2, 3])
    together = task.understood(list(batch.prompts), batch)
    lengths = []
    for row in range(4):
        alone = task.understood([batch.prompts[row]], pairs().__getitems__([row]))
        lengths.append(alone.hidden.shape[1])
        found = together.hidden[row][together.mask[row]]
        own = alone.hidden[0][alone.mask[0]]
        torch.testing.assert_close(found, own, rtol=1e-4, atol=1e-5)
    # Those that edit have read an image.
    assert lengths[0] == lengths[3] > lengths[1] == lengths[2]


def test_stages_that_cannot_be_trained_are_said_before_anything_is_encoded() -> None:
    task = trainer("whole").task
    normalisation, model = task.reader.normalisation, task.language_model
    for reader, overrides, says in (
        (Reader(model, normalisation), "", "no projector makes words"),
        (task.reader, "", "10a_connector aligns prompts with a text tower, and there is none"),
        (task.reader, "10a.stage.aligns=false 10c.stage.trains_denoiser=false", "10c_editing tra"),
    ):
        parts = object.__new__(DrawingParts)
        # Nothing else is asked of them.
        vars(parts)["reader"] = reader
        with pytest.raises(MuseError, match=says):
            DrawingRun(run="early", preset="tiny", overrides=overrides).open(parts)


def test_as_many_prompts_as_said_are_dropped(monkeypatch) -> None:
    def read(share: float) -> list[str]:
        task = trainer(f"dropped-{share}", replace(EDITING, prompt_dropout=share)).task
        said: list[str] = []
        heard = task.understood
        monkeypatch.setattr(task, "understood", lambda p, batch: said.extend(p) or heard(p, batch))
        torch.manual_seed(0)
        task.update(pairs().__getitems__([*range(24)]), 1)
        return said

    assert read(0.0) == [*pairs().prompts] and read(1.0) == [""] * 24
    assert 6 < read(0.5).count("") < 18


def test_a_denoiser_that_is_not_trained_is_in_evaluation_mode() -> None:
    task = trainer("frozen", replace(STAGE, trains_denoiser=False)).task
    assert task.drawer.connector.training and not task.drawer.denoiser.training
    assert trainer("trained").task.drawer.denoiser.training


def test_edits_without_a_projector_are_a_sentence() -> None:
    with pytest.raises(MuseError, match="no projector makes words of them"):
        trainer("none", EDITING, edits=False).fit()
    with pytest.raises(MuseError, match="give edit_share=0 to both"):
        trainer("none", STAGE, edits=False).fit()


@pytest.mark.parametrize("weighs", [False, True])
def test_what_is_learnt_of_an_edit_is_its_difference_to_the_image(monkeypatch, weighs) -> None:
    """And places count more where an edit changes them, and only there."""
    task, heard = trainer("difference", replace(STAGE, weighs_changes=weighs)).task, {}

    def loss(v, data, noise, weight):
        heard.update(data=data, weight=weight)
        return v.mean()

    monkeypatch.setattr(draw_task, "flow_matching_loss", loss)
    batch = pairs().__getitems__([0, 1])
    task.update(batch, 1)
    own = task.normalisation.normalise
    torch.testing.assert_close(heard["data"][0], own(batch.latents)[0] - own(batch.before)[0])
    torch.testing.assert_close(heard["data"][1], own(batch.latents)[1])
    if weighs:
        assert heard["weight"][0].max() > 1 and (heard["weight"][1] == 1).all()
    else:
        assert heard["weight"] is None


def test_a_stage_of_another_shift_is_another_one() -> None:
    """A drawer samples by the last stage's shift: one with another is not taken for trained."""
    task = trainer("shift").task
    before = task.configuration()
    task.drawer.register_to_config(shift=3.0)
    assert task.configuration() != before


def test_sequences_are_padded_at_the_left() -> None:
    there = lambda count: torch.ones(1, count, dtype=torch.bool)
    one, other = (
        Understood(torch.ones(1, 2, 3), there(2)),
        Understood(2 * torch.ones(1, 3, 3), there(3)),
    )
    found = joined([one, other])
    assert found.mask.tolist() == [[False, True, True], [True] * 3]
    assert found.hidden[0, 0].abs().sum() == 0 and found.hidden[:, 1:].min() == 1
