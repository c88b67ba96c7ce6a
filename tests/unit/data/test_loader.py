import time
from dataclasses import replace
from itertools import chain

import pytest
import torch

from muse_core.data import loader
from muse_core.data.batch import Batch, Steps
from muse_core.data.loader import (
    EightBitBatch,
    EpochOrder,
    evaluation_batches,
    packed,
    training_batches,
)
from muse_core.data.scenes import Scenes
from muse_core.errors import MuseError
from tests.unit.data.test_batch import Counting


def order(length=20, batch_size=4, seed=0, start=0, stop=15, rank=0, processes=1) -> list:
    steps = Steps(batch_size, seed, start, stop, rank, processes)
    return [positions for _, positions in EpochOrder(length, steps)]


def test_each_epoch_is_a_fresh_permutation() -> None:
    batches = order()
    epochs = [list(chain(*batches[first : first + 5])) for first in (0, 5, 10)]
    assert all(sorted(epoch) == list(range(20)) for epoch in epochs)
    assert epochs[0] != epochs[1] != epochs[2]


def test_a_last_incomplete_batch_is_left_for_the_next_epoch() -> None:
    batches = order(length=22, stop=10)
    assert all(len(batch) == 4 for batch in batches) and len(set(chain(*batches[:5]))) == 20


@pytest.mark.parametrize("start", [1, 5, 7, 14])
def test_resuming_at_k_gives_the_same_batches(start) -> None:
    assert order(start=start) == order()[start:]


def test_the_order_is_a_function_of_the_seed_alone() -> None:
    torch.manual_seed(1)
    first = order()
    torch.manual_seed(2)
    assert order() == first != order(seed=1)


def test_processes_share_the_global_batch() -> None:
    alone = order(batch_size=4)
    left, right = order(batch_size=4, rank=0, processes=2), order(batch_size=4, rank=1, processes=2)
    both = zip(left, right, strict=True)
    assert [
        [sample for pair in zip(*each, strict=True) for sample in pair] for each in both
    ] == alone
    assert all(not set(a) & set(b) for a, b in zip(left, right, strict=True))


def test_too_little_data_is_a_sentence() -> None:
    with pytest.raises(MuseError, match="holds 7 images but one step needs 8: lower batch_size"):
        order(length=7, batch_size=8, processes=2)


@pytest.mark.parametrize("workers", [0, 1])
def test_training_batches_follow_the_order_and_leave_the_global_generator_alone(workers) -> None:
    torch.manual_seed(0)
    before = torch.get_rng_state()
    loader = training_batches(Counting(20), batch_size=4, seed=3, start=2, stop=7, workers=workers)
    assert [list(map(int, batch.ids)) for batch in loader] == order(seed=3, start=2, stop=7)
    assert len(loader) == 5 and torch.equal(torch.get_rng_state(), before)


@pytest.mark.parametrize(
    ("limit", "sizes"), [(None, [4, 4, 2]), (6, [4, 2]), (4, [4]), (99, [4, 4, 2])]
)
def test_evaluation_sees_each_sample_once_in_order(limit, sizes) -> None:
    batches = list(evaluation_batches(Counting(10), 4, limit))
    assert [len(batch) for batch in batches] == sizes
    assert tuple(chain(*(batch.ids for batch in batches))) == tuple(map(str, range(sum(sizes))))


def test_there_are_no_more_workers_than_cores(monkeypatch) -> None:
    monkeypatch.setattr("os.cpu_count", lambda: 1)
    batches = training_batches(Counting(20), batch_size=4, seed=3, start=0, stop=1, workers=64)
    assert batches.loader.num_workers == 1 and batches.state_dict() == {}


class Epochs(Counting):
    """Its captions say what was drawn."""

    def drawn(self, indices: list[int], seed: int, epoch: int) -> Batch:
        captions = tuple(f"{seed}/{epoch}/{index}" for index in indices)
        return replace(self.__getitems__(indices), captions=captions)


@pytest.mark.parametrize(("start", "processes", "workers"), [(0, 1, 0), (7, 2, 0), (7, 2, 1)])
def test_what_is_drawn_depends_on_seed_epoch_and_sample_alone(start, processes, workers) -> None:
    shares = [
        training_batches(Epochs(20), 4, 3, start, 12, rank, processes, workers)
        for rank in range(processes)
    ]
    said = [
        tuple(
            caption
            for turn in zip(*(one.captions for one in step), strict=True)
            for caption in turn
        )
        for step in zip(*shares, strict=True)
    ]
    asked = list(EpochOrder(20, Steps(4, 3, start, 12)))
    assert said == [tuple(f"3/{epoch}/{index}" for index in step) for epoch, step in asked]
    assert {epoch for epoch, _ in asked} >= {1, 2}


def photographs(levels: torch.Tensor) -> Batch:
    scenes = Scenes("train", levels.shape[-1]).first(len(levels))
    return replace(scenes, images=levels.float().div_(255))


def test_every_level_of_eight_bits_comes_back_as_the_same_float() -> None:
    batch = photographs(torch.arange(256).repeat(12).reshape(1, 3, 32, 32))
    small = packed(batch)
    assert (
        isinstance(small, EightBitBatch) and small.levels.dtype == torch.uint8 and len(small) == 1
    )
    back = small.to("cpu")
    assert torch.equal(back.images, batch.images) and back.images.dtype == torch.float32
    assert (back.captions, back.ids) == (batch.captions, batch.ids) and torch.equal(
        back.class_masks, batch.class_masks
    )


@pytest.mark.parametrize("change", [lambda x: x + 1e-4, lambda x: x - 1.0, lambda x: x + 1.0])
def test_images_that_hold_more_stay_as_they_are(change) -> None:
    batch = photographs(torch.full((2, 3, 8, 8), 100))
    batch = replace(batch, images=change(batch.images))
    assert packed(batch) is batch


def test_what_has_no_images_stays_as_it_is() -> None:
    latents = object()
    assert packed(latents) is latents


def test_a_worker_sends_a_quarter_of_the_bytes() -> None:
    batch = photographs(torch.randint(0, 256, (4, 3, 32, 32)))
    small = packed(batch)
    assert small.levels.nbytes * 4 == batch.images.nbytes and "images" not in small.rest


class Levels(Counting):
    """Sample i is an image full of i / 255."""

    def __getitems__(self, indices: list[int]) -> Batch:
        batch = super().__getitems__(indices)
        return replace(batch, images=(batch.images * 100).round() / 255)


@pytest.mark.parametrize("source", [Counting, Levels])
def test_batches_of_workers_are_those_without_workers(source) -> None:
    with_worker, without = (
        training_batches(source(20), 4, 0, 0, 5, workers=count) for count in (1, 0)
    )
    loaded = list(with_worker)
    assert [type(batch) for batch in loaded] == [EightBitBatch if source is Levels else Batch] * 5
    for batch, expected in zip(loaded, without, strict=True):
        assert (
            torch.equal(batch.to("cpu").images, expected.images)
            and batch.to("cpu").ids == expected.ids
        )


def test_memory_is_pinned_part_by_part(monkeypatch) -> None:
    pinned = []
    monkeypatch.setattr(torch.Tensor, "pin_memory", lambda self: pinned.append(self.shape) or self)
    batch = photographs(torch.full((2, 3, 8, 8), 100))
    packed(batch).pin_memory()
    assert len(pinned) == 4, "levels, labels and two masks"


def test_little_shared_memory_changes_the_way_and_nothing_else(monkeypatch) -> None:
    source = Scenes("train", 16)

    def batches(workers):
        return [batch.to("cpu") for batch in training_batches(source, 4, 0, 0, 3, workers=workers)]

    expected = batches(0)
    monkeypatch.setattr(loader, "ENOUGH_SHARED_MEMORY", 1 << 62)
    packed_batch = loader.sent(expected[0])
    assert isinstance(packed_batch, loader.PipedBatch)
    for ours, theirs in zip(batches(2), expected, strict=True):
        assert torch.equal(ours.images, theirs.images) and ours.ids == theirs.ids


def test_a_worker_that_hangs_is_a_sentence(monkeypatch, impatient_loader) -> None:
    monkeypatch.setattr(loader, "LONGEST_WAIT", 0.5)
    source = Scenes("train", 16)
    monkeypatch.setattr(Scenes, "drawn", lambda *_: time.sleep(3))
    with pytest.raises(MuseError, match=r"No image was read for .* minutes: look whether the disk"):
        list(training_batches(source, 4, 0, 0, 3, workers=1))
