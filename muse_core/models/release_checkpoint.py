"""The authors' released checkpoint as a `MuseTokenizer`, weight for weight: routing "release", form
"release" (PanqiYang1/MUSE 14eb676, muse/models/muse_vit.py).

Every weight here is asked for its name there, so that each of theirs is read once or named in a
sentence. Sizes are read off the shapes. Three things differ in form alone: their one norm before
attention is ours before topology and before texture; their fused query, key and value of InternViT
are three; and their rotary embedding turns component i with i + d/2 where ours turns neighbours, so
the rows of W_Q and W_K are put side by side.
"""

import re
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import torch
from einops import rearrange
from safetensors.torch import load_file
from torch import Tensor

from muse_core.errors import MuseError
from muse_core.foundations.internvl_layouts import original_name
from muse_core.foundations.loading import assert_finite, reading
from muse_core.models.tokenizer import MuseTokenizer
from muse_core.paths import user_path

FILES = ("model.safetensors", "pytorch_model.bin")
"""What a folder of theirs may hold; the second is read as tensors alone."""
TEACHER = ("dino_teacher.", "dino_mean", "dino_std")
"""Their frozen teacher, saved with the rest: left out."""
BACKBONE_HEAD, DECODER_HEAD = 64, 32
"""Widths of a head that no shape tells, of InternViT and of DC-AE."""

BLOCK_NAMES = {
    "query": "q_topo",
    "key": "k_topo",
    "query_norm": "q_norm",
    "key_norm": "k_norm",
    "topology_norm": "norm1",
    "texture_norm": "norm1",
    "texture_value": "v_sem",
    "semantic_value": "v_itc",
    "output": "proj",
    "feedforward_norm": "norm2",
    "feedforward.fc1_g": "mlp.w1",
    "feedforward.fc1_x": "mlp.w2",
    "feedforward.fc2": "mlp.w3",
}
"""A weight of our block -> theirs. Our semantic_norm, which the release's block has no use for,
stays at one.
"""
NAMES = {
    r"connector\.adapter\.": "adapter_mlp.",
    r"to_latent\.1\.": "to_latent.",
    r"semantic_head\.projector\.1\.": "semantic_projector.0.",
    r"semantic_head\.projector\.3\.": "semantic_projector.2.",
    r"semantic_head\.log_scale": "logit_scale",
    r"decoder\.network\.": "decoder.",
}
ROTATED = r"connector\.blocks\.\d+\.(query|key|query_norm|key_norm)\."
FUSED = r"backbone\.network\..*\.([qkv])_proj\."


@dataclass(frozen=True)
class ImportedRelease:
    """``file``: what was read; ``left_out``: names of its weights that belong to their teacher."""

    tokenizer: MuseTokenizer
    file: Path
    left_out: tuple[str, ...]


def import_release(folder: str | Path) -> ImportedRelease:
    """The tokenizer of a released checkpoint, in eval mode.

    Args:
        folder: Holds pytorch_model.bin, or the same weights as model.safetensors.

    Raises:
        MuseError: Where there is none or it cannot be read, and for weights that are missing, too
            many, misshapen or not finite.
    """
    file = _weight_file(user_path(str(folder)))
    held = _read(file)
    left_out = tuple(name for name in held if name.startswith(TEACHER))
    weights = {name: weight for name, weight in held.items() if name not in left_out}
    _check_sizes(weights, file)
    tokenizer = MuseTokenizer(**sizes_of(weights, file)).eval()
    own = tokenizer.state_dict()
    _check_names(own, weights, file)
    _check_types(weights, file)
    for name, weight in own.items():
        if (theirs := release_name(name)) is not None:
            weight.copy_(_as_ours(name, weights[theirs], tokenizer))
    assert_finite("release", str(file), tokenizer)
    return ImportedRelease(tokenizer, file, left_out)


def release_name(name: str) -> str | None:
    """Their name of a weight of ours; None for one that they do not have."""
    if found := re.match(r"backbone\.network\.", name):
        return f"encoder.{original_name(name[found.end() :])}"
    if found := re.match(r"connector\.blocks\.(\d+)\.(.+)\.weight", name):
        theirs = BLOCK_NAMES.get(found[2])
        return theirs and f"muse_blocks.{found[1]}.{theirs}.weight"
    for pattern, theirs in NAMES.items():
        if found := re.match(pattern, name):
            return theirs + name[found.end() :]
    raise LookupError(f"The weight {name} has no place in the table of the release.")


def sizes_of(weights: Mapping[str, Tensor], file: Path) -> dict[str, Any]:
    """The configuration of `MuseTokenizer`, read off the shapes. Raises MuseError where a weight
    that tells one is missing, or is of no such layout.
    """
    try:
        return _sizes_of({name: tuple(weight.shape) for name, weight in weights.items()})
    except (LookupError, ValueError, ZeroDivisionError) as error:
        named = error.args[0] if isinstance(error, KeyError) else "a weight of another shape"
        raise MuseError(
            f"{file} is no checkpoint of the MUSE release: its sizes cannot be read, for want of "
            f"{named}; give the folder that the authors published, whole."
        ) from error


def _sizes_of(shape: Mapping[str, tuple[int, ...]]) -> dict[str, Any]:
    width, joined = shape["adapter_mlp.1.weight"]
    (hidden, _), (head,) = (
        shape["muse_blocks.0.mlp.w1.weight"],
        shape["muse_blocks.0.q_norm.weight"],
    )
    backbone, decoder = _backbone_of(shape), _decoder_of(shape)
    ratio = 8 / 3 if int(width * 8 / 3) == hidden else (hidden + 0.5) / width
    return dict(
        backbone_config=backbone,
        decoder_config=decoder,
        image_size=224,
        unshuffle=round((joined / backbone["hidden_size"]) ** 0.5),
        width=width,
        num_heads=width // head,
        num_blocks=_count(shape, r"muse_blocks\.(\d+)\."),
        embedding_width=shape["semantic_projector.2.weight"][0],
        feedforward_ratio=ratio,
        routing="release",
        form="release",
    )


def _backbone_of(shape: Mapping[str, tuple[int, ...]]) -> dict[str, Any]:
    """InternViT: patches, positions and layers."""
    _, positions, width = shape["encoder.embeddings.position_embedding"]
    patch = shape["encoder.embeddings.patch_embedding.weight"][-1]
    side = patch * round((positions - 1) ** 0.5)
    return dict(
        hidden_size=width,
        num_hidden_layers=_count(shape, r"encoder\.encoder\.layers\.(\d+)\."),
        num_attention_heads=width // BACKBONE_HEAD,
        intermediate_size=shape["encoder.encoder.layers.0.mlp.fc1.weight"][0],
        image_size=[side, side],
        patch_size=[patch, patch],
        attention_bias=True,
        use_mean_pooling=True,
        layer_norm_eps=1e-6,
    )


def _decoder_of(shape: Mapping[str, tuple[int, ...]]) -> dict[str, Any]:
    """DC-AE's decoder, stage by stage; each but the last begins with an upsampling convolution."""
    stages = _count(shape, r"decoder\.up_blocks\.(\d+)\.")
    kinds, widths, layers, scales = [], [], [], []
    for stage in range(stages):
        place = rf"decoder\.up_blocks\.{stage}\."
        upsampled = int(stage < stages - 1)
        block = f"decoder.up_blocks.{stage}.{upsampled}."
        attends = any(name.startswith(f"{block}attn.") for name in shape)
        kernels = (
            size[-1]
            for name, size in sorted(shape.items())
            if re.match(re.escape(block) + r"attn\.to_qkv_multiscale\.\d+\.proj_in\.", name)
        )
        kinds.append("EfficientViTBlock" if attends else "ResBlock")
        widths.append(shape[f"{block}{'attn.to_q' if attends else 'conv1'}.weight"][0])
        layers.append(_count(shape, place + r"(\d+)\.") - upsampled)
        scales.append(list(kernels))
    grown = shape["decoder.up_blocks.0.0.conv.weight"][0] == widths[0]
    return dict(
        latent_channels=shape["to_latent.weight"][0],
        attention_head_dim=DECODER_HEAD,
        decoder_block_types=kinds,
        decoder_block_out_channels=widths,
        decoder_layers_per_block=layers,
        decoder_qkv_multiscales=scales,
        upsample_block_type="interpolate" if grown else "pixel_shuffle",
        scaling_factor=1.0,
    )


def _count(shape: Iterable[str], pattern: str) -> int:
    """How many numbers from 0 on stand in these names. Raises KeyError, with the first that does
    not, where there is none or one is left out.
    """
    numbers = {int(found[1]) for name in shape if (found := re.match(pattern, name))}
    lacking = next(number for number in range(len(numbers) + 1) if number not in numbers)
    if lacking < max(len(numbers), 1):
        raise KeyError(pattern.replace("\\", "").replace("(d+)", str(lacking)) + "*")
    return len(numbers)


def _check_sizes(weights: Mapping[str, Tensor], file: Path) -> None:
    """Raises MuseError for a weight with more numbers than the file holds for it."""
    for name, each in weights.items():
        if each.numel() * each.element_size() > each.untyped_storage().nbytes():
            raise MuseError(
                f"{file} is smaller than the weights it tells of, {name} for one: give the file "
                "that the authors published, whole and unchanged."
            )


def _check_types(weights: Mapping[str, Tensor], file: Path) -> None:
    """Raises MuseError for weights of no floating type."""
    others = [
        f"{name} ({each.dtype})" for name, each in weights.items() if not each.is_floating_point()
    ]
    if others:
        raise MuseError(
            f"{file} holds weights that are no floating numbers: {_listed(others)}: give the file "
            "that the authors published, not quantised."
        )


def _check_names(own: Mapping[str, Tensor], weights: Mapping[str, Tensor], file: Path) -> None:
    """Raises MuseError, in one sentence, for weights that are missing, too many or misshapen."""
    expected = {
        theirs: _shape_there(name, weight)
        for name, weight in own.items()
        if (theirs := release_name(name)) is not None
    }
    missing, extra = expected.keys() - weights.keys(), weights.keys() - expected.keys()
    wrong = [
        f"{name} {tuple(weights[name].shape)} instead of {shape}"
        for name, shape in expected.items()
        if name in weights and tuple(weights[name].shape) != shape
    ]
    faults = {
        "lacks": missing,
        "holds what has no place here": extra,
        "has in another shape": wrong,
    }
    said = [f"{words} {_listed(names)}" for words, names in faults.items() if names]
    if said:
        raise MuseError(
            f"The release checkpoint {file} {'; '.join(said)}: give the file that the authors "
            "published, whole and unchanged."
        )


def _listed(names: Iterable[str], most: int = 8) -> str:
    names = sorted(names)
    more = f" and {len(names) - most} more" if len(names) > most else ""
    return ", ".join(names[:most]) + more


def _shape_there(name: str, weight: Tensor) -> tuple[int, ...]:
    rows, *rest = tuple(weight.shape) or (None,)
    if rows is None:
        return ()
    return (3 * rows, *rest) if re.match(FUSED, name) else (rows, *rest)


def _as_ours(name: str, weight: Tensor, tokenizer: MuseTokenizer) -> Tensor:
    """Their weight as ours of this name takes it."""
    if found := re.match(FUSED, name):
        return weight.tensor_split(3)["qkv".index(found[1])]
    if found := re.match(ROTATED, name):
        heads = 1 if found[1].endswith("norm") else tokenizer.config.num_heads
        return rearrange(weight, "(heads half i) ... -> (heads i half) ...", heads=heads, half=2)
    return weight


def _weight_file(folder: Path) -> Path:
    for file in (folder / name for name in FILES):
        if file.is_file():
            return file
    raise MuseError(
        f"There is no checkpoint in {folder}: give the folder that holds the authors' "
        f"{' or '.join(reversed(FILES))}."
    )


def _read(file: Path) -> dict[str, Tensor]:
    """Tensors by name; of a pickle, tensors alone."""
    with reading("release checkpoint", str(file)):
        if file.suffix == ".safetensors":
            return load_file(file)
        held = torch.load(file, weights_only=True, map_location="cpu")
        if not isinstance(held, dict) or not all(
            isinstance(each, Tensor) for each in held.values()
        ):
            raise MuseError(
                f"{file} is no plain dictionary of tensors, as the release's checkpoint is: give "
                "the file that the authors published."
            )
        return held
