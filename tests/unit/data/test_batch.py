from dataclasses import replace

import torch

from muse_core.data.batch import Batch, Source


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


def test_first_is_at_most_the_whole_split() -> None:
    assert Counting(3).first(2).ids == ("0", "1") and len(Counting(3).first(9)) == 3


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
