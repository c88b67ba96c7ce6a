"""Any network that can be evaluated, from where it lies to a `FeatureExtractor`: a MUSE tokenizer,
a system of Table 1, an autoencoder of diffusers, a vision transformer.
"""

from collections.abc import Callable, Mapping
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import diffusers
import torch
import torch.nn.functional as F
from torch import Tensor, nn

from muse_core.baselines.systems import SYSTEMS
from muse_core.config.preset import Preset
from muse_core.errors import MuseError, shown
from muse_core.evaluation.feature_extractors import (
    LATENT,
    FeatureExtractor,
    Features,
    SystemExtractor,
    TokenizerExtractor,
    eval_mode,
    frozen,
    latent_tokens,
)
from muse_core.evaluation.network_place import TIMM, NetworkPlace
from muse_core.evaluation.run_rows import frozen_backbone
from muse_core.foundations.loading import load_whole, reading
from muse_core.foundations.parts import BACKBONE, Part, fetched, read_config, weight_files
from muse_core.foundations.vision_transformers import vision_config
from muse_core.models.tokenizer import MuseTokenizer
from muse_core.results.trained_code import folder_fingerprint
from muse_core.shapes import AttentionMaps, Images

Device = torch.device | str
NETWORK = Part("network", "LOCATION", (), "", others=True)
MUSE, VISION = "MuseTokenizer", "a vision transformer"


@dataclass(frozen=True)
class Autoencoder:
    """How an autoencoder of diffusers is used.

    Args:
        latent: (the network, images at its own scale) -> what its decoder reads.
        side: (the network, pixels along a side of the images) -> those it is shown.
        signed: Whether it works on [-1, 1]; otherwise on [0, 1].
    """

    latent: Callable[[Any, Images], Tensor]
    side: Callable[[Any, int], int]
    signed: bool = True


def _whole(side: int, cell: int) -> int:
    """The next whole number of cells."""
    return -(-side // cell) * cell


def _of_blocks(network: Any, side: int) -> int:
    """Each block but the last halves the image."""
    return _whole(side, 2 ** (len(network.config.block_out_channels) - 1))


AUTOENCODERS: Mapping[str, Autoencoder] = {
    "AutoencoderKL": Autoencoder(
        lambda network, images: network.encode(images).latent_dist.mode(), _of_blocks
    ),
    "AutoencoderDC": Autoencoder(
        lambda network, images: network.encode(images).latent,
        lambda network, side: _whole(side, network.spatial_compression_ratio),
    ),
    "AutoencoderRAE": Autoencoder(
        lambda network, images: network.encode(images).latent,
        lambda network, _: network.config.encoder_input_size,
        signed=False,
    ),
    "VQModel": Autoencoder(
        lambda network, images: network.quantize(network.encode(images).latents)[0], _of_blocks
    ),
    "AutoencoderTiny": Autoencoder(
        lambda network, images: network.encode(images).latents,
        lambda network, side: _whole(side, 2 ** (len(network.config.num_encoder_blocks) - 1)),
    ),
}
"""Class -> how it is used. Of a variational latent the mean is taken, of a discrete one the codes'
vectors."""


class LatentExtractor(FeatureExtractor[nn.Module]):
    """An autoencoder of diffusers: pixels only; its latent is what is probed and segmented."""

    probed = segmented = LATENT
    has_latent = True

    def features(self, images: Images, pixels: bool = True) -> Features:
        network: Any = self.network
        kind = AUTOENCODERS[type(network).__name__]
        latent = kind.latent(network, images * 2 - 1 if kind.signed else images)
        remade = network.decode(latent).sample if pixels else None
        if remade is not None and kind.signed:
            remade = remade / 2 + 0.5
        tokens = latent if latent.ndim == 3 else latent_tokens(latent)
        root = round(tokens.shape[1] ** 0.5)
        rows, columns = latent.shape[-2:] if latent.ndim == 4 else (root, root)
        return Features({LATENT: tokens}, {LATENT: (rows, columns)}, reconstruction=remade)


class NamedNetwork(FeatureExtractor[Any]):
    """A network under the name of its place, shown images at a size it takes.

    Args:
        inner: The network.
        side: Pixels along a side that it is shown, whatever size images have.
        heard: Called with the number of images after each batch.
    """

    def __init__(
        self,
        inner: FeatureExtractor[Any],
        side: int,
        heard: Callable[[int], object] = lambda _: None,
    ) -> None:
        super().__init__(inner.name, inner.network, f"{inner.fingerprint}, {side} px")
        self.inner, self.side, self.heard = inner, side, heard
        self.probed, self.segmented = inner.probed, inner.segmented
        self.has_latent = inner.has_latent

    def features(self, images: Images, pixels: bool = True) -> Features:
        """Of the images at the network's size; reconstructions at the images' own."""
        found, (height, width) = self.inner.features(self.fitted(images), pixels), images.shape[-2:]
        remade = found.reconstruction
        if remade is not None and remade.shape[-2:] != images.shape[-2:]:
            found = replace(found, reconstruction=_resized(remade, (height, width)))
        self.heard(len(images))
        return found

    def attention(self, images: Images) -> tuple[AttentionMaps, ...] | None:
        return self.inner.attention(self.fitted(images))

    def fitted(self, images: Images) -> Tensor:
        """Images at the size that the network is shown."""
        if images.shape[-2:] == (self.side, self.side):
            return images
        return _resized(images, (self.side, self.side)).clamp(0, 1)

    def note(self, side: int) -> str:
        """The sentence about images of another size than the network's; "" for its own.

        Raises:
            MuseError: It takes no such images.
        """
        blank = torch.full((2, 3, side, side), 0.5, device=self.device)
        try:
            with eval_mode(self.network):
                remade = self.inner.features(self.fitted(blank)).reconstruction
        except (MuseError, torch.OutOfMemoryError):
            raise
        # Each network has its own way to refuse images.
        except Exception as error:
            why = (str(error).strip().splitlines() or [type(error).__name__])[0][:150]
            raise MuseError(
                f"{self.name} takes no images of {self.side} x {self.side} pixels ({why}): name a "
                "preset with another image_size."
            ) from error
        back = "" if remade is None else f", its reconstructions of {remade.shape[-1]} px resized"
        other = self.side != side or (remade is not None and remade.shape[-1] != side)
        return f"images of {side} px shown to it at {self.side} px{back}" if other else ""


def _resized(images: Tensor, size: tuple[int, int]) -> Tensor:
    return F.interpolate(images, size, mode="bicubic", align_corners=False, antialias=True)


@dataclass(frozen=True)
class Asked:
    """What an opener is told: the place, its folder on this machine or ``timm:NAME``, the preset
    whose table the row is to stand in, and the device.
    """

    place: NetworkPlace
    at: str
    preset: Preset
    device: Device

    @property
    def side(self) -> int:
        """Pixels along a side of the table's images."""
        return self.preset.image_size

    def name(self, kind: object) -> str:
        """Of the row."""
        return f"{self.place.title} ({kind})"


def _tokenizer(asked: Asked) -> NamedNetwork:
    network = frozen(MuseTokenizer.from_pretrained(asked.at), asked.device)
    inner = TokenizerExtractor(asked.name(MUSE), network, folder_fingerprint(Path(asked.at)))
    return NamedNetwork(inner, _whole(asked.side, network.cell))


def _system(asked: Asked) -> NamedNetwork:
    kind = BY_CLASS[read_config(NETWORK, Path(asked.at))["_class_name"]]
    network = frozen(kind.from_pretrained(asked.at), asked.device)
    inner = SystemExtractor(asked.name(kind.words), network, folder_fingerprint(Path(asked.at)))
    return NamedNetwork(inner, getattr(network.config, "image_size", asked.side))


def _autoencoder(asked: Asked) -> NamedNetwork:
    config = read_config(NETWORK, Path(asked.at))
    name = config["_class_name"]
    channels = config.get("in_channels", config.get("num_channels", 3))
    if channels != 3:
        raise MuseError(
            f"{asked.place.title} reads {channels} channels, and images have 3: give a network of "
            "coloured images."
        )
    load: Any = getattr(diffusers, name).from_pretrained
    network = load_whole(load, "autoencoder", asked.at, torch_dtype=torch.float32)
    inner = LatentExtractor(
        asked.name(name), frozen(network, asked.device), folder_fingerprint(Path(asked.at))
    )
    return NamedNetwork(inner, AUTOENCODERS[name].side(network, asked.side))


def _vision_transformer(asked: Asked) -> NamedNetwork:
    foundations = replace(asked.preset.foundations, backbone=asked.at)
    inner = frozen_backbone(replace(asked.preset, foundations=foundations), asked.device)
    inner = replace(inner, name=asked.name(inner.network.words))
    return NamedNetwork(inner, _whole(asked.side, inner.network.patch_size))


BY_CLASS = {kind.__name__: kind for kind in SYSTEMS.values()}
"""The systems of Table 1 by what their config.json says."""

OPENERS: Mapping[str, Callable[[Asked], NamedNetwork]] = {
    MUSE: _tokenizer,
    **dict.fromkeys(BY_CLASS, _system),
    **dict.fromkeys(AUTOENCODERS, _autoencoder),
    VISION: _vision_transformer,
}
"""What a config.json says -> what opens it."""


def named_network(place: NetworkPlace, preset: Preset, device: Device = "cpu") -> NamedNetwork:
    """A frozen network, ready for a row of a preset's table.

    Args:
        place: Where it lies.
        preset: Says how large the images of its table are.
        device: Where it goes.

    Raises:
        MuseError: It cannot be fetched or read, needs code of its own, holds its weights in a
            pickle, or is of a kind that is not evaluated.
    """
    if place.given.startswith(TIMM):
        return _vision_transformer(Asked(place, place.given, preset, device))
    instead = "`muse evaluate FOLDER`"
    folder = place.folder or fetched(NETWORK.name, place.given, instead, ["config.json"])
    config = _config(place, folder)
    opener = OPENERS[_kind(place, config)]
    folder = place.folder or fetched(NETWORK.name, place.given, instead)
    weight_files(NETWORK, folder)
    return opener(Asked(place, str(folder), preset, device))


def _config(place: NetworkPlace, folder: Path) -> dict[str, Any]:
    """What config.json says. Raises MuseError where there is none, or it names code of its own."""
    if not (folder / "config.json").is_file():
        raise MuseError(
            f"{place.given} holds no config.json at its top, so nothing says which network it is: "
            "give a local copy of the one folder in it that has its config.json and weights."
        )
    config = read_config(NETWORK, folder)
    own_reader = config.get("model_type") in BACKBONE.kinds
    own_class = not isinstance(config.get("_class_name", ""), str)
    if own_class or (config.get("auto_map") and not own_reader):
        named = "_class_name" if own_class else "auto_map"
        raise MuseError(
            f"{place.title} needs code of its own ({named} in its config.json), which is never run "
            "here: give a copy in the layout of transformers, timm or diffusers."
        )
    return config


def _kind(place: NetworkPlace, config: Mapping[str, Any]) -> str:
    """The key of `OPENERS`. Raises MuseError for what is not evaluated."""
    named = config.get("_class_name")
    if named is None and _is_vision_transformer(place, config):
        return VISION
    if named not in OPENERS:
        said = named or config.get("model_type") or config.get("architectures")
        raise MuseError(
            f"{place.title} holds {shown(said)}, which is not evaluated here: give a MUSE "
            f"tokenizer, a system of Table 1 ({', '.join(BY_CLASS)}), an autoencoder of diffusers "
            f"({', '.join(AUTOENCODERS)}), or {BACKBONE.needed}; a class of your own is "
            "measured by muse run notebooks/studies/one_system.ipynb -p system FILE.py:Class."
        )
    return str(named)


def _is_vision_transformer(place: NetworkPlace, config: Mapping[str, Any]) -> bool:
    if "architecture" in config or config.get("model_type") in BACKBONE.kinds:
        return True
    with reading(NETWORK.name, place.title):
        return vision_config(dict(config)) is not None
