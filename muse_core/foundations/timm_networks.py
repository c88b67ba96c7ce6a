"""Vision transformers of timm: by name, with timm's weights, or from a folder that timm saved."""

import re
from collections.abc import Mapping
from inspect import signature
from pathlib import Path
from typing import Any

from safetensors.torch import load_file

from muse_core.errors import MuseError, shown
from muse_core.foundations.loading import fill, reading
from muse_core.foundations.parts import Part, read_config, weight_files

PREFIX = "timm:"
"""What stands before a name of timm where a folder or hub id may stand too."""


def timm_by_name(part: Part, name: str, pretrained: bool = True, **options: Any) -> Any:
    """A network by its name in timm, without its classifier, with ``options`` for
    `timm.create_model`.

    Raises:
        MuseError: For an unknown name, for options that the network does not know, and for weights
            that cannot be had.
    """
    import timm

    # timm itself would read folders and pickles.
    if not re.fullmatch(r"[\w.]+", name):
        raise MuseError(
            f"timm:{shown(name)} is no model of timm: give a model's name, such as "
            "timm:vit_small_patch16_dinov3."
        )
    try:
        return timm.create_model(name, pretrained=pretrained, num_classes=0, **options)
    except RuntimeError as error:
        raise MuseError(
            f"timm has no model {name!r} ({error}): see timm.list_models('*vit*')."
        ) from error
    except (TypeError, AssertionError) as error:
        raise MuseError(
            f"timm's {name!r} cannot be the {part.name} ({error}): choose a plain ViT, see "
            "timm.list_models('vit*')."
        ) from error
    except OSError as error:
        raise MuseError(
            f"The weights of timm's {name!r} are not on this machine and could not be fetched: "
            f"fetch them once with a network, or give a local {part.parameter} folder."
        ) from error


def described_by_timm(part: Part, folder: Path) -> tuple[str, dict[str, Any], dict[str, Any]]:
    """What timm's own ``save_for_hf`` wrote in config.json: the architecture, its sizes, and how
    images are normalised (``mean``, ``std``; None says nothing).

    The sizes are the network's own: nothing that would make timm read another file."""
    import timm

    config = read_config(part, folder)
    given, colours = config.get("model_args") or {}, config.get("pretrained_cfg") or {}
    own = given.keys() - signature(timm.create_model).parameters - {"num_classes"}
    said = {key: colours.get(key) for key in ("mean", "std")}
    return str(config["architecture"]), {key: given[key] for key in sorted(own)}, said


def timm_from_folder(
    part: Part, folder: Path, name: str, options: Mapping[str, Any], **own: Any
) -> Any:
    """The network of `described_by_timm` with the weights beside it, without its classifier.

    Raises:
        MuseError: For an architecture that timm does not make, and other weights than its own.
    """
    import timm

    try:
        network: Any = timm.create_model(name, pretrained=False, num_classes=0, **options, **own)
    except (RuntimeError, TypeError, ValueError, AssertionError) as error:
        raise MuseError(
            f"timm makes no {shown(name)} of {folder}'s config.json ({error}): use another "
            f"{part.parameter}, or a newer timm."
        ) from error
    with reading(part.name, str(folder)):
        held = load_file(weight_files(part, folder)[0])
    weights = {key: value for key, value in held.items() if not key.startswith("head.")}
    fill(part.name, str(folder), network, weights)
    return network
