import pytest

from muse_core.models.gradient_routes import WeightGroup
from muse_core.models.weight_groups import block_of, group_of, weight_groups

from .small_models import TINY, small_tokenizer


@pytest.mark.parametrize(
    ("name", "group", "block"),
    [
        ("connector.blocks.3.query.weight", WeightGroup.QUERY_KEY, 3),
        ("connector.blocks.0.topology_norm.weight", WeightGroup.QUERY_KEY, 0),
        ("connector.blocks.12.key_norm.weight", WeightGroup.QUERY_KEY, 12),
        ("connector.blocks.1.semantic_value.weight", WeightGroup.SEMANTIC_VALUE, 1),
        ("connector.blocks.1.texture_value.weight", WeightGroup.TEXTURE, 1),
        ("connector.blocks.1.feedforward.fc2.weight", WeightGroup.TEXTURE, 1),
        ("connector.blocks.1.topology_sharpness", WeightGroup.QUERY_KEY, 1),
        ("connector.blocks.1.semantic_mixer.weight", WeightGroup.SEMANTIC_VALUE, 1),
        ("connector.blocks.1.texture_bias", WeightGroup.TEXTURE, 1),
        ("connector.queries", WeightGroup.TRUNK, None),
        ("connector.adapter.1.weight", WeightGroup.TRUNK, None),
        ("semantic_head.log_scale", WeightGroup.SEMANTIC_HEAD, None),
        ("to_latent.1.bias", WeightGroup.PIXEL_HEAD, None),
        ("decoder.network.conv_in.weight", WeightGroup.PIXEL_HEAD, None),
        ("backbone.network.encoder.layer.0.attention.q_proj.weight", WeightGroup.BACKBONE, None),
    ],
)
def test_names_have_their_group_and_block(name: str, group: WeightGroup, block: int | None) -> None:
    assert group_of(name) is group and block_of(name) == block


def test_groups_partition_the_tokenizer_and_each_block_has_the_same_members() -> None:
    groups = weight_groups(small_tokenizer())
    assert all(groups.values())
    names = [name for members in groups.values() for name in members]
    assert len(names) == len(set(names))
    for group in (WeightGroup.QUERY_KEY, WeightGroup.SEMANTIC_VALUE, WeightGroup.TEXTURE):
        per_block = [
            {name.split(".", 3)[3] for name in groups[group] if block_of(name) == b}
            for b in range(TINY.num_blocks)
        ]
        assert per_block[0] and all(members == per_block[0] for members in per_block)
