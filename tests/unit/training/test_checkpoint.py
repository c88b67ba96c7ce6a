"""Checkpoints come back bit for bit, or not at all."""

import errno
import multiprocessing
import resource
from pathlib import Path
from typing import Any

import pytest
import torch
from safetensors import SafetensorError

from muse_core.config.presets import tiny
from muse_core.errors import MuseError
from muse_core.models.tokenizer import MuseTokenizer
from muse_core.training.checkpoint import (
    TrainingState,
    complete_checkpoints,
    is_intact,
    latest_checkpoint,
    load_state,
    names_of,
    optimiser_tensors,
    restore_optimiser,
    save_checkpoint,
)
from muse_core.training.optimiser import freeze, optimiser_for

from ..models.small_models import small_tokenizer


@pytest.fixture(scope="module")
def tokenizer() -> MuseTokenizer:
    return small_tokenizer()


def state(value: float = 0.0) -> TrainingState:
    return TrainingState({"rng": torch.get_rng_state(), "value": torch.tensor(value)}, {"seed": 3})


@pytest.fixture
def three(tokenizer, tmp_path) -> Path:
    for step in (2, 4, 6):
        save_checkpoint(tmp_path, step, tokenizer, state(step))
    return tmp_path


def files(folder: Path) -> dict[str, bytes]:
    return {
        str(path.relative_to(folder)): path.read_bytes()
        for path in folder.rglob("*")
        if path.is_file()
    }


def test_everything_comes_back_bit_for_bit(tokenizer, tmp_path) -> None:
    facts = {"third": 1 / 3, "lecam": [0.1 + 0.2, -1e-17], "nothing": None}
    saved = TrainingState(
        {"a/b": torch.randn(3, 4), "count": torch.tensor(7.0), "rng": torch.get_rng_state()}, facts
    )
    place = save_checkpoint(tmp_path, 12, tokenizer, saved)
    loaded = load_state(place)
    assert place.name == "step-00000012" and loaded.facts["step"] == 12
    assert {name: loaded.facts[name] for name in facts} == facts
    assert loaded.tensors.keys() == saved.tensors.keys()
    assert all(torch.equal(loaded.tensors[name], saved.tensors[name]) for name in saved.tensors)
    weights = MuseTokenizer.from_pretrained(place / "tokenizer").state_dict()
    assert all(torch.equal(weights[name], value) for name, value in tokenizer.state_dict().items())


def test_optimiser_moments_come_back_and_the_next_step_is_the_same(tmp_path) -> None:
    def prepared():
        model = small_tokenizer()
        freeze(model, tiny().curriculum.stages[0])
        return model, optimiser_for(model, tiny().curriculum.stages[0])

    def step(model, optimiser, seed: int) -> None:
        torch.manual_seed(seed)
        for weight in model.parameters():
            weight.grad = torch.randn_like(weight) if weight.requires_grad else None
        optimiser.step()

    (first, optimiser), (second, fresh) = prepared(), prepared()
    for seed in range(2):
        step(first, optimiser, seed)
    place = save_checkpoint(
        tmp_path, 2, first, TrainingState(optimiser_tensors(optimiser, names_of(first), "o"), {})
    )
    second.load_state_dict(MuseTokenizer.from_pretrained(place / "tokenizer").state_dict())
    restore_optimiser(fresh, names_of(second), "o", load_state(place).tensors)
    before = optimiser_tensors(optimiser, names_of(first), "o")
    after = optimiser_tensors(fresh, names_of(second), "o")
    assert before.keys() == after.keys() and len(before) > 100
    assert all(torch.equal(before[name], after[name]) for name in before)
    step(first, optimiser, 9), step(second, fresh, 9)
    other = second.state_dict()
    assert all(torch.equal(value, other[name]) for name, value in first.state_dict().items())


@pytest.mark.parametrize(("fused", "kept"), [(True, "meta"), (False, "cpu")])
def test_steps_are_counted_where_adamw_counts_them(fused, kept) -> None:
    """torch refuses a fused step on a GPU whose count lies on the CPU (pytorch issue 104767)."""
    weight = torch.nn.Parameter(torch.empty(2, device="meta"))
    optimiser = torch.optim.AdamW([{"params": [weight], "fused": fused}])
    optimiser.param_groups[0]["fused"] = fused
    saved = {"o/w/step": torch.tensor(3.0), "o/w/exp_avg": torch.zeros(2)}
    restore_optimiser(optimiser, {id(weight): "w"}, "o", saved)
    found = optimiser.state[weight]
    assert found["step"].device.type == kept and found["exp_avg"].device.type == "meta"


def test_the_last_two_are_kept(three) -> None:
    assert [path.name for path in complete_checkpoints(three)] == ["step-00000004", "step-00000006"]
    assert latest_checkpoint(three).name == "step-00000006" and all(
        map(is_intact, complete_checkpoints(three))
    )


def no_state(folder: Path) -> None:
    (folder / "state.json").unlink()


def cut_state(folder: Path) -> None:
    (folder / "state.json").write_bytes((folder / "state.json").read_bytes()[:40])


def binary_state(folder: Path) -> None:
    (folder / "state.json").write_bytes(b"\xff\xfe\x00\x9f" * 20)


def list_state(folder: Path) -> None:
    (folder / "state.json").write_text("[]")


def cut_tensors(folder: Path) -> None:
    (folder / "training.safetensors").write_bytes(
        (folder / "training.safetensors").read_bytes()[:-9]
    )


def no_weights(folder: Path) -> None:
    next((folder / "tokenizer").glob("*.safetensors")).unlink()


def one_flipped_bit(folder: Path) -> None:
    file = next((folder / "tokenizer").glob("*.safetensors"))
    data = bytearray(file.read_bytes())
    data[-5] ^= 1
    file.write_bytes(data)


DAMAGES = [no_state, cut_state, binary_state, list_state, cut_tensors, no_weights, one_flipped_bit]


@pytest.mark.parametrize("damage", DAMAGES)
def test_a_damaged_checkpoint_is_passed_over_for_the_one_before(three, damage) -> None:
    damage(three / "step-00000006")
    assert latest_checkpoint(three).name == "step-00000004"
    damage(three / "step-00000004")
    with pytest.raises(
        MuseError, match="step-00000006 is half-written or damaged and no older one is left"
    ):
        latest_checkpoint(three)


def test_no_checkpoint_at_all_is_none(tmp_path) -> None:
    assert latest_checkpoint(tmp_path) is None and latest_checkpoint(tmp_path / "absent") is None


@pytest.mark.parametrize(
    ("function", "error"),
    [
        ("save_file", OSError(errno.ENOSPC, "No space left on device")),
        ("save_file", SafetensorError("Error while serializing: No space left on device")),
        ("write_json", MuseError("Cannot write state.json (No space left on device)")),
        ("saving.put_in_place", OSError(errno.EIO, "Input/output error")),
    ],
)
def test_a_disk_that_refuses_is_a_sentence_and_harms_nothing_earlier(
    three, tokenizer, monkeypatch, function, error
) -> None:
    before = files(three)

    def refuse(*arguments):
        raise error

    place = function if "." in function else f"checkpoint.{function}"
    monkeypatch.setattr(f"muse_core.training.{place}", refuse)
    with pytest.raises(
        MuseError, match=r"Cannot write the checkpoint .*step-00000008.*earlier .* untouched"
    ):
        save_checkpoint(three, 8, tokenizer, state())
    assert files(three) == before, "no half-written file is left"


class Small:
    def save_pretrained(self, folder: Path) -> None:
        folder.mkdir()


def save_where_no_file_grows(folder: Path, said: Any) -> None:
    """Under a limit of the operating system, for this process and for good."""
    resource.setrlimit(resource.RLIMIT_FSIZE, (100_000, 100_000))
    much = TrainingState({"much": torch.zeros(100_000)}, {})
    try:
        save_checkpoint(folder, 1, Small(), much)
    except MuseError as error:
        said.send(str(error))


def test_a_file_that_really_cannot_grow_is_a_sentence(tmp_path) -> None:
    """The operating system itself refuses (a limit on file size): whatever exception safetensors
    has for it is caught.
    """
    forked = multiprocessing.get_context("fork")
    heard, said = forked.Pipe(duplex=False)
    process = forked.Process(target=save_where_no_file_grows, args=(tmp_path, said), daemon=True)
    process.start()
    process.join(60)
    assert heard.poll() and heard.recv().startswith("Cannot write the checkpoint")
    assert not files(tmp_path)


def test_saving_the_same_step_again_replaces_it(three, tokenizer) -> None:
    save_checkpoint(three, 6, tokenizer, state(99.0))
    assert load_state(three / "step-00000006").tensors["value"] == 99.0 and is_intact(
        three / "step-00000006"
    )
