"""A new tokenizer from pretrained parts: backbone and decoder loaded, random between them, the
latent calibrated.
"""

from typing import Any

import torch
import torch.nn.functional as F
from diffusers import AutoencoderDC
from einops import rearrange

from muse_core.config.preset import Preset
from muse_core.foundations.backbone import Backbone
from muse_core.foundations.pixel_decoder import PixelDecoder, encode_with, load_autoencoder
from muse_core.models.tokenizer import MuseTokenizer
from muse_core.shapes import Images


def assemble_tokenizer(
    preset: Preset, embedding_width: int, images: Images | None = None, **changes: Any
) -> MuseTokenizer:
    """A tokenizer of a preset's size on its pretrained backbone and decoder.

    Args:
        preset: Sizes, routing, attention and where the pretrained parts lie.
        embedding_width: Channels of the text space.
        images: (batch, 3, height, width) in [0, 1]; they calibrate the latent
            (`calibrate_latent`), on their device.
        **changes: Arguments of `MuseTokenizer` in place of the preset's, a `Routing` of one's own.

    Raises:
        MuseError: Where a pretrained part cannot be loaded.
    """
    backbone = Backbone.from_pretrained(preset.foundations.backbone)
    autoencoder = load_autoencoder(preset.foundations.autoencoder)
    decoder = PixelDecoder.from_autoencoder(autoencoder)
    configs = backbone.describe(), decoder.describe()
    tokenizer = new_tokenizer(preset, *configs, embedding_width, **changes)
    tokenizer.backbone.load_state_dict(backbone.state_dict())
    tokenizer.decoder.load_state_dict(decoder.state_dict())
    if images is not None:
        for network in (tokenizer, autoencoder):
            torch.nn.Module.to(network, images.device)
        calibrate_latent(tokenizer, autoencoder, images)
    return tokenizer


def new_tokenizer(
    preset: Preset,
    backbone_config: dict[str, Any],
    decoder_config: dict[str, Any],
    embedding_width: int,
    **changes: Any,
) -> MuseTokenizer:
    """Random weights everywhere; ``changes`` as in `assemble_tokenizer`."""
    said = {"image_size": preset.image_size, "routing": preset.routing, **vars(preset.connector)}
    return MuseTokenizer(
        backbone_config=backbone_config,
        decoder_config=decoder_config,
        embedding_width=embedding_width,
        **said | changes,
    )


@torch.no_grad()
def calibrate_latent(tokenizer: MuseTokenizer, autoencoder: AutoencoderDC, images: Images) -> None:
    """Fit to_latent, by least squares, to the latents that the pretrained decoder knows.

    A decoder fed with latents unlike its own answers with flat grey, and training sits there for
    hundreds of steps (measured in reports/LOG.md); a linear start inside its own latent space
    avoids that."""
    grid, parts = tokenizer.token_grid(images), images.split(16)
    known = (
        torch.cat([encode_with(autoencoder, part) for part in parts])
        * autoencoder.config["scaling_factor"]
    )
    known = F.interpolate(known, grid, mode="bilinear", antialias=True, align_corners=False)
    linear: Any
    norm, linear = tokenizer.to_latent
    hidden = (
        torch.cat([norm(tokenizer.connect(part).hidden) for part in parts]).flatten(0, 1).double()
    )
    inputs = torch.cat([hidden, hidden.new_ones(len(hidden), 1)], dim=1)
    solution = torch.linalg.lstsq(
        inputs, rearrange(known, "b c h w -> (b h w) c").double()
    ).solution
    linear.weight.copy_(solution[:-1].T)
    linear.bias.copy_(solution[-1])
