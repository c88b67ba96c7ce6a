"""The three stages, trained end to end: what they write, that they repeat and resume bit for bit,
and how they refuse.
"""

import json
import signal
from dataclasses import replace
from pathlib import Path

import pytest
import torch
from PIL import Image

from muse_core.data.scenes import Scenes
from muse_core.data.sources import open_source
from muse_core.errors import MuseError
from muse_core.models.tokenizer import MuseTokenizer
from muse_core.training.stage_run import train_stage
from muse_core.training.tokenizer_task import TokenizerTask

from .micro import (
    STAGES,
    after_each,
    borrow_stage,
    finished_weights,
    last_training_state,
    micro_run,
    same,
    stopping_at,
    written_rows,
)

EARLIER = dict(zip(STAGES[1:], STAGES[:-1], strict=True))


class Killed(Exception):
    """Stands for the machine going down: nothing in the loop expects it."""


def begin(stage: str, run: str, **options):
    """A run of ``stage`` that has the stage before it, borrowed from the finished run."""
    described = micro_run(stage, run, **options)
    if stage in EARLIER:
        borrow_stage(described, EARLIER[stage])
    return described


def assert_equal_to_the_whole_run(run) -> None:
    whole = replace(run, run="whole")
    assert written_rows(run) == written_rows(whole)
    assert same(finished_weights(run), finished_weights(whole)) == []
    assert same(last_training_state(run), last_training_state(whole)) == []


@pytest.mark.parametrize(("number", "stage"), enumerate(STAGES, 1), ids=STAGES)
def test_each_stage_writes_its_record(whole, micro, number, stage) -> None:
    record = json.loads(
        (micro / "reports" / "whole" / "records" / f"stage{number}.json").read_text()
    )
    terms = {"topology", "reconstruction", "perceptual"} | ({"anchor"} if number > 1 else set())
    terms |= {"adversarial", "discriminator"} if number == 3 else set()
    assert set(record["losses"]) == terms | {"total"}
    assert (record["steps"], record["batch_size"], record["resumed_at"]) == (6, 4, 0)
    assert record["seconds"] >= 0 and record["images_per_second"] > 0
    assert record["perceptual_network"] == "teacher features"
    rows = written_rows(micro_run(stage))
    assert [row["step"] for row in rows] == [1, 2, 3, 4, 5, 6]
    total = record["losses"]["total"]
    assert total["first"] == rows[0]["loss/total"]
    assert total["last"] == pytest.approx(sum(row["loss/total"] for row in rows) / 6)


def test_each_stage_learns_and_hands_its_weights_to_the_next(whole, micro) -> None:
    for stage in STAGES:
        kept = sorted(path.name for path in micro_run(stage).files.checkpoints.iterdir())
        assert kept == ["step-00000004", "step-00000006"]
        rows = written_rows(micro_run(stage))
        assert rows[-1]["loss/total"] != rows[0]["loss/total"]
    first, second, third = (finished_weights(micro_run(stage)) for stage in STAGES)
    backbone = [name for name in first if name.startswith("backbone.")]
    assert all(torch.equal(first[name], second[name]) for name in backbone), "frozen until stage 3"
    assert not all(torch.equal(second[name], third[name]) for name in backbone), "tuned in stage 3"


def test_the_result_is_the_averaged_tokenizer_ready_to_use(whole, micro) -> None:
    tokenizer = whole[STAGES[2]].tokenizer
    assert not tokenizer.training
    assert same(dict(tokenizer.named_parameters()), finished_weights(micro_run(STAGES[2]))) == []
    state = last_training_state(micro_run(STAGES[2]))
    averaged = {
        name: weight for name, weight in tokenizer.named_parameters() if f"ema/{name}" in state
    }
    assert averaged and same(averaged, {name: state[f"ema/{name}"] for name in averaged}) == []


@pytest.mark.parametrize("stage", STAGES)
def test_the_same_seed_gives_the_same_rows_and_weights(whole, micro, stage) -> None:
    run = begin(stage, "again")
    train_stage(run)
    assert_equal_to_the_whole_run(run)


def test_another_seed_gives_other_rows(whole, micro) -> None:
    run = begin(STAGES[0], "other-seed", seed=1)
    train_stage(run)
    assert written_rows(run) != written_rows(micro_run(STAGES[0]))


@pytest.mark.parametrize("stage", STAGES)
def test_an_interrupt_saves_and_resuming_equals_never_stopping(whole, micro, stage) -> None:
    run = begin(stage, "interrupted")
    with pytest.raises(MuseError, match=f"Interrupted {stage} of run .* at step 3; it is saved"):
        train_stage(run, [stopping_at(3, KeyboardInterrupt())])
    result = train_stage(replace(run, resume=True))
    assert result.record.resumed_at == 3
    assert_equal_to_the_whole_run(run)


@pytest.mark.parametrize("stage", STAGES)
def test_a_hard_stop_resumes_from_the_last_checkpoint(whole, micro, stage) -> None:
    run = begin(stage, "killed")
    with pytest.raises(Killed):
        train_stage(run, [stopping_at(5, Killed())])
    result = train_stage(replace(run, resume=True))
    assert result.record.resumed_at == 4
    assert_equal_to_the_whole_run(run)


@pytest.mark.parametrize("presses", [1, 2])
@pytest.mark.parametrize("stage", [STAGES[0], STAGES[2]])
def test_an_interrupt_inside_a_step_does_not_bend_the_run(
    whole, micro, stage, presses, monkeypatch
) -> None:
    """Ctrl-C falls where it wants, most often inside a step, when some weights have moved and
    others have not.
    """
    run = begin(stage, f"mid-step-{presses}")
    plain = TokenizerTask.descend
    calls = []

    def interrupted(self, backward):
        norms = plain(self, backward)
        calls.append(1)
        if len(calls) == 3:
            for _ in range(presses):
                signal.raise_signal(signal.SIGINT)
        return norms

    with monkeypatch.context() as patch:
        patch.setattr(TokenizerTask, "descend", interrupted)
        with pytest.raises((MuseError, KeyboardInterrupt)):
            train_stage(run)
    train_stage(replace(run, resume=True))
    assert_equal_to_the_whole_run(run)


def test_a_finished_stage_is_not_trained_again_and_says_so(whole, micro, capsys) -> None:
    run = begin(STAGES[0], "twice")
    first = train_stage(run).record
    steps: list[int] = []
    again = train_stage(run, [after_each(lambda row: steps.append(row["step"]))])
    assert steps == [] and again.record == first and len(again.rows) == 6
    assert "twice' is trained already" in capsys.readouterr().out
    assert_equal_to_the_whole_run(run)


def test_a_finished_stage_starts_no_processes_either(whole, micro, capsys, monkeypatch) -> None:
    run = begin(STAGES[0], "finished")
    first = train_stage(run).record
    started: list[str] = []

    def start(trainer, *_) -> None:
        started.append(trainer.what)
        raise Killed

    monkeypatch.setattr("muse_core.training.trainer.train_launched", start)
    assert train_stage(replace(run, processes=2)).record == first and started == []
    assert "finished' is trained already" in capsys.readouterr().out
    with pytest.raises(Killed):
        train_stage(replace(run, processes=2, seed=7))
    assert len(started) == 1


def test_other_code_is_said_and_trains_nothing(whole, micro, capsys) -> None:
    run = begin(STAGES[0], "other-code")
    train_stage(run)
    said = json.loads(run.files.record_file.read_text())
    said["code"]["losses/topology.py"] = "something else"
    run.files.record_file.write_text(json.dumps(said))
    steps: list[int] = []
    train_stage(run, [after_each(lambda row: steps.append(row["step"]))])
    assert steps == []
    assert "losses/topology.py changed since; `--fresh` trains again" in capsys.readouterr().out


def test_resuming_without_a_checkpoint_starts_over(whole, micro) -> None:
    run = begin(STAGES[0], "fresh-resume", resume=True)
    train_stage(run)
    assert_equal_to_the_whole_run(run)


def test_starting_over_sets_the_earlier_run_aside(whole, micro) -> None:
    run = begin(STAGES[0], "over")
    train_stage(run)
    train_stage(replace(run, fresh=True))
    assert (
        micro / "data" / "runs" / "over" / f"{STAGES[0]}.previous" / "tokenizer" / "config.json"
    ).exists()
    assert_equal_to_the_whole_run(run)


def test_attempts_do_not_take_the_place_of_what_was_finished(whole, micro, capsys) -> None:
    run = begin(STAGES[0], "twice")
    train_stage(run)
    capsys.readouterr()
    previous = micro / "data" / "runs" / "twice" / f"{STAGES[0]}.previous"
    for seed in (7, 8):
        with pytest.raises(MuseError, match="Interrupted"):
            train_stage(replace(run, seed=seed), [stopping_at(2, KeyboardInterrupt())])
        assert (previous / "tokenizer" / "config.json").exists()
        said = capsys.readouterr().out
        assert (
            "note: 01_topology_warmup of run 'twice' was trained before with seed=0, and now 7"
            in said
        ) == (seed == 7)


@pytest.mark.parametrize(
    "changed", [{"seed": 7}, {"steps": 12}, {"batch_size": 2}, {"routing": "shared"}]
)
def test_resuming_with_another_parameter_is_refused(whole, micro, changed) -> None:
    run = begin(STAGES[0], "changed")
    if not run.files.checkpoints.exists():
        train_stage(run)
    name, value = next(iter(changed.items()))
    with pytest.raises(
        MuseError, match=rf"Cannot resume .*{name}=.*these parameters say {value!r}"
    ):
        train_stage(micro_run(STAGES[0], "changed", resume=True, **changed))


def test_resuming_with_other_data_is_refused(whole, micro) -> None:
    run = begin(STAGES[0], "other-data")
    train_stage(run)
    with pytest.raises(MuseError, match=r"Cannot resume .*has data='scenes.*parameters say 'mix"):
        train_stage(replace(run, resume=True, data="mix:2*scenes,1*scenes"))


def test_a_stage_without_the_one_before_it_names_the_command(micro) -> None:
    with pytest.raises(
        MuseError, match=r"`muse run 01 --run empty -p preset data/foundations/micro/micro.yaml`"
    ):
        train_stage(micro_run(STAGES[1], "empty"))


def test_a_loss_that_is_not_finite_names_step_and_samples_and_keeps_the_checkpoint(
    whole, micro, monkeypatch
) -> None:
    run = begin(STAGES[0], "diverged")
    plain = TokenizerTask.update
    seen = []

    def poisoned(self, batch, step):
        if step == 3:
            seen.extend(batch.ids)
            batch = replace(batch, images=batch.images * torch.nan)
        return plain(self, batch, step)

    with monkeypatch.context() as patch:
        patch.setattr(TokenizerTask, "update", poisoned)
        with pytest.raises(MuseError, match=r"stopped at step 4: the loss is nan") as caught:
            train_stage(run)
    assert all(name in str(caught.value) for name in seen) and "step-00000002 is kept" in str(
        caught.value
    )
    assert [row["step"] for row in written_rows(run)] == [1, 2, 3]
    train_stage(replace(run, resume=True))
    assert_equal_to_the_whole_run(run)


def test_a_gradient_that_is_not_finite_never_reaches_a_checkpoint(
    whole, micro, monkeypatch
) -> None:
    """The loss may be finite while its gradient is not (sqrt at 0); the weights must stay finite
    all the same.
    """
    run = begin(STAGES[0], "infinite-gradient")
    plain = TokenizerTask._backward
    calls = []

    def poisoned(self, terms):
        calls.append(1)
        if len(calls) == 3:
            weight = next(iter(self.weights.values()))
            terms = replace(terms, total=terms.total + (weight * 0).sum().sqrt())
        return plain(self, terms)

    monkeypatch.setattr(TokenizerTask, "_backward", poisoned)
    with pytest.raises(MuseError, match="stopped at step 3"):
        train_stage(run)
    assert all(torch.isfinite(weight).all() for weight in last_training_state(run).values())


def test_a_full_disk_at_the_very_end_leaves_no_half_tokenizer(whole, micro, monkeypatch) -> None:
    """What is under ``tokenizer/`` counts as a finished stage, so it must be whole or absent."""
    run = begin(STAGES[0], "full-disk")
    plain = MuseTokenizer.save_pretrained

    def full(self, folder, *arguments, **options):
        plain(self, folder, *arguments, **options)
        if not any("step-" in part for part in Path(folder).parts):
            next(Path(folder).glob("*.safetensors")).write_bytes(b"half")
            raise OSError(28, "No space left on device")

    with monkeypatch.context() as patch:
        patch.setattr(MuseTokenizer, "save_pretrained", full)
        with pytest.raises(MuseError, match="No space left"):
            train_stage(run)
    assert not run.tokenizer_folder.exists()
    train_stage(replace(run, resume=True))
    assert_equal_to_the_whole_run(run)


@pytest.mark.parametrize("where", ["data/runs", "reports"])
def test_a_place_that_cannot_be_written_is_a_sentence(micro, where) -> None:
    """Root ignores permissions, so a file stands where the folder should be."""
    blocked = micro / where / "blocked"
    blocked.parent.mkdir(parents=True, exist_ok=True)
    blocked.write_text("a file")
    try:
        with pytest.raises(MuseError, match=r"Cannot write to .*blocked"):
            train_stage(micro_run(STAGES[0], "blocked"))
    finally:
        blocked.unlink()


def test_a_folder_with_a_corrupt_image_trains_and_the_record_lists_it(micro, tmp_path) -> None:
    for index, image in enumerate(Scenes("train", 32).first(30).images):
        place = tmp_path / ("star" if index % 2 else "circle") / f"{index}.png"
        place.parent.mkdir(exist_ok=True)
        pixels = (image.permute(1, 2, 0) * 255).byte().numpy()
        Image.fromarray(pixels).resize((24, 24) if index == 0 else (32, 32)).save(place)
    source = open_source(f"folder:{tmp_path}", "train", 32)
    broken = next(name for name in source.first(9).ids if name != "circle/0.png")
    (tmp_path / broken).write_bytes(b"not an image")
    run = micro_run(STAGES[0], "photographs", data=f"folder:{tmp_path}", steps=12)
    with pytest.raises(Killed):
        train_stage(run, [stopping_at(11, Killed())])
    record = train_stage(replace(run, resume=True)).record
    assert record.files_skipped == [f"{broken} (not an image in a format that is read)"]
    enlarged = any(name == "circle/0.png" for name in source.first(len(source)).ids)
    assert record.files_enlarged == int(enlarged), "noted before the stop, still known after it"


def test_a_single_image_a_step_cannot_be_contrasted(whole, micro) -> None:
    with pytest.raises(MuseError, match="batch_size of at least 2"):
        train_stage(begin(STAGES[1], "single", batch_size=1))


def test_shared_routing_trains_all_stages_and_does_not_mix_with_the_other(whole, micro) -> None:
    for stage in STAGES:
        options = {"routing": "shared"} if stage == STAGES[0] else {}
        result = train_stage(micro_run(stage, "shared", **options))
        assert result.tokenizer.config.routing == "shared" and len(result.rows) == 6
    with pytest.raises(MuseError, match=r"routing='shared'.*'orthogonal'.*another run name"):
        train_stage(micro_run(STAGES[1], "shared", routing="orthogonal"))


def test_trunk_routing_changes_nothing_before_the_stage_that_trains_the_backbone(
    whole, micro
) -> None:
    for stage in STAGES:
        train_stage(micro_run(stage, "trunk", routing="trunk-routed"))
    for stage in STAGES[:2]:
        one, other = micro_run(stage, "trunk"), micro_run(stage, "whole")
        assert (
            written_rows(one) == written_rows(other)
            and same(finished_weights(one), finished_weights(other)) == []
        )
    row, usual = (written_rows(micro_run(STAGES[2], run))[0] for run in ("trunk", "whole"))
    assert row.keys() - usual.keys() == {"gradient_norm/backbone W_Q, W_K"}
    # Sums of gradients in another order may differ in their last bits.
    other = {name for name in usual if row[name] != pytest.approx(usual[name], rel=1e-5)}
    assert other == {"gradient_norm/backbone"}, "values do not differ"


def test_unknown_names_are_refused_with_the_choices(micro) -> None:
    with pytest.raises(MuseError, match=r"Unknown preset 'tinny': choose one of .*tiny"):
        train_stage(replace(micro_run(STAGES[0]), preset="tinny"))
    with pytest.raises(MuseError, match="Unknown stage '04': choose one of 01_topology_warmup"):
        train_stage(micro_run("04", "unknown"))
    with pytest.raises(MuseError, match="Unknown routing 'free': choose one of orthogonal, shared"):
        train_stage(micro_run(STAGES[0], "unknown", routing="free"))
