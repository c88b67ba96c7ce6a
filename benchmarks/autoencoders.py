"""Encode and decode beside diffusers' autoencoders of the same size: random weights, the same
images, in turns.

"The same size" is the number of weights: of each family, the width that comes nearest to ours.
"""

import math
from collections.abc import Callable, Iterator
from dataclasses import dataclass

import torch
from accelerate import Accelerator
from diffusers import AutoencoderDC, AutoencoderKL, AutoencoderRAE
from torch import Tensor, nn

from benchmarks.measuring import Ratio, ratio_in_turns
from benchmarks.sizes import Size, random_trainer, scenes
from muse_core.foundations.pixel_decoder import encode_with
from muse_core.models.tokenizer import MuseTokenizer

WIDTHS = range(1, 13)


def dc(width: int, size: Size) -> nn.Module:
    """DC-AE at the compression of SANA's, with ``width`` / 8 of its channels."""
    widths = tuple(16 * width * factor for factor in (1, 2, 4, 4, 8, 8))
    channels = {f"{side}_block_out_channels": widths for side in ("encoder", "decoder")}
    return AutoencoderDC(**{**size.autoencoder, **channels})


def kl(width: int, size: Size) -> nn.Module:
    """Stable Diffusion's, eight times fewer positions a side."""
    widths = tuple(32 * width * factor for factor in (1, 2, 4, 4))
    kinds = {f"{way}_block_types": (f"{name}Block2D",) * 4 for way, name in KL_BLOCKS.items()}
    return AutoencoderKL(block_out_channels=widths, layers_per_block=2, **kinds)


def rae(width: int, size: Size) -> nn.Module:
    """A frozen ViT of DINOv2's kind, and a ViT that decodes."""
    patch, heads = 14, 4
    return AutoencoderRAE(
        encoder_hidden_size=64 * width,
        encoder_num_hidden_layers=12,
        encoder_patch_size=patch,
        decoder_hidden_size=64 * width,
        decoder_num_hidden_layers=8,
        decoder_num_attention_heads=heads,
        decoder_intermediate_size=256 * width,
        encoder_input_size=size.preset.image_size,
        patch_size=patch,
    )


KL_BLOCKS = {"down": "DownEncoder", "up": "UpDecoder"}
FAMILIES: dict[str, Callable[[int, Size], nn.Module]] = {
    "AutoencoderDC": dc,
    "AutoencoderKL": kl,
    "AutoencoderRAE": rae,
}


@dataclass(frozen=True)
class Beside:
    """How many times faster we are than one of them; ``weights``: millions, theirs and ours."""

    family: str
    weights: tuple[float, float]
    encode: Ratio
    decode: Ratio


def beside(size: Size, batch_size: int, rounds: int, accelerator: Accelerator) -> Iterator[Beside]:
    """Every family against the tokenizer of ``size``."""
    device = accelerator.device
    ours = random_trainer(size, "01", accelerator).tokenizer.eval()
    images = scenes(size, batch_size, device).images
    for name, make in FAMILIES.items():
        theirs = fitted(make, size, count(ours)).to(device).eval()
        with torch.no_grad(), accelerator.autocast():
            encode, decode = both_ways(ours, theirs, images)
            yield Beside(
                name,
                (count(theirs) / 1e6, count(ours) / 1e6),
                ratio_in_turns(*encode, rounds, device.type).inverse,
                ratio_in_turns(*decode, rounds, device.type).inverse,
            )


def both_ways(ours: MuseTokenizer, theirs: nn.Module, images: Tensor):
    """(ours, theirs) to encode, and to decode what each made."""
    latent = ours.encode(images).latent
    if isinstance(theirs, AutoencoderDC):
        encode = lambda: encode_with(theirs, images)
        made = encode()
    elif isinstance(theirs, AutoencoderKL):
        encode = lambda: theirs.encode(images * 2 - 1)
        made = encode().latent_dist.mean
    else:
        assert isinstance(theirs, AutoencoderRAE)
        encode = lambda: theirs.encode(images)
        made = encode().latent
    decode = lambda: theirs.decode(made)
    return (lambda: ours.encode(images), encode), (lambda: ours.decode(latent), decode)


def fitted(make: Callable[[int, Size], nn.Module], size: Size, weights: int) -> nn.Module:
    """The width whose number of weights comes nearest."""

    def distance(width: int) -> float:
        with torch.device("meta"):
            return abs(math.log(count(make(width, size)) / weights))

    torch.manual_seed(0)
    return make(min(WIDTHS, key=distance), size)


def count(network: nn.Module) -> int:
    return sum(weight.numel() for weight in network.parameters())
