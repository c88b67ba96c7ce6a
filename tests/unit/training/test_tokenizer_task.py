"""One update: what moves, what does not, and that a bad loss moves nothing."""

from dataclasses import replace

import pytest
import torch
from accelerate import Accelerator

from muse_core.config.presets import tiny
from muse_core.config.stage import Surgery
from muse_core.data.batch import Batch
from muse_core.data.scenes import Scenes
from muse_core.errors import MuseError
from muse_core.foundations.perceptual import TeacherFeatures
from muse_core.foundations.topology_teacher import DinoV3Teacher
from muse_core.training.teacher_cache import TeacherCache
from muse_core.training.teachers import Teachers
from muse_core.training.tokenizer_task import TokenizerTask

from ..models.small_models import small_tokenizer

FIRST, SECOND, THIRD = (replace(stage, steps=10, ema_decay=0.5) for stage in tiny().curriculum)


@pytest.fixture(scope="module")
def teachers() -> Teachers:
    from ...integration.micro import TEACHER, small_text_tower

    torch.manual_seed(0)
    teacher = DinoV3Teacher.from_config(TEACHER, (0, 1, 1, 2, 2, 3)).requires_grad_(False)
    return Teachers(teacher, small_text_tower().requires_grad_(False), TeacherFeatures(teacher))


def batch(count: int = 3) -> Batch:
    return Scenes("train", 32).first(count)


def trainer(teachers: Teachers, stage=THIRD) -> TokenizerTask:
    return TokenizerTask(small_tokenizer(), stage, teachers, None, Accelerator(cpu=True))


def everything(t: TokenizerTask) -> dict[str, torch.Tensor]:
    return t.state().tensors | {
        f"raw/{name}": value.clone() for name, value in t.tokenizer.state_dict().items()
    }


def test_an_update_moves_weights_average_and_critic_but_no_teacher(teachers) -> None:
    t = trainer(teachers)
    before, frozen = (
        everything(t),
        {n: w.clone() for n, w in teachers.topology.state_dict().items()},
    )
    row = t.update(batch(), 0)
    after = everything(t)
    for part in ("raw/connector.", "raw/decoder.", "raw/backbone.", "ema/connector.", "critic/"):
        assert any(
            not torch.equal(after[name], before[name]) for name in before if name.startswith(part)
        ), part
    assert all(
        torch.equal(frozen[name], weight) for name, weight in teachers.topology.state_dict().items()
    )
    assert {"loss/total", "loss/discriminator", "learning_rate"} <= row.keys()
    total = sum(weight * row[f"loss/{loss}"] for loss, weight in THIRD.weights.items())
    assert row["loss/total"] == pytest.approx(total, rel=1e-5)


def test_captions_cut_in_another_training_are_not_counted(teachers) -> None:
    long = replace(batch(), captions=(" ".join(["a red star"] * 40), *batch().captions[1:]))
    first, second = trainer(teachers, SECOND), trainer(teachers, SECOND)
    first.update(long, 0)
    teachers.text(long.captions)
    second.update(long, 0)
    second.update(long, 1)
    counts = [each.facts()["captions_truncated"] for each in (first, second)]
    assert counts == [1, 2] and second.remembered()["captions_truncated"] == 2


def test_the_record_says_how_many_views_came_from_disk(teachers, tmp_path, monkeypatch) -> None:
    """Of this stage alone, and only of images that a step read."""
    monkeypatch.setenv("MUSE_ROOT", str(tmp_path))
    held = replace(teachers, cache=TeacherCache(teachers.topology, 1.0))
    first = trainer(held, SECOND)
    first.update(batch(2), 0)
    assert first.facts()["targets_read"] == 0
    second = trainer(held, SECOND)
    second.update(batch(3), 0)
    assert second.facts()["targets_read"] == pytest.approx(2 / 3, abs=1e-4)
    assert held.cache is not None and held.cache.asked == 5


@pytest.mark.parametrize("value", [float("nan"), float("inf")])
def test_a_loss_that_is_not_finite_changes_nothing(teachers, value) -> None:
    t = trainer(teachers)
    t.update(batch(), 0)
    before = everything(t)
    with pytest.raises(FloatingPointError, match=r"the loss is (nan|inf)"):
        t.update(replace(batch(), images=batch().images * value), 1)
    after = everything(t)
    same = [n for n in before if torch.equal(before[n], after[n]) or n == "rng/cpu"]
    assert len(same) == len(before)


def test_the_average_is_lent_and_given_back(teachers) -> None:
    t = trainer(teachers, SECOND)
    for step in range(3):
        t.update(batch(), step)
    raw = {name: value.clone() for name, value in t.tokenizer.state_dict().items()}
    with t.averaged() as averaged:
        inside = {name: value.clone() for name, value in averaged.state_dict().items()}
    assert all(torch.equal(value, raw[name]) for name, value in t.tokenizer.state_dict().items())
    assert any(not torch.equal(inside[name], raw[name]) for name in t.weights)
    assert all(torch.equal(inside[name], raw[name]) for name in raw if name.startswith("backbone."))
    with pytest.raises(RuntimeError, match="planted"), t.averaged():
        raise RuntimeError("planted")
    assert all(torch.equal(value, raw[name]) for name, value in t.tokenizer.state_dict().items())


def test_the_average_is_the_exponential_one(teachers) -> None:
    """diffusers' warm-up: the decay of update n is min(ema_decay, (1 + n) / (10 + n))."""
    # Less than the warm-up's third decay, so that both have their say.
    stage = replace(FIRST, ema_decay=0.2)
    t = trainer(teachers, stage)
    name = "connector.queries"
    mean = t.weights[name].detach().clone()
    for step in range(3):
        t.update(batch(), step)
        decay = min(stage.ema_decay, (1 + step) / (10 + step)) if step else 0.0
        mean = decay * mean + (1 - decay) * t.weights[name].detach()
    with t.averaged():
        torch.testing.assert_close(t.weights[name].detach(), mean, atol=1e-6, rtol=1e-5)


def test_a_single_image_cannot_be_contrasted(teachers) -> None:
    with pytest.raises(MuseError, match="batch_size of at least 2"):
        trainer(teachers, SECOND).update(batch(1), 0)


def test_surgery_is_plain_descent_where_tasks_do_not_meet_and_is_for_one_process(teachers) -> None:
    """With a closed trunk, orthogonal routing leaves no weight to two tasks: PCGrad has nothing to
    do there.
    """
    states = []
    for surgery in (Surgery.NONE, Surgery.PCGRAD):
        t = trainer(teachers, replace(SECOND, surgery=surgery))
        t.update(batch(), 0)
        states.append(everything(t))
    for name, value in states[0].items():
        if name.startswith("raw/"):
            torch.testing.assert_close(states[1][name], value)
    many = Accelerator(cpu=True)
    many.state.num_processes, kept = 2, many.state.num_processes
    try:
        with pytest.raises(MuseError, match="surgery='pcgrad' is for one process"):
            TokenizerTask(
                small_tokenizer(), replace(SECOND, surgery=Surgery.PCGRAD), teachers, None, many
            )
    finally:
        many.state.num_processes = kept
