from dataclasses import replace

import pytest
import torch

from muse_core.data.batch import Batch, training_batches
from muse_core.data.collate import EightBitBatch, packed
from muse_core.data.scenes import Scenes
from tests.unit.data.test_batch import Counting


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
