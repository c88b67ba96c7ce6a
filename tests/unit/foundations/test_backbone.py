import pytest
import torch
from safetensors.torch import load_file, save_file

from muse_core.errors import MuseError
from muse_core.foundations.backbone import Backbone

CONFIG = dict(
    hidden_size=32,
    num_hidden_layers=2,
    num_attention_heads=4,
    intermediate_size=64,
    image_size=[32, 32],
    patch_size=[8, 8],
    attention_bias=True,
    use_qk_norm=True,
    layer_scale_init_value=0.5,
    layer_norm_eps=1e-5,
)
# Of ImageNet.
MEAN, STD = torch.tensor([0.485, 0.456, 0.406]), torch.tensor([0.229, 0.224, 0.225])


@torch.no_grad()
def test_images_are_normalised_exactly_once_and_the_class_token_is_dropped() -> None:
    backbone, images = Backbone(CONFIG).eval(), torch.rand(2, 3, 32, 32)
    pixels = (images - MEAN.view(3, 1, 1)) / STD.view(3, 1, 1)
    assert torch.equal(backbone(images), backbone.network(pixels).last_hidden_state[:, 1:])
    assert backbone(images).shape == (2, 16, 32) and (backbone.width, backbone.patch_size) == (
        32,
        8,
    )


@torch.no_grad()
def test_it_comes_back_from_its_folder_and_from_its_description(tmp_path) -> None:
    backbone, images = Backbone(CONFIG).eval(), torch.rand(2, 3, 32, 32)
    backbone.network.save_pretrained(tmp_path)
    loaded = Backbone.from_pretrained(tmp_path).eval()
    assert torch.equal(loaded(images), backbone(images))
    rebuilt = Backbone(loaded.describe()).eval()
    rebuilt.load_state_dict(backbone.state_dict())
    assert torch.equal(rebuilt(images), backbone(images))


@torch.no_grad()
def test_other_resolutions_keep_raster_order() -> None:
    backbone = Backbone(CONFIG).eval()
    images = torch.zeros(1, 3, 16, 48)
    marked = images.clone()
    marked[..., 8:, 40:] = 1
    moved = (backbone(marked) - backbone(images)).norm(dim=-1)[0]
    assert moved.shape == (12,) and moved.argmax() == 11


def test_a_checkpoint_that_lacks_a_weight_is_a_sentence(tmp_path) -> None:
    """transformers alone would fill it at random and go on."""
    Backbone(CONFIG).network.save_pretrained(tmp_path)
    weights = load_file(tmp_path / "model.safetensors")
    name = next(name for name in weights if "q_proj.weight" in name)
    del weights[name]
    save_file(weights, tmp_path / "model.safetensors", metadata={"format": "pt"})
    with pytest.raises(
        MuseError, match=r"The backbone checkpoint .* lacks 1 weights \(first: .*q_proj"
    ):
        Backbone.from_pretrained(tmp_path)


def test_a_folder_that_does_not_exist_is_a_sentence(tmp_path) -> None:
    for location in (
        tmp_path / "nowhere",
        str(tmp_path / "nowhere"),
        "./nowhere",
        "~/nowhere-at-all",
    ):
        with pytest.raises(MuseError, match=r"The backbone folder .*nowhere.* does not exist"):
            Backbone.from_pretrained(location)


@torch.no_grad()
def test_its_attention_is_transformers_own_without_the_class_token() -> None:
    backbone, images = Backbone(CONFIG).eval(), torch.rand(2, 3, 32, 32)
    before = backbone(images)
    maps = backbone.attention(images)
    backbone.network.set_attn_implementation("eager")
    eager = backbone.network(backbone.normalise(images), output_attentions=True).attentions
    assert len(maps) == len(eager) == 2
    for own, true in zip(maps, eager, strict=True):
        patches = true[:, :, 1:, 1:]
        torch.testing.assert_close(
            own, patches / patches.sum(-1, keepdim=True), rtol=1e-4, atol=1e-6
        )
    torch.testing.assert_close(backbone(images), before, rtol=1e-4, atol=1e-5)
