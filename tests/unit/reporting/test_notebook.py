"""The questions a notebook asks about an image, and how a session refuses before it does any work."""

import pytest
import torch

from muse_core.data.batches import Batch
from muse_core.errors import MuseError
from muse_core.reporting.notebook import begin_stage, example_queries

GIVEN = dict(
    run="nobody", preset="smoke", data="scenes", steps=0, batch_size=0, seed=0, device="cpu", resume=False,
    routing="orthogonal",
)  # fmt: skip


def batch(mask: torch.Tensor | None) -> Batch:
    return Batch(torch.rand(1, 3, 16, 16), ("",), torch.zeros(1, dtype=torch.long), ("a",), instance_masks=mask)


def test_the_first_query_lies_on_the_largest_object() -> None:
    mask = torch.zeros(1, 16, 16, dtype=torch.long)
    mask[0, 10:14, 2:8] = 1
    mask[0, 0:2, 14:16] = 2
    query, corner = example_queries(batch(mask), 0, (4, 4))
    assert mask[0, (query // 4) * 4 + 2, (query % 4) * 4 + 2] == 1
    assert corner == 3


@pytest.mark.parametrize("mask", [None, torch.zeros(1, 16, 16, dtype=torch.long)], ids=["no mask", "empty mask"])
def test_without_an_object_the_middle_is_asked(mask: torch.Tensor | None) -> None:
    assert example_queries(batch(mask), 0, (4, 6)) == [2 * 6 + 3, 5]


@pytest.mark.parametrize(
    ("wrong", "sentence"),
    [
        ({"preset": "tinny"}, "Unknown preset 'tinny': choose one of smoke, tiny"),
        ({"data": "cats"}, "cats"),
        ({"data": "folder:no/such/place"}, "no/such/place"),
        ({"routing": "diagonal"}, "Unknown routing 'diagonal': choose one of orthogonal, shared"),
        ({"steps": -3}, "steps"),
        ({"device": "tpu"}, "Unknown device 'tpu'"),
        ({"colour": "red"}, "colour"),
    ],
    ids=lambda value: "-".join(value) if isinstance(value, dict) else "",
)
def test_a_wrong_parameter_is_one_sentence(wrong: dict, sentence: str, tmp_path, monkeypatch) -> None:
    with pytest.raises(MuseError) as raised:
        begin_stage("01_topology_warmup", **(GIVEN | wrong))
    assert sentence in str(raised.value) and "\n" not in str(raised.value)


def test_a_missing_earlier_stage_names_its_notebook_and_command() -> None:
    with pytest.raises(MuseError, match="muse run 01 --run nobody -p preset smoke"):
        begin_stage("02_semantic_injection", **GIVEN)
