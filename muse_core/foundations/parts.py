"""The four pretrained parts as a table: what a folder of each must hold, and where each comes from."""

import json
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from muse_core.errors import MuseError, shown
from muse_core.foundations.hub_download import fetched
from muse_core.foundations.image_normalisation import IMAGENET
from muse_core.foundations.loading import COPY, refuse_pickles, require_folder_or_hub


@dataclass(frozen=True)
class Part:
    """``name``: in sentences; ``parameter``: of notebooks and `FoundationLocations`; ``kinds``:
    what ``model_type`` or ``_class_name`` in config.json may be; ``needed``: those kinds in
    words."""

    name: str
    parameter: str
    kinds: tuple[str, ...]
    needed: str
    sees_imagenet: bool = False
    """Whether it is given images normalised with ImageNet's mean and deviation."""


BACKBONE = Part(
    "backbone",
    "backbone",
    ("internvl", "internvl_chat", "internvl_vision", "intern_vit_6b"),
    "an InternVL3 or its vision tower",
    sees_imagenet=True,
)
TEACHER = Part(
    "topology teacher",
    "teacher",
    ("dinov3_vit",),
    "a DINOv3 ViT: give such a folder, or timm:NAME for any ViT that timm knows",
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


def open_part(part: Part, location: str | Path) -> Path:
    """The folder of a part, fetched from the hub if need be and looked through.

    Raises MuseError where it is missing, holds another kind of model, lacks a file of weights or
    expects images that are normalised in another way."""
    given = require_folder_or_hub(part.name, location)
    folder = Path(given) if Path(given).is_dir() else fetched(part.name, part.parameter, given)
    _check_kind(part, folder)
    weight_files(part, folder)
    if part.sees_imagenet:
        _check_normalisation(part, folder)
    return folder


def read_config(part: Part, folder: Path) -> dict[str, Any]:
    """config.json. Raises MuseError where it cannot be read."""
    return _json(part, folder / "config.json")


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
        f"The {part.name} {folder} holds no weights: it needs {' or '.join(WEIGHT_FILES)}, whole or in shards with their "
        "index."
    )


def _shards(part: Part, index: Path) -> list[Path]:
    listed = _json(part, index).get("weight_map")
    names = sorted(set(map(str, listed.values()))) if isinstance(listed, dict) else []
    outside = [name for name in names if Path(name).name != name]
    if outside or not names:
        wrong = (
            f"lists {shown(outside[0])}, which is no file beside it" if outside else "lists no file"
        )
        raise MuseError(
            f"The {part.name} {index.parent} cannot be read, as {index.name} {wrong}: {COPY}."
        )
    files = [index.parent / name for name in names]
    absent = [file.name for file in files if not file.is_file()]
    if absent:
        raise MuseError(
            f"The {part.name} {index.parent} lacks {absent[0]}, one of the {len(files)} files that {index.name} lists: copy or "
            "download it again."
        )
    return files


def _check_kind(part: Part, folder: Path) -> None:
    config = read_config(part, folder)
    kind = config.get("model_type") or config.get("_class_name")
    if kind not in part.kinds:
        raise MuseError(f"The {part.name} {str(folder)!r} holds {kind!r}, not {part.needed}.")


def _check_normalisation(part: Part, folder: Path) -> None:
    """Images are normalised once, with ImageNet's numbers: a checkpoint that says otherwise would
    see wrong colours.
    """
    for file in (folder / name for name in PROCESSOR_FILES):
        if not file.is_file():
            continue
        config = _json(part, file)
        inner = config.get("image_processor")
        config = inner if isinstance(inner, dict) else config
        for key, expected in zip(("image_mean", "image_std"), IMAGENET, strict=True):
            value = config.get(key)
            if value and not _alike(value, expected):
                raise MuseError(
                    f"{file} gives {key} {shown(value)}, and MUSE shows the {part.name} images normalised with ImageNet's "
                    f"{list(expected)}: use another checkpoint, or remove the file if it is wrong."
                )


def _alike(value: Any, expected: Sequence[float]) -> bool:
    try:
        return all(abs(a - b) <= 1e-3 for a, b in zip(value, expected, strict=True))
    except (TypeError, ValueError):  # no list of three numbers
        return False


def _json(part: Part, file: Path) -> dict[str, Any]:
    try:
        found = json.loads(file.read_text())
        if not isinstance(found, dict):
            raise TypeError("no JSON object")
        return found
    except (OSError, ValueError, TypeError, RecursionError) as error:
        raise MuseError(
            f"The {part.name} {str(file.parent)!r} cannot be read: give a folder with config.json and safetensors "
            f"weights ({file.name}: {type(error).__name__})."
        ) from error
