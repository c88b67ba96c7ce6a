"""The four pretrained parts as a table: what a folder of each must hold, and how it comes from the
hub.
"""

import re
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from itertools import chain
from math import isfinite
from pathlib import Path
from typing import Any

from huggingface_hub import snapshot_download
from huggingface_hub.errors import (
    GatedRepoError,
    HfHubHTTPError,
    HFValidationError,
    LocalEntryNotFoundError,
    OfflineModeIsEnabled,
)

from muse_core.errors import MuseError, shown
from muse_core.foundations.image_normalisation import COLOUR_KEYS, IMAGENET
from muse_core.foundations.loading import COPY, read_object, refuse_pickles, require_folder_or_hub


@dataclass(frozen=True)
class Part:
    """``name``: in sentences; ``parameter``: of notebooks and `FoundationLocations`; ``kinds``:
    what ``model_type`` or ``_class_name`` in config.json may be; ``needed``: those kinds in words;
    ``sees_imagenet``: whether it is given images normalised with ImageNet's mean and deviation;
    ``others``: whether other kinds are let through, for whoever opens them to look at."""

    name: str
    parameter: str
    kinds: tuple[str, ...]
    needed: str
    sees_imagenet: bool = False
    others: bool = False


BACKBONE = Part(
    "backbone",
    "backbone",
    ("internvl", "internvl_chat", "internvl_vision", "intern_vit_6b"),
    "an InternVL3, or another vision transformer whose tokens form a grid (SigLIP, CLIP, DINOv2, "
    "ViT, timm:NAME)",
    sees_imagenet=True,
    others=True,
)
TEACHER = Part(
    "topology teacher",
    "teacher",
    ("dinov3_vit", "dinov2", "dinov2_with_registers"),
    "a DINOv3 ViT or a DINOv2: give such a folder, or timm:NAME for any ViT that timm knows",
    sees_imagenet=True,
)
AUTOENCODER = Part("autoencoder", "autoencoder", ("AutoencoderDC",), "a DC-AE in diffusers' layout")
TEXT_TOWER = Part(
    "text tower",
    "text_tower",
    ("clip", "clip_text_model"),
    "a CLIP or its text transformer in transformers' layout",
)
PARTS = (BACKBONE, TEACHER, AUTOENCODER, TEXT_TOWER)

WEIGHT_FILES = ("model.safetensors", "diffusion_pytorch_model.safetensors")
PROCESSOR_FILES = ("preprocessor_config.json", "processor_config.json")
FETCHED_FILES = ["*.json", "*.txt", "model*.safetensors", "diffusion_pytorch_model*.safetensors"]
"""Configurations, tokenizers, weights; no second copy of the weights in another format, and no
code.
"""


def open_part(part: Part, location: str | Path) -> Path:
    """The folder of a part, fetched from the hub if need be and looked through.

    Args:
        part: Which one.
        location: A folder, or a hub id OWNER/NAME.

    Raises:
        MuseError: Where it is missing, holds another kind of model, lacks a file of weights or
            expects images that are normalised in another way.
    """
    given = require_folder_or_hub(part.name, location)
    instead = f"`-p {part.parameter} FOLDER`"
    folder = Path(given) if Path(given).is_dir() else fetched(part.name, given, instead)
    return _looked_through(part, folder)


def kept_part(part: Part, location: str | Path) -> Path | None:
    """As `open_part`, without the network: None for a hub id that is not on this machine."""
    given = require_folder_or_hub(part.name, location)
    if Path(given).is_dir():
        return _looked_through(part, Path(given))
    try:
        options: dict[str, Any] = dict(allow_patterns=FETCHED_FILES, local_files_only=True)
        return _looked_through(part, Path(snapshot_download(given, **options)))
    except (LocalEntryNotFoundError, HFValidationError):
        return None


def _looked_through(part: Part, folder: Path) -> Path:
    config = read_config(part, folder)
    kind = config.get("model_type") or config.get("_class_name") or config.get("architecture")
    if kind not in part.kinds and not part.others:
        raise MuseError(f"The {part.name} {str(folder)!r} holds {kind!r}, not {part.needed}.")
    weight_files(part, folder)
    if part.sees_imagenet and kind in part.kinds:
        _check_normalisation(part, folder)
    return folder


def read_config(part: Part, folder: Path) -> dict[str, Any]:
    """config.json. Raises MuseError where it cannot be read."""
    remedy = "give a folder with config.json and safetensors weights"
    return read_object(part.name, folder / "config.json", remedy)


def weight_files(part: Part, folder: Path) -> list[Path]:
    """The safetensors files of a checkpoint, whole or in shards. Raises MuseError, with its name,
    for one that is missing.
    """
    for name in WEIGHT_FILES:
        if (folder / name).is_file():
            return [folder / name]
    for index in (folder / f"{name}.index.json" for name in WEIGHT_FILES):
        if index.is_file():
            return _shards(part, index)
    refuse_pickles(part.name, folder)
    raise MuseError(
        f"The {part.name} {folder} holds no weights: it needs {' or '.join(WEIGHT_FILES)}, "
        "whole or in shards with their index."
    )


def _shards(part: Part, index: Path) -> list[Path]:
    listed = read_object(part.name, index).get("weight_map")
    names = sorted(set(map(str, listed.values()))) if isinstance(listed, dict) else []
    outside = [name for name in names if Path(name).name != name]
    if outside or not names:
        wrong = f"{shown(outside[0])}, which is no file beside it" if outside else "no file"
        raise MuseError(
            f"The {part.name} {index.parent} cannot be read, as {index.name} lists {wrong}: {COPY}."
        )
    for name in names:
        if not (index.parent / name).is_file():
            raise MuseError(
                f"The {part.name} {index.parent} lacks {name}, one of the {len(names)} files "
                f"that {index.name} lists: {COPY}."
            )
    return [index.parent / name for name in names]


def _check_normalisation(part: Part, folder: Path) -> None:
    for file, said in _said_of_colours(part, folder):
        check_normalisation(part, file, said)


def _said_of_colours(part: Part, folder: Path) -> Iterator[tuple[Path, dict[str, Any]]]:
    """Each file of an image processor, with the mean and the deviation it gives; None for none."""
    for file in (folder / name for name in PROCESSOR_FILES if (folder / name).is_file()):
        config = read_object(part.name, file)
        inner = config.get("image_processor")
        config = inner if isinstance(inner, dict) else config
        yield file, {key: config.get(key) for key in COLOUR_KEYS}


def colours_of(
    part: Part, folder: Path, said: Mapping[str, Any] | None = None
) -> dict[str, list[float]]:
    """``image_mean`` and ``image_std`` that a checkpoint's images are normalised with: as ``said``,
    else as the files of its image processor give them.

    Raises:
        MuseError: Where nothing gives three numbers of each.
    """
    for found in (said or {}, *(each for _, each in _said_of_colours(part, folder))):
        try:
            colours = {key: [float(each) for each in found[key]] for key in COLOUR_KEYS}
        except (KeyError, TypeError, ValueError):
            continue
        whole = [len(each) for each in colours.values()] == [3, 3]
        if whole and all(map(isfinite, chain(*colours.values()))) and min(colours["image_std"]) > 0:
            return colours
    raise MuseError(
        f"Nothing in the {part.name} {folder} says how its images are normalised: put its own "
        f"{PROCESSOR_FILES[0]}, with image_mean and image_std, beside its weights."
    )


def check_normalisation(part: Part, file: Path, said: Mapping[str, Any]) -> None:
    """Images are normalised once, with ImageNet's numbers: a checkpoint that says otherwise would
    see wrong colours.

    Args:
        part: Which one.
        file: Where it says so.
        said: The mean and the standard deviation, by their names there; None says nothing.

    Raises:
        MuseError: For other numbers.
    """
    for (key, value), expected in zip(said.items(), IMAGENET, strict=True):
        if value and not _alike(value, expected):
            raise MuseError(
                f"{file} gives {key} {shown(value)}, and MUSE shows the {part.name} images "
                f"normalised with ImageNet's {list(expected)}: use another checkpoint, or "
                "mend or remove the file if it is wrong."
            )


def _alike(value: Any, expected: Sequence[float]) -> bool:
    """Whether it is a list of these three numbers."""
    try:
        return all(abs(a - b) <= 1e-3 for a, b in zip(value, expected, strict=True))
    except (TypeError, ValueError):
        return False


def fetched(
    what: str, hub_id: str, instead: str, files: Sequence[str] = tuple(FETCHED_FILES)
) -> Path:
    """The local folder of a hub id.

    Args:
        what: What it is, in sentences.
        hub_id: OWNER/NAME.
        instead: The command that takes a local copy.
        files: Patterns of what is fetched.

    Raises:
        MuseError: Where the licence is not accepted, the id is unknown or there is no network.
    """
    page = f"huggingface.co/{hub_id}"
    if not re.fullmatch(r"[\w.-]+/[\w.-]+", hub_id):
        raise MuseError(
            f"The {what} {hub_id!r} is neither a folder nor a hub id (OWNER/NAME): "
            f"give a local copy with {instead}."
        )
    try:
        return Path(snapshot_download(hub_id, allow_patterns=[*files]))
    except (HfHubHTTPError, HFValidationError, OSError) as error:
        wrong, remedy = f"could not be fetched ({type(error).__name__})", f"check the id on {page}"
        if isinstance(error, GatedRepoError):
            wrong = "is given to those who accept its licence"
            remedy = f"accept it on {page}, log in with `hf auth login` and run again"
        elif isinstance(error, LocalEntryNotFoundError | OfflineModeIsEnabled):
            wrong = "is not on this machine and the hub cannot be reached"
            remedy = (
                f"download it once with `hf download {hub_id}` where there is a network ({page})"
            )
        raise MuseError(
            f"The {what} {hub_id} {wrong}: {remedy}, or give a local copy with {instead}."
        ) from error
