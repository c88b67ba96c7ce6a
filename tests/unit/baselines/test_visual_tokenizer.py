"""What every system does: shapes, saving and opening, and parts that are not there."""

import shutil
from dataclasses import replace
from pathlib import Path

import pytest
import torch
from torch import nn

from muse_core.baselines.systems import SYSTEMS
from muse_core.baselines.visual_tokenizer import (
    channel_statistics,
    from_tokens,
    frozen,
    grid_of,
    to_tokens,
)
from muse_core.errors import MuseError

from .small_world import GRID, SmallWorld, images, scenes


def test_tokens_and_latents_are_each_others_inverse_in_raster_order() -> None:
    latent = torch.randn(2, 3, 4, 5)
    tokens = to_tokens(latent)
    for row in range(4):
        for column in range(5):
            assert torch.equal(tokens[:, row * 5 + column], latent[:, :, row, column])
    assert torch.equal(from_tokens(tokens, grid_of(latent)), latent)


def test_statistics_are_of_each_channel() -> None:
    tokens = torch.randn(3, 7, 4) * torch.tensor([1.0, 2.0, 3.0, 0.0]) + torch.arange(4.0)
    mean, std = channel_statistics(tokens)
    for channel in range(3):
        of_channel = tokens[..., channel].flatten()
        torch.testing.assert_close(mean[channel], of_channel.mean())
        torch.testing.assert_close(std[channel], of_channel.std())
    assert std[3] == pytest.approx(1e-4), "a constant channel is not divided by zero"


def test_what_is_frozen_is_in_eval_mode_without_gradient() -> None:
    module = frozen(nn.Sequential(nn.Linear(2, 2), nn.Dropout()))
    assert not module[1].training
    assert not any(weight.requires_grad for weight in module.parameters())


@pytest.mark.parametrize("system", ["tokenflow", "unilip", "rae"])
def test_a_backbone_without_projection_is_a_sentence(world: SmallWorld, tmp_path, system) -> None:
    where = world.preset.foundations
    shutil.copytree(where.backbone, tmp_path / "backbone")
    alone = replace(where, backbone=str(tmp_path / "backbone"))
    parts = replace(world.parts, preset=replace(world.preset, foundations=alone))
    with pytest.raises(MuseError, match=r"none lies beside .*: give a backbone that has one"):
        SYSTEMS[system].assembled(parts)


@pytest.mark.parametrize("system", SYSTEMS)
def test_images_come_back_at_their_size_and_features_have_grids(world: SmallWorld, system) -> None:
    network, given = world.new(system), images()
    with torch.no_grad():
        encoded = network.encode(given)
        decoded = network.decode(encoded.latent, (32, 32)).sample
        whole = network(given)
    assert decoded.shape == given.shape == whole.reconstruction.shape
    assert torch.equal(whole.reconstruction, decoded) and whole.images is given
    assert grid_of(encoded.latent) == GRID
    assert network.segmented in encoded.tokens and encoded.tokens.keys() == encoded.grid.keys()
    assert network.probed in encoded.tokens.keys() | encoded.pooled.keys()
    for name, tokens in encoded.tokens.items():
        rows, columns = encoded.grid[name]
        assert tokens.shape[:2] == (3, rows * columns)
    assert encoded.embedding is None or encoded.embedding.shape == (3, 16)


@pytest.mark.parametrize("system", SYSTEMS)
def test_saved_and_opened_it_gives_the_same_bits(world: SmallWorld, tmp_path, system) -> None:
    network, given = world.new(system), images()
    with torch.no_grad():  # from what is assembled, every weight moves a little
        for weight in network.parameters():
            weight.add_(0.01 * torch.randn_like(weight))
    network.save_pretrained(tmp_path / "saved")
    opened = type(network).from_pretrained(tmp_path / "saved").eval()
    with torch.no_grad():
        first, second = network(given), opened(given)
    assert torch.equal(first.reconstruction, second.reconstruction)
    assert torch.equal(first.encoded.latent, second.encoded.latent)
    for name, tokens in first.encoded.tokens.items():
        assert torch.equal(tokens, second.encoded.tokens[name])
    for one, two in (
        (first.encoded.embedding, second.encoded.embedding),
        (first.encoded.codes, second.encoded.codes),
    ):
        assert (one is None and two is None) or torch.equal(one, two)
    state = opened.state_dict()
    assert state.keys() == network.state_dict().keys()
    assert all(torch.equal(value, state[name]) for name, value in network.state_dict().items())


@pytest.mark.parametrize("system", SYSTEMS)
def test_an_image_is_encoded_alone(world: SmallWorld, system) -> None:
    """What stands beside it in a batch does not change it."""
    network, given = world.new(system), images()
    with torch.no_grad():
        together, alone = network(given), network(given[1:2])
    torch.testing.assert_close(
        together.reconstruction[1:2], alone.reconstruction, rtol=1e-4, atol=1e-5
    )
    for read in (network.probed, network.segmented):
        whole, one = (
            (each.encoded.tokens | each.encoded.pooled)[read] for each in (together, alone)
        )
        torch.testing.assert_close(whole[1:2], one, rtol=1e-4, atol=1e-5)


def test_a_folder_of_none_is_a_sentence(tmp_path: Path) -> None:
    with pytest.raises(MuseError, match="tokenizer"):
        SYSTEMS["rae"].from_pretrained(tmp_path / "nowhere")
    (tmp_path / "config.json").write_text("{}")
    with pytest.raises(MuseError, match="run the stage that made it again"):
        SYSTEMS["rae"].from_pretrained(tmp_path)


@pytest.mark.parametrize("system", SYSTEMS)
def test_its_losses_are_numbers_by_the_names_that_stages_weight(world, system) -> None:
    from muse_core.baselines.systems import RECIPES

    network, batch = world.new(system), scenes()
    losses = network.own_losses(network(batch.images), world.targets(batch))
    weighted = {name for stage in RECIPES[system] for name in stage.own}
    assert losses.keys() == weighted
    assert all(loss.ndim == 0 and loss.isfinite() for loss in losses.values())
    assert network.adaptive().keys() <= weighted
    assert network.after_step(0.5) is None
