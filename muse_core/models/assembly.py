"""A new tokenizer from pretrained parts: weights of backbone and decoder loaded, everything between them random."""

from muse_core.foundations.backbone import Backbone
from muse_core.foundations.pixel_decoder import PixelDecoder, load_autoencoder
from muse_core.models.tokenizer import MuseTokenizer
from muse_core.presets import Preset


def assemble_tokenizer(preset: Preset, embedding_width: int, routing: str = "orthogonal") -> MuseTokenizer:
    """``embedding_width``: width of the text space. Raises MuseError where a pretrained part cannot be loaded."""
    backbone = Backbone.from_pretrained(preset.foundations.backbone)
    decoder = PixelDecoder.from_autoencoder(load_autoencoder(preset.foundations.autoencoder))
    tokenizer = MuseTokenizer(
        backbone_config=backbone.describe(),
        decoder_config=decoder.describe(),
        image_size=preset.image_size,
        unshuffle=preset.connector.unshuffle,
        width=preset.connector.width,
        num_heads=preset.connector.num_heads,
        num_blocks=preset.connector.num_blocks,
        embedding_width=embedding_width,
        routing=routing,
    )
    tokenizer.backbone.load_state_dict(backbone.state_dict())
    tokenizer.decoder.load_state_dict(decoder.state_dict())
    return tokenizer
