"""The features of a run's networks: each on its grid, those of students under their place."""

import pytest
import torch

from muse_core.config.presets import tiny
from muse_core.data.scenes import Scenes
from muse_core.evaluation.attention.run_attention import AttentionNetwork, student_network
from muse_core.evaluation.attention.run_features import feature_views, gradient_views, joined_views
from tests.integration.gradients_by_loss import small_teachers
from tests.unit.models.small_models import small_tokenizer

from ..small_evaluations import small_extractor


def test_every_stream_of_a_student_is_there_with_its_place_and_semantics_in_the_text_space() -> (
    None
):
    tokenizer, images = small_extractor().network, torch.rand(2, 3, 32, 32)
    networks = [student_network("before", tokenizer), student_network("after", tokenizer)]
    networks.append(student_network("shared routing", tokenizer, "comparison"))
    views = feature_views(networks, images)
    assert [view.stage for view in views] == [0] * 3 + [1] * 3 + [None] * 3
    assert [view.name for view in views[:2]] == ["texture stream H_L", "semantic stream S_L"]
    assert views[7].name == "shared routing, semantic stream S_L"
    connected = tokenizer.connect(images)
    torch.testing.assert_close(views[0].tokens, connected.hidden)
    semantic = views[1]
    torch.testing.assert_close(semantic.tokens, connected.semantic)
    assert semantic.projected.shape[:2] == semantic.tokens.shape[:2]
    # g_phi of one token alone is what it makes of an image whose tokens are all that one.
    read = connected.semantic
    if tokenizer.config.semantic_channels:
        read = tokenizer.to_semantic(read)
    one = tokenizer.semantic_head(read[:, 3:4])
    torch.testing.assert_close(semantic.projected[:, 3], one)
    assert [view.projected is None for view in views[:3]] == [True, False, True]


def test_a_network_of_another_kind_has_no_features_to_show() -> None:
    looks = lambda images: ([], (1, 1))
    other = AttentionNetwork("other", "comparison", torch.nn.Linear(1, 1), looks)
    assert feature_views([other], torch.rand(1, 3, 32, 32)) == []


def test_gradients_are_those_of_each_student_s_own_stage() -> None:
    stages, teachers, tokenizer = tiny().curriculum.stages, small_teachers(), small_tokenizer()
    names = ("before training", "after stage 2", "after stage 3")
    networks = [student_network(name, tokenizer) for name in names]
    batch = Scenes("train", 32).first(4)
    views = gradient_views(networks, stages, teachers, batch)
    assert [view.stage for view in views] == [0, 1, 2]
    heard = [set(view.shares) for view in views]
    assert heard == [set(stages[at].weights) for at in (0, 1, 2)]
    shares = views[1].shares["topology"]
    assert sum(shares.values()) == pytest.approx(1)
    assert all(share == 0 for (kind, _), share in shares.items() if kind not in ("W_Q", "W_K"))


def test_features_of_more_images_are_joined() -> None:
    networks = [student_network("after", small_extractor().network)]
    images = torch.rand(3, 3, 32, 32)
    joined = joined_views(feature_views(networks, images[:2]), feature_views(networks, images[2:]))
    for one, whole in zip(joined, feature_views(networks, images), strict=True):
        torch.testing.assert_close(one.tokens, whole.tokens, rtol=1e-4, atol=1e-5)
        assert (one.name, one.grid, one.stage) == (whole.name, whole.grid, whole.stage)
