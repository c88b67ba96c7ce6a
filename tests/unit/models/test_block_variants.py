"""Other attentions, the same table: every variant x stage x loss x weight, bitwise; and that each
is what it says.
"""

import pytest
import torch

from muse_core.config.presets import tiny
from muse_core.config.stage import TRUNK_OPEN, Loss, Stage
from muse_core.errors import MuseError
from muse_core.models.block_variants import VARIANTS, variant_named
from muse_core.models.connector import Connector
from muse_core.models.gradient_routes import (
    BLOCK_GROUPS,
    ORTHOGONAL,
    SHARED,
    WeightGroup,
    may_reach,
    routing_named,
)
from muse_core.models.synergistic_block import BlockState, SynergisticBlock
from muse_core.models.tokenizer import MuseTokenizer
from muse_core.models.weight_groups import block_of, group_of

from .small_models import TINY, loss_of, random_images, small_tokenizer

STAGES = {stage.name: stage for stage in tiny().curriculum}


@pytest.mark.parametrize("variant", VARIANTS)
@pytest.mark.parametrize("stage", STAGES.values(), ids=STAGES)
@pytest.mark.parametrize("loss", Loss, ids=str)
def test_every_loss_reaches_its_groups_and_no_other(variant: str, stage: Stage, loss: Loss) -> None:
    tokenizer, images = small_tokenizer(attention=variant), random_images()
    tokenizer.backbone.requires_grad_(stage.trains_backbone)
    output = tokenizer(images, trunk_hears=stage.trunk_hears, with_attention=True)
    loss_of(loss, output, images, tokenizer).backward()
    reached: dict[WeightGroup, set[int | None]] = {}
    for name, weight in tokenizer.named_parameters():
        touched = weight.grad is not None and bool(weight.grad.any())
        if not may_reach(loss, group_of(name), stage.trunk_hears, stage.trains_backbone):
            assert not touched, f"{loss} leaks into {name}"
        elif touched:
            reached.setdefault(group_of(name), set()).add(block_of(name))
    for group in BLOCK_GROUPS:
        if may_reach(loss, group, stage.trunk_hears, stage.trains_backbone):
            assert reached[group] == set(range(TINY.num_blocks)), (
                f"{loss}, {group}: some block is missed"
            )


@pytest.mark.parametrize(
    ("variant", "weight"), [("gated", "texture_gate"), ("shared-projection", "shared_projection")]
)
def test_pixels_train_what_the_variant_adds_for_them_in_every_block(
    variant: str, weight: str
) -> None:
    tokenizer, images = small_tokenizer(attention=variant), random_images()
    loss_of(Loss.RECONSTRUCTION, tokenizer(images), images, tokenizer).backward()
    assert all(getattr(block, weight).weight.grad.any() for block in tokenizer.connector.blocks)


@pytest.mark.parametrize("variant", VARIANTS)
@pytest.mark.parametrize("routing", ["orthogonal", "shared"])
def test_a_saved_tokenizer_keeps_its_attention(tmp_path, variant: str, routing: str) -> None:
    tokenizer, images = small_tokenizer(attention=variant, routing=routing).eval(), random_images()
    tokenizer.save_pretrained(tmp_path)
    again = MuseTokenizer.from_pretrained(tmp_path).eval()
    assert again.config.attention == variant
    with torch.no_grad():
        assert torch.equal(again(images).reconstruction, tokenizer(images).reconstruction)


def block(variant: str, routing=ORTHOGONAL) -> SynergisticBlock:
    torch.manual_seed(0)
    return VARIANTS[variant](32, 2, 2.0, routing).double()


def run(found: SynergisticBlock, tokens: torch.Tensor) -> tuple[BlockState, torch.Tensor]:
    rotary = Connector(8, 1, 32, 2, 1, 2.0, 2, ORTHOGONAL).rotary.get_embed([2, 2]).double()
    state, attention = found(
        BlockState(tokens, torch.zeros_like(tokens), tokens),
        rotary,
        TRUNK_OPEN,
        with_attention=True,
    )
    return state, attention.logits()


def test_an_open_gate_is_the_plain_block_and_a_closed_one_silences_the_heads() -> None:
    gated, plain, tokens = block("gated"), block("multi-head"), torch.randn(2, 4, 32).double()
    plain.load_state_dict({name: w for name, w in gated.state_dict().items() if "gate" not in name})
    for gate in (gated.semantic_gate, gated.texture_gate):
        torch.nn.init.zeros_(gate.weight)
        torch.nn.init.constant_(gate.bias, 100.0)
    (state, logits), (expected, plain_logits) = run(gated, tokens), run(plain, tokens)
    assert torch.equal(logits, plain_logits)
    torch.testing.assert_close((state.hidden, state.semantic), (expected.hidden, expected.semantic))
    torch.nn.init.constant_(gated.semantic_gate.bias, -1000.0)
    assert not run(gated, tokens)[0].semantic.any()


def test_heads_of_a_group_share_keys_and_values_but_not_queries() -> None:
    grouped, tokens = block("grouped-query"), torch.randn(2, 4, 32).double()
    assert grouped.key.weight.shape == grouped.semantic_value.weight.shape == (16, 32)
    full = block("multi-head")
    twice = {
        name: torch.cat([w, w]) if w.shape[0] == 16 and w.ndim == 2 else w
        for name, w in grouped.state_dict().items()
    }
    full.load_state_dict(twice)
    (state, logits), (expected, full_logits) = run(grouped, tokens), run(full, tokens)
    torch.testing.assert_close(
        (state.hidden, state.semantic, logits), (expected.hidden, expected.semantic, full_logits)
    )
    assert logits.shape[1] == 2, "one map a query head, for the topology loss"


def test_a_shared_projection_is_the_plain_block_of_the_products() -> None:
    shared, plain, tokens = (
        block("shared-projection"),
        block("multi-head"),
        torch.randn(2, 4, 32).double(),
    )
    down = shared.shared_projection.weight
    projections = ("query.", "key.", "semantic_value.", "texture_value.")
    held = {n: w for n, w in shared.state_dict().items() if not n.startswith("shared_projection")}
    plain.load_state_dict(
        {n: w @ down if n.startswith(projections) else w for n, w in held.items()}
    )
    (state, logits), (expected, plain_logits) = run(shared, tokens), run(plain, tokens)
    torch.testing.assert_close(
        (state.hidden, state.semantic, logits), (expected.hidden, expected.semantic, plain_logits)
    )


def test_without_rotary_positions_the_maps_do_not_know_where_a_token_is() -> None:
    order, tokens = torch.tensor([2, 0, 3, 1]), torch.randn(1, 4, 32).double()
    for variant, blind in (("no-rotary", True), ("multi-head", False)):
        found = block(variant)
        plain, moved = run(found, tokens)[1], run(found, tokens[:, order])[1]
        assert torch.allclose(plain[:, :, order][..., order], moved) is blind


def test_the_plain_blocks_weights_are_what_they_were() -> None:
    """Names and draws of a multi-head block do not depend on what variants add."""
    names = [name for name, _ in block("multi-head").named_parameters()]
    assert names == [name for name, _ in block("no-rotary").named_parameters()]
    assert torch.equal(block("multi-head").output.weight, block("gated").output.weight)
    assert small_tokenizer().config.attention == next(iter(VARIANTS))


def test_mistakes_are_sentences() -> None:
    with pytest.raises(MuseError, match="Unknown attention 'flash': choose one of multi-head"):
        variant_named("flash")
    with pytest.raises(MuseError, match="3 heads do not divide by that: use a multiple of 2 heads"):
        VARIANTS["grouped-query"](36, 3, 2.0, SHARED)
    with pytest.raises(MuseError, match="use attention='multi-head' with it"):
        Connector(8, 1, 32, 2, 1, 2.0, 2, routing_named("release"), VARIANTS["gated"])
