"""The authors' wiring: the last block alone is supervised, and its supervision leaks into what lies
below.
"""

from pathlib import Path

import pytest
import torch

from muse_core.config.stage import Loss
from muse_core.models.gradient_routes import WeightGroup
from muse_core.models.tokenizer import MuseTokenizer
from muse_core.models.weight_groups import block_of, group_of

from .small_models import TINY, loss_of, random_images, small_tokenizer

LAST = TINY.num_blocks - 1


def reached(loss: Loss) -> set[tuple[WeightGroup, int | None]]:
    """(group, block) of every weight that a loss reaches."""
    tokenizer, images = small_tokenizer(routing="release"), random_images()
    loss_of(loss, tokenizer(images, with_attention=True), images, tokenizer).backward()
    weights = {name: weight.grad for name, weight in tokenizer.named_parameters()}
    return {
        (group_of(name), block_of(name))
        for name, grad in weights.items()
        if grad is not None and grad.any()
    }


def test_topology_trains_queries_and_keys_of_the_last_block_only_and_leaks_below() -> None:
    found = reached(Loss.TOPOLOGY)
    assert {block for group, block in found if group is WeightGroup.QUERY_KEY} == {LAST}
    assert {block for group, block in found if group is WeightGroup.TEXTURE} == set(range(LAST)), (
        "the leak"
    )


def test_semantics_train_the_last_value_only_and_leak_below() -> None:
    found = reached(Loss.ANCHOR)
    assert {block for group, block in found if group is WeightGroup.SEMANTIC_VALUE} == {LAST}
    assert (WeightGroup.TEXTURE, 0) in found and (WeightGroup.QUERY_KEY, LAST) not in found


def test_pixels_train_texture_in_every_block_and_no_query_or_key() -> None:
    found = reached(Loss.RECONSTRUCTION)
    assert {block for group, block in found if group is WeightGroup.TEXTURE} == set(
        range(TINY.num_blocks)
    )
    assert not any(
        group in (WeightGroup.QUERY_KEY, WeightGroup.SEMANTIC_VALUE) for group, _ in found
    )


@pytest.mark.parametrize("routing", ["release", "literal", "trunk-routed"])
def test_a_saved_tokenizer_keeps_its_routing(tmp_path: Path, routing: str) -> None:
    tokenizer, images = small_tokenizer(routing=routing).eval(), random_images()
    tokenizer.save_pretrained(tmp_path)
    again = MuseTokenizer.from_pretrained(tmp_path).eval()
    assert again.config.routing == routing
    with torch.no_grad():
        assert torch.equal(again(images).reconstruction, tokenizer(images).reconstruction)
