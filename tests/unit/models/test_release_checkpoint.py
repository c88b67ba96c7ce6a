"""The authors' checkpoint becomes a tokenizer that computes what their network computes, weight for
weight; and anything else is one sentence.
"""

from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
import torch
from safetensors.torch import save_file
from torch import Tensor

from muse_core.errors import MuseError
from muse_core.models.release_checkpoint import import_release, release_name
from muse_core.models.tokenizer import MuseTokenizer

from ...release_layout import (
    BLOCKS,
    released_forward,
    released_images,
    released_weights,
)


def written(folder: Path, weights: Any, name: str = "pytorch_model.bin") -> Path:
    folder.mkdir(exist_ok=True)
    torch.save(weights, folder / name)
    return folder


@torch.no_grad()
@pytest.mark.parametrize("size", [(56, 56), (84, 56), (112, 112)])
def test_it_computes_what_the_release_computes(tmp_path: Path, size: tuple[int, int]) -> None:
    weights = released_weights()
    imported = import_release(written(tmp_path, weights))
    tokenizer, images = imported.tokenizer, torch.rand(2, 3, *size)
    expected = released_forward(weights, images)
    output = tokenizer(images, with_attention=True)
    close = lambda own, theirs: torch.testing.assert_close(own, theirs, rtol=1e-3, atol=1e-4)
    connected = tokenizer.connect(images)
    close(connected.hidden, expected["hidden"])
    close(output.semantic, expected["semantic"])
    close(output.latent, expected["latent"])
    close(output.embedding, expected["embedding"])
    close(output.attention[-1].probabilities(), expected["last"])
    close(output.reconstruction, released_images(weights, expected["latent"], size))
    assert tokenizer.semantic_head.log_scale == weights["logit_scale"]
    assert set(imported.left_out) == {"dino_teacher.norm.weight", "dino_mean", "dino_std"}


def test_every_weight_of_the_release_counts() -> None:
    """The reference's outputs move with each of its weights, so that the agreement above says
    something of all of them.
    """
    images = torch.rand(1, 3, 56, 56)
    for name, weight in released_weights().items():
        if name.startswith(("dino_", "decoder.")) or name == "logit_scale":
            continue
        dead = [f"muse_blocks.{block}.v_itc.weight" for block in range(BLOCKS - 1)]
        weights = released_weights()
        before = released_forward(weights, images)
        noise = torch.randn(weight.shape, generator=torch.Generator().manual_seed(1))
        after = released_forward(weights | {name: weight + noise}, images)
        moved = any(not torch.allclose(before[each], after[each], atol=1e-5) for each in before)
        assert moved == (name not in dead), name


def test_each_of_their_weights_has_one_place_and_ours_are_all_named(tmp_path: Path) -> None:
    weights = released_weights()
    tokenizer = import_release(written(tmp_path, weights)).tokenizer
    names = {name: release_name(name) for name in tokenizer.state_dict()}
    assert {each for each in names.values() if each} == {
        name for name in weights if not name.startswith("dino_")
    }
    unnamed = [name for name, theirs in names.items() if theirs is None]
    assert unnamed == [f"connector.blocks.{block}.semantic_norm.weight" for block in range(BLOCKS)]
    with pytest.raises(LookupError, match="no place in the table"):
        release_name("connector.queries")


@torch.no_grad()
def test_it_saves_and_loads_like_any_tokenizer_and_from_safetensors_too(tmp_path: Path) -> None:
    weights, images = released_weights(), torch.rand(1, 3, 56, 56)
    (tmp_path / "safe").mkdir()
    save_file(weights, tmp_path / "safe" / "model.safetensors")
    tokenizer = import_release(tmp_path / "safe").tokenizer
    assert (tokenizer.config.routing, tokenizer.config.form) == ("release", "release")
    tokenizer.save_pretrained(tmp_path / "saved")
    again = MuseTokenizer.from_pretrained(tmp_path / "saved").eval()
    assert again.config.form == "release" and not hasattr(again.connector, "queries")
    assert torch.equal(again(images).reconstruction, tokenizer(images).reconstruction)


def without(*names: str) -> Callable[[dict[str, Tensor]], dict[str, Tensor]]:
    return lambda weights: {key: value for key, value in weights.items() if key not in names}


@pytest.mark.parametrize(
    ("change", "words"),
    [
        (
            without("muse_blocks.1.v_sem.weight", "logit_scale"),
            r"lacks logit_scale, muse_blocks\.1\.v_sem\.weight: give the file",
        ),
        (
            lambda weights: weights | {"decoder_adapter.weight": torch.zeros(8, 8, 1, 1)},
            r"holds what has no place here decoder_adapter\.weight: give",
        ),
        (
            lambda weights: weights | {"to_latent.bias": torch.zeros(3)},
            r"has in another shape to_latent\.bias \(3,\) instead of \(8,\)",
        ),
        (
            lambda weights: (
                without("muse_blocks.0.norm2.weight")(weights)
                | {"more": torch.zeros(1), "encoder.encoder.layers.0.attn.qkv.bias": torch.zeros(4)}
            ),
            r"lacks muse_blocks\.0\.norm2\.weight; holds what has no place here more; has in "
            r"another shape encoder\.encoder\.layers\.0\.attn\.qkv\.bias \(4,\) instead of "
            r"\(384,\): give",
        ),
        (
            lambda weights: without(*[name for name in weights if ".up_blocks." in name])(weights),
            "its sizes cannot be read, for want of decoder",
        ),
        (without("adapter_mlp.1.weight"), r"for want of adapter_mlp\.1\.weight; give the folder"),
        (
            lambda weights: weights | {"adapter_mlp.1.weight": torch.zeros(4)},
            "for want of a weight of another shape",
        ),
        (
            lambda weights: weights | {"to_latent.bias": torch.full((8,), float("nan"))},
            r"not finite \(first: to_latent",
        ),
        (
            lambda weights: weights | {"muse_blocks.99999999.v_sem.weight": torch.zeros(1)},
            r"for want of muse_blocks\.3\.\*",
        ),
        (
            lambda weights: weights | {"to_latent.bias": torch.zeros(8, dtype=torch.int8)},
            r"no floating numbers: to_latent\.bias \(torch\.int8\)",
        ),
        (
            lambda weights: weights | {"to_latent.bias": torch.zeros(1).expand(10**9)},
            "smaller than the weights it tells of",
        ),
        (lambda weights: {"state_dict": weights}, "no plain dictionary of tensors"),
        (lambda weights: {}, "for want of adapter_mlp"),
        (lambda weights: {"x": Path("a")}, "cannot be read"),
    ],
)
def test_another_checkpoint_is_one_sentence(
    tmp_path: Path, change: Callable[[dict[str, Tensor]], Any], words: str
) -> None:
    with pytest.raises(MuseError, match=words) as caught:
        import_release(written(tmp_path, change(released_weights())))
    assert "\n" not in str(caught.value)


def test_what_would_run_is_never_run(tmp_path: Path) -> None:
    class Evil:
        def __reduce__(self) -> Any:
            return (Path.touch, (tmp_path / "ran",))

    with pytest.raises(MuseError, match="cannot be read"):
        import_release(written(tmp_path / "evil", released_weights() | {"x": Evil()}))
    assert not (tmp_path / "ran").exists()
    with pytest.raises(MuseError, match=r"There is no checkpoint in .*pytorch_model\.bin or model"):
        import_release(tmp_path / "nowhere")
