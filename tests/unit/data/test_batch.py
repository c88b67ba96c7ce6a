from dataclasses import replace
from itertools import chain

import pytest
import torch

from muse_core.data.batch import Batch, EpochOrder, Source, evaluation_batches, training_batches
from muse_core.errors import MuseError


class Counting(Source):
    """Sample i is an image full of i / 100."""

    name, class_names, fingerprint = "counting", ("number",), "counting-v1"

    def __init__(self, length: int) -> None:
        self.length = length

    def __len__(self) -> int:
        return self.length

    def __getitems__(self, indices: list[int]) -> Batch:
        values = torch.tensor(indices, dtype=torch.float32) / 100
        return Batch(
            images=values[:, None, None, None].expand(-1, 3, 2, 2).clone(),
            captions=tuple(map(str, indices)),
            labels=torch.zeros(len(indices), dtype=torch.long),
            ids=tuple(map(str, indices)),
        )


def order(
    length=20, batch_size=4, seed=0, start=0, stop=15, rank=0, processes=1
) -> list[list[int]]:
    return list(EpochOrder(length, batch_size, seed, start, stop, rank, processes))


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
    assert [a + b for a, b in zip(left, right, strict=True)] == alone
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


def test_first_is_at_most_the_whole_split() -> None:
    assert Counting(3).first(2).ids == ("0", "1") and len(Counting(3).first(9)) == 3


def test_classes_are_worded_as_photographs() -> None:
    (prompts,) = Counting(3).class_prompts()
    assert len(prompts) == 80 and "a photo of a number." in prompts


def test_moving_a_batch_keeps_what_is_not_a_tensor() -> None:
    batch = replace(
        Counting(3).first(2), class_masks=torch.zeros(2, 2, 2, dtype=torch.long), skipped=("a",)
    )
    moved = batch.to("meta")
    assert (
        moved.images.device.type
        == moved.labels.device.type
        == moved.class_masks.device.type
        == "meta"
    )
    assert moved.instance_masks is None and moved.ids == batch.ids and moved.skipped == ("a",)
    assert batch.images.device.type == "cpu"


def test_there_are_no_more_workers_than_cores(monkeypatch) -> None:
    monkeypatch.setattr("os.cpu_count", lambda: 3)
    assert (
        training_batches(
            Counting(20), batch_size=4, seed=3, start=0, stop=1, workers=64
        ).num_workers
        == 3
    )
